"""Where a test's register and run state are: in an SQLite file, or in a PostgreSQL database of the test's own.

A test that asks for ``run_state`` (every one with a world, and every one of the command line in a prepared folder does) is
run on SQLite, and once more on PostgreSQL: all of them with ``--state-engine=both`` (``make test-engines``), by default
the ones that ``is_in_sample`` names. ``@pytest.mark.sqlite_state("why")`` is for what is about the SQLite file itself.

A database is a copy of a prepared one, which takes a fortieth of a second; it goes when the test has ended.
"""

from __future__ import annotations

import queue
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

from servers import Postgres, PostgresDatabase
from sqlalchemy import Engine, create_engine

from ropa.database import migrate, open_database
from ropa.sweep.tables import METADATA

SQLITE, POSTGRESQL = ENGINES = ("sqlite", "postgresql")
CHOICES = ("sample", "both", *ENGINES)

WHOLE = ("tests/unit/register/test_register_store",)
"""Of these every test runs on both, also in the sample."""
ONE_IN = 24
"""Of the others one in so many, by the name of the test: always the same ones."""


AS_IN_A_DICTIONARY = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
"""Text is sorted as people do it, as most servers are set up; SQLite goes by bytes."""


def is_in_sample(path: str, function: str) -> bool:
    """Whether a test runs on PostgreSQL too where nothing else is asked for."""
    return path.startswith(WHOLE) or zlib.crc32(f"{path}::{function}".encode()) % ONE_IN == 0


def engines_for(asked: str, path: str, function: str, *, is_about_sqlite: bool) -> tuple[str, ...]:
    """Return the engines that a test is run on."""
    if is_about_sqlite:
        return (SQLITE,)
    if asked in ENGINES:
        return (asked,)
    return ENGINES if asked == "both" or is_in_sample(path, function) else (SQLITE,)


class State:
    """What a test's state is kept in. On SQLite there is nothing to prepare: ``url`` is None, a folder has its file."""

    name = SQLITE

    def __init__(self) -> None:
        self._engines: list[Engine] = []

    def url(self, prepared: str = "", prepare: Callable[[str], None] | None = None) -> str | None:
        """Return the URL of a new database: empty, or a copy of the one that ``prepare`` once made at a URL."""
        return None

    def engine(self) -> Engine:
        """Return an engine of a new database that has its tables; it goes with the test."""
        engine = self._kept(create_engine("sqlite://"))
        METADATA.create_all(engine)
        return engine

    def project(self, folder: Path) -> Engine:
        """Return an engine of a migrated database, as a project in a folder has it; it goes with the test."""
        engine = self._kept(open_database(self.url("migrated", migrate_at) or f"sqlite:///{folder / 'ropa.db'}"))
        migrate(engine)
        return engine

    def _kept(self, engine: Engine) -> Engine:
        self._engines.append(engine)
        return engine

    def close(self) -> None:
        """Let go of the databases of one test."""
        for engine in self._engines:
            engine.dispose()


class PostgresState(State):
    """Databases of one test on a server that other tests share."""

    name = POSTGRESQL

    def __init__(self, shelf: Shelf) -> None:
        super().__init__()
        self._shelf = shelf
        self.databases: list[PostgresDatabase] = []

    def url(self, prepared: str = "", prepare: Callable[[str], None] | None = None) -> str:
        template = self._shelf.prepared(prepared, prepare) if prepare else None
        self.databases.append(self._shelf.server.create(template))
        return self.databases[-1].url

    def migrated(self) -> str:
        """Return the URL of a new database that has its tables."""
        return self.url("migrated", migrate_at)

    def engine(self) -> Engine:
        return self._kept(open_database(self.migrated()))

    def close(self) -> None:
        super().close()
        for database in self.databases:
            self._shelf.leave(database)


def migrate_at(url: str) -> None:
    """Make the tables of a database."""
    engine = open_database(url)
    migrate(engine)
    engine.dispose()


class Shelf:
    """A server with the databases that are copied. What a test leaves is dropped by a thread: nobody waits for it."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self._prepared: dict[str, PostgresDatabase] = {}
        self._left: queue.SimpleQueue[PostgresDatabase | None] = queue.SimpleQueue()
        self._sweeper = threading.Thread(target=self._drop, daemon=True)
        self._sweeper.start()

    def prepared(self, name: str, prepare: Callable[[str], None]) -> PostgresDatabase:
        if name not in self._prepared:
            database = self.server.create(more=AS_IN_A_DICTIONARY)
            prepare(database.url)
            self._prepared[name] = database
        return self._prepared[name]

    def leave(self, database: PostgresDatabase) -> None:
        self._left.put(database)

    def _drop(self) -> None:
        while (database := self._left.get()) is not None:
            database.drop()

    def close(self) -> None:
        self._left.put(None)
        self._sweeper.join(60)
