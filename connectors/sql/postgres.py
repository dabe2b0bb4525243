"""PostgreSQL behind the connector's seam: connections, transactions, keys, versions, and what stays behind.

Invariants: planning needs no right but SELECT (and USAGE of the schema), and its connections cannot write; nothing
waits for a lock or runs longer than the options say; a row counts as changed when its ``xmin`` differs, the transaction
that wrote it, which no VACUUM, CLUSTER or move of the row changes. Each deletion is one statement that locks, checks
and returns what it removed, as it was. What was erased is never called ``physical``: dead rows stay in the files of the
table until VACUUM, and in the write-ahead log after that.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, Executable, TableClause, delete
from sqlalchemy.exc import SQLAlchemyError

from connectors.sql.backend import Dates, Dating, KeyTable, Pages, Row
from connectors.sql.catalogue import Catalogue, Table, TableColumn
from connectors.sql.faults import STOPPING, fault_code, location_error
from connectors.sql.keys import Values
from connectors.sql.postgres_catalogue import read_catalogue, schema_version
from connectors.sql.postgres_dates import dates_of
from connectors.sql.postgres_health import has_delete_of, identity_of, lag_of, notes_of, rights_of
from connectors.sql.postgres_keys import key_table
from connectors.sql.postgres_loosening import cut_loose
from connectors.sql.postgres_pages import pages_of
from connectors.sql.postgres_session import (
    LOCK_SECONDS,
    OLDEST,
    STATEMENT_SECONDS,
    Fetcher,
    open_engine,
    seconds,
    settings_of,
)
from connectors.sql.postgres_versions import TupleVersions
from ropa.connector import Health, LocationSpec
from ropa.errors import LocationError

if TYPE_CHECKING:
    from connectors.sql.conditions import Question

_AFTER_PURGE = {"vacuum": "VACUUM", "vacuum full": "VACUUM (FULL)"}


class PostgresBackend:
    """One schema of one database."""

    batch_size = 20_000
    most_surveyed = 0
    """See ``Backend.batch_size``."""
    batches_at_once = 4
    counts_beside = True

    def __init__(self, spec: LocationSpec, url: URL, write_url: URL | None = None) -> None:
        """Connect. ``url``: to plan with; ``write_url``: to apply with, None: the same.

        Raises LocationError: the driver is not installed, the server cannot be reached or denies access, the schema
        does not exist, an option cannot be meant.
        """
        self._location = spec.name
        self._sources = [dataset.source for dataset in spec.datasets.values()]
        options: Mapping[str, Any] = spec.options
        self._after_purge = _after_purge(spec.name, options.get("after_purge"))
        statement = seconds(spec.name, options, "statement_timeout", STATEMENT_SECONDS)
        lock = seconds(spec.name, options, "lock_timeout", LOCK_SECONDS)
        wanted = None if options.get("schema") is None else str(options["schema"])
        self._fetcher = Fetcher()

        def engine(to: URL, *, is_reading: bool) -> Engine:
            settings = settings_of(statement_seconds=statement, lock_seconds=lock, is_reading=is_reading)
            return open_engine(spec.name, to, settings, wanted, self._fetcher)

        self._reads = engine(url, is_reading=True)
        self._writes = engine(write_url or url, is_reading=False)
        self._has_two_credentials = write_url is not None
        try:
            with self.reading() as connection:
                self._version = _version_of(connection, spec.name)
                self._schema = _schema_of(connection, spec.name, wanted)
        except (SQLAlchemyError, LocationError) as error:
            self.close()
            raise (error if isinstance(error, LocationError) else location_error(spec.name, error)) from None

    # --- connections and transactions ---

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See ``Backend.reading``."""
        with self._reads.connect() as connection:
            yield connection

    looking = reading

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """See ``Backend.writing``."""
        with self._writes.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self, connection: Connection) -> Iterator[None]:
        """See ``Backend.snapshot``."""
        connection.exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            _undo(connection)

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """See ``Backend.transaction``. READ COMMITTED: a statement waits for a row that another session changes, and
        then judges it as it has become; deferrable references are checked at the end."""
        try:
            connection.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET CONSTRAINTS ALL DEFERRED")
            yield
            # A COMMIT after a statement that failed would be a ROLLBACK, and say so only in its answer.
            if _has_failed(connection):
                connection.exec_driver_sql("SELECT 1")
            connection.exec_driver_sql("COMMIT")
        finally:
            _undo(connection)

    # --- what there is ---

    def read_catalogue(self, connection: Connection) -> Catalogue:
        """See ``Backend.read_catalogue``."""
        if _is_in_transaction(connection):
            return read_catalogue(connection, self._schema, self._sources)
        with self.snapshot(connection):
            return read_catalogue(connection, self._schema, self._sources)

    def schema_version(self, connection: Connection) -> Hashable:
        """See ``Backend.schema_version``."""
        return schema_version(connection)

    def health(self) -> Health:
        """See ``Backend.health``."""
        try:
            with self.reading() as connection:
                identity, now = identity_of(connection, self._schema)
                may_read, may_plan_delete = rights_of(connection, self._schema, self._sources)
                notes = notes_of(connection, self._schema, self._sources)
                has_delete = has_delete_of(connection, self._schema, self._sources)
        except SQLAlchemyError as error:
            code = fault_code(error)
            return Health(code not in STOPPING or code == "denied", may_read=False, may_delete=False, notes=(code,))
        may_delete: bool | None = may_plan_delete
        if self._has_two_credentials:
            if may_plan_delete:
                notes.append("the credentials that plan could also delete; SELECT is enough for them")
            may_delete, more = self._health_of_writing()
            notes += more
        return Health(
            is_reachable=True,
            identity=identity,
            may_read=may_read,
            may_delete=may_delete,
            now=now,
            notes=tuple(dict.fromkeys(notes)),
            planning_may_delete=has_delete,
        )

    def _health_of_writing(self) -> tuple[bool, list[str]]:
        try:
            with self.writing() as connection:
                identity, _ = identity_of(connection, self._schema)
                notes = notes_of(connection, self._schema, self._sources, after_purge=self._after_purge is not None)
                return rights_of(connection, self._schema, self._sources)[1], [f"deletes as {identity}", *notes]
        except SQLAlchemyError as error:
            return False, [f"the credentials that delete: {fault_code(error)}"]

    def replica_lag_seconds(self, connection: Connection) -> float | None:
        """Return how far the slowest standby is behind, in seconds; on a standby, how far that is behind its primary.

        None where there is no standby, or where this role may not see it (``pg_monitor``).
        """
        return lag_of(connection)

    # --- statements ---

    def load_keys(
        self,
        connection: Connection,  # noqa: ARG002 - the keys travel in the statement itself
        slot: str,
        columns: Sequence[TableColumn],
        keys: Sequence[tuple[int, Values]],
    ) -> KeyTable:
        """See ``Backend.load_keys``: arrays in the statement, so that no right to write is needed."""
        return key_table(slot, columns, keys)

    def fetch(self, connection: Connection, statement: Executable) -> list[Row]:
        """See ``Backend.fetch``."""
        return self._fetcher.rows(connection, statement)

    def remove(
        self, connection: Connection, own: TableClause, conditions: Sequence[Any], columns: Sequence[ColumnElement[Any]]
    ) -> list[Row]:
        """See ``Backend.remove``: RETURNING gives each row as it was when it was deleted."""
        return self._fetcher.rows(connection, delete(own).where(*conditions).returning(*columns))

    def cut_loose(
        self, connection: Connection, table: Table, own: TableClause, where: ColumnElement[bool], names: Collection[str]
    ) -> None:
        """See ``Backend.cut_loose``: references that are not deferrable are checked at the end of a statement."""
        cut_loose(connection, table, own, where, names)

    def pages(self, question: Question, planned: Sequence[str] = ()) -> Pages | None:  # noqa: ARG002 - the seam's
        """See ``Backend.pages``."""
        return pages_of(question, self._fetcher, self._version)

    def unhinted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Backend.unhinted``: the planner knows how many rows there are to be had, and is left alone."""
        return column

    def dates(self, column: TableColumn, dating: Dating) -> Dates:
        """See ``Backend.dates``."""
        return dates_of(column, dating)

    def ordered(self, column: TableColumn, value: ColumnElement[Any]) -> ColumnElement[Any]:  # noqa: ARG002
        """See ``Backend.ordered``."""
        return value

    def undated_ranges(self, *_: object) -> None:
        """See ``Backend.undated_ranges``: the condition itself is a few ranges."""

    def versions(self, table: Table) -> TupleVersions:
        """See ``Backend.versions``."""
        return TupleVersions(table)

    # --- what stays behind ---

    def settle(self) -> str:
        """See ``Backend.settle``: nothing is cheap enough to be done after every batch."""
        return "logical"

    def finish(self, table: Table) -> str:
        """See ``Backend.finish``: with ``after_purge`` the table is vacuumed, where this role may. The level stays
        ``logical``: VACUUM leaves the bytes in their pages until these are used again, and VACUUM FULL, which writes
        the table anew, leaves them in the write-ahead log and in the blocks of the file that was given up."""
        if self._after_purge is not None and table.kind in {"table", "materialized view"}:
            with self.writing() as connection:
                name = connection.dialect.identifier_preparer.format_table(table.plain())
                connection.exec_driver_sql("SET statement_timeout = 0")
                try:
                    connection.exec_driver_sql(f"{self._after_purge} {name}")
                finally:
                    # Not to be lent again with that.
                    connection.invalidate()
        return "logical"

    def close(self) -> None:
        """See ``Backend.close``."""
        for name in ("_reads", "_writes"):
            if (engine := getattr(self, name, None)) is not None:
                engine.dispose()


def _after_purge(location: str, value: object) -> str | None:
    if value is None:
        return None
    if value not in _AFTER_PURGE:
        raise LocationError(
            f'location {location}: after_purge is neither "vacuum" nor "vacuum full"',
            code="option",
            next_step='Write after_purge = "vacuum", or leave it out.',
        )
    return _AFTER_PURGE[str(value)]


def _version_of(connection: Connection, location: str) -> int:
    """Return the version of the server. Raises LocationError where it cannot be used."""
    found = connection.exec_driver_sql("SELECT pg_catalog.current_setting('server_version_num')::int").scalar_one()
    version = int(found)
    if version < OLDEST:
        raise LocationError(
            f"location {location}: this version of PostgreSQL is too old",
            code="unsupported",
            next_step="Use PostgreSQL 13 or newer.",
        )
    if connection.exec_driver_sql("SELECT pg_catalog.getdatabaseencoding()").scalar_one() == "SQL_ASCII":
        raise LocationError(
            f"location {location}: the database has no encoding (SQL_ASCII), so its text cannot be read for certain",
            code="unsupported",
            next_step="Move the data to a database in UTF8.",
        )
    return version


def _schema_of(connection: Connection, location: str, wanted: str | None) -> str:
    """Return the schema of the location. Raises LocationError where there is none."""
    if wanted is None:
        found = connection.exec_driver_sql("SELECT pg_catalog.current_schema()").scalar()
    else:
        statement = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = %s"
        found = connection.exec_driver_sql(statement, (wanted,)).scalar()
    if found is None:
        raise LocationError(
            f"location {location}: there is no schema {wanted!r}" if wanted else f"location {location}: no schema",
            code="missing",
            next_step='Write the name of the schema that holds the tables: schema = "public".',
        )
    return str(found)


def _is_in_transaction(connection: Connection) -> bool:
    from psycopg.pq import TransactionStatus

    raw: Any = connection.connection.dbapi_connection
    return bool(raw.info.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.INERROR})


def _has_failed(connection: Connection) -> bool:
    from psycopg.pq import TransactionStatus

    raw: Any = connection.connection.dbapi_connection
    return bool(raw.info.transaction_status == TransactionStatus.INERROR)


def _undo(connection: Connection) -> None:
    """End what is still open; nothing where the connection itself is gone, and with it the transaction."""
    with suppress(SQLAlchemyError):
        if not connection.invalidated and _is_in_transaction(connection):
            connection.exec_driver_sql("ROLLBACK")
