"""One open location of the ``sql`` connector: the contract of ``ropa.connector.Connector``, handed on to its parts.

Invariant: everything but ``act`` and ``settle`` goes over connections that cannot write; a schema that changes while
the location is open is read anew before the next call.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from connectors.sql import CAPABILITIES
from connectors.sql.acting import Actor, refuse, why_refused
from connectors.sql.backend import Backend
from connectors.sql.catalogue import Table, columns_of
from connectors.sql.conditions import joined
from connectors.sql.faults import translated
from connectors.sql.finding import Finder, load
from connectors.sql.keys import spell_key
from connectors.sql.layout import Declared, Layout, lay_out
from connectors.sql.masking import is_pending
from connectors.sql.problems import find_problems
from connectors.sql.relations import fetch
from connectors.sql.sqlite import SqliteBackend
from connectors.sql.versions import Versioner
from ropa.connector import (
    Action,
    Batch,
    CatalogueReference,
    Column,
    DatasetInfo,
    Health,
    Key,
    LocationSpec,
    Outcome,
    Record,
    Scalar,
    Selection,
    normalise_identifier,
)
from ropa.errors import LocationError


class SqlLocation:
    """A database, as ``ropa.connector.Connector``."""

    def __init__(self, spec: LocationSpec) -> None:
        self.capabilities = CAPABILITIES
        self._spec = spec
        self._backend: Backend = open_backend(spec)
        self._versioner = Versioner()
        self._lock = threading.Lock()
        self._known: Layout | None = None

    def check(self) -> Health:
        """See ``Connector.check``. Notes: triggers on deletion, and references that slow it down."""
        health = self._backend.health()
        if not health.may_read:
            return health
        with translated(self._spec.name), self._backend.reading() as connection:
            layout = self._layout(connection)
        notes = [
            f"table {declared.table.name!r}: trigger {trigger!r} runs for every row that is deleted"
            for declared in layout.datasets.values()
            for trigger in declared.table.delete_triggers
        ]
        targets = {declared.table.name for declared in layout.datasets.values()}
        notes += [
            f"table {table.name!r}: no index on {', '.join(key.columns)}, which slows down {key.to_table!r} a lot"
            for table in layout.catalogue.tables.values()
            for key in table.foreign_keys
            if key.to_table in targets and not key.has_index
        ]
        return Health(
            is_reachable=health.is_reachable,
            identity=health.identity,
            may_read=health.may_read,
            may_delete=health.may_delete,
            now=health.now,
            notes=(*health.notes, *notes),
        )

    def datasets(self) -> Iterable[DatasetInfo]:
        """See ``Connector.datasets``: every table and view."""
        with translated(self._spec.name), self._backend.reading() as connection:
            layout = self._layout(connection)
        return [_describe(table, layout) for table in layout.catalogue.tables.values()]

    def count(self, dataset: str) -> int:
        """See ``Connector.count``."""
        with translated(self._spec.name), self._backend.reading() as connection:
            declared = self._layout(connection).declared(dataset)
            return int(connection.execute(select(func.count()).select_from(declared.table.plain())).scalar_one())

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """See ``Connector.problems``."""
        with translated(self._spec.name), self._backend.reading() as connection:
            return find_problems(dataset, self._spec, self._layout(connection), selection)

    def find(self, selection: Selection) -> Iterator[Batch]:
        """See ``Connector.find``. No lock is held while the caller has a batch in hand."""
        size = self._spec.batch_size or self.capabilities.default_batch_size
        with translated(self._spec.name), self._backend.reading() as connection:
            layout = self._layout(connection)
            self._usable(layout, selection.dataset)
            finder = Finder(selection, layout, self._backend, size=size, versioner=self._versioner)
            yield from finder.batches(connection)

    def act(self, selection: Selection, batch: Batch, action: Action) -> list[Outcome]:
        """See ``Connector.act``."""
        if (code := why_refused(selection, batch, action)) is not None:
            return refuse(batch, code)
        with translated(self._spec.name), self._backend.writing() as connection:
            layout = self._layout(connection)
            for name in (batch.dataset, *(part.dataset for part in batch.companions)):
                self._usable(layout, name)
            return Actor(selection, batch, action, layout, self._backend).outcomes(connection)

    def settle(self, dataset: str) -> str:  # noqa: ARG002 - the whole file is settled at once
        """See ``Connector.settle``."""
        with translated(self._spec.name):
            return self._backend.settle()

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:
        """See ``Connector.remaining``: over a connection opened for this."""
        keys = [record.key for record in batch.records]
        with translated(self._spec.name), self._backend.reading() as connection:
            declared = self._layout(connection).declared(batch.dataset)
            with self._backend.snapshot(connection):
                table = load(connection, "remaining", declared, keys, self._backend)
                own = declared.table.plain()
                statement = (
                    select(table.pos)
                    .distinct()
                    .select_from(table.source)
                    .join(own, joined(columns_of(own, declared.key), table, self._backend))
                )
                if selection.fields:
                    pending = (is_pending(own, declared.table, change, self._backend) for change in selection.fields)
                    statement = statement.where(or_(*pending))
                return {keys[row[0]] for row in fetch(connection, statement)}

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """See ``Connector.read``: the records of this dataset that have the identifier in a ``subject`` column."""
        identifier = normalise_identifier(subject)
        size = self._spec.batch_size or self.capabilities.default_batch_size
        with translated(self._spec.name), self._backend.reading() as connection:
            layout = self._layout(connection)
            declared = self._usable(layout, dataset)
            own = declared.table.plain()
            if not declared.spec.subject:
                return
            is_meant = or_(*(self._backend.is_identifier(own.c[name], identifier) for name in declared.spec.subject))
            names = tuple(column.name for column in declared.table.columns)
            key = columns_of(own, declared.key)
            # Rows of one person are few; rows with a NULL in the key are theirs all the same.
            statement = select(*key, *columns_of(own, names)).where(is_meant).order_by(*key)
            result = connection.execution_options(yield_per=size).execute(statement)
            with closing(result):
                for row in result:
                    values = {name: _readable(value) for name, value in zip(names, row[len(key) :], strict=True)}
                    yield Record(spell_key(tuple(row[: len(key)])), values)

    def close(self) -> None:
        """See ``Connector.close``."""
        self._backend.close()

    # --- the layout ---

    def _layout(self, connection: Connection) -> Layout:
        version = self._backend.schema_version(connection)
        with self._lock:
            if self._known is None or self._known.catalogue.version != version:
                self._known = lay_out(self._spec, self._backend.read_catalogue(connection))
            return self._known

    def _usable(self, layout: Layout, dataset: str) -> Declared:
        """Return a dataset that can be asked for. Raises LocationError, with the first problem, for one that cannot."""
        declared = layout.declared(dataset)
        if found := find_problems(dataset, self._spec, layout, None):
            msg = f"location {self._spec.name}: dataset {dataset}: {found[0]}"
            raise LocationError(msg, code="missing", next_step="Run `ropa check` and correct the configuration.")
        return declared


def open_backend(spec: LocationSpec) -> Backend:
    """Return the engine behind a location's URL. Raises LocationError where there is none."""
    options: Mapping[str, Any] = spec.options
    try:
        url = make_url(str(options["url"]))
        engine, driver = url.get_backend_name(), url.get_driver_name()
    except (KeyError, ArgumentError):
        msg = f"location {spec.name}: url is missing or no SQLAlchemy URL"
        raise LocationError(
            msg, code="url", next_step='Write for instance url = "sqlite:///data/crm.sqlite".'
        ) from None
    except Exception:  # noqa: BLE001 - whatever a dialect plug-in raises when it is not installed
        engine, driver = url.drivername, ""
    if (engine, driver) != ("sqlite", "pysqlite"):
        msg = f"location {spec.name}: the engine {engine!r} is not supported by this version"
        raise LocationError(msg, code="unsupported", next_step="Use an SQLite file: sqlite:///path.")
    if options.get("schema") not in {None, "main"}:
        msg = f"location {spec.name}: SQLite has no schemas"
        raise LocationError(msg, code="unsupported", next_step="Leave `schema` out.")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
        msg = f"location {spec.name}: url must name an SQLite file by its plain path"
        raise LocationError(msg, code="url", next_step='Write for instance url = "sqlite:///data/crm.sqlite".')
    path = Path(str(options.get("folder", "."))).joinpath(url.database)
    if not path.is_file():
        msg = f"location {spec.name}: there is no file {path}; it is not created"
        raise LocationError(msg, code="unreachable", next_step="Correct `url`, or put the database there.")
    return SqliteBackend(spec.name, path.resolve())


def _describe(table: Table, layout: Layout) -> DatasetInfo:
    names = layout.of_table(table.name)
    return DatasetInfo(
        source=table.name,
        columns=tuple(Column(c.name, c.type, c.is_nullable, table.is_unique(c.name)) for c in table.columns),
        key=names[0].key if names else table.key,
        references=tuple(
            CatalogueReference(key.columns, key.to_table, key.to_columns, key.on_delete, key.has_index)
            for key in table.foreign_keys
        ),
        kind=table.kind,
        declared_as=names[0].name if names else None,
    )


def _readable(value: object) -> Scalar:
    """Return a value for the person it is about: bytes in hexadecimal, the rest as it is."""
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | float) else None
