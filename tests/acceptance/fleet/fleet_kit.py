"""A scheduler, workers and runs of a fleet as processes of this machine, on ports of their own; each ended by its id."""

from __future__ import annotations

import json
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checker import read_events, verify
from ropa_runs import Ended, environment
from servers import free_port
from sqlalchemy import text

from ropa.database import open_database
from ropa.register.parse import parse
from ropa.register.store import RegisterStore
from ropa.sweep import journal, night, review
from ropa.sweep.scope import Scope
from ropa.sweep.site import Site
from ropa.wiring import open_site

SHORT = "import ropa.sweep.items as i; from datetime import timedelta; i.LEASE = timedelta(seconds=2); i.RENEW_SECONDS = 0.4\n"
"""Leases that end while a test waits; only tests have them."""
TTL = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "2 seconds"}
"""A scheduler that gives a silent worker up soon; five minutes are usual."""


def until(holds: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)
    return found


class Scheduler:
    """``dask scheduler`` on loopback."""

    def __init__(self, folder: Path, *, scheme: str = "tcp", **env: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "scheduler.log"
        self.port = free_port()
        self.address = f"{scheme}://127.0.0.1:{self.port}"
        program = Path(sys.executable).with_name("dask")
        with self.log.open("wb") as said:
            self.process = subprocess.Popen(
                [
                    str(program),
                    "scheduler",
                    "--host",
                    self.address,
                    "--no-dashboard",
                    "--dashboard-address",
                    "127.0.0.1:0",
                ],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=folder,
                env=environment(**env),
            )
        until(lambda: b"Scheduler at:" in self.log.read_bytes(), "the scheduler starts")

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(30)


class Program:
    """A ``ropa``, started as one: what an engine keeps of its event loops does not live through a fork."""

    def __init__(self, folder: Path, *words: str | Path, before: str = "", **env: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        number = len(list(folder.glob("*.out")))
        self.out, self.err = folder / f"{number}.out", folder / f"{number}.err"
        program = f"import sys\nsys.argv = ['ropa', *sys.argv[1:]]\n{before}\nfrom ropa.cli import main\nmain()\n"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd="/",
                env=environment(**env),
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def said(self) -> str:
        return self.out.read_text()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def is_running(self) -> bool:
        return self.process.poll() is None

    def ended(self, seconds: float = 60.0) -> Ended:
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running after {seconds:g} s: {self.err.read_text()}") from None
        return Ended(code, self.out.read_text(), self.err.read_text())

    def end(self) -> None:
        if self.is_running():
            self.process.kill()
        self.process.wait()


@dataclass
class Bed:
    """What a test starts, to be ended when it ends."""

    folder: Path
    schedulers: list[Scheduler] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)

    def scheduler(self, **settings: str) -> Scheduler:
        made = Scheduler(self.folder / f"scheduler{len(self.schedulers)}", **settings)
        self.schedulers.append(made)
        return made

    def worker(self, project: Path, address: str, *, before: str = "", is_awaited: bool = True, **env: str) -> Program:
        """Start a `ropa worker`; it has connected, unless nobody waits for that."""
        every = ("-C", project, "worker", "--fleet", address, "--json")
        made = Program(self.folder / "worker", *every, before=before, **env)
        self.programs.append(made)
        if is_awaited:
            until(lambda: '"connected"' in made.said or not made.is_running(), "a worker connects")
            assert made.is_running(), made.err.read_text()
        return made

    def start(self, project: Path, *words: str, address: str, before: str = "", **env: str) -> Program:
        """Start a `ropa` that hands its work to a fleet."""
        every = ("-C", project, *words, "--fleet", address, "--json")
        made = Program(self.folder / "said", *every, before=before, **env)
        self.programs.append(made)
        return made

    def of(self, pid: int) -> Program:
        return next(program for program in self.programs if program.pid == pid)

    def close(self) -> None:
        for program in self.programs:
            program.end()
        for scheduler in self.schedulers:
            scheduler.end(signal.SIGKILL)


@contextmanager
def bed(folder: Path) -> Iterator[Bed]:
    made = Bed(folder)
    try:
        yield made
    finally:
        made.close()


# --- what a project holds -------------------------------------------------------------------------------------------


class State:
    """A run database, looked at from outside."""

    def __init__(self, url: str) -> None:
        self.engine = open_database(url)

    def ask(self, sql: str, **values: object) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(sql), values).all())

    def owners(self, kind: str) -> list[int]:
        """The processes that have an item in hand."""
        rows = self.ask("SELECT owner FROM work_item WHERE kind = :kind AND owner <> '' AND done_at IS NULL", kind=kind)
        return [int(row.owner.split("/")[-2]) for row in rows]

    def totals(self) -> Counter[str]:
        """The outcomes of every settled batch."""
        counts: Counter[str] = Counter()
        for row in self.ask("SELECT outcomes FROM batch WHERE settled_at IS NOT NULL"):
            counts.update(row.outcomes if isinstance(row.outcomes, dict) else json.loads(row.outcomes))
        return counts

    def close(self) -> None:
        self.engine.dispose()


def facts(state: State) -> list[dict[str, Any]]:
    """What a plan says of each of its targets, but for what is drawn at random."""
    left_out = {"id", "plan_id", "mandate_id", "level", "outcomes"}
    rows = state.ask("SELECT * FROM plan_target ORDER BY plan_id, position")
    return [{name: str(value) for name, value in row._mapping.items() if name not in left_out} for row in rows]


def told(ledger: Path) -> Counter[str]:
    """The lines of a ledger, but for what is drawn at random or depends on the order among places."""
    left_out = {"seq", "prev", "at", "run", "root", "plan", "outcomes", "batch", "digest", "host", "clock", "actors"}
    left_out |= {
        "actor",
        "leaf",
        "key",
        "checkpoint",
        "origin",
        "targets",
        "config",
        "register",
        "author",
        "approver",
        "public_key",
        "expires",
    }
    return Counter(
        json.dumps({name: value for name, value in event.items() if name not in left_out}, sort_keys=True)
        for event in read_events(ledger)
    )


def receipts(ledger: Path) -> list[dict[str, Any]]:
    return [event for event in read_events(ledger) if event["type"] == "receipt"]


def open_intents(ledger: Path) -> set[str]:
    events = read_events(ledger)
    return {e["root"] for e in events if e["type"] == "intent"} - {e["root"] for e in events if e["type"] == "receipt"}


# --- one table, and workers that stop at a gate ---------------------------------------------------------------------

GATE = """
import os, pathlib, time
import connectors.sql.location as place
gate = pathlib.Path({gate!r})
def stop(what):
    (gate / f"{{what}}.{{os.getpid()}}").touch()
    while (gate / "shut").exists():
        time.sleep(0.02)
def find(self, selection, real=place.SqlLocation.find):
    inner, number = real(self, selection), 0
    while True:
        try:
            batch = next(inner)
        except StopIteration as end:
            return end.value
        if number:
            stop("list")
        yield batch
        number += 1
def act(self, selection, batch, action, real=place.SqlLocation.act):
    told = real(self, selection, batch, action)
    stop("act")
    return told
place.SqlLocation.find, place.SqlLocation.act = find, act
"""
"""What lets a worker wait in mid-list (after the first batch was written) and in mid-act (after the records went)."""


REGISTER = """
[organisation]
name = "Voorbeeld"
country = "BE"
authority = "GBA"
[activity.intake]
title = "Aanvragen"
purposes = ["Offerte"]
legal_basis = "6.1.b"
subjects = ["prospect"]
data = ["name"]
status = "active"
"""
PEOPLE = """\
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
[location.crm]
connector = "sql"
url = "sqlite:///data/crm.sqlite"
batch_size = 2
[location.crm.dataset.people]
source = "person"
subject = ["name"]
anchor.seen = "seen_on"
data.name = ["name"]
[rule.people]
activity = "intake"
dataset = "crm.people"
data = "*"
anchor = "seen"
period = "6 months"
action = "purge"
approval = "mandate"
"""


@dataclass
class People:
    """A project over one table of people, all of them due."""

    folder: Path
    env: dict[str, str]
    names: list[str]

    @classmethod
    def make(cls, folder: Path, *, count: int = 8, config: str = PEOPLE, **env: str) -> People:
        for part in ("data", "gate"):
            (folder / part).mkdir(parents=True)
        names = [f"naam{secrets.token_hex(8)}" for _ in range(count)]
        with closing(sqlite3.connect(folder / "data" / "crm.sqlite")) as source:
            source.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, seen_on TEXT)")
            source.executemany("INSERT INTO person (name, seen_on) VALUES (?, '2020-01-15')", [(n,) for n in names])
            source.commit()
        (folder / "config").mkdir(parents=True)
        path = folder / "config" / "retention.toml"
        path.write_text(config)
        path.chmod(0o600)
        made = cls(folder, env, names)
        with made.site() as site:
            RegisterStore(site.engine).save(parse(REGISTER), by="An", reason="test", at=site.now())
        return made

    @contextmanager
    def site(self) -> Iterator[Site]:
        """The project, opened in this process."""
        opened = open_site(self.folder, environ={**self.env})
        try:
            yield opened
        finally:
            opened.close()

    def approve(self) -> int:
        """Plan in this process, and approve. Returns the plan's number."""
        with self.site() as site:
            plan = night.make_plan(site, Scope(site.today()), by="Mia Maker")
            self.agree(site, plan)
            return plan

    def agree(self, site: Site, plan: int) -> None:
        with journal.writing(site) as opened:
            digest = review.get_plan(site, plan).digest
            review.approve(opened, plan, by="Piet Privacy", reason="gelezen", digest=digest)
            opened.checkpoint()

    def apply(self, plan: int) -> night.Result:
        """Apply in this process, by threads."""
        with self.site() as site:
            return night.apply_plan(site, plan)

    @property
    def state(self) -> State:
        return State(self.env.get("ROPA_DATABASE_URL") or f"sqlite:///{self.folder / 'var' / 'ropa.db'}")

    @property
    def ledger(self) -> Path:
        return self.folder / "var" / "ledger"

    def left(self) -> int:
        with closing(sqlite3.connect(self.folder / "data" / "crm.sqlite")) as source:
            return int(source.execute("SELECT count(*) FROM person").fetchone()[0])

    @property
    def gate(self) -> Path:
        return self.folder / "gate"

    def shut(self) -> str:
        """Shut the gate. Returns what a worker runs first, to stop there."""
        (self.gate / "shut").touch()
        return GATE.format(gate=str(self.gate))

    def open(self) -> None:
        (self.gate / "shut").unlink()

    def stopped(self, what: str, beside: int = 0) -> int:
        """Wait for a worker, another than one, that stands at the gate; return its process."""

        def found() -> list[int]:
            pids = [int(path.suffix[1:]) for path in self.gate.glob(f"{what}.*")]
            return [pid for pid in pids if pid != beside]

        return int(until(found, f"a worker waits in mid-{what}")[0])

    def is_sound(self) -> None:
        """Every intent has its receipt, and the evidence is whole."""
        assert open_intents(self.ledger) == set()
        assert verify(self.ledger, self.folder / "var" / "exports") == 0
