"""The command line as a user meets it: called with arguments, judged by exit code, stdout, stderr and what is on disk.

``Ropa`` calls the real ``main`` in this process (one import for hundreds of calls); ``from_outside`` starts the
installed script. Both go through ``judge``: no traceback, no unexpected error, only exit codes of the contract.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ropa.cli import main

REPOSITORY = Path(__file__).parents[3]
CODES = {0, 1, 2, 3, 4, 5, 6, 75, 130, 143}
SCRIPT = Path(sys.executable).parent / "ropa"

DUE, YOUNG = 5, 3
"""Contacts past their limit, and not, in the world below; of the due ones contact 5 has an invoice."""


@dataclass(frozen=True)
class Answer:
    """What one call came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one document on stdout."""
        read = json.loads(self.out)
        assert isinstance(read, dict), read
        assert str(read["schema"]).startswith("ropa."), read
        assert self.out.endswith("\n")
        return read

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The objects of a stream, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def judge(answer: Answer) -> Answer:
    """Hold an answer to what is true of every call."""
    said = answer.out + answer.err
    assert "Traceback" not in said, said
    assert "ropa: unexpected error" not in said, said
    assert "\x1b" not in said, "colour, or a name that steers the terminal"
    assert answer.code in CODES, answer
    if answer.code == 2:
        assert answer.err.strip(), "a wrong call is explained"
    return answer


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return False


@dataclass
class Ropa:
    """Calls the command line in a project folder."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    url: str | None = None
    """Of the state database, where that is a server's: said in ``ROPA_DATABASE_URL``, where ``env`` says nothing."""

    @property
    def environment(self) -> dict[str, str]:
        """What the command line finds in its environment."""
        return ({"ROPA_DATABASE_URL": self.url} if self.url else {}) | self.env

    def touched(self) -> tuple[dict[str, tuple[int, str]], object]:
        """What a command may have touched: every file of the folder, every row of a server's database."""
        return snapshot(self.folder), rows(self.url) if self.url else None

    def __call__(self, *arguments: str, code: int | None = None, before: tuple[str, ...] = ()) -> Answer:
        """Call ``ropa -C FOLDER arguments``; with ``code``, insist on the exit code."""
        answer = call(*before, "-C", str(self.folder), *arguments, env=self.environment)
        assert code is None or answer.code == code, (arguments, answer)
        return answer

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Call with ``--json`` and return the one document."""
        answer = self(*arguments, "--json", code=code)
        return answer.document

    def refused(self, *arguments: str, code: int = 2) -> dict[str, Any]:
        """Call with and without ``--json``; insist that it is refused and nothing in the folder is touched."""
        before = self.touched()
        plain = self(*arguments, code=code)
        assert plain.out == "", plain
        error = self(*arguments, "--json", code=code)
        document = error.document
        assert document["schema"] == "ropa.error/1", document
        assert document["exit_code"] == code, document
        assert error.err == plain.err
        assert document["message"] in plain.err
        assert self.touched() == before, "touched"
        return document


def call(*arguments: str, env: dict[str, str] | None = None) -> Answer:
    """Call ``main`` in this process with these arguments."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    kept = sys.argv, sys.stdout, sys.stderr, sys.stdin
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    sys.argv, sys.stdout, sys.stderr, sys.stdin = ["ropa", *arguments], out, err, _Terminal()
    code: object = None
    try:
        with _environment(env or {}):
            main()
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv, sys.stdout, sys.stderr, sys.stdin = kept
        for number, handler in handlers.items():
            signal.signal(number, handler)
    said = [stream.buffer.getvalue().decode("utf-8") for stream in (out, err)]  # type: ignore[attr-defined]
    assert isinstance(code, int), code
    return judge(Answer(code, *said))


def from_outside(
    *arguments: str | bytes, cwd: Path | None = None, env: dict[str, str] | None = None, stdin: str = "", **more: Any
) -> Answer:
    """Start the installed ``ropa`` as a process of its own."""
    done = subprocess.run(
        [str(SCRIPT), *arguments],
        cwd=cwd,
        env=outside() | (env or {}),
        input=stdin.encode(),
        capture_output=True,
        timeout=60,
        check=False,
        **more,
    )
    return judge(Answer(done.returncode, done.stdout.decode(), done.stderr.decode()))


def outside() -> dict[str, str]:
    """The environment of a process of its own: of ropa only where the state of this test is, on a server."""
    return {
        key: value
        for key, value in os.environ.items()
        if key == "ROPA_DATABASE_URL" or not key.startswith(("ROPA_", "COVERAGE", "PYTEST"))
    }


@contextlib.contextmanager
def _environment(given: dict[str, str]) -> Iterator[None]:
    kept = {key: os.environ.get(key) for key in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for key, value in kept.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    """Every entry below a folder with its mode and the hash of its bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, hashlib.sha256(content).hexdigest())
    return found


# --- a small world ------------------------------------------------------------------------------------------------

CONFIG = """\
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
approval_valid = "P1D"

[location.crm]
title = "Customer database"
connector = "sql"
country = "BE"
recipient = "host"
url = "sqlite:///data/crm.sqlite"

[location.crm.dataset.contacts]
source = "contacts"
subject = ["email"]
anchor.last-contact = "last_contact"
data.name = ["first_name", "last_name"]
data.email = ["email"]
data.birth-date = ["birth_date"]

[location.crm.dataset.invoices]
source = "invoices"
anchor.created = "invoiced_on"
data.invoice = ["amount"]

[rule.prospects]
activity = "intake"
dataset = "crm.contacts"
data = "*"
anchor = "last-contact"
period = "6 months"
action = "purge"
legal_ground = "own policy"
approval = "mandate"

[rule.invoices]
activity = "accounting"
dataset = "crm.invoices"
data = "*"
anchor = "created"
period = "10 years"
start = "next-year"
action = "purge"
legal_ground = "art. 60 BTW"
"""

REGISTER = """\
[organisation]
name = "Test"
legal_name = "Test BV"
registration = "BE0123.456.749"
address = "Straat 1, 9000 Gent"
country = "BE"
email = "info@test.example"
authority = "GBA"
request_promise = "30 days"
rights = ["access", "rectification", "erasure", "restriction", "objection", "portability"]
languages = ["nl"]

[recipient.host]
name = "Host BV"
role = "processor"
country = "BE"

[activity.intake]
title = "Offertes"
role = "controller"
purposes = ["Offerte voorbereiden"]
legal_basis = "6.1.b"
subjects = ["prospect"]
data = ["name", "email", "birth-date"]
recipients = ["host"]
measures = ["TLS"]
status = "active"

[activity.accounting]
title = "Boekhouding"
role = "controller"
purposes = ["Boekhouden"]
legal_basis = "6.1.c"
subjects = ["customer"]
data = ["invoice"]
recipients = ["host"]
measures = ["TLS"]
status = "active"
"""


def write_world(folder: Path, config: str = CONFIG, register: str = REGISTER) -> None:
    """Write configuration, register text and a database; no state."""
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "retention.toml").write_text(config, encoding="utf-8")
    (folder / "register.toml").write_text(register, encoding="utf-8")
    (folder / "data").mkdir()
    for path in (folder / "config", folder / "config" / "retention.toml"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    today = datetime.now(UTC).date()
    old, new = today - timedelta(days=400), today - timedelta(days=30)
    with sqlite3.connect(folder / "data" / "crm.sqlite") as database:
        database.executescript(
            """
            CREATE TABLE contacts (id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, email TEXT,
                                   birth_date TEXT, last_contact TEXT);
            CREATE TABLE invoices (id INTEGER PRIMARY KEY, contact INTEGER NOT NULL REFERENCES contacts (id),
                                   amount TEXT, invoiced_on TEXT);
            """
        )
        database.executemany(
            "INSERT INTO contacts VALUES (?, 'An', 'Peeters', ?, '1980-02-03', ?)",
            [(i, f"p{i}@test.example", day_of(old if i <= DUE else new)) for i in range(1, DUE + YOUNG + 1)],
        )
        database.execute("INSERT INTO contacts VALUES (9, 'Zonder', 'Datum', 'p9@test.example', NULL, NULL)")
        database.execute("INSERT INTO invoices VALUES (1, 5, '10.00', ?)", (day_of(old),))
    database.close()


def day_of(day: date) -> str:
    """A day as the database writes it."""
    return day.isoformat()


def in_days(days: int) -> str:
    """A day from now, as the controller's calendar has it."""
    return (datetime.now(ZoneInfo("Europe/Brussels")).date() + timedelta(days=days)).isoformat()


def ids(folder: Path, table: str = "contacts") -> list[int]:
    """The records that are there, read past ropa."""
    with contextlib.closing(sqlite3.connect(folder / "data" / "crm.sqlite")) as database:
        return [row[0] for row in database.execute(f"SELECT id FROM {table} ORDER BY id")]


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of a PostgreSQL database."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        names = [
            row[0]
            for row in connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
            )
        ]
        return {name: sorted(connection.execute(f"SELECT t::text FROM {name} t").fetchall()) for name in sorted(names)}


def copy(world: Path, to: Path, url: str | None = None) -> Ropa:
    """Return a copy of a prepared folder to work in; ``url``: of the database that goes with it, on a server."""
    shutil.copytree(world, to)
    return Ropa(to, url=url)


def approved(ropa: Ropa) -> dict[str, Any]:
    """Plan and approve; return the plan."""
    plan = ropa.json("plan")
    ropa("approve", str(plan["plan"]), "--by", "An", "--reason", "checked", "--digest", plan["digest"], code=0)
    return plan
