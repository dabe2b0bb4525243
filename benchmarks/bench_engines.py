"""The databases that ``databases.py`` measures on: one table, fresh copies of it, and what an engine does afterwards.

The servers are private ones (``tests/servers.py``) with durable commits, a cache larger than the table, and no
background vacuum, so that every contender leaves its own work to be counted. Run as a program, this file is the plain
contender: ``python bench_engines.py ENGINE ADDRESS STATEMENT`` runs one statement and prints its seconds.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

YEARS = 2
"""The rule's period. Due rows are 3 to 10 years old, the others at most 300 days."""
NOTE = 240
"""Bytes of free text in a row: with it a million rows and their indexes are some 400 MiB on PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The table to be made."""

    rows: int
    share: float
    key: str
    """``integer`` or ``uuid`` (random)."""
    anchor: str
    """``native`` (timestamptz, DATETIME, ISO text) or ``epoch``."""
    job: str
    """``purge``, ``clear`` or ``nothing``."""
    journal: str = "delete"

    @property
    def cutoff(self) -> date:
        """A day between the youngest due row and the oldest other one."""
        return datetime.now(UTC).date() - timedelta(days=365 * YEARS)

    def literal(self) -> str:
        """The cut-off as SQL, in the spelling of the column."""
        if self.anchor == "epoch":
            return str(int(datetime.combine(self.cutoff, datetime.min.time(), UTC).timestamp()))
        return f"'{self.cutoff.isoformat()} 00:00:00'"

    def statement(self) -> str:
        """What a careful hand would type."""
        due = f"WHERE created < {self.literal()}"
        return {
            "purge": f"DELETE FROM customer {due}",
            "clear": f"UPDATE customer SET name = NULL, email = NULL, iban = NULL {due}",
            "nothing": "SELECT count(*) FROM customer",
        }[self.job]

    def left(self) -> str:
        """A count that is 0 when the job is done; for ``nothing`` there is nothing to do."""
        full = " AND (name IS NOT NULL OR email IS NOT NULL OR iban IS NOT NULL)" if self.job == "clear" else ""
        return f"SELECT count(*) FROM customer WHERE created < {self.literal()}{full}"

    def kept(self) -> str:
        """A count that no contender may change."""
        full = " AND name IS NOT NULL AND email IS NOT NULL AND iban IS NOT NULL"
        return f"SELECT count(*) FROM customer WHERE created >= {self.literal()}{full}"


class Engine:
    """One kind of database with the original table; ``fresh`` gives one copy after another."""

    name: str

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def make(self) -> str:
        """Make the original; return what it is, with its size."""
        raise NotImplementedError

    def fresh(self) -> None:
        """Replace the copy in hand by a fresh one, on disk and in the cache as far as it fits."""
        raise NotImplementedError

    def url(self) -> str:
        """The copy in hand, as ropa's configuration names it."""
        raise NotImplementedError

    def address(self) -> str:
        """The copy in hand, as the plain contender reaches it."""
        raise NotImplementedError

    def ask(self, sql: str) -> Any:
        """Return the first value of a query on the copy in hand."""
        raise NotImplementedError

    def watch(self) -> None:
        """Forget the statements seen so far."""

    def longest(self) -> tuple[float, str] | None:
        """Return seconds and first words of the longest statement since ``watch``; None where it cannot be known."""
        return None

    def afterwards(self) -> float:
        """Have the engine do what is left to do, and return the seconds of it."""
        return 0.0

    def close(self) -> None:
        """End it."""


class Postgresql(Engine):
    name = "postgresql"

    def __init__(self, shape: Shape) -> None:
        from servers import Postgres

        super().__init__(shape)
        self.server = Postgres.start(
            fsync="on",
            full_page_writes="on",
            shared_buffers="512MB",
            max_wal_size="8GB",
            checkpoint_timeout="1h",
            autovacuum="off",
            shared_preload_libraries="pg_stat_statements",
        )
        self.copy: Any = None

    def make(self) -> str:
        shape = self.shape
        self.original = self.server.create()
        key = "uuid" if shape.key == "uuid" else "bigint"
        value = "gen_random_uuid()" if shape.key == "uuid" else "n"
        kind = "bigint" if shape.anchor == "epoch" else "timestamptz"
        back = f"CASE WHEN random() < {shape.share} THEN 1095 + random() * 2555 ELSE 1 + random() * 299 END"
        day = f"date_trunc('second', now() - interval '1 day' * ({back}))"
        if shape.anchor == "epoch":
            day = f"extract(epoch FROM {day})::bigint"
        self.original.execute(
            f"CREATE TABLE customer (id {key} PRIMARY KEY, name text, email text, iban text, note text,"
            f" created {kind} NOT NULL); SELECT setseed(0.7); INSERT INTO customer SELECT {value}, 'Person ' || n,"
            f" 'person' || n || '@example.org', 'BE' || lpad(n::text, 14, '0'), repeat('x', {NOTE}), {day}"
            f" FROM generate_series(1, {shape.rows}) AS n; CREATE INDEX by_created ON customer (created)"
        )
        self.original.execute("VACUUM (FREEZE, ANALYZE) customer")
        self.server.ask("postgres", "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        size = self.original.execute("SELECT pg_total_relation_size('customer')")[0][0]
        version = self.original.execute("SHOW server_version")[0][0].split()[0]
        return f"PostgreSQL {version}, {size / 2**20:.0f} MiB"

    def fresh(self) -> None:
        if self.copy is not None:
            self.copy.drop()
        self.copy = self.server.create(self.original)
        self.copy.execute("SELECT count(note) FROM customer")
        self.server.ask("postgres", "CHECKPOINT")

    def url(self) -> str:
        return self.copy.url

    def address(self) -> str:
        return f"host=127.0.0.1 port={self.server.port} user=postgres dbname={self.copy.name}"

    def ask(self, sql: str) -> Any:
        return self.copy.execute(sql)[0][0]

    def watch(self) -> None:
        self.server.ask("postgres", "SELECT pg_stat_statements_reset()")

    def longest(self) -> tuple[float, str] | None:
        rows = self.server.ask(
            "postgres",
            "SELECT max_exec_time / 1000, query FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
            f" WHERE datname = '{self.copy.name}' ORDER BY 1 DESC LIMIT 1",
        )
        return (float(rows[0][0]), " ".join(rows[0][1].split())) if rows else None

    def afterwards(self) -> float:
        started = time.perf_counter()
        self.copy.execute("VACUUM customer")
        return time.perf_counter() - started

    def close(self) -> None:
        self.server.stop()


class Mariadb(Engine):
    name = "mariadb"

    def __init__(self, shape: Shape) -> None:
        from servers import MariaDB

        super().__init__(shape)
        self.server = MariaDB.start(
            innodb_flush_log_at_trx_commit=1,
            innodb_buffer_pool_size="1G",
            innodb_log_file_size="1G",
            innodb_purge_rseg_truncate_frequency=1,  # so that the history list tells what is purged, at once
            long_query_time=0.2,
            log_output="TABLE",
            slow_query_log=1,
        )
        self.server.ask(None, "SET GLOBAL innodb_monitor_enable = 'purge%'")
        self.copy: Any = None

    def _create(self) -> str:
        key = "CHAR(36) CHARACTER SET ascii" if self.shape.key == "uuid" else "BIGINT"
        kind = "BIGINT" if self.shape.anchor == "epoch" else "DATETIME"
        return (
            f"CREATE TABLE customer (id {key} PRIMARY KEY, name VARCHAR(80), email VARCHAR(120), iban VARCHAR(34),"
            f" note TEXT, created {kind} NOT NULL, KEY by_created (created))"
        )

    def make(self) -> str:
        shape = self.shape
        self.original = self.server.create()
        # md5 of the number: random in order, and the same in every run
        value = "INSERT(INSERT(INSERT(INSERT(MD5(seq), 9, 0, '-'), 14, 0, '-'), 19, 0, '-'), 24, 0, '-')"
        day = (
            f"UTC_TIMESTAMP() - INTERVAL IF(RAND(7) < {shape.share}, 94608000 + RAND(8) * 220752000,"
            " 86400 + RAND(8) * 25833600) SECOND"
        )
        day = f"FLOOR(UNIX_TIMESTAMP({day}))" if shape.anchor == "epoch" else f"DATE_FORMAT({day}, '%Y-%m-%d %T')"
        self.original.execute(self._create())
        self.original.execute(
            f"INSERT INTO customer SELECT {value if shape.key == 'uuid' else 'seq'}, CONCAT('Person ', seq),"
            f" CONCAT('person', seq, '@example.org'), CONCAT('BE', LPAD(seq, 14, '0')), REPEAT('x', {NOTE}), {day}"
            f" FROM seq_1_to_{shape.rows}"
        )
        self.original.execute("ANALYZE TABLE customer")
        size = self.original.execute(
            "SELECT data_length + index_length FROM information_schema.tables"
            " WHERE table_schema = database() AND table_name = 'customer'"
        )[0][0]
        return f"MariaDB {self.server.ask(None, 'SELECT version()')[0][0].split('-')[0]}, {size / 2**20:.0f} MiB"

    def fresh(self) -> None:
        if self.copy is not None:
            self.copy.drop()
        self.copy = self.server.create()
        self.copy.execute(self._create())
        self.copy.execute(f"INSERT INTO customer SELECT * FROM {self.original.name}.customer ORDER BY id")
        self.copy.execute("ANALYZE TABLE customer")
        self._settled()
        self._flush()

    def _flush(self) -> None:
        """Have every changed page written, at full speed, and the settings of a server back afterwards."""
        fast = {"max_dirty_pages_pct_lwm": 0, "max_dirty_pages_pct": 0, "io_capacity_max": 40000, "io_capacity": 20000}
        usual = {name: self.server.ask(None, f"SELECT @@innodb_{name}")[0][0] for name in fast}
        for settings in (fast, dict(reversed(usual.items()))):
            for name, value in settings.items():
                self.server.ask(None, f"SET GLOBAL innodb_{name} = {value}")
            until = time.monotonic() + 60
            while settings is fast and int(self._status("Innodb_buffer_pool_pages_dirty")) > 50:
                if time.monotonic() > until:
                    break
                time.sleep(0.05)

    def url(self) -> str:
        return self.copy.url

    def address(self) -> str:
        return f"{self.server.port} {self.copy.name}"

    def ask(self, sql: str) -> Any:
        return self.copy.execute(sql)[0][0]

    def watch(self) -> None:
        self.server.ask(None, "TRUNCATE mysql.slow_log")

    def longest(self) -> tuple[float, str] | None:
        rows = self.server.ask(
            None,
            "SELECT TIME_TO_SEC(query_time), CONVERT(sql_text USING utf8mb4) FROM mysql.slow_log"
            f" WHERE db = '{self.copy.name}' ORDER BY query_time DESC LIMIT 1",
        )
        return (float(rows[0][0]), " ".join(rows[0][1].split())) if rows else (0.2, "none over 0.2 s")

    def afterwards(self) -> float:
        return self._settled()

    def _status(self, name: str) -> str:
        return self.server.ask(None, f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1]

    def _settled(self) -> float:
        """Return when the purge threads have nothing left: the seconds in which they did something.

        They sleep up to half a second between two looks, which is no work and not counted.
        """
        busy, done, then = 0.0, self._purged(), time.perf_counter()
        while int(self._status("Innodb_history_list_length")) > 0:
            time.sleep(0.01)
            now, purged = time.perf_counter(), self._purged()
            busy += now - then if purged != done else 0.0
            done, then = purged, now
        return busy

    def _purged(self) -> int:
        rows = self.server.ask(
            None,
            "SELECT count FROM information_schema.innodb_metrics"
            " WHERE name IN ('purge_del_mark_records', 'purge_upd_exist_or_extern_records', 'purge_undo_log_pages')",
        )
        return sum(int(count) for (count,) in rows)

    def close(self) -> None:
        self.server.stop()


class Sqlite(Engine):
    name = "sqlite"

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.folder = Path(tempfile.mkdtemp(prefix="ropa-bench-"))
        self.original = self.folder / "original.sqlite"
        self.path = self.folder / "copy.sqlite"

    def make(self) -> str:
        shape, chance = self.shape, random.Random(7)
        now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
        key = "TEXT PRIMARY KEY" if shape.key == "uuid" else "INTEGER PRIMARY KEY"
        kind = "INTEGER" if shape.anchor == "epoch" else "TEXT"

        def rows() -> Iterator[tuple[object, ...]]:
            for n in range(1, shape.rows + 1):
                is_due = chance.random() < shape.share
                day = now - timedelta(days=1095 + chance.random() * 2555 if is_due else 1 + chance.random() * 299)
                day = day.replace(microsecond=0)
                created = int(day.replace(tzinfo=UTC).timestamp()) if shape.anchor == "epoch" else str(day)
                number = str(uuid.UUID(int=chance.getrandbits(128))) if shape.key == "uuid" else n
                yield number, f"Person {n}", f"person{n}@example.org", f"BE{n:014}", "x" * NOTE, created

        with contextlib.closing(sqlite3.connect(self.original)) as raw, raw:
            raw.execute(f"PRAGMA journal_mode = {shape.journal}")
            raw.execute(
                f"CREATE TABLE customer (id {key}, name TEXT, email TEXT, iban TEXT,"
                f" note TEXT, created {kind} NOT NULL)"
            )
            raw.executemany("INSERT INTO customer VALUES (?, ?, ?, ?, ?, ?)", rows())
            raw.execute("CREATE INDEX by_created ON customer (created)")
        size = self.original.stat().st_size
        return f"SQLite {sqlite3.sqlite_version}, {size / 2**20:.0f} MiB, journal {shape.journal}"

    def fresh(self) -> None:
        for leftover in self.folder.glob("copy.sqlite*"):
            leftover.unlink()
        shutil.copyfile(self.original, self.path)

    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def address(self) -> str:
        return str(self.path)

    def ask(self, sql: str) -> Any:
        with contextlib.closing(sqlite3.connect(self.path)) as raw:
            return raw.execute(sql).fetchone()[0]

    def afterwards(self) -> float:
        started = time.perf_counter()
        self.ask("PRAGMA wal_checkpoint(TRUNCATE)")
        return time.perf_counter() - started

    def close(self) -> None:
        shutil.rmtree(self.folder)


ENGINES: dict[str, type[Engine]] = {"sqlite": Sqlite, "postgresql": Postgresql, "mariadb": Mariadb}


def plain(engine: str, address: str, statement: str) -> float:
    """Run one statement with a commit of its own; return its seconds, without those of connecting."""
    connection: Any
    if engine == "sqlite":
        connection = sqlite3.connect(address, isolation_level=None)
        # what ropa has too: references checked, erased bytes overwritten
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")
    elif engine == "postgresql":
        import psycopg

        connection = psycopg.connect(address, autocommit=True)
    else:
        import pymysql

        port, name = address.split()
        connection = pymysql.connect(host="127.0.0.1", port=int(port), user="root", database=name, autocommit=True)
    with contextlib.closing(connection):
        cursor = connection.cursor()
        started = time.perf_counter()
        cursor.execute(statement)
        if cursor.description:
            cursor.fetchall()
        return time.perf_counter() - started


if __name__ == "__main__":
    print(plain(*sys.argv[1:4]))
