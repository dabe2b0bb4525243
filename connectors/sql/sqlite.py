"""SQLite behind the connector's seam: connections, transactions, temporary keys, and what makes erased bytes go.

Invariants: a file is never created; planning opens it read-only; the connection that deletes overwrites what it
deletes (``secure_delete``, read back before anything is claimed), enforces foreign keys, and takes the write lock
before it looks at a record. Keys and sorted rows never reach a temporary file (``temp_store=MEMORY``).
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Executable,
    FromClause,
    TableClause,
    column,
    create_engine,
    delete,
    func,
    select,
    table,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from connectors.sql.backend import Dates, Dating, KeyTable, Row, UnevenError
from connectors.sql.catalogue import Catalogue, Kind, Table, TableColumn, bound
from connectors.sql.faults import STOPPING, fault_code, location_error
from connectors.sql.keys import Values
from connectors.sql.sqlite_catalogue import read_catalogue, schema_version
from connectors.sql.sqlite_dates import SqliteDates
from connectors.sql.sqlite_fetch import Fetching, raw_of
from connectors.sql.sqlite_kept import KEPT, file_id
from connectors.sql.sqlite_versions import RowTextVersions
from connectors.sql.versions import new_salt
from ropa.connector import Health

BUSY_SECONDS = 2.0
"""How long one attempt waits for another program's lock."""
_READ_CACHE_KIB = 4 * 1024
_WRITE_CACHE_KIB = 32 * 1024
"""With the default of 2 MiB the pages of a table and its indexes are read and written again and again in one batch."""

_IN_GOOD_TIME = 200_000
"""Entries of an index of which one statement reads each date in well under a quarter of a second."""

_AFFINITIES = {Kind.NUMBER: "NUMERIC", Kind.TEXT: "TEXT", Kind.BYTES: "BLOB", Kind.ANY: "BLOB"}


class SqliteBackend:
    """One SQLite file."""

    batch_size = 30_000
    most_surveyed = 500_000
    batches_at_once = 1
    counts_beside = True

    def __init__(self, location: str, path: Path, *, is_vacuumed: bool = False) -> None:
        self._location = location
        self._path = path
        self._is_vacuumed = is_vacuumed
        self._salt = new_salt()
        self._fetching = Fetching()
        self._is_kept = True
        settings: dict[str, Any] = {"hide_parameters": True, "isolation_level": "AUTOCOMMIT"}
        self._reads: Engine = create_engine("sqlite://", creator=self._open_reading, poolclass=NullPool, **settings)
        self._writes: Engine = create_engine("sqlite://", creator=self._open_writing, poolclass=QueuePool, **settings)
        # Whether the file can be read and is a database is told now, not at night.
        try:
            with self.reading() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        except (DBAPIError, sqlite3.Error) as error:
            raise location_error(location, error) from None

    # --- connections ---

    def _open(self, parameters: str, cache_kib: int) -> sqlite3.Connection:
        raw = sqlite3.connect(
            f"file:{quote(str(self._path))}?{parameters}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        raw.execute("PRAGMA temp_store=MEMORY")
        raw.execute(f"PRAGMA cache_size=-{cache_kib}")
        return raw

    def _open_reading(self) -> sqlite3.Connection:
        raw = self._open("mode=ro", _READ_CACHE_KIB)
        try:
            raw.execute("PRAGMA schema_version").fetchone()
        except sqlite3.Error as error:
            raw.close()
            # In WAL mode even a reader wants to write beside the file. Where the folder forbids that and no log is
            # left, the file alone is the whole database (https://sqlite.org/wal.html#read_only_databases).
            log = self._path.with_name(self._path.name + "-wal")
            is_refused = fault_code(error) in {"unreachable", "denied"}
            if not is_refused or os.access(self._path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
                raise
            raw = self._open("mode=ro&immutable=1", _READ_CACHE_KIB)
            self._is_kept = False  # it would not notice what others write meanwhile
        return raw

    def _open_writing(self) -> sqlite3.Connection:
        raw = self._open("mode=rw", _WRITE_CACHE_KIB)
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute("PRAGMA secure_delete=ON")
        return raw

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See ``Backend.reading``."""
        with self._reads.connect() as connection:
            yield connection

    @contextmanager
    def looking(self) -> Iterator[Connection]:
        """See ``Backend.looking``."""
        opened = file_id(self._path)
        connection = KEPT.take(self, self._path) or self._reads.connect()
        is_sound = False
        try:
            yield connection
            connection.rollback()
            is_sound = self._is_kept and raw_of(connection).text_factory is str
        finally:
            if is_sound:
                KEPT.put(self, connection, opened)
            else:
                connection.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """See ``Backend.writing``."""
        with self._writes.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self, connection: Connection) -> Iterator[None]:
        """See ``Backend.snapshot``."""
        connection.exec_driver_sql("BEGIN")
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        finally:
            _undo(connection)

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """See ``Backend.transaction``."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            yield
            connection.exec_driver_sql("COMMIT")
        finally:
            _undo(connection)

    def read_catalogue(self, connection: Connection) -> Catalogue:
        """See ``Backend.read_catalogue``."""
        return read_catalogue(connection)

    def schema_version(self, connection: Connection) -> int:
        """See ``Backend.schema_version``: asked before everything else, so past all that comes between."""
        try:
            return int(raw_of(connection).execute("PRAGMA schema_version").fetchone()[0])
        except sqlite3.Error:
            return schema_version(connection)  # which raises what everything else does

    # --- statements ---

    def load_keys(
        self, connection: Connection, slot: str, columns: Sequence[TableColumn], keys: Sequence[tuple[int, Values]]
    ) -> KeyTable:
        """See ``Backend.load_keys``: a temporary table, in memory. The columns have the affinity of the key's, so that
        they compare alike."""
        if len(columns) == 1 and columns[0].kind is Kind.NUMBER and all(pos == n for n, (pos, _) in enumerate(keys)):
            numbers = [key[0] for _, key in keys]
            if set(map(type, numbers)) <= {int}:
                # The usual case, faster than a table that is filled row by row.
                listed = func.json_each(json.dumps(numbers)).table_valued("key", "value", name=f"{slot}_keys")
                return KeyTable(listed, listed.c.key, (listed.c.value,))
        affinities = [_AFFINITIES.get(column.kind, "BLOB") for column in columns]
        parts = [f"k{number}" for number in range(len(columns))]
        name = f"ropa_{slot}_" + "".join(word[0] for word in affinities)
        declared = ", ".join(f"{part} {word}" for part, word in zip(parts, affinities, strict=True))
        run = connection.exec_driver_sql
        run(f"CREATE TEMP TABLE IF NOT EXISTS {name} (pos INTEGER PRIMARY KEY, {declared})")
        run(f"DELETE FROM temp.{name}")  # noqa: S608 - names made here, of letters and digits
        rows = [(pos, *values) for pos, values in keys]
        if rows:
            marks = ", ".join("?" * (1 + len(parts)))
            run(f"INSERT INTO temp.{name} VALUES ({marks})", rows)  # noqa: S608 - as above
        source = table(name, column("pos"), *(column(part) for part in parts), schema="temp").alias(f"{slot}_keys")
        return KeyTable(source, source.c.pos, tuple(source.c[part] for part in parts))

    def fetch(self, connection: Connection, statement: Executable) -> list[Row]:
        """See ``Backend.fetch``."""
        return self._fetching.rows(connection, statement)

    def remove(
        self, connection: Connection, own: TableClause, conditions: Sequence[Any], columns: Sequence[ColumnElement[Any]]
    ) -> list[Row]:
        """See ``Backend.remove``. Nobody else can write within a ``transaction``; and what RETURNING gives would be
        kept in memory twice."""
        rows = self.fetch(connection, select(*columns).select_from(own).where(*conditions))
        gone = connection.execute(delete(own).where(*conditions)).rowcount
        if gone != len(rows):
            # What went by ON DELETE CASCADE of another of these rows is not counted.
            left = select(func.count()).select_from(own).where(*conditions)
            if gone > len(rows) or connection.execute(left).scalar() != 0:
                raise UnevenError
        return rows

    def cut_loose(
        self, connection: Connection, table: Table, own: TableClause, where: ColumnElement[bool], names: Collection[str]
    ) -> None:
        """See ``Backend.cut_loose``: nothing, because references are checked at the end of the transaction."""

    def pages(self, question: object, planned: Sequence[str] = ()) -> None:
        """See ``Backend.pages``: rows come one by one."""

    def unhinted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Backend.unhinted``: a unary plus (https://sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_)."""
        return UnaryExpression(column, operator=operators.custom_op("+"))

    @staticmethod
    def dates(column: TableColumn, dating: Dating) -> SqliteDates:
        """See ``Backend.dates``."""
        return SqliteDates.of(column, dating)

    def ordered(self, column: TableColumn, value: ColumnElement[Any]) -> ColumnElement[Any]:  # noqa: ARG002
        """See ``Backend.ordered``."""
        return value

    def undated_ranges(
        self, connection: Connection, own: FromClause, column: ColumnElement[Any], dates: Dates
    ) -> list[list[ColumnElement[bool]]] | None:
        """See ``Backend.undated_ranges``: of dates in text an index is gone through, a part at a time."""
        if not isinstance(dates, SqliteDates) or dates.dating.form is not None:
            return None
        ends = self._every_so_many(connection, own, column)
        return None if ends is None else dates.undated_ranges(column, ends)

    def _every_so_many(
        self, connection: Connection, own: FromClause, column: ColumnElement[Any]
    ) -> list[object] | None:
        """Return every value that stands ``_IN_GOOD_TIME`` entries of its index after the one before; None where
        they are no text of dates."""
        ends: list[object] = []
        while True:
            further = column.is_not(None) if not ends else column > bound(ends[-1])
            statement = select(column).select_from(own).where(further).order_by(column).offset(_IN_GOOD_TIME).limit(1)
            rows = self.fetch(connection, statement)
            if not rows:
                return ends
            (end,) = rows[0]
            if isinstance(end, str) and not end.isascii():
                return None  # maybe no UTF-8; no date anyway
            ends.append(end)

    def versions(self, table: Table) -> RowTextVersions:
        """See ``Backend.versions``."""
        return RowTextVersions(table, self._salt, lambda: self._fetching.has_blobs)

    # --- what is true of the file ---

    def settle(self) -> str:
        """See ``Backend.settle``.

        Physical: ``secure_delete`` is on, and what the journal keeps of erased rows is gone too: the log is wholly
        copied and cut (``wal_checkpoint(TRUNCATE)``), or the journal does not outlive its transaction.
        """
        with self.writing() as connection:
            is_overwriting = connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
            mode = str(connection.exec_driver_sql("PRAGMA journal_mode").scalar())
            if mode == "wal":
                busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
                is_clean = busy == 0
            else:
                is_clean = mode in {"delete", "truncate", "memory", "off"}
        return "physical" if is_overwriting and is_clean else "logical"

    def finish(self, table: Table) -> str:  # noqa: ARG002 - the whole file is settled at once
        """See ``Backend.finish``: with ``after_purge = "vacuum"`` the file is written anew, without what is gone."""
        if self._is_vacuumed:
            with self.writing() as connection:
                connection.exec_driver_sql("VACUUM")
        return self.settle()

    def replica_lag_seconds(self, connection: Connection) -> float | None:  # noqa: ARG002 - a file has no replicas
        """See ``Backend.replica_lag_seconds``."""
        return None

    def health(self) -> Health:
        """See ``Backend.health``. SQLite has no clock of its own."""
        identity = f"uid {os.geteuid()}, SQLite {sqlite3.sqlite_version}, {self._path.name}"
        may_write = os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK)
        try:
            with self.reading() as connection:
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
        except (DBAPIError, sqlite3.Error) as error:
            code = fault_code(error)
            is_there = code not in STOPPING or code == "denied"
            return Health(is_there, identity, may_read=False, may_delete=False, notes=(code,))
        return Health(is_reachable=True, identity=identity, may_read=True, may_delete=may_write)

    def close(self) -> None:
        """See ``Backend.close``."""
        KEPT.drop(self)
        self._reads.dispose()
        self._writes.dispose()


def _undo(connection: Connection) -> None:
    """End what is still open; a commit that failed or a trigger that rolled back leaves different states behind."""
    if raw_of(connection).in_transaction:
        with suppress(DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
