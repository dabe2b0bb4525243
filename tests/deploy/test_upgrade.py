"""The database of every release before this one is brought up to date by the first command, and tells what it told.

A project is used for real (register, hold, plan, approval, apply, sweep), its database is put back to an older schema,
and it is opened again. That a database put back is one as the older release made it is tested too.
"""

from __future__ import annotations

import io
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect

import ropa
from ropa.cli import app as command_line
from ropa.database import NEWEST, migrate, open_database

REVISIONS = sorted(path.name[:4] for path in (Path(ropa.__file__).parent / "migrations/versions").glob("0*.py"))
RULES = """
timezone = "Europe/Brussels"
[location.crm]
title = "Customer database"
connector = "sql"
country = "BE"
url = "sqlite:///data/crm.sqlite"
[location.crm.dataset.contacts]
title = "Contacts"
source = "contacts"
subject = ["email"]
anchor.last-contact = "last_contact_on"
data.name = ["first_name", "last_name"]
data.email = ["email"]
[rule.prospects]
activity = "intake"
dataset = "crm.contacts"
data = "*"
anchor = "last-contact"
period = "6 months"
action = "purge"
legal_ground = "own policy"
"""
REGISTER = """
[organisation]
name = "Example"
country = "BE"
[activity.intake]
title = "Requests and quotations"
role = "controller"
purposes = ["Answer requests"]
legal_basis = "6.1.b"
subjects = ["prospect"]
data = ["name", "email"]
recipients = ["none"]
measures = ["access by role"]
status = "active"
"""
READINGS = (
    ("register", "export"),
    ("register", "list", "--json"),
    ("register", "history", "--json"),
    ("hold", "list", "--json"),
    ("finding", "list", "--json"),
    ("plan", "list", "--json"),
    ("mandate", "list", "--json"),
    ("plan", "show", "1", "--json"),
    ("ledger", "show", "--json"),
    ("ledger", "verify", "--json"),
    ("ledger", "prove", "crm.contacts", "1", "--json"),
    ("status", "--json"),
)


def said(folder: Path, *arguments: str, exit_code: int | None = 0) -> str:
    """What a command prints, called in this process: starting Python forty times would take a minute."""
    out, err = io.StringIO(), io.StringIO()
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = command_line._run(["-C", str(folder), *arguments])
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
    assert exit_code is None or code == exit_code, (arguments, out.getvalue() + err.getvalue())
    assert "unexpected error" not in err.getvalue()
    return out.getvalue()


def everything(folder: Path) -> dict[str, str]:
    """What the commands that only read tell of a project."""
    told = {" ".join(reading): said(folder, *reading, exit_code=None) for reading in READINGS}
    report = folder / "report.json"
    said(folder, "report", "--format", "json", "-o", str(report))
    document = json.loads(report.read_text(encoding="utf-8"))
    report.unlink()
    told["report"] = json.dumps({name: part for name, part in document.items() if not name.endswith("_at")})
    return told


def downgrade(engine: Engine, revision: str) -> None:
    _alembic("downgrade", engine, revision)


def upgrade(engine: Engine, revision: str) -> None:
    _alembic("upgrade", engine, revision)


def _alembic(way: str, engine: Engine, revision: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(ropa.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        getattr(command, way)(config, revision)


def schema(path: Path) -> dict[str, object]:
    with sqlite3.connect(path) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: (
                sorted(row[1:] for row in database.execute(f"PRAGMA table_info({table})")),
                sorted(row[2:] for row in database.execute(f"PRAGMA foreign_key_list({table})")),
                sorted(row[1] for row in database.execute(f"PRAGMA index_list({table})")),
            )
            for table in tables
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has been through a whole loop, and a sweep."""
    folder = tmp_path_factory.mktemp("upgrade") / "project"
    (folder / "config").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "config/retention.toml").write_text(RULES, encoding="utf-8")
    (folder / "register.toml").write_text(REGISTER, encoding="utf-8")
    recent = (datetime.now(UTC) - timedelta(days=7)).date().isoformat()
    with sqlite3.connect(folder / "data/crm.sqlite") as database:
        database.execute(
            "CREATE TABLE contacts (id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, email TEXT,"
            " last_contact_on TEXT)"
        )
        for number in range(1, 21):
            day = "2020-03-01" if number <= 4 else recent
            row = (number, "Jan", f"Voorbeeld {number}", f"jan{number}@example.org", day)
            database.execute("INSERT INTO contacts VALUES (?, ?, ?, ?, ?)", row)
    database.close()
    said(folder, "init")
    said(folder, "register", "import", "register.toml", "--by", "An", "--reason", "first version")
    said(folder, "hold", "add", "--subject", "jan4@example.org", "--reason", "litigation", "--by", "An")
    digest = json.loads(said(folder, "plan", "--by", "An", "--json"))["digest"]
    said(folder, "approve", "1", "--by", "Bo", "--reason", "checked", "--digest", digest)
    said(folder, "apply", "1", "--by", "Bo")
    said(folder, "sweep", "--by", "night job")
    return folder


@pytest.fixture(scope="module")
def told(project: Path) -> dict[str, str]:
    return everything(project)


@pytest.fixture
def copy(project: Path, told: dict[str, str], tmp_path: Path) -> Path:
    """The project as it was left, under the name that its ledger has."""
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    return folder


def put_back(folder: Path, revision: str) -> None:
    # Without foreign keys: a table that is made anew on the way back would take the rows that refer to it.
    engine = create_engine(f"sqlite:///{folder / 'var/ropa.db'}")
    downgrade(engine, revision)
    engine.dispose()


def revision_of(folder: Path) -> str:
    with sqlite3.connect(folder / "var/ropa.db") as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@pytest.mark.parametrize("revision", REVISIONS[1:-1])
def test_a_project_of_an_older_release_tells_the_same_after_the_upgrade(copy, told, revision):
    put_back(copy, revision)
    assert revision_of(copy) == revision
    now = everything(copy)
    assert revision_of(copy) == NEWEST
    for reading, words in told.items():
        # What that release did not write down yet is not known, and not made up: how far a purge there reached.
        known = (
            words
            if revision >= "0003" or reading.startswith("ledger")
            else words.replace('"level": "physical"', '"level": null')
        )
        assert now[reading] == known, reading


def test_an_upgraded_project_goes_on_with_its_nights(copy):
    put_back(copy, REVISIONS[1])
    swept = json.loads(said(copy, "sweep", "--by", "night job", "--json"))
    assert swept["state"] == "complete"
    said(copy, "ledger", "verify")


def test_a_quiet_night_adds_three_lines_to_the_ledger_as_the_page_of_deployment_says(copy):
    ledger = copy / "var/ledger"
    before = (ledger / "events.jsonl").read_bytes().splitlines()
    files = {path for path in ledger.rglob("*") if path.is_file()}
    said(copy, "sweep", "--by", "night job")
    added = (ledger / "events.jsonl").read_bytes().splitlines()[len(before) :]
    new = {path for path in ledger.rglob("*") if path.is_file()} - files
    assert len(added) == 3
    assert [path.parent.name for path in new] == ["checkpoints"]


def test_the_register_of_the_first_release_is_there_after_the_upgrade(copy, told):
    # The first schema held the register alone; a ledger beside it there never was.
    put_back(copy, REVISIONS[0])
    engine = open_database(f"sqlite:///{copy / 'var/ropa.db'}")
    migrate(engine)
    from ropa.register import RegisterStore, to_toml

    number, register = RegisterStore(engine).current()
    engine.dispose()
    assert number == 1
    assert to_toml(register).strip() == told["register export"].strip()


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_database_that_was_put_back_is_one_as_that_release_made_it(tmp_path, revision):
    old, back = (open_database(f"sqlite:///{tmp_path / name}.db") for name in ("old", "back"))
    upgrade(old, revision)
    migrate(back)
    if revision != NEWEST:
        downgrade(back, revision)
    old.dispose()
    back.dispose()
    assert schema(tmp_path / "old.db") == schema(tmp_path / "back.db")


def test_on_postgresql_every_older_schema_becomes_the_newest_and_keeps_its_register(postgres):
    from ropa.register import RegisterStore, from_toml

    def columns(engine: Engine) -> dict[str, list[tuple[str, str]]]:
        found = inspect(engine)
        return {
            table: sorted((column["name"], str(column["type"])) for column in found.get_columns(table))
            for table in found.get_table_names()
        }

    with postgres.create() as new:
        engine = open_database(new.url)
        migrate(engine)
        newest = columns(engine)
        engine.dispose()
    for revision in REVISIONS:
        with postgres.create() as database:
            engine = open_database(database.url)
            migrate(engine)
            store = RegisterStore(engine)
            store.save(from_toml(REGISTER), by="An", reason="first version", at=datetime.now(UTC))
            if revision != NEWEST:
                downgrade(engine, revision)
            migrate(engine)
            assert columns(engine) == newest, revision
            assert store.current() == (1, from_toml(REGISTER)), revision
            engine.dispose()


def test_an_upgrade_that_fails_half_way_leaves_the_older_database_as_it_was(copy, monkeypatch):
    from alembic.operations import Operations

    put_back(copy, REVISIONS[-2])
    before = schema(copy / "var/ropa.db")
    engine = open_database(f"sqlite:///{copy / 'var/ropa.db'}")

    class DiskFullError(Exception):
        pass

    added = []

    def fail(*arguments, **more):
        added.append(arguments)
        raise DiskFullError

    for name in ("add_column", "create_table", "create_index", "batch_alter_table", "execute"):
        monkeypatch.setattr(Operations, name, fail)
    with pytest.raises(DiskFullError):
        migrate(engine)
    engine.dispose()
    assert added
    assert schema(copy / "var/ropa.db") == before
    assert revision_of(copy) == REVISIONS[-2]


def test_a_database_of_a_newer_release_is_refused_and_left_as_it_is(copy):
    with sqlite3.connect(copy / "var/ropa.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    before = schema(copy / "var/ropa.db")
    for command in (("status",), ("plan", "--by", "An"), ("sweep", "--by", "night job")):
        line = [sys.executable, "-m", "ropa", "-C", str(copy), *command]
        done = subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 2
        assert "made by a newer version" in done.stderr
    assert schema(copy / "var/ropa.db") == before
    assert revision_of(copy) == "9999"
