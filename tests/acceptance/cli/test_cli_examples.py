"""The folders that come with ropa: examples, template, demonstration; and the register through the command line."""

from __future__ import annotations

import re
import shutil
import sqlite3
import tomllib
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cli_kit import REGISTER, REPOSITORY, Ropa, call, snapshot
from dateutil.relativedelta import relativedelta

from ropa.demo.data import generate

EXAMPLES = ("webassur", "we-assist")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_checked_where_nothing_may_be_written(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(REPOSITORY / "examples" / name, folder)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(tmp_path)
    example = Ropa(folder)
    documents = []
    for arguments in (("check", "--offline"), ("check",)):
        answer = example(*arguments, "--json")
        findings = answer.document["findings"]
        documents.append({(finding["code"], finding["entry"]) for finding in findings})
        assert answer.code == (1 if any(finding["severity"] == "error" for finding in findings) else 0)
        assert len({finding["id"] for finding in findings}) == len(findings)
        assert all(finding["message"] and finding["fix"] for finding in findings)
        words = example(*arguments)
        assert words.code == answer.code
        assert words.out.count("-> ") >= len(findings)
    assert documents[0] < documents[1], "asking the places finds more, and nothing less"
    assert {code for code, _ in documents[1] - documents[0]} <= {
        "location-unreachable", "location-note", "location-by-hand", "undeclared-column",
    }  # fmt: skip
    assert snapshot(tmp_path) == before
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_can_be_used_at_once(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(REPOSITORY / "examples" / name, folder)
    example = Ropa(folder)
    example("register", "import", "register.toml", code=0)
    assert example("register", "list").code == 0
    offline = example("check", "--offline", "--json").document
    assert "register-text-differs" not in {finding["code"] for finding in offline["findings"]}
    assert example("plan", "--json").code == 5, "its places are not here"


def test_a_new_folder_gets_a_configuration_that_is_sound_and_says_what_is_missing(tmp_path: Path) -> None:
    ropa = Ropa(tmp_path)
    first = ropa.json("init")
    assert first["configuration_is_new"] is True
    path = tmp_path / "config" / "retention.toml"
    path.write_text(path.read_text(encoding="utf-8") + "# ours\n", encoding="utf-8")
    before = snapshot(tmp_path)
    second = ropa.json("init")
    assert second["configuration_is_new"] is False
    assert snapshot(tmp_path) == before, "a second init changes nothing"
    assert "kept as it was" in ropa("init", code=0).out
    checked = ropa("check", "--json", code=1).document
    unreachable = next(f for f in checked["findings"] if f["code"] == "location-unreachable")
    assert "there is no file" in unreachable["message"]
    assert "crm.sqlite" in unreachable["message"]
    assert not (tmp_path / "data").exists()
    assert "intake" in str(ropa.refused("plan")["problems"])
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700
    assert {p.name for p in tmp_path.iterdir()} == {"config", "var"}


def test_init_overwrites_nothing_and_does_not_mend_what_is_broken(tmp_path: Path) -> None:
    ropa = Ropa(tmp_path)
    path = tmp_path / "config" / "retention.toml"
    path.parent.mkdir()
    path.write_text("broken = ")
    assert ropa.refused("init")["problems"]
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere.toml")
    ropa.refused("init")
    assert not (tmp_path / "elsewhere.toml").exists()
    shutil.rmtree(path.parent)
    path.parent.write_text("a file")
    ropa.refused("init")
    assert ropa("init", "deep/er/folder").code == 0
    assert (tmp_path / "deep" / "er" / "folder" / "config" / "retention.toml").is_file()


def test_the_demonstration_runs_once_into_a_folder(tmp_path: Path) -> None:
    told = call("-C", str(tmp_path), "demo", "shown", "--json")
    assert told.code == 0
    document = told.document
    assert document["schema"] == "ropa.demo/1"
    assert document["applied"]["outcomes"]
    assert document["ledger"]["sound"] is True
    assert all(Path(report).is_file() for report in document["reports"])
    assert told.err.count("\n") > 10, "the story is told to people"
    assert_only_due_lines_went(tmp_path / "shown", tmp_path / "made", date.fromisoformat(document["plan"]["as_of"]))
    before = snapshot(tmp_path)
    again = call("-C", str(tmp_path), "demo", "shown", "--json")
    assert again.code == 2
    assert "not empty" in again.document["message"]
    assert snapshot(tmp_path) == before
    shown = Ropa(tmp_path / "shown")
    assert shown("status").code in {0, 1}
    assert shown.json("ledger", "verify")["sound"] is True


def assert_only_due_lines_went(shown: Path, made: Path, today: date) -> None:
    """Hold the web logs of a demonstration against the same logs made anew: all lines of six months, byte for byte."""
    generate(made, today=today)
    gone = cut = 0
    for log in sorted((made / "data" / "logs").glob("access.log-*")):
        lines = log.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if not is_due(line, today)]
        assert (shown / "data" / "logs" / log.name).read_bytes() == b"".join(kept)
        gone += len(lines) - len(kept)
        cut += 0 < len(kept) < len(lines)
    assert gone > 1000
    assert cut >= 1


def is_due(line: bytes, today: date) -> bool:
    found = re.search(rb"\[([^\]]+)\]", line)
    if found is None:
        return False
    moment = datetime.strptime(found[1].decode("ascii"), "%d/%b/%Y:%H:%M:%S %z")
    return moment.astimezone(ZoneInfo("Europe/Brussels")).date() + relativedelta(months=6) < today


# --- the register -------------------------------------------------------------------------------------------------


def test_the_register_goes_round(ropa: Ropa, bare: Ropa) -> None:
    ropa("register", "export", "-o", "out.toml", code=0)
    text = (ropa.folder / "out.toml").read_text(encoding="utf-8")
    assert ropa("register", "export", code=0).out == text
    document = ropa.json("register", "export")
    assert (document["schema"], document["format"], document["text"]) == ("ropa.register-text/1", "toml", text)
    assert tomllib.loads(text)["activity"].keys() == tomllib.loads(REGISTER)["activity"].keys()
    assert "nothing changed" in ropa("register", "import", "out.toml", code=0).out
    (ropa.folder / "out.json").write_text(ropa("register", "export", "--format", "json", code=0).out)
    assert ropa.json("register", "import", "out.json") == {
        "schema": "ropa.register-change/1", "revision": 1, "changes": 0, "is_new": False,
        "form": "json", "differences": [], "left": [],
    }  # fmt: skip
    shutil.copy(ropa.folder / "out.toml", bare.folder / "other.toml")
    bare("register", "import", "other.toml", code=0)
    assert bare("register", "export", code=0).out == text
    ropa.refused("register", "export", "-o", "out.toml")
    ropa.refused("register", "export", "-o", "config")
    ropa.refused("register", "export", "-o", "no/such/folder/x.toml")


def test_every_change_of_the_register_is_a_revision_with_who_when_and_why(ropa: Ropa) -> None:
    added = ropa.json(
        "register", "add", "activity.jobs", "--set", "title=Sollicitaties", "--set", "role=controller", "--set",
        "purposes=Selectie; Contact", "--set", "legal_basis=6.1.f", "--set", "subjects=applicant", "--set", "data=cv;email",
        "--set", "data.email.source=data subject", "--by", "Bo", "--reason", "new",
    )  # fmt: skip
    assert (added["revision"], added["is_new"]) == (2, True)
    edited = ropa.json("register", "edit", "activity.jobs", "--set", "owner=Bo", "--by", "Bo", "--reason", "who")
    assert edited["revision"] == 3
    same = ropa.json("register", "edit", "activity.jobs", "--set", "owner=Bo", "--by", "Bo", "--reason", "again")
    assert (same["revision"], same["is_new"]) == (3, False)
    ropa("register", "edit", "activity.jobs", "--unset", "owner", "--by", "Bo", "--reason", "not", code=0)
    ropa(
        "register",
        "end",
        "jobs",
        "--on",
        "2026-11-01",
        "--replaced-by",
        "intake",
        "--by",
        "An",
        "--reason",
        "x",
        code=0,
    )
    history = ropa.json("register", "history")["revisions"]
    assert [(r["revision"], r["by"], r["reason"]) for r in history] == [
        (1, "An", "imported"), (2, "Bo", "new"), (3, "Bo", "who"), (4, "Bo", "not"), (5, "An", "x"),
    ]  # fmt: skip
    shown = ropa.json("register", "show", "jobs")
    assert shown["values"]["status"] == "ended"
    assert shown["values"]["ended_on"] == "2026-11-01"
    assert shown["values"]["data"]["email"] == {"source": "data subject"}
    assert ropa.json("register", "show", "activity.jobs", "--revision", "3")["values"]["owner"] == "Bo"
    assert tomllib.loads(ropa("register", "show", "jobs", code=0).out)["activity"]["jobs"]["title"] == "Sollicitaties"
    changes = ropa.json("register", "diff", "2", "3")["changes"]
    assert changes == [{"path": "activity.jobs.owner", "before": None, "after": "Bo"}]
    assert "activity.jobs.owner" in ropa("register", "diff", "2", "3", code=0).out
    assert {a["key"]: a["status"] for a in ropa.json("register", "list")["activities"]}["jobs"] == "ended"


def test_what_the_register_cannot_take_is_refused_with_its_key(ropa: Ropa) -> None:
    who = ("--by", "An", "--reason", "x")
    for entry, assignment, path in (
        ("activity.intake", "titel=x", "activity.intake.titel"),
        ("activity.intake", "legal_basis=7", "activity.intake.legal_basis"),
        ("activity.intake", "ended_on=soon", "activity.intake.ended_on"),
        ("activity.intake", "data.name.sauce=x", "activity.intake.data.name.sauce"),
        ("activity.nothing", "title=x", "activity.nothing"),
        ("activity", "title=x", "activity"),
        ("organisation", "country=Belgium", "organisation.country"),
        ("organisation", "dpo=An", "organisation.dpo"),
        ("recipient.host", "transfer=US", "recipient.host.transfer"),
        ("cookie.x", "lifetime=long", "cookie.x"),
    ):
        error = ropa.refused("register", "edit", entry, "--set", assignment, *who)
        assert [p["path"] for p in error["problems"]] == [path], error
    ropa.refused("register", "add", "activity.intake", "--set", "title=x", *who)
    ropa.refused("register", "add", "activity.new", *who)
    ropa.refused("register", "end", "nothing", *who)
    ropa.refused("register", "end", "intake", "--replaced-by", "intake", *who)
    ropa("register", "end", "intake", *who, code=0)
    ropa.refused("register", "end", "intake", *who)


def test_entries_of_every_kind_are_shown_and_a_missing_one_is_1(ropa: Ropa) -> None:
    who = ("--by", "An", "--reason", "x")
    odd = "_ga [x].y\"z'"
    ropa("register", "add", f"cookie.{odd}", "--set", "lifetime=2 years", "--set", "purpose=tellen", *who, code=0)
    ropa("register", "add", "category.loyalty", "--set", "title.nl=Klantenkaart", *who)
    for entry in ("organisation", "recipient.host", "activity.intake", "intake", f"cookie.{odd}"):
        words = ropa("register", "show", entry, code=0)
        read = tomllib.loads(words.out)
        kind = entry.partition(".")[0] if entry != "intake" else "activity"
        assert [*read] == [kind], words.out
        assert ropa.json("register", "show", entry)["values"]
    assert [*tomllib.loads(ropa("register", "show", f"cookie.{odd}").out)["cookie"]] == [odd]
    for entry in ("nothing", "activity.nothing", "cookie.x", "rubbish.x", "", ".", "organisation.name", "activity."):
        assert ropa("register", "show", entry, "--json", code=1).document["schema"] == "ropa.error/1", entry


# --- places -------------------------------------------------------------------------------------------------------


def test_what_exists_at_a_place_is_listed_and_what_looks_personal_is_proposed(ropa: Ropa) -> None:
    with sqlite3.connect(ropa.folder / "data" / "crm.sqlite") as database:
        database.executescript(
            """CREATE TABLE "Sollicitanten 2026" (id INTEGER PRIMARY KEY, email TEXT, iban TEXT, geboortedatum TEXT, n INT);
               ALTER TABLE contacts ADD COLUMN telephone TEXT;"""
        )
    database.close()
    found = ropa.json("location", "discover", "crm")
    assert (found["schema"], found["location"]) == ("ropa.discover/1", "crm")
    sources = {source["source"]: source for source in found["sources"]}
    assert sources.keys() == {"contacts", "invoices", "Sollicitanten 2026"}
    assert sources["contacts"]["declared_as"] == "contacts"
    assert sources["Sollicitanten 2026"]["declared_as"] is None
    columns = {column["name"]: column for column in sources["contacts"]["columns"]}
    assert columns["first_name"]["mapped"] == ["name"]
    assert (columns["telephone"]["mapped"], columns["telephone"]["proposed"]) == ([], "telephone")
    assert sources["invoices"]["references"][0]["to"] == "contacts"
    proposal = tomllib.loads(found["toml"])["location"]["crm"]["dataset"]
    assert proposal["contacts"]["data"] == {"telephone": ["telephone"]}
    assert proposal["sollicitanten-2026"]["source"] == "Sollicitanten 2026"
    assert proposal["sollicitanten-2026"]["data"]["email"] == ["email"]
    assert "looks like telephone" in ropa("location", "discover", "crm", code=0).out
    undeclared = {f["entry"] for f in ropa("check", "--json").document["findings"] if f["code"] == "undeclared-column"}
    assert "crm.contacts.telephone" in undeclared
    ropa.refused("location", "discover", "crn")
    ropa.refused("location", "check", "")


def test_a_location_that_does_not_fit_the_configuration_fails_its_check(ropa: Ropa) -> None:
    with sqlite3.connect(ropa.folder / "data" / "crm.sqlite") as database:
        database.execute("ALTER TABLE contacts RENAME COLUMN email TO mail")
    database.close()
    answer = ropa("location", "check", "crm", "--json", code=1).document
    assert answer["reachable"] is True
    assert any("email" in problem["message"] for problem in answer["problems"])
    assert {problem["dataset"] for problem in answer["problems"]} == {"crm.contacts"}


def test_a_check_of_a_place_that_goes_away_keeps_its_other_findings(ropa: Ropa) -> None:
    (ropa.folder / "data" / "crm.sqlite").write_bytes(b"no database" * 1000)
    checked = ropa("check", "--json", code=1).document["findings"]
    assert {"location-unreachable", "dpo-missing"} <= {finding["code"] for finding in checked}
