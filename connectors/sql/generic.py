"""Any database that SQLAlchemy has a dialect for, behind the connector's seam: SQL Server, Oracle and others.

Design. Nothing is asked but what all of them understand: joins with a derived table of keys, conditions on columns,
``SELECT … FOR UPDATE`` (SQL Server: lock hints), a DELETE by the same conditions. Invariants: connections that read
never commit; exactly the rows that were locked and read go, which is checked twice, by the count the driver gives and
by looking whether any is left, because triggers cannot be seen here; the catalogue is read anew in every transaction
that writes. Correct before fast: engines with a file of their own (PostgreSQL, MariaDB, SQLite) do not come here.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    FromClause,
    TableClause,
    create_engine,
    delete,
    event,
    func,
    literal_column,
    select,
)
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError

from connectors.sql.backend import Dating, KeyTable, Row, UnevenError
from connectors.sql.catalogue import Catalogue, Kind, Table, TableColumn
from connectors.sql.faults import STOPPING, fault_code, location_error
from connectors.sql.generic_catalogue import Carried, read_catalogue
from connectors.sql.generic_dates import GenericDates
from connectors.sql.generic_keys import key_sources, placeholder
from connectors.sql.generic_statements import leading, lock_first, portable, with_other_keys
from connectors.sql.generic_values import PLAIN, guid, normalised
from connectors.sql.keys import Values
from connectors.sql.versions import ContentVersions, new_salt
from ropa.clock import monotonic
from ropa.connector import Health, LocationSpec
from ropa.errors import LocationError

LOCK_SECONDS = 5.0
CATALOGUE_SECONDS = 10.0
"""How long the catalogue is taken as read, outside transactions that write."""
_INSTALL = {
    "mssql": "pip install mssql-python",
    "oracle": "pip install oracledb",
}
_USER = {"oracle": "USER"}
_CLOCK = {"mssql": "SYSDATETIMEOFFSET()"}


class GenericBackend:
    """One schema of one database."""

    batch_size = 300
    most_surveyed = 0
    """See ``Backend.batch_size``: text keys of three columns still fit into SQL Server's 2,100 parameters."""
    batches_at_once = 1
    counts_beside = False

    def __init__(self, spec: LocationSpec, url: URL, write_url: URL | None = None) -> None:
        """Connect. ``url``: to plan with; ``write_url``: to apply with, None: the same. Options: ``schema``;
        ``lock_timeout`` (seconds; SQL Server only).

        Raises LocationError: no dialect (``unsupported``) or driver (``driver``) is installed, the server cannot be
        reached or denies access, an option cannot be meant here.
        """
        self._location = spec.name
        self._sources = tuple(dataset.source for dataset in spec.datasets.values())
        self._schema = None if spec.options.get("schema") is None else str(spec.options["schema"])
        self._lock_seconds = float(spec.options.get("lock_timeout") or LOCK_SECONDS)
        if spec.options.get("after_purge") is not None:
            msg = f"location {spec.name}: after_purge cannot be done on this engine"
            raise LocationError(msg, code="option", next_step="Leave `after_purge` out of this location.")
        self._salt = new_salt()
        self._known: tuple[float, Catalogue] | None = None
        self._changing = set[int]()
        """Connections in a transaction that writes."""
        self._parted: WeakKeyDictionary[FromClause, list[Any]] = WeakKeyDictionary()
        """Stand-ins for tables of keys that are too long for one statement."""
        self._reads = self._engine(url)
        self._writes = self._reads if write_url is None else self._engine(write_url)
        self._url = url
        try:
            with self.reading() as connection:
                self._dialect = connection.dialect.name
                connection.execute(select(literal_column("1").label("one")))
        except SQLAlchemyError as error:
            self.close()
            raise self._unreachable(error) from None

    def _engine(self, url: URL) -> Engine:
        if url.drivername == "mssql":
            url = url.set(drivername="mssql+mssqlpython")
        engine_name = url.drivername.partition("+")[0]
        try:
            # Statements carry their keys, so that none comes twice: remembering them would only take memory.
            engine = create_engine(url, hide_parameters=True, query_cache_size=0, pool_pre_ping=True)
        except NoSuchModuleError:
            msg = f"location {self._location}: SQLAlchemy knows no database {url.drivername!r}"
            step = "Correct `url`, or install the SQLAlchemy dialect of that database."
            raise LocationError(msg, code="unsupported", next_step=step) from None
        except ImportError:
            msg = f"location {self._location}: the driver of {url.drivername!r} is not installed"
            step = f"Run {_INSTALL.get(engine_name, 'pip install with the driver that its SQLAlchemy dialect names')}."
            raise LocationError(msg, code="driver", next_step=step) from None
        except SQLAlchemyError:
            msg = f"location {self._location}: url is none that {url.drivername!r} understands"
            raise LocationError(msg, code="url", next_step="Correct `url`.") from None
        event.listen(engine, "before_execute", self._rewrite, retval=True)
        if engine.dialect.name == "mssql":
            event.listen(engine, "connect", self._bound_waiting)
        return engine

    def _bound_waiting(self, raw: Any, _record: object) -> None:
        cursor = raw.cursor()
        try:
            cursor.execute(f"SET LOCK_TIMEOUT {max(1, round(self._lock_seconds * 1000))}")
        finally:
            cursor.close()

    def _rewrite(
        self, connection: Connection, statement: Any, several: Any, parameters: Any, _options: object
    ) -> tuple[Any, Any, Any]:
        def refuse(source: FromClause) -> None:
            if source in self._parted:
                raise self._too_many(connection)

        return portable(statement, connection.dialect.name, refuse), several, parameters

    def _too_many(self, connection: Connection) -> Exception:
        if id(connection) in self._changing:
            return UnevenError()  # the batch is halved until its keys fit
        msg = f"location {self._location}: a statement would need more keys than it can carry"
        return LocationError(msg, code="too-many-keys", next_step="Give this location a smaller `batch_size`.")

    def _unreachable(self, error: SQLAlchemyError) -> LocationError:
        found = location_error(self._location, error)
        if found.code != "failed":
            return found
        msg = f"location {self._location}: the database cannot be opened"
        return LocationError(msg, code="unreachable", next_step=found.next_step)

    # --- connections and transactions ---

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See ``Backend.reading``. That it cannot write is for the credentials to see to; nothing is ever committed."""
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
        """See ``Backend.snapshot``: as much of one state as the database's own isolation gives."""
        connection.rollback()
        try:
            yield
        finally:
            connection.rollback()

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """See ``Backend.transaction``. Isolation is the database's default; references are checked when it does so."""
        connection.rollback()
        if connection.default_isolation_level == "AUTOCOMMIT":
            msg = f"location {self._location}: the database has no transactions, so that nothing could be undone"
            raise LocationError(msg, code="unsupported", next_step="Use this location for planning only.")
        self._changing.add(id(connection))
        try:
            with connection.begin():
                yield
        finally:
            self._changing.remove(id(connection))

    # --- what there is ---

    def read_catalogue(self, connection: Connection) -> Catalogue:
        """See ``Backend.read_catalogue``: the one that ``schema_version`` has just told the version of."""
        return self._read(connection) if self._known is None else self._known[1]

    def schema_version(self, connection: Connection) -> Hashable:
        """See ``Backend.schema_version``: the catalogue itself. Read anew each time in a transaction that writes;
        otherwise remembered for some seconds."""
        known = self._known if id(connection) not in self._changing else None
        if known is not None and monotonic() - known[0] < CATALOGUE_SECONDS:
            return known[1].version
        return self._read(connection).version

    def _read(self, connection: Connection) -> Catalogue:
        catalogue = read_catalogue(connection, self._schema, self._sources)
        self._known = (monotonic(), catalogue)
        return catalogue

    def replica_lag_seconds(self, connection: Connection) -> float | None:  # noqa: ARG002 - there is no common way to ask
        """See ``Backend.replica_lag_seconds``."""
        return None

    def health(self) -> Health:
        """See ``Backend.health``. Whether rows may be deleted cannot be told without deleting some."""
        notes = [
            "this engine is reached by portable SQL and not tested; try it on a copy first",
            "triggers are not seen on this engine: one that deletes or keeps rows does so unrecorded",
        ]
        try:
            with self.reading() as connection:
                dialect = connection.dialect
                version = ".".join(str(part) for part in dialect.server_version_info or ())
                user = self._asked(connection, _USER.get(dialect.name, "CURRENT_USER")) or self._url.username
                identity = ", ".join(part for part in (str(user or ""), f"{dialect.name} {version}".strip()) if part)
                told = self._asked(connection, _CLOCK.get(dialect.name, "CURRENT_TIMESTAMP"))
                is_known = isinstance(told, datetime) and told.tzinfo is not None
                now = told.astimezone(UTC).replace(microsecond=0) if is_known else None
                if now is None:
                    notes.append("the database's clock cannot be compared: it comes without a zone")
                tables = self._read(connection).tables
                unreadable = [
                    name for name in self._sources if name in tables and not _is_readable(connection, tables[name])
                ]
        except SQLAlchemyError as error:
            code = fault_code(error)
            return Health(code not in STOPPING or code == "denied", may_read=False, may_delete=None, notes=(code,))
        notes += [f"table {name!r} cannot be read" for name in unreadable]
        return Health(True, identity, may_read=not unreadable, may_delete=None, now=now, notes=tuple(notes))

    @staticmethod
    def _asked(connection: Connection, expression: str) -> Any:
        """Return what an expression gives; None where the database does not understand it."""
        try:
            return connection.execute(select(literal_column(expression).label("told"))).scalar()
        except DBAPIError:
            connection.rollback()
            return None

    # --- statements ---

    def load_keys(
        self,
        connection: Connection,  # noqa: ARG002 - the keys travel in the statement itself
        slot: str,
        columns: Sequence[TableColumn],
        keys: Sequence[tuple[int, Values]],
    ) -> KeyTable:
        """See ``Backend.load_keys``: a derived table in the statement, or several that ``fetch`` puts there in turn."""
        sources = key_sources(slot, columns, keys)
        source = sources[0]
        if len(sources) > 1:
            source = placeholder(slot, columns)
            self._parted[source] = sources
        return KeyTable(source, source.c.pos, tuple(source.c[f"k{n}"] for n in range(len(columns))))

    def fetch(self, connection: Connection, statement: Executable) -> list[Row]:
        """See ``Backend.fetch``. Values as ``normalised`` makes them."""
        first = leading(statement)
        parted = None if first is None else self._parted.get(first)
        if first is None or parted is None or getattr(statement, "_limit_clause", None) is not None:
            return self._fetch(connection, statement)
        return [
            row
            for source in parted
            for row in self._fetch(connection, with_other_keys(statement, first, source))  # type: ignore[arg-type]
        ]

    def _fetch(self, connection: Connection, statement: Executable) -> list[Row]:
        if (apart := lock_first(statement, connection.dialect.name)) is not None:
            connection.execute(apart[0]).all()
            statement = apart[1]
        kinds = [c.type.kind if isinstance(c.type, Carried) else None for c in statement.selected_columns]  # type: ignore[attr-defined]
        guids = [place for place, kind in enumerate(kinds) if kind is Kind.UUID]
        rows = []
        for found in connection.execute(statement):
            row = tuple(found)
            if not PLAIN.issuperset(map(type, row)):
                row = tuple([value if type(value) in PLAIN else normalised(value) for value in row])
            if guids:
                row = tuple([guid(value) if place in guids else value for place, value in enumerate(row)])
            rows.append(row)
        return rows

    def cut_loose(
        self, connection: Connection, table: Table, own: TableClause, where: ColumnElement[bool], names: Collection[str]
    ) -> None:
        """See ``Backend.cut_loose``: nothing, because how to undo a single statement is not known of every database."""

    def remove(
        self, connection: Connection, own: TableClause, conditions: Sequence[Any], columns: Sequence[ColumnElement[Any]]
    ) -> list[Row]:
        """See ``Backend.remove``: the rows are read and locked, then deleted by the same conditions, and none may be
        left. A driver that cannot count what it deleted removes nothing."""
        rows = self.fetch(connection, select(*columns).select_from(own).where(*conditions).with_for_update(of=own))
        if not rows:
            return rows
        if connection.execute(delete(own).where(*conditions)).rowcount != len(rows):
            raise UnevenError
        left = select(func.count().label("rest")).select_from(own).where(*conditions)
        if connection.execute(left).scalar_one() != 0:
            raise UnevenError
        return rows

    def pages(self, question: object, planned: Sequence[str] = ()) -> None:
        """See ``Backend.pages``: not portably."""

    def unhinted(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Backend.unhinted``: cannot be told portably."""
        return column

    def dates(self, column: TableColumn, dating: Dating) -> GenericDates:
        """See ``Backend.dates``."""
        return GenericDates.of(column, dating, self._location)

    def ordered(self, column: TableColumn, value: ColumnElement[Any]) -> ColumnElement[Any]:  # noqa: ARG002
        """See ``Backend.ordered``."""
        return value

    def undated_ranges(self, *_: object) -> None:
        """See ``Backend.undated_ranges``: the condition itself is a few ranges."""

    def versions(self, table: Table) -> ContentVersions:
        """See ``Backend.versions``: of the content of all columns."""
        return ContentVersions(table, self._salt)

    # --- what stays behind ---

    def settle(self) -> str:
        """See ``Backend.settle``: what an unknown engine keeps of erased rows is not known."""
        return "logical"

    def finish(self, table: Table) -> str:  # noqa: ARG002 - the same of every table
        """See ``Backend.finish``: as ``settle``."""
        return "logical"

    def close(self) -> None:
        """See ``Backend.close``."""
        for name in ("_reads", "_writes"):
            if (engine := getattr(self, name, None)) is not None:
                engine.dispose()


def _is_readable(connection: Connection, table: Table) -> bool:
    try:
        connection.execute(select(literal_column("1").label("one")).select_from(table.plain()).limit(1)).all()
    except DBAPIError:
        connection.rollback()
        return False
    return True
