"""Tokens planted as personal data and as secrets are found where they belong, and in nothing that ropa writes or says.

The whole loop runs, also through every failure whose own text would carry a value: a trigger that names the person, a
constraint, a table that is gone, a database that is locked, a secret inline. What may hold a token is named here, with
its reason; everything else is searched byte by byte.
"""

from __future__ import annotations

import json
import resource
import signal
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from checker import read_events
from kill_project import Project, approve, expect, held_person, make, prepare
from leaks import hits_below, tokens_in
from ropa_runs import PROGRAM, Ended, Server, environment, run_program

OUTPUTS_WITH_KEYS = {"plan show --records", "explain", "ledger prove"}
"""What is meant to show keys: the list a person approves, and answers about a key that the caller gave."""


@dataclass
class Campaign:
    """One project, every command run on it, and what each said."""

    server: Server
    project: Project
    env: dict[str, str]
    secrets: list[str]
    said: list[tuple[str, Ended]] = field(default_factory=list)

    @property
    def personal(self) -> list[str]:
        return [token for kind, tokens in self.project.tokens.items() if kind != "owner" for token in tokens]

    @property
    def owner(self) -> list[str]:
        return self.project.tokens["owner"]

    def run(self, *words: str, codes: tuple[int, ...] = (0,), verbose: bool = True) -> Ended:
        """Run a command, with ``-v``, and keep what it said under its name."""
        options = ("-v",) if verbose else ()
        ended = self.server.run("-C", self.project.folder, *options, *words, env=self.env)
        name = " ".join(word for word in words[:2] if word.isalpha()) + (" --records" if "--records" in words else "")
        self.said.append((name, ended))
        assert ended.code in codes, (words, ended)
        return ended


@pytest.fixture
def campaign(server: Server, tmp_path: Path) -> Campaign:
    """A project with two more places that cannot be reached, and a password of each: in the environment, in a file."""
    project = make(tmp_path / "p")
    in_environment, in_file = (project.token("secret") for _ in range(2))
    del project.tokens["secret"]
    config = project.folder / "config" / "retention.toml"
    secret_file = project.folder / "config" / "other.url"
    secret_file.write_text(f"postgresql+psycopg://ropa:{in_file}@127.0.0.1:1/other\n")
    secret_file.chmod(0o600)
    more = '\n[location.{0}]\nconnector = "sql"\nurl = "{1}"\n'
    text = config.read_text().replace('url = "sqlite:///data/crm.sqlite"', 'url = "env:CRM_URL"')
    places = more.format("other", "file:config/other.url") + more.format("third", "env:THIRD_URL")
    config.write_text(text + places)
    (tmp_path / "tmp").mkdir()
    env = {
        "CRM_URL": "sqlite:///data/crm.sqlite",
        "THIRD_URL": f"postgresql+psycopg://ropa:{in_environment}@127.0.0.1:1/third?application_name={in_environment}",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    return Campaign(server, project, env, [in_environment, in_file])


def source(project: Project) -> sqlite3.Connection:
    return sqlite3.connect(project.crm)


def emails(project: Project) -> list[str]:
    with closing(source(project)) as connection:
        return [row[0] for row in connection.execute("SELECT email FROM prospect ORDER BY email")]


def test_no_token_leaves_the_places_it_was_planted_in(campaign: Campaign, tmp_path: Path) -> None:
    run, project = campaign.run, campaign.project
    by = ("--by", "An", "--reason", "test")
    run("init")
    run("register", "import", str(project.folder / "register.toml"), *by)
    prospect = next(key for dataset, key in project.held if dataset == "prospects")
    run("hold", "add", "--record", "crm.prospects", prospect, "--reason", "litigation", "--by", "An")
    run("hold", "add", "--subject", held_person(project), "--reason", "restriction", "--by", "An")
    run("hold", "list", "--json")
    run("check", "--json", codes=(0, 1))
    run("check", codes=(0, 1))
    run("location", "list", "--json")
    for place in ("crm", "cvs", "other", "third"):
        run("location", "check", place, codes=(0, 1, 2, 5))
        run("location", "discover", place, "--json", codes=(0, 1, 2, 5))

    _refuse_with_the_persons_name(project)
    plan = run("plan", "--by", "An", "--json", codes=(0, 5)).document
    number, digest = str(plan["plan"]), plan["digest"]
    run("plan", "list")
    run("plan", "show", number)
    shown = run("plan", "show", number, "--records", "--json")
    assert tokens_in(shown.out.encode(), campaign.personal)  # the tokens can be found where they may be
    wanted = json.loads(next(line for line in shown.out.splitlines() if '"crm.prospects"' in line))
    run("explain", "crm.prospects", *wanted["key"])
    run("explain", "crm.customers", "5000", "--json")
    run("approve", number, *by, "--digest", "sha256:" + "0" * 64, codes=(4,))
    run("approve", number, *by, "--digest", digest)
    applied = run("apply", number, "--json", codes=(3,))
    assert applied.document["outcomes"]["failed"] >= 2
    run("apply", number, codes=(4,))

    for again in ("1", "2"):
        run("sweep", "--json", codes=(0, 3, 4, 5))
        run("finding", "list")
        run("finding", "show", again, codes=(0, 2))
    run("status", codes=(0, 1))
    run("ledger", "show")
    run("ledger", "verify", "--json")
    run("ledger", "prove", "crm.prospects", *wanted["key"], codes=(0, 1))
    run("ledger", "export", str(tmp_path / "exported"))
    run("report", "--bundle", str(tmp_path / "bundle"))
    for form in ("html", "csv", "json", "pdf", "xlsx", "jsonld"):
        run("report", "--format", form, "-o", str(tmp_path / f"report.{form}"), codes=(0, 2))
    for form in ("toml", "json", "xlsx"):
        run("register", "export", "--format", form, "-o", str(tmp_path / f"register.{form}"), codes=(0, 2))
    run("register", "history")
    _fail_in_other_ways(campaign)
    _end_every_plan(campaign)

    secrets, personal = campaign.secrets, campaign.personal
    for name, ended in campaign.said:
        words = (ended.out + ended.err).encode()
        assert not tokens_in(words, secrets), (name, ended)
        if name not in OUTPUTS_WITH_KEYS:
            assert not tokens_in(words, personal), (name, ended)
        assert "Traceback" not in ended.err, (name, ended)
        if not name.startswith(("register", "report", "check")):
            assert not tokens_in(words, campaign.owner), (name, ended)

    # The register and the report name the owner of an activity, as they must; the database holds the register. A hold
    # names its record or person in the run database, for as long as it is in force, or it could hold nothing.
    held = [token for token in personal if any(token in key for _, key in project.held)]
    others = [token for token in personal if token not in held]
    places = (project.folder / "data", project.folder / "config" / "other.url")
    assert hits_below(project.folder / "data", personal)  # the search finds what is there
    assert hits_below(project.folder / "config", secrets)
    assert not hits_below(project.folder, others + secrets, apart_from=places)
    database = (*places, *project.state.glob("ropa.db*"))
    assert not hits_below(project.folder, held, apart_from=database)
    register = (project.folder / "register.toml", project.state / "exports")
    assert not hits_below(project.folder, campaign.owner, apart_from=(*database, *register))
    assert not hits_below(project.ledger, personal + secrets + campaign.owner)
    everything_else = [path for path in tmp_path.iterdir() if path != project.folder]
    assert len(everything_else) > 5
    for path in everything_else:
        assert not hits_below(tmp_path, personal + secrets, apart_from=[project.folder]), path


def _refuse_with_the_persons_name(project: Project) -> None:
    """Let the source refuse some records with texts that carry their values."""
    held = {json.loads(key)[0] for dataset, key in project.held if dataset == "prospects"}
    with closing(source(project)) as connection:
        due = connection.execute("SELECT email FROM prospect WHERE last_contact_on < date('now', '-400 days')")
        # Not one on hold: such a record is never tried.
        email = next(email for (email,) in due if email not in held)
        connection.executescript(
            f"""
            CREATE TRIGGER no_delete BEFORE DELETE ON prospect WHEN OLD.email = '{email}'
            BEGIN SELECT RAISE(ABORT, '{email} may not be deleted'); END;
            CREATE TRIGGER no_update BEFORE UPDATE ON customer WHEN OLD.id = 5001
            BEGIN SELECT RAISE(FAIL, 'customer {email} may not be changed'); END;
            """
        )
        connection.commit()


def _fail_in_other_ways(campaign: Campaign) -> None:
    """A locked database, a table that is gone, a broken run state, and a configuration with a secret in it."""
    run, project = campaign.run, campaign.project
    with closing(source(project)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        run("plan", "--by", "An", codes=(2, 5))
        run("location", "check", "crm", codes=(0, 1, 5))
        connection.rollback()
        connection.execute("ALTER TABLE note RENAME TO other_note")
        connection.commit()
        run("plan", "--by", "An", codes=(2,))
        run("sweep", codes=(2,))
        connection.execute("ALTER TABLE other_note RENAME TO note")
        connection.commit()
    config = project.folder / "config" / "retention.toml"
    kept = config.read_text()
    secret = campaign.secrets[1]
    for broken in (
        kept.replace('url = "env:CRM_URL"', f'url = "postgresql://ropa:{secret}@db.example.org/crm?password={secret}"'),
        kept.replace('url = "env:CRM_URL"', f'url = "postgresql://ropa:{secret}'),
        kept.replace('url = "env:CRM_URL"', f'password = "{secret}"\nurl = "env:CRM_URL"'),
        kept.replace('url = "env:CRM_URL"', f'url = "env:{secret}"'),
    ):
        assert broken != kept
        config.write_text(broken)
        ended = run("check", "--json", codes=(1, 2))
        if f'"env:{secret}"' in broken:
            campaign.said.pop()  # the name of a variable is no secret, and the message must tell which is missing
            assert secret in ended.out
        run("plan", "--by", "An", codes=(2, 5))
        if f'"env:{secret}"' in broken:
            campaign.said.pop()
    config.write_text(kept)
    missing = dict(campaign.env)
    campaign.env["CRM_URL"] = campaign.env["CRM_URL"].replace("crm.sqlite", "gone.sqlite")
    run("plan", "--by", "An", codes=(2, 5))
    run("location", "check", "crm", codes=(1, 5))
    campaign.env["CRM_URL"] = f"mysql://root:{secret}@127.0.0.1/x"
    run("location", "check", "crm", codes=(1, 2, 5))
    campaign.env.update(missing)
    campaign.env["ROPA_DATABASE_URL"] = f"postgresql+psycopg://ropa:{secret}@127.0.0.1:1/ropa"
    run("status", codes=(2, 5))
    campaign.env["ROPA_DATABASE_URL"] = f"nonsense://ropa:{secret}@127.0.0.1:1/ropa"
    run("status", codes=(2,))
    del campaign.env["ROPA_DATABASE_URL"]
    person = campaign.project.tokens["mail"][0]
    with closing(sqlite3.connect(project.database)) as database:
        database.execute("UPDATE plan_target SET data = ?", (f"not JSON: {person}",))
        database.commit()
        run("plan", "list", codes=(0, 1, 6))
        run("plan", "show", "1", codes=(1, 6))
        run("report", codes=(0, 1, 6))
        database.execute("UPDATE plan_target SET data = '[]'")
        database.commit()
    with closing(sqlite3.connect(project.database)) as database:
        database.execute("PRAGMA secure_delete=ON")
        database.execute("VACUUM")  # what the test itself wrote there


def _end_every_plan(campaign: Campaign) -> None:
    for plan in campaign.run("plan", "list", "--json").document["plans"]:
        if plan["state"] in {"pending", "approved"}:
            campaign.run("reject", str(plan["plan"]), "--by", "An", "--reason", "the end", codes=(0, 4))


def test_the_key_of_a_record_that_was_flagged_once_goes_with_the_record(server: Server, tmp_path: Path) -> None:
    project = prepare(server, make(tmp_path / "p"))
    config = project.folder / "config" / "retention.toml"
    text = config.read_text()
    before, rule, after = text.partition("[rule.intake]")
    config.write_text(before + rule + after.replace('action = "purge"', 'action = "flag"', 1))
    expect(server.run("-C", project.folder, "sweep"))
    planned = [token for token in project.purged_tokens if "@" in token and token in str(emails(project))]
    assert hits_below(project.state, planned)
    expect(server.run("-C", project.folder, "reject", "1", "--by", "An", "--reason", "the rule changes"))
    config.write_text(text)
    approve(server, project)
    expect(server.run("-C", project.folder, "apply", str(project.plan)))
    assert planned
    assert not set(planned).intersection(emails(project))
    assert not hits_below(project.state, planned)


def test_a_value_is_gone_from_the_bytes_of_a_database_whose_purge_is_called_physical(
    server: Server, tmp_path: Path
) -> None:
    for mode in ("wal", "delete"):
        project = prepare(server, make(tmp_path / mode, files=False))
        with closing(sqlite3.connect(project.crm)) as connection:
            connection.execute(f"PRAGMA journal_mode={mode}")
        planted = b"".join(path.read_bytes() for path in project.crm.parent.glob("crm.sqlite*"))
        assert all(token.encode() in planted for token in project.purged_tokens)
        approve(server, project)
        expect(server.run("-C", project.folder, "apply", str(project.plan)))
        levels = {event["level"] for event in read_events(project.ledger) if event["type"] == "receipt"}
        assert levels == {"physical"}
        left = b"".join(path.read_bytes() for path in project.crm.parent.glob("crm.sqlite*"))
        assert not tokens_in(left, project.purged_tokens)


@pytest.mark.whole
def test_where_a_reader_keeps_the_log_alive_a_purge_is_not_called_physical(server: Server, tmp_path: Path) -> None:
    project = approve(server, prepare(server, make(tmp_path / "p", batch=50, files=False)))
    with closing(sqlite3.connect(project.crm)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM prospect").fetchone()
        expect(server.run("-C", project.folder, "apply", str(project.plan)))
        levels = {event["level"] for event in read_events(project.ledger) if event["type"] == "receipt"}
        left = b"".join(path.read_bytes() for path in project.crm.parent.glob("crm.sqlite*"))
        assert tokens_in(left, project.purged_tokens)
        assert levels == {"logical"}


def test_a_crash_leaves_no_core_and_no_word_of_the_data(server: Server, tmp_path: Path) -> None:
    project = approve(server, prepare(server, make(tmp_path / "p", files=False)))
    at = tmp_path / "here"
    at.mkdir()
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    process = subprocess.Popen(
        [str(PROGRAM), "-C", str(project.folder), "apply", str(project.plan)],
        cwd=at,
        env=environment(PYTHONFAULTHANDLER="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (most, most)),  # noqa: PLW1509
    )
    lines = project.ledger / "events.jsonl"
    while b'"intent"' not in lines.read_bytes():
        assert process.poll() is None
    process.send_signal(signal.SIGABRT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGABRT
    assert not list(at.iterdir())
    tokens = [token for planted in project.tokens.values() for token in planted]
    assert not tokens_in(out + err, tokens)
    expect(server.run("-C", project.folder, "apply", str(project.plan)))


def test_no_secret_stands_in_the_arguments_or_the_environment_of_a_child(tmp_path: Path) -> None:
    """Case 106: ropa starts no other program at all, so there is no child to hand anything to."""
    ended = run_program("--version")
    assert ended.code == 0
    found = (
        subprocess.run(
            [
                "strace",
                "-f",
                "-e",
                "trace=execve,vfork,fork,clone,clone3",
                "-o",
                str(tmp_path / "log"),
                PROGRAM,
                "check",
            ],
            capture_output=True,
            cwd=tmp_path,
            env=environment(),
            check=False,
        )
        if _has_strace()
        else None
    )
    if found is None:
        pytest.skip("strace: not installed")
    log = (tmp_path / "log").read_text()
    assert log.count("execve(") == 1


def _has_strace() -> bool:
    import shutil

    return shutil.which("strace") is not None
