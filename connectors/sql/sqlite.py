"""SQLite behind the connector's seam: connections, transactions, temporary keys, and what makes erased bytes go.

Invariants: a file is never created; planning opens it read-only; the connection that deletes overwrites what it
deletes (``secure_delete``, read back before anything is claimed), enforces foreign keys, and takes the write lock
before it looks at a record. Keys and sorted rows never reach a temporary file (``temp_store=MEMORY``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Engine, column, create_engine, func, table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import UnaryExpression

from connectors.sql.backend import KeyTable
from connectors.sql.catalogue import Catalogue, Kind, bound
from connectors.sql.faults import STOPPING, fault_code, location_error
from connectors.sql.keys import Values
from connectors.sql.sqlite_catalogue import read_catalogue, schema_version
from connectors.sql.sqlite_functions import SqliteFunctions, as_bytes, spell_identifier
from ropa.connector import Health, Mask

BUSY_SECONDS = 2.0
"""How long one attempt waits for another program's lock."""
_READ_CACHE_KIB = 16 * 1024
_WRITE_CACHE_KIB = 64 * 1024
"""With the default of 2 MiB the pages of a table and its indexes are read and written again and again in one batch."""

_AFFINITIES = {Kind.NUMBER: "NUMERIC", Kind.TEXT: "TEXT", Kind.BYTES: "BLOB", Kind.ANY: "BLOB"}


class SqliteBackend:
    """One SQLite file."""

    def __init__(self, location: str, path: Path) -> None:
        self._location = location
        self._path = path
        self._functions = SqliteFunctions()
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
        # Text in a file need not be UTF-8; a row must be read, and be the same row again, all the same.
        raw.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
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
        self._functions.register(raw)
        return raw

    def _open_writing(self) -> sqlite3.Connection:
        raw = self._open("mode=rw", _WRITE_CACHE_KIB)
        raw.execute("PRAGMA foreign_keys=ON")
        raw.execute("PRAGMA secure_delete=ON")
        self._functions.register(raw)
        return raw

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See ``Backend.reading``."""
        with self._reads.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """See ``Backend.writing``."""
        with self._writes.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self, connection: Connection) -> Iterator[None]:
        """See ``Backend.snapshot``."""
        self._functions.refresh(connection)
        connection.exec_driver_sql("BEGIN")
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        finally:
            _undo(connection)

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """See ``Backend.transaction``."""
        self._functions.refresh(connection)
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
        """See ``Backend.schema_version``."""
        return schema_version(connection)

    # --- keys ---

    def load_keys(
        self,
        connection: Connection,
        slot: str,
        kinds: tuple[Kind, ...],
        keys: Iterable[tuple[int, Values]],
        *,
        is_searched: bool = False,
    ) -> KeyTable:
        """See ``Backend.load_keys``. The columns have the affinity of the key's, so that they compare alike."""
        affinities = [_AFFINITIES[kind] for kind in kinds]
        parts = [f"k{number}" for number in range(len(kinds))]
        name = f"ropa_{slot}_" + "".join(word[0] for word in affinities) + "s" * is_searched
        declared = ", ".join(f"{part} {word}" for part, word in zip(parts, affinities, strict=True))
        run = connection.exec_driver_sql
        run(f"CREATE TEMP TABLE IF NOT EXISTS {name} (pos INTEGER PRIMARY KEY, {declared})")
        if is_searched:
            run(f"CREATE INDEX IF NOT EXISTS temp.{name}_keys ON {name} ({', '.join(parts)})")
        run(f"DELETE FROM temp.{name}")  # noqa: S608 - names made here, of letters and digits
        rows = [(pos, *values) for pos, values in keys]
        if rows:
            marks = ", ".join("?" * (1 + len(parts)))
            run(f"INSERT INTO temp.{name} VALUES ({marks})", rows)  # noqa: S608 - as above
        source = table(name, column("pos"), *(column(part) for part in parts), schema="temp").alias(f"{slot}_keys")
        return KeyTable(source, source.c.pos, tuple(source.c[part] for part in parts))

    def drop_keys(self, connection: Connection, keys: KeyTable, positions: Iterable[int]) -> None:
        """See ``Backend.drop_keys``."""
        rows = [(pos,) for pos in positions]
        if rows:
            name = keys.source.element.name  # type: ignore[attr-defined]
            connection.exec_driver_sql(f"DELETE FROM temp.{name} WHERE pos = ?", rows)  # noqa: S608 - made by load_keys

    # --- expressions ---

    def unhinted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Backend.unhinted``: a unary plus (https://sqlite.org/optoverview.html#disqualifying_where_clause_terms_using_unary_)."""
        return UnaryExpression(column, operator=operators.custom_op("+"))

    def greatest(self, values: list[ColumnElement[Any]]) -> ColumnElement[Any]:
        """See ``Backend.greatest``."""
        return func.max(*values)

    def day_number(
        self,
        column: ColumnElement[Any],
        kind: Kind,
        *,
        zone: ZoneInfo,
        form: str | None,
        local: ZoneInfo,
        now: datetime,
    ) -> ColumnElement[int]:
        """See ``Backend.day_number``."""
        return self._functions.day_number(column, kind, zone=zone, form=form, local=local, now=now)

    def is_identifier(self, column: ColumnElement[Any], identifier: str) -> ColumnElement[bool]:
        """See ``Backend.is_identifier``."""
        return func.ropa_identifier(as_bytes(column)) == bound(spell_identifier(identifier))

    def masked(self, column: ColumnElement[Any], mask: Mask) -> ColumnElement[Any]:
        """See ``Backend.masked``."""
        element: ColumnElement[Any] = getattr(func, f"ropa_mask_{mask.value.replace('-', '_')}")(as_bytes(column))
        return element

    def is_masked(self, column: ColumnElement[Any], mask: Mask) -> ColumnElement[bool]:
        """See ``Backend.is_masked``."""
        element: ColumnElement[int] = getattr(func, f"ropa_is_{mask.value.replace('-', '_')}")(as_bytes(column))
        return element == 1

    def random_text(self) -> ColumnElement[str]:
        """See ``Backend.random_text``."""
        return func.ropa_mask_random(bound("?"))

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
        self._reads.dispose()
        self._writes.dispose()


def _undo(connection: Connection) -> None:
    """End what is still open; a commit that failed or a trigger that rolled back leaves different states behind."""
    raw: Any = connection.connection.dbapi_connection
    if raw.in_transaction:
        with suppress(DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
