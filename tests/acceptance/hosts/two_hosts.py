"""Two hosts on one database and one state folder, on storage whose locks do not count from one host to another.

So each locks a file of its own, and only the lease in the database is between them. A host's clock is set, so that
there are nights; the database's is not.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ropa_runs import Child, Ended, Server

LEASE_SECONDS = 2.0
FIRST_NIGHT = (datetime.now(UTC) + timedelta(days=1)).replace(hour=2, minute=0, second=0, microsecond=0)
"""Past the hour of the service in Brussels, summer and winter."""

CONFIG = """\
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
[location.crm]
connector = "sql"
url = "sqlite:///data/crm.sqlite"
batch_size = 2
[location.crm.dataset.prospects]
source = "prospect"
anchor.last-contact = "last_contact_on"
data.name = ["name"]
[rule.intake]
activity = "intake"
dataset = "crm.prospects"
data = "*"
anchor = "last-contact"
period = "6 months"
action = "purge"
legal_ground = "own policy"
approval = "mandate"
"""
REGISTER = """\
[organisation]
name = "Voorbeeld"
country = "BE"
authority = "GBA"
[activity.intake]
title = "Aanvragen"
role = "controller"
purposes = ["Offerte"]
legal_basis = "6.1.b"
subjects = ["prospect"]
data = ["name"]
measures = ["TLS"]
status = "active"
"""
HOST = """
import datetime, socket, time_machine
import ropa.cli.app, ropa.schedule, ropa.sweep.lock
socket.gethostname = lambda: {name!r}
ropa.sweep.lock._FILE = {name!r} + ".lock"
ropa.sweep.lock.LEASE = datetime.timedelta(seconds={lease})
ropa.schedule.LOOK_SECONDS, ropa.schedule.WATCH_SECONDS, ropa.schedule.PAUSES = 0.1, 3600, (0.5,) * 3
time_machine.travel(datetime.datetime.fromisoformat({at!r}), tick=True).start()
"""
"""What a process believes: its host's name, its lock and its clock; and the length of a lease, so that a test can wait for it."""

WAY = """
import importlib, os, signal
module, _, name = {function!r}.partition(":")
owner, _, method = name.rpartition(".")
owner = getattr(importlib.import_module(module), owner)
real, seen = getattr(owner, method), []
def patched(*args, **kwargs):
    is_here = bool({when})
    seen.append(is_here)
    is_it = is_here and sum(seen) == {count}
    if is_it and not {after}:
        os.kill(os.getpid(), {signal})
    result = real(*args, **kwargs)
    if is_it and {after}:
        os.kill(os.getpid(), {signal})
    return result
setattr(owner, method, patched)
"""


def signalled(function: str, number: int, *, count: int = 1, when: str = "True", after: bool = False) -> str:
    """Return Python that lets a process send itself a signal at the ``count``-th call of a method."""
    return WAY.format(function=function, signal=int(number), count=count, when=when, after=after)


@dataclass
class Hosts:
    """Two hosts, ``a`` and ``b``, on one project."""

    server: Server
    folder: Path
    url: str
    night: datetime = FIRST_NIGHT
    added: int = 0
    lease_seconds: float = LEASE_SECONDS
    state: str = ""
    """The state folder of the next process, where it is not that of the project."""
    children: list[Child] = field(default_factory=list)

    def make(self) -> Hosts:
        """Write configuration, register and source."""
        (self.folder / "config").mkdir(parents=True)
        (self.folder / "config" / "retention.toml").write_text(CONFIG)
        (self.folder / "register.toml").write_text(REGISTER)
        (self.folder / "data").mkdir()
        with closing(sqlite3.connect(self.source)) as source, source:
            source.executescript(
                "CREATE TABLE prospect (id INTEGER PRIMARY KEY, name TEXT, last_contact_on TEXT);"
                "CREATE TABLE gone (id INTEGER);"
                "CREATE TRIGGER goes AFTER DELETE ON prospect BEGIN INSERT INTO gone VALUES (old.id); END;"
            )
            source.executemany("INSERT INTO prospect VALUES (?, 'Naam', '2099-01-01')", [(i,) for i in range(1, 4)])
        self.add_due(2)
        return self

    def copy(self, to: Path, url: str) -> Hosts:
        """Return the same in another folder, its database copied to ``url``."""
        return Hosts(self.server, Path(shutil.copytree(self.folder, to)), url, self.night, self.added)

    @property
    def source(self) -> Path:
        return self.folder / "data" / "crm.sqlite"

    @property
    def ledger(self) -> Path:
        return self.folder / "var" / "ledger"

    def add_due(self, count: int) -> None:
        """Let so many more records be due."""
        with closing(sqlite3.connect(self.source)) as source, source:
            numbers = [(1000 + self.added + i,) for i in range(count)]
            source.executemany("INSERT INTO prospect VALUES (?, 'Naam', '2020-01-15')", numbers)
        self.added += count

    def start(self, host: str, *arguments: str, before: str = "") -> Child:
        """Start a `ropa` on a host, on the present night."""
        env = {"ROPA_DATABASE_URL": self.url} | ({"ROPA_STATE": self.state} if self.state else {})
        belief = HOST.format(name=f"host-{host}", lease=self.lease_seconds, at=self.night.isoformat())
        child = self.server.start("-C", self.folder, *arguments, env=env, before=belief + before).go()
        self.children.append(child)
        return child

    def run(self, host: str, *arguments: str, before: str = "", code: int | None = 0) -> Ended:
        ended = self.start(host, *arguments, before=before).ended()
        assert code is None or ended.code == code, ended
        return ended

    def serve(self, host: str, *, before: str = "") -> Child:
        """Start the service on a host."""
        return self.start(host, "schedule", "--at", "03:00", "--by", host, "--json", before=before)

    def found(self) -> Hosts:
        """Make the state, let a person approve the first purge and give a mandate."""
        began, self.night = self.night, self.night - timedelta(hours=20)
        self.run("a", "init")
        self.run("a", "register", "import", str(self.folder / "register.toml"), "--by", "An", "--reason", "r")
        digest = self.run("a", "plan", "--by", "An", "--json").document["digest"]
        self.run("a", "approve", "1", "--by", "Bo", "--reason", "r", "--digest", digest)
        self.run("a", "apply", "1", "--by", "Bo")
        until = (self.night + timedelta(days=80)).date().isoformat()
        self.run(
            "a", "mandate", "add", "intake", "--until", until, "--max-growth", "100", "--by", "Bo", "--reason", "r"
        )
        self.night = began
        return self

    # --- what came of it ---

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.ledger / "events.jsonl").read_bytes().splitlines()]

    def ids(self, table: str = "prospect") -> list[int]:
        with closing(sqlite3.connect(self.source)) as source:
            return [row[0] for row in source.execute(f"SELECT id FROM {table} ORDER BY id")]

    def complete_sweeps(self) -> dict[str, list[str]]:
        """Night to the hosts whose sweep of it was complete."""
        lines = self.lines()
        starts = {e["run"]: e for e in lines if e["type"] == "run_start" and e["mode"] == "sweep"}
        found: dict[str, list[str]] = {}
        for event in lines:
            if event["type"] == "run_end" and event["run"] in starts and event["state"] == "complete":
                start = starts[event["run"]]
                found.setdefault(start["at"][:10], []).append(start["host"])
        return found

    def judge(self, nights: int) -> None:
        """Hold what is there against what must be: each night once, each record once, and evidence that verifies."""
        assert [len(hosts) for hosts in self.complete_sweeps().values()] == [1] * nights, self.complete_sweeps()
        assert self.ids() == [1, 2, 3]
        assert self.ids("gone") == list(range(1000, 1000 + self.added)), "each record that was due went once"
        lines = self.lines()
        intents = [e["root"] for e in lines if e["type"] == "intent"]
        receipts = [e["root"] for e in lines if e["type"] == "receipt"]
        assert sorted(intents) == sorted(receipts)
        assert len(set(receipts)) == len(receipts)
        told = sum(count for e in lines if e["type"] == "receipt" for count in e["counts"].values())
        assert told == self.added
        assert self.run("a", "ledger", "verify", "--json").document["sound"] is True


def warm(hosts: Hosts) -> None:
    """Let the fork server import, for all that follow, what a night has imported at its end."""
    hosts.found()
    env = {"ROPA_DATABASE_URL": hosts.url}
    modules = hosts.server.folder / "modules"
    arguments = ("-C", hosts.folder, "sweep", "--by", "a")
    hosts.server.start(*arguments, env=env, modules=modules).go().ended()
    hosts.server.ask("preload", modules=[*json.loads(modules.read_text()), *_OF_THE_SERVICE])


_OF_THE_SERVICE = ("time_machine", "ropa.schedule", "ropa.cli.schedule", "apscheduler.schedulers.background")
