"""MariaDB and MySQL behind the connector's seam: connections, transactions, statements, rights.

Invariants: planning reads in transactions that the server itself keeps from writing, and needs no right but SELECT;
what deletes locks the rows it has read until they are gone, waits for no lock for more than a few seconds, and is
undone where not exactly those rows went. A session's time zone is UTC, its mode is strict, and zero dates can be read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Delete,
    Engine,
    Executable,
    FromClause,
    Select,
    TableClause,
    Update,
    create_engine,
    delete,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import visitors

from connectors.sql.backend import Dates, Dating, KeyTable, Pages, Row, RowVersions, UnevenError
from connectors.sql.catalogue import Catalogue, Table, TableColumn, columns_of
from connectors.sql.conditions import is_one_of
from connectors.sql.faults import STOPPING, fault_code, location_error
from connectors.sql.keys import Values
from connectors.sql.mariadb_catalogue import UNDOABLE_NOT, MariadbColumn, read_catalogue, read_schemas, schema_version
from connectors.sql.mariadb_dates import MariadbDates
from connectors.sql.mariadb_fetch import DECODERS, Fetcher
from connectors.sql.mariadb_health import replica_lag, tell_health
from connectors.sql.mariadb_keys import load_keys
from connectors.sql.mariadb_loosening import cut_loose
from connectors.sql.mariadb_pages import pages_of
from connectors.sql.mariadb_text import as_text
from connectors.sql.mariadb_turns import in_turns, key_of, links_to_itself, names_needed
from connectors.sql.mariadb_versions import HashVersions
from connectors.sql.versions import new_salt
from ropa.connector import Health, LocationSpec
from ropa.errors import LocationError

if TYPE_CHECKING:
    from connectors.sql.conditions import Question

LOCK_SECONDS = 5
STATEMENT_SECONDS = 60
_CONNECT_SECONDS = 10
_GRACE_SECONDS = 10
"""How much longer than the server's own limit we wait for an answer."""
_LONGEST_TEXT = 1 << 30
_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
"""Without NO_ZERO_DATE and NO_ZERO_IN_DATE, which would refuse to change other columns of a row with a zero date."""
_QUERY = frozenset(
    {"unix_socket", "charset", "ssl_ca", "ssl_cert", "ssl_key"}
    | {"ssl_disabled", "ssl_check_hostname", "ssl_verify_cert", "ssl_verify_identity"}
)
_ONE = select(literal_column("1").label("x")).subquery("ropa_one")
_DRIVERS = frozenset({"mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"})


class MariadbBackend:
    """One database of a MariaDB or MySQL server."""

    batch_size = 40_000
    most_surveyed = 0
    """See ``Backend.batch_size``."""
    batches_at_once = 4
    counts_beside = True

    def __init__(self, spec: LocationSpec, url: URL, write_url: URL | None = None) -> None:
        """Open a location. Options: ``schema``, ``lock_timeout``, ``statement_timeout`` (seconds), ``after_purge``.

        Raises LocationError: the driver is missing, the URL is wrong, the server cannot be reached or denies access.
        """
        self._location = spec.name
        self._sources = tuple(dataset.source for dataset in spec.datasets.values())
        self._lock_seconds = float(spec.options.get("lock_timeout", LOCK_SECONDS))
        self._statement_seconds = float(spec.options.get("statement_timeout", STATEMENT_SECONDS))
        self._optimizes = spec.options.get("after_purge") == "vacuum"
        self._driver = _driver(spec.name)
        schema = spec.options.get("schema")
        self._read_arguments = self._arguments(url, schema)
        self._write_arguments = self._read_arguments if write_url is None else self._arguments(write_url, schema)
        self._has_two_users = write_url is not None
        self._reads = self._engine(self._read_arguments, is_reading=True)
        self._writes = self._engine(self._write_arguments, is_reading=False)
        event.listen(self._writes, "before_execute", _over_tables, retval=True)
        self._fetcher = Fetcher()
        self._salt = new_salt()
        self._schemas: tuple[str, ...] | None = None
        self._selves: dict[tuple[str | None, str], Table] = {}
        self._lasting: set[tuple[str | None, str]] = set()
        self._is_replayed = False
        # Whether the server can be reached is told now, not at night.
        try:
            with self.reading() as connection:
                self._own = str(connection.exec_driver_sql("SELECT DATABASE()").scalar_one())
        except DBAPIError as error:
            self.close()
            raise location_error(spec.name, error) from None

    # --- connections ---

    def _arguments(self, url: URL, schema: object) -> dict[str, Any]:
        if url.drivername not in _DRIVERS or not set(url.query) <= _QUERY:
            msg = (
                f"location {self._location}: url must be mysql://user@host/database (and unix_socket or ssl_… at most)"
            )
            raise LocationError(msg, code="url", next_step="Correct `url`.")
        if schema:
            url = url.set(database=str(schema))
        if not url.database:
            msg = f"location {self._location}: url names no database"
            raise LocationError(msg, code="url", next_step="Write it at the end of the url, or give `schema`.")
        from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql

        dialect = MySQLDialect_pymysql(dbapi=self._driver)
        _, arguments = dialect.create_connect_args(url.set(drivername="mysql+pymysql"))
        return {**arguments, "charset": "utf8mb4"}

    def _engine(self, arguments: Mapping[str, Any], *, is_reading: bool) -> Engine:
        return create_engine(
            "mysql+pymysql://",
            creator=lambda: self._connect(arguments, is_reading=is_reading),
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            pool_pre_ping=True,
            pool_recycle=300,
            enable_from_linting=False,  # ``_over_tables`` adds a table of one row, joined with nothing
        )

    def _connect(self, arguments: Mapping[str, Any], *, is_reading: bool, seconds: float | None = None) -> Any:
        from pymysql.converters import encoders

        seconds = self._statement_seconds if seconds is None else seconds
        patience = math.ceil(max(seconds, self._lock_seconds)) + _GRACE_SECONDS
        raw: Any = self._driver.connect(
            **arguments,
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=patience,
            write_timeout=patience,
            conv={**encoders, **DECODERS},
        )
        try:
            self._prepare(raw, seconds, is_reading=is_reading)
        except BaseException:
            raw.close()
            raise
        return raw

    def _prepare(self, raw: Any, seconds: float, *, is_reading: bool) -> None:
        """Set up a session."""
        is_mariadb = "mariadb" in raw.get_server_info().lower()
        settings = [
            f"sql_mode = '{_MODE}'",
            "time_zone = '+00:00'",
            f"group_concat_max_len = {_LONGEST_TEXT}",
            f"innodb_lock_wait_timeout = {max(1, math.ceil(self._lock_seconds))}",
            f"lock_wait_timeout = {max(1, math.ceil(self._lock_seconds))}",
            "foreign_key_checks = 1",
            # MySQL bounds only what reads.
            f"max_statement_time = {seconds}" if is_mariadb else f"max_execution_time = {math.ceil(seconds * 1000)}",
        ]
        with raw.cursor() as cursor:
            cursor.execute("SET SESSION " + ", SESSION ".join(settings))
            if is_reading:
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return
            cursor.execute("SELECT @@log_bin, @@binlog_format")
            has_log, form = cursor.fetchone()
            # Statements in the log say the same on a replica only under the stricter level, and the server insists.
            self._is_replayed = bool(int(has_log)) and str(form).upper() == "STATEMENT"
            level = "REPEATABLE READ" if self._is_replayed else "READ COMMITTED"
            cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}, READ WRITE")

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
        with _between(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"):
            yield

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """See ``Backend.transaction``. InnoDB checks references row by row, never at the end."""
        with _between(connection, "START TRANSACTION"):
            yield

    # --- what there is ---

    def _known_schemas(self, connection: Connection) -> tuple[str, ...]:
        if self._schemas is None:
            self._schemas = read_schemas(connection, self._own, self._sources)
        return self._schemas

    def read_catalogue(self, connection: Connection) -> Catalogue:
        """See ``Backend.read_catalogue``."""
        self._schemas = read_schemas(connection, self._own, self._sources)
        catalogue = read_catalogue(connection, self._schemas, self._sources)
        self._selves = {
            (table.schema, table.own_name or table.name): table
            for table in catalogue.tables.values()
            if links_to_itself(table)
        }
        self._lasting = {(t.schema, t.own_name or t.name) for t in catalogue.tables.values() if t.kind == UNDOABLE_NOT}
        return catalogue

    def schema_version(self, connection: Connection) -> Hashable:
        """See ``Backend.schema_version``."""
        return schema_version(connection, self._known_schemas(connection))

    def health(self) -> Health:
        """See ``Backend.health``."""
        try:
            with self.reading() as connection:
                writer = self._writes if self._has_two_users else None
                return tell_health(connection, self._own, self._sources, writer)
        except DBAPIError as error:
            code = fault_code(error)
            return Health(code not in STOPPING or code == "denied", may_read=False, may_delete=False, notes=(code,))

    def replica_lag_seconds(self, connection: Connection) -> float | None:
        """Return how far this server lies behind the one it copies; None where it copies none or may not be asked;
        infinity where copying has stopped."""
        return replica_lag(connection)

    # --- statements ---

    def load_keys(
        self,
        connection: Connection,  # noqa: ARG002 - nothing is put on the server before the statement
        slot: str,
        columns: Sequence[TableColumn],
        keys: Sequence[tuple[int, Values]],
    ) -> KeyTable:
        """See ``Backend.load_keys``."""
        return load_keys(slot, columns, keys)

    def fetch(self, connection: Connection, statement: Executable) -> list[Row]:
        """See ``Backend.fetch``."""
        return self._fetcher.fetch(connection, statement)

    def remove(
        self, connection: Connection, own: TableClause, conditions: Sequence[Any], columns: Sequence[ColumnElement[Any]]
    ) -> list[Row]:
        """See ``Backend.remove``: the rows are read and locked, then deleted by the same conditions. A row that comes
        to meet them in between is one too many."""
        if (own.schema, own.name) in self._lasting:
            raise UnevenError  # its engine would keep what we undo
        rows = self.fetch(connection, select(*columns).where(*conditions).with_for_update())
        gone = self._delete_in_turns(connection, own, conditions)
        if gone is None:
            gone = connection.execute(delete(own).where(*conditions)).rowcount
        if gone != len(rows):
            raise UnevenError
        return rows

    def _delete_in_turns(self, connection: Connection, own: TableClause, conditions: Sequence[Any]) -> int | None:
        """Delete rows that refer to each other, those first to which none refers: a row that goes before one that
        refers to it is refused, or takes that one with it. None, and nothing done, where there are none."""
        table = self._selves.get((own.schema, own.name))
        if table is None or not key_of(table):
            return None
        names = names_needed(table)
        rows = self.fetch(connection, select(*(own.c[name] for name in names)).where(*conditions))
        turns, tied = in_turns(table, rows)
        if len(turns) < 2 and not tied:
            return None
        key, gone = columns_of(own, key_of(table)), 0
        key_columns = [column for name in key_of(table) if (column := table.column(name)) is not None]

        def are(name: str, rows: Sequence[Row]) -> ColumnElement[bool]:
            keys = [(pos, row[: len(key)]) for pos, row in enumerate(rows)]
            return is_one_of(key, self.load_keys(connection, name, key_columns, keys))

        if tied:
            links = {name for columns, _ in links_to_itself(table) for name in columns}
            self.cut_loose(connection, table, own, are("tied", tied), links)
        for turn in turns:
            gone += connection.execute(delete(own).where(*conditions, are("turn", turn))).rowcount
        return gone

    def cut_loose(
        self, connection: Connection, table: Table, own: TableClause, where: ColumnElement[bool], names: Collection[str]
    ) -> None:
        """See ``Backend.cut_loose``: InnoDB checks references row by row."""
        cut_loose(connection, table, own, where, names)

    def pages(self, question: Question, planned: Sequence[str] = ()) -> Pages | None:
        """See ``Backend.pages``; not of tables that need the care of ``remove``."""
        table = question.declared.table
        name = table.schema, table.own_name or table.name
        if name in self._lasting or name in self._selves:
            return None
        # A replica that carries out our statements does not follow what one counts as it goes.
        return pages_of(question, HashVersions(table, self._salt), planned, may_chain=not self._is_replayed)

    def unhinted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Backend.unhinted``: the value of a function is in no index."""
        return func.coalesce(column)

    def dates(self, column: TableColumn, dating: Dating) -> Dates:
        """See ``Backend.dates``."""
        return MariadbDates.of(column, dating)

    def ordered(self, column: TableColumn, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Backend.ordered``: ENUM and SET are put in the order of their declaration and compared as text."""
        if not isinstance(column, MariadbColumn) or column.data_type not in {"enum", "set"}:
            return value
        return as_text(value)

    def undated_ranges(
        self, connection: Connection, own: FromClause, column: ColumnElement[Any], dates: Dates
    ) -> list[list[ColumnElement[bool]]] | None:
        """See ``Backend.undated_ranges``."""
        found = dates.undated_ranges(connection, own, column) if isinstance(dates, MariadbDates) else None
        return None if found is None else [found]

    def versions(self, table: Table) -> RowVersions:
        """See ``Backend.versions``."""
        return HashVersions(table, self._salt)

    # --- what stays behind ---

    def settle(self) -> str:
        """See ``Backend.settle``: InnoDB purges deleted rows by itself, but overwrites nothing; its undo and redo logs
        and a binary log with row events hold them for a while."""
        return "logical"

    def finish(self, table: Table) -> str:
        """See ``Backend.finish``: with ``after_purge = "vacuum"`` the table is written anew (OPTIMIZE TABLE), where
        that is allowed. The old file is removed, not overwritten, so it stays ``logical``."""
        if self._optimizes and table.kind == "table":
            name = ".".join(_quote(part) for part in (table.schema, table.own_name or table.name) if part)
            # It takes as long as it takes; nobody waits for it but this session.
            engine = create_engine(
                "mysql+pymysql://",
                creator=lambda: self._connect(self._write_arguments, is_reading=False, seconds=0),
                isolation_level="AUTOCOMMIT",
                hide_parameters=True,
                poolclass=NullPool,
            )
            with suppress(DBAPIError), engine.connect() as connection:
                connection.exec_driver_sql(f"OPTIMIZE TABLE {name}").all()
        return self.settle()

    def close(self) -> None:
        """See ``Backend.close``."""
        self._reads.dispose()
        self._writes.dispose()


def _driver(location: str) -> Any:
    try:
        import pymysql
    except ImportError:
        msg = f"location {location}: the driver pymysql is not installed"
        raise LocationError(msg, code="driver", next_step="Install it: pip install 'ropa[mysql]'.") from None
    return pymysql


@contextmanager
def _between(connection: Connection, begin: str) -> Iterator[None]:
    connection.exec_driver_sql(begin)
    try:
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        # What the server undid by itself (a deadlock), or cannot any more (the connection is gone), is undone.
        with suppress(DBAPIError):
            connection.exec_driver_sql("ROLLBACK")
        raise


def _over_tables(
    connection: Connection,  # noqa: ARG001 - the event's arguments
    statement: Any,
    multiparams: Any,
    params: Any,
    execution_options: Any,  # noqa: ARG001
) -> tuple[Any, Any, Any]:
    """Make an UPDATE or DELETE with a subquery one over several tables.

    Before version 11.1 MariaDB goes over the whole table for ``WHERE key IN (SELECT …)`` of a plain one (MDEV-7487);
    of one over several tables it looks the keys up.
    """
    if isinstance(statement, Update | Delete):
        criteria = statement._where_criteria  # noqa: SLF001 - there is no public way to ask for the conditions
        if any(isinstance(part, Select) for each in criteria for part in visitors.iterate(each)):
            statement = statement.where(_ONE.c.x == literal_column("1"))
    return statement, multiparams, params


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
