"""A world for tests of the heart: a project folder, its places in memory or in SQLite, and a clock that the test sets.

Every act of a place goes through ``Place``, the judge that shares no code with the product: it reads the ledger from
disk before anything is erased (no open intent: the test fails), and compares what is there before and after with what
the connector said.
"""

import contextlib
import functools
import gc
import hmac
import importlib.util
import io
import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session
from sqlmodel import col
from state_engines import POSTGRESQL, SQLITE, migrate_at

from connectors.memory import MemoryConnector
from ropa import config as configuration
from ropa.config.models import Location
from ropa.connector import Action, Batch, CatalogueReference, LocationSpec, Outcome, Outcomes, OutcomeWord
from ropa.database import migrate, open_database
from ropa.errors import LocationError
from ropa.ledger.verify import verify
from ropa.register.parse import parse
from ropa.sweep import blocks, holds, journal, mandates, night, packing, review, show, trouble
from ropa.sweep.halting import halt, resume
from ropa.sweep.scope import Scope
from ropa.sweep.site import Site
from ropa.sweep.tables import BatchRow, PlannedBlock, PlanRow, RunRow, TargetRow
from ropa.wiring import connector_types, lasting_keys, open_location

gc.freeze()  # what was imported stays; to look through it again and again is a seventh of the time of these tests

NOW = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
"""02:30 in Brussels, on a Saturday."""
OLD = "2020-01-15"
"""Past every period here."""
FRESH = "2026-11-01"

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
data = ["name", "email"]
status = "active"
[activity.cards]
title = "Kaartjes"
purposes = ["Felicitatie"]
legal_basis = "6.1.f"
subjects = ["customer"]
data = ["birth-date"]
status = "active"
"""

HEAD = 'timezone = "Europe/Brussels"\n'
CAPS = HEAD + "[safety]\nmax_share = 1.0\n"
"""Small tables are purged whole here; what caps do has tests of its own."""

CONTACTS = """
[location.crm]
connector = "memory"
batch_size = 2
[location.crm.dataset.contacts]
source = "contacts"
key = ["id"]
subject = ["email"]
anchor.created = "created"
data.name = ["name"]
data.email = ["email"]
"""

PROSPECTS = """
[rule.prospects]
activity = "intake"
dataset = "crm.contacts"
data = "*"
anchor = "created"
period = "6 months"
action = "purge"
"""

SIMPLE = CAPS + CONTACTS + PROSPECTS
"""One dataset, one rule: contacts go six months after they were created."""


def contacts(due, kept=1, **more):
    """Return so many contacts that are due (ids from 1) and that are not (from 101)."""
    return [person(i, OLD, **more) for i in range(1, due + 1)] + [person(101 + i, FRESH, **more) for i in range(kept)]


def person(key, created=OLD, **more):
    return {"id": key, "name": f"Naam {key}", "email": f"p{key}@example.org", "created": created} | more


class Clock:
    """What ``now`` is."""

    def __init__(self, at=NOW):
        self.at = at

    def __call__(self):
        return self.at

    def forward(self, **span):
        self.at += timedelta(**span)


class Place:
    """A connector that is watched, and that can be away, slow of clock, or lying."""

    def __init__(self, inner, world, name):
        self.inner, self.world, self.name = inner, world, name
        self.capabilities = inner.capabilities
        self.away_for = set()
        """Names of methods that cannot reach the place."""
        self.skew = timedelta()
        self.population = None
        """What ``count`` says, where not the truth."""
        self.before_act = None
        self.after_act = None
        self.lies = set()
        """Keys that are said to be purged and are kept: they are not handed on."""
        self.acts = []
        """(dataset, keys) of each act, companions included."""

    def __getattr__(self, name):
        value = getattr(self.inner, name)
        if not callable(value):
            return value

        @functools.wraps(value)
        def reached(*args, **kwargs):
            self._reach(name)
            return value(*args, **kwargs)

        return reached

    def _reach(self, name):
        if name in self.away_for or "*" in self.away_for:
            raise LocationError(f"{self.name} is away")

    def close(self):
        self.inner.close()

    def check(self):
        self._reach("check")
        return replace(self.inner.check(), now=self.world.clock() + self.skew)

    def count(self, dataset):
        self._reach("count")
        return self.inner.count(dataset) if self.population is None else self.population

    def act(self, selection, batch, action):
        self._reach("act")
        if self.before_act is not None:
            self.before_act(selection, batch)
        asked = list(_records_of(batch))
        uncovered = set(asked) - self.world.covered_by_open_intents(self.name)
        assert not uncovered, f"no open intent covers {uncovered}"
        before = self.world.everything(self.name)
        outcomes = self._act(selection, batch, action)
        gone = before - self.world.everything(self.name)
        said = {(o.dataset or batch.dataset, o.key) for o in outcomes if o.word == "purged"} - {
            (batch.dataset, key) for key in self.lies
        }
        assert gone == (said if action is Action.PURGE else set()), f"gone {gone}, said {said}"
        self.acts.append((batch.dataset, asked))
        if self.after_act is not None:
            self.after_act(selection, batch)
        return outcomes

    def _act(self, selection, batch, action):
        word = OutcomeWord.PURGED if action is Action.PURGE else OutcomeWord.ANONYMISED
        honest = tuple(found for found in batch.records if found.key not in self.lies)
        done = iter(self.inner.act(selection, Batch.of(batch.dataset, honest, batch.companions), action))
        own = [Outcome(f.key, word) if f.key in self.lies else next(done) for f in batch.records]
        return Outcomes.of([*own, *done])


def _records_of(batch):
    for found in batch.records:
        yield batch.dataset, found.key
    for companion in batch.companions:
        yield from _records_of(companion)


class World:
    """A project folder in which everything is done as the commands do it."""

    def __init__(
        self, home, config=SIMPLE, tables=None, *, state, kind="memory", relations=(), now=NOW, register=REGISTER
    ):
        """``state``: what the run state is kept in; ``tables``: table to rows with an ``id``; ``relations``: (child,
        column, parent, ON DELETE action)."""
        self.home = Path(home)
        self.clock = Clock(now)
        self.kind = kind
        self.data = tables if tables is not None else {}
        self.references = _references(relations)
        self.database = self.home / "crm.sqlite"
        self.is_sound = True
        """Whether the end of the test looks at the evidence; False where the test broke it."""
        (self.home / "config").mkdir(parents=True, exist_ok=True)
        if kind == "sqlite":
            _fill(self.database, self.data, relations)
        self.places = {}
        self.site, self.sites = None, []
        self.url = None
        """Of the run state, where that is no file in the folder."""
        if (now, register) == (NOW, REGISTER):
            self.url = state.url("founded", _found_at)
            shutil.copytree(_founded(state.name), self.home / "var")
            self.configure(config)
        else:
            self.url = state.url("migrated", migrate_at)
            self._found(config, register)

    def _found(self, config, register):
        (self.home / "var").mkdir(mode=0o700)
        if self.url is None:
            shutil.copy(_migrated(), self.home / "var" / "ropa.db")
        self.configure(config)
        self.keep_register(register)
        journal.create(self.site, origin="ropa.example/test")

    # --- the folder ---

    def configure(self, config):
        """Write the configuration and open the folder anew, as the next process does."""
        path = self.home / "config" / "retention.toml"
        if self.kind == "sqlite":
            config = config.replace('connector = "memory"', 'connector = "sql"\nurl = "sqlite:///crm.sqlite"')
        path.write_text(config)
        path.chmod(0o600)
        self.config_text = config
        self.reopen()

    def reopen(self):
        if self.site is not None:
            self.site.close()
        self.loaded = configuration.load(self.home, connector_types())
        self.site = Site(
            folder=self.home,
            state=self.home / "var",
            config=self.loaded,
            engine=_engine(self.url or f"sqlite:///{self.home / 'var' / 'ropa.db'}"),
            open_location=self._open,
            enforcing=frozenset(self.loaded.locations),
            lasting_keys=lasting_keys(self.loaded),
            now=self.clock,
        )
        self.sites.append(self.site)

    def close(self):
        for site in self.sites:  # also those that went on in another thread, or after they were closed
            site.close()

    def _open(self, location: Location):
        if location.connector == "memory":
            spec = LocationSpec(
                location.name,
                "memory",
                self.loaded.timezone,
                datasets=location.datasets,
                batch_size=location.batch_size,
            )
            inner = MemoryConnector(spec, self.data, references=self.references)
            inner.clock = self.clock
        else:
            inner = open_location(location, self.loaded)
        place = Place(inner, self, location.name)
        if location.name in self.places:  # what was the matter with a place does not go away with a new process
            old = self.places[location.name]
            for name in ("away_for", "skew", "population", "before_act", "after_act", "lies", "acts"):
                setattr(place, name, getattr(old, name))
        self.places[location.name] = place
        return place

    @property
    def crm(self):
        """The place ``crm``, opened."""
        self.site.connector("crm")
        return self.places["crm"]

    def keep_register(self, register):
        from ropa.register.store import RegisterStore

        store = RegisterStore(self.site.engine)
        return store.save(parse(register), by="An", reason="test", at=self.clock())

    # --- the source ---

    def sql(self, statement, *values):
        with closing(sqlite3.connect(self.database)) as raw, raw:
            raw.execute("PRAGMA foreign_keys = ON")
            return raw.execute(statement, values).fetchall()

    def rows(self, table="contacts"):
        """Return the rows of a table as they stand, as dictionaries."""
        if self.kind == "memory":
            return [dict(row) for row in self.data.get(table, [])]
        with closing(sqlite3.connect(self.database)) as raw:
            raw.row_factory = sqlite3.Row
            return [dict(row) for row in raw.execute(f'SELECT * FROM "{table}"')]

    def row(self, key, table="contacts"):
        """Return one row, None where it is gone."""
        return next((row for row in self.rows(table) if row["id"] == key), None)

    def ids(self, table="contacts"):
        """Return the ids that are there, sorted."""
        return sorted(row["id"] for row in self.rows(table))

    def update(self, key, table="contacts", **values):
        """Change a row behind the program's back."""
        if self.kind == "memory":
            next(row for row in self.data[table] if row["id"] == key).update(values)
        for column, value in values.items() if self.kind == "sqlite" else ():
            self.sql(f'UPDATE "{table}" SET "{column}" = ? WHERE id = ?', value, key)

    def insert(self, table="contacts", **values):
        """Add a row behind the program's back."""
        if self.kind == "memory":
            self.data.setdefault(table, []).append(values)
            return
        names = ", ".join(f'"{name}"' for name in values)
        self.sql(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(values))})', *values.values())

    def remove(self, key, table="contacts"):
        """Delete a row behind the program's back."""
        if self.kind == "memory":
            self.data[table][:] = [row for row in self.data[table] if row["id"] != key]
        else:
            self.sql(f'DELETE FROM "{table}" WHERE id = ?', key)

    def everything(self, location):
        """Return (dataset, key) of all that a location has; a table's name where it is no dataset."""
        names = {spec.source: name for name, spec in self.loaded.locations[location].datasets.items()}
        return {(names.get(table, table), (str(row["id"]),)) for table in self.data for row in self.rows(table)}

    # --- the commands ---

    def plan(self, *, by="Mia Maker", as_of=None, rule=None, dataset=None):
        return night.make_plan(self.site, Scope(as_of or self.site.today(), rule, dataset), by=by)

    def approve(self, plan, *, by="Piet Privacy", digest=None):
        with journal.writing(self.site) as open_journal:
            row = review.approve(
                open_journal, plan, by=by, reason="gelezen", digest=digest or review.get_plan(self.site, plan).digest
            )
            open_journal.checkpoint()
            return row

    def reject(self, plan, *, by="Piet Privacy"):
        with journal.writing(self.site) as open_journal:
            review.reject(open_journal, plan, by=by, reason="nee")
            open_journal.checkpoint()

    def apply(self, plan):
        return night.apply_plan(self.site, plan)

    def sweep(self):
        return night.sweep(self.site, by="nightly")

    def purge(self, **scope):
        """Plan, approve and apply; return the result."""
        plan = self.plan(**scope)
        self.approve(plan)
        return self.apply(plan)

    def hold(self, kind="record", target="crm.contacts", key=None, **more):
        wanted = None if key is None else tuple(str(part) for part in (key if isinstance(key, tuple) else (key,)))
        return holds.add(
            self.site, kind=kind, target=target, key=wanted, reason="litigation", by="Lies Legal", **more
        ).id

    def release(self, hold):
        holds.release(self.site, hold, by="Lies Legal", reason="voorbij")

    def mandate(self, rule="prospects", *, days=90, **bounds):
        with journal.writing(self.site) as open_journal:
            row = mandates.add(
                open_journal,
                rule,
                by="Piet Privacy",
                reason="elke nacht",
                until=self.site.today() + timedelta(days=days),
                **bounds,
            )
            open_journal.checkpoint()
            return row.id

    def revoke(self, mandate):
        with journal.writing(self.site) as open_journal:
            mandates.revoke(open_journal, mandate, by="Piet Privacy")
            open_journal.checkpoint()

    def halt(self):
        halt(self.site, by="Ops", reason="stop")

    def resume(self, accepted_day=None):
        resume(self.site, by="Ops", reason="verder", accepted_day=accepted_day)

    # --- what came of it ---

    def targets(self, plan):
        return show.target_rows(self.site, plan)

    def target(self, plan, dataset="crm.contacts", scope="row", data=None):
        """Return the one target of a plan that fits."""
        fits = [
            row
            for row in self.targets(plan)
            if f"{row.location}.{row.dataset}" == dataset
            and row.scope == scope
            and (data is None or row.data == list(data))
        ]
        assert len(fits) == 1, [row.identity for row in fits]
        return fits[0]

    def state(self, plan):
        return review.get_plan(self.site, plan).state

    def disposition(self, plan):
        """Return {(dataset, key): (disposition, reason)} of the row targets of a plan."""
        return {
            (record["dataset"], ",".join(record["key"])): (record["disposition"], record["reason"])
            for record in show.records(self.site, plan)
            if record["data"] == ["*"]
        }

    def planned(self, plan, disposition="planned"):
        """Return the keys of a plan's records with a disposition, sorted."""
        return sorted(
            (record["dataset"], ",".join(record["key"]))
            for record in show.records(self.site, plan)
            if record["disposition"] == disposition
        )

    def findings(self):
        from ropa.sweep.findings import open_findings

        return {row.code for row in open_findings(self.site)}

    def execute(self, statement, **values):
        """Change the run database behind the program's back."""
        with self.site.engine.begin() as connection:
            return connection.execute(text(statement), values)

    def rewrite(self, seq, dataset="contacts", *, key=None, version=None, due_on=None):
        """Change a planned record behind the program's back, as it is packed."""
        with Session(self.site.engine) as session, session.begin():
            for block in session.scalars(select(PlannedBlock)):
                target = session.get_one(TargetRow, block.target_id)
                if target.dataset != dataset or not block.first_seq <= seq < block.first_seq + block.count:
                    continue
                pos = seq - block.first_seq
                keys = [list(key) for key in zip(*json.loads(block.keys), strict=True)]
                versions = packing.unpack_versions(block.versions, block.count)
                days = list(packing.unpack_days(block.due_on, block.count))
                keys[pos] = keys[pos] if key is None else list(key)
                versions[pos] = versions[pos] if version is None else version
                days[pos] = days[pos] if due_on is None else due_on.toordinal()
                block.keys, block.versions = packing.pack_keys(keys), packing.pack_versions(versions)
                block.due_on = packing.pack_days(days)
                return
        raise AssertionError(f"no planned record {seq}")

    def events(self, kind=None):
        lines = [json.loads(line) for line in (self.site.ledger_folder / "events.jsonl").read_bytes().splitlines()]
        return [event for event in lines if kind is None or event["type"] == kind]

    def covered_by_open_intents(self, location):
        """Return (dataset, key) that an open intent in the ledger on disk covers, by recomputing the leaves."""
        settled = {event["root"] for event in self.events("receipt")}
        open_roots = {event["root"] for event in self.events("intent")} - settled
        covered = set()
        with Session(self.site.engine) as session:
            for batch in session.scalars(select(BatchRow).where(col(BatchRow.root).in_(open_roots))):
                lines = (self.site.ledger_folder / "batches" / batch.root).read_text().split()
                keys = [record.key for record in blocks.walk(session, batch.target_id)]
                for key in (json.dumps(list(key), ensure_ascii=False, separators=(",", ":")) for key in keys):
                    message = f'["{batch.location}","{batch.dataset}",{key}]'
                    if batch.location == location and hmac.digest(batch.key, message.encode(), sha256).hex() in lines:
                        covered.add((batch.dataset, tuple(json.loads(key))))
        return covered

    def audit(self):
        """Check the evidence: both verifiers, the sums of plans and of runs. Return the independent verifier's code."""
        code = judge(self.site.ledger_folder)
        ours = verify(self.site.ledger_folder)
        assert ours.exit_code == code, (ours.problems, code)
        assert code in {0, 3}, ours.problems
        assert ours.unsigned_lines == 0
        receipts = Counter()
        for event in self.events("receipt"):
            receipts.update({(event["run"], word): count for word, count in event["counts"].items()})
        for event in self.events("run_end"):
            told = {word: count for (run, word), count in receipts.items() if run == event["run"]}
            extra = Counter(event["totals"]) - Counter(told)
            assert set(extra) <= {"refused"}, (event["totals"], told)
            assert not Counter(told) - Counter(event["totals"])
        with Session(self.site.engine) as session:
            for plan in session.scalars(select(PlanRow)):
                rows = session.scalars(select(TargetRow).where(col(TargetRow.plan_id) == plan.id)).all()
                for row in rows:
                    assert row.due == row.held + row.blocked + row.records
                    assert sum(row.outcomes.values()) <= row.records
                    assert (
                        plan.state not in {"applied", "partly-applied"}
                        or sum(row.outcomes.values()) == row.records
                        or (plan.state == "partly-applied" and plan.started_at)
                    )
            for run in session.scalars(select(RunRow)):
                assert run.state != "open"
        return code

    def bytes_on_disk(self):
        """Return every byte of the run database and its companions; in PostgreSQL, whose files are the server's, every
        value of every row there is."""
        if self.url is not None:
            with self.site.engine.connect() as connection:
                tables = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
                rows = [row for name in tables for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"')]
            return b"\n".join(v if isinstance(v, bytes) else str(v).encode() for row in rows for v in row)
        return b"".join(path.read_bytes() for path in sorted((self.home / "var").glob("ropa.db*")))


def _references(relations):
    references = {}
    for child, column, parent, *action in relations:
        references.setdefault(child, []).append(
            CatalogueReference((column,), parent, ("id",), *(action or ("NO ACTION",)))
        )
    return references


def _fill(path, tables, relations):
    """Make the tables in SQLite: ``id`` and what refers to one are whole numbers, the rest is text."""
    with closing(sqlite3.connect(path)) as raw, raw:
        for table, rows in tables.items():
            links = [link for link in relations if link[0] == table]
            columns = dict.fromkeys([*(name for row in rows for name in row), *(link[1] for link in links), "id"])
            numbers = {link[1] for link in links}
            parts = [
                f'"{name}" INTEGER PRIMARY KEY'
                if name == "id"
                else f'"{name}" {"INTEGER" if name in numbers else "TEXT"}'
                for name in columns
            ]
            for _, column, parent, *action in links:
                parts.append(
                    f'FOREIGN KEY ("{column}") REFERENCES "{parent}"(id) {f"ON DELETE {action[0]}" if action else ""}'
                )
            raw.execute(f'CREATE TABLE "{table}" ({", ".join(parts)})')
            names = ", ".join(f'"{name}"' for name in columns)
            raw.executemany(
                f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(columns))})',
                [[row.get(name) for name in columns] for row in rows],
            )


_COMPILED = {SQLITE: {}, POSTGRESQL: {}}
"""Statements that SQLAlchemy has compiled; each engine would do it again."""


def _engine(url):
    engine = open_database(url)
    engine.update_execution_options(compiled_cache=_COMPILED[engine.dialect.name])
    trouble.listen(engine)
    return engine


@functools.cache
def _folder():
    """A folder for what is made once; also where tests are, in memory where that can be, because nothing here is
    about what a disk does (the tests of kills and of full disks are elsewhere)."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="ropa-kit-", dir=shared if os.access(shared, os.W_OK) else None))


@functools.cache
def _migrated():
    """A migrated, empty run database: migrating takes longer than most tests."""
    path = _folder() / "ropa.db"
    engine = open_database(f"sqlite:///{path}")
    migrate(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@functools.cache
def _founded(engine):
    """The state folder of a world with the usual register and a ledger of one line; with PostgreSQL, ``_found_at`` has
    been there before."""
    if engine == SQLITE:
        _found_in(_folder() / engine, None)
    return _folder() / engine / "var"


def _found_at(url):
    """The same, its run state in PostgreSQL: the folder that goes with the database that is copied."""
    migrate_at(url)
    _found_in(_folder() / POSTGRESQL, url)


def _found_in(home, url):
    world = World.__new__(World)
    world.home, world.clock, world.kind, world.places, world.site = home, Clock(), "memory", {}, None
    world.url, world.sites = url, []
    (world.home / "config").mkdir(parents=True)
    world._found(SIMPLE, REGISTER)
    world.close()


@functools.cache
def _verifier():
    path = Path(__file__).parents[1] / "ropa" / "ledger" / "verifier" / "verify_ledger.py"
    spec = importlib.util.spec_from_file_location("independent_verifier", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The verifier asks openssl, one process for each signature; that it does has tests of its own.
    module.is_signed = _is_signed
    return module


def _is_signed(key, message, signature):
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def judge(folder):
    """Return the exit code of the independent verifier."""
    with contextlib.redirect_stdout(io.StringIO()):
        return _verifier().main([str(folder)])


def day(text_):
    return date.fromisoformat(text_)


@pytest.fixture(scope="session", autouse=True)
def swept_up():
    """Remove what was made for all tests, also at the end of a worker of xdist."""
    yield
    if _folder.cache_info().currsize:
        shutil.rmtree(_folder())
        for made in (_folder, _migrated, _founded):
            made.cache_clear()


@pytest.fixture
def make(run_state):
    """Return a maker of worlds (see ``World``); at the end of the test the evidence of each is looked at."""
    home = Path(tempfile.mkdtemp(dir=_folder()))
    made = []

    def build(config=SIMPLE, tables=None, *, cls=World, **more):
        made.append(cls(home / f"world{len(made)}", config, tables, state=run_state, **more))
        return made[-1]

    yield build
    try:
        for world in made:
            if world.is_sound:
                world.audit()
    finally:
        for world in made:
            world.close()
        shutil.rmtree(home)


@pytest.fixture(params=["memory", "sqlite"])
def kind(request):
    """The kinds of place that a test is run with."""
    return request.param
