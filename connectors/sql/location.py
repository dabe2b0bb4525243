"""One open location of the ``sql`` connector: the contract of ``ropa.connector.Connector``, handed on to its parts.

Invariant: everything but ``act`` and ``settle`` goes over connections that cannot write; a schema that changes while
the location is open is read anew before the next call.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sqlalchemy import Connection, func, or_, select

from connectors.sql import CAPABILITIES
from connectors.sql.acting import Actor, refuse, why_refused
from connectors.sql.backend import Backend, Row
from connectors.sql.catalogue import Kind, Table, columns_of
from connectors.sql.conditions import ask, is_one_of, joined
from connectors.sql.faults import translated
from connectors.sql.finding import Finder, after, load, order_of
from connectors.sql.keys import spell, spell_key
from connectors.sql.layout import Declared, Layout, lay_out
from connectors.sql.opening import open_backend
from connectors.sql.problems import find_problems, of_purging
from connectors.sql.sparing import is_subject
from connectors.sql.survey import is_whole, survey
from connectors.sql.throttle import Throttle
from ropa.connector import (
    Action,
    Batch,
    CatalogueReference,
    Column,
    DatasetInfo,
    Health,
    Key,
    LocationSpec,
    Look,
    Outcomes,
    Record,
    Scalar,
    Selection,
    Tally,
    normalise_identifier,
)
from ropa.errors import LocationError

_PAGE = 1000
"""Rows read at once where all of a table are looked at."""


class SqlLocation:
    """A database, as ``ropa.connector.Connector``."""

    def __init__(self, spec: LocationSpec) -> None:
        self._spec = spec
        self._backend: Backend = open_backend(spec)
        self._throttle = Throttle(spec, self._backend)
        self.capabilities = replace(
            CAPABILITIES,
            default_batch_size=self._backend.batch_size,
            # A pace is kept by each process for itself: two would be twice as fast.
            batches_at_once=1 if self._throttle.is_set else self._backend.batches_at_once,
        )
        self._lock = threading.Lock()
        self._known: Layout | None = None

    def check(self) -> Health:
        """See ``Connector.check``. Notes: triggers on deletion and change, and references that slow deletion down."""
        health = self._backend.health()
        if not health.may_read:
            return health
        with translated(self._spec.name), self._backend.looking() as connection:
            layout = self._layout(connection)
        notes = [
            f"table {declared.table.name!r}: trigger {trigger!r} runs for every row that is deleted"
            for declared in layout.datasets.values()
            for trigger in declared.table.delete_triggers
        ]
        notes += [
            f"table {declared.table.name!r}: trigger {trigger!r} runs for every row that is changed; what it writes "
            "elsewhere stays"
            for declared in layout.datasets.values()
            for trigger in declared.table.update_triggers
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
            planning_may_delete=health.planning_may_delete,
        )

    def datasets(self) -> Iterable[DatasetInfo]:
        """See ``Connector.datasets``: every table and view."""
        with translated(self._spec.name), self._backend.looking() as connection:
            layout = self._layout(connection)
        return [_describe(table, layout) for table in layout.catalogue.tables.values()]

    def count(self, dataset: str) -> int:
        """See ``Connector.count``."""
        with translated(self._spec.name), self._backend.looking() as connection:
            declared = self._layout(connection).declared(dataset)
            return int(connection.execute(select(func.count()).select_from(declared.table.plain())).scalar_one())

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """See ``Connector.problems``."""
        with translated(self._spec.name), self._backend.looking() as connection:
            return find_problems(dataset, self._spec, self._layout(connection), selection, self._backend)

    def find(self, selection: Selection) -> Generator[Batch, None, Tally | None]:
        """See ``Connector.find``. No lock is held while the caller has a batch in hand. Returns a ``Tally`` where one
        statement could tell that there is nothing to list, and where the counts are asked over other connections
        meanwhile."""
        size = self._spec.batch_size or self.capabilities.default_batch_size
        with translated(self._spec.name), self._backend.looking() as connection:
            layout = self._layout(connection)
            self._usable(layout, selection.dataset)
            if (tally := survey(connection, selection, layout, self._backend)) is not None:
                return tally
            batches = Finder(selection, layout, self._backend, size=size).batches(connection)
            if self._throttle.is_set or not (self._backend.counts_beside and is_whole(selection)):
                yield from batches
                return None
            with ThreadPoolExecutor(2, thread_name_prefix="tally") as executor:
                population = executor.submit(self.count, selection.dataset)
                undated = executor.submit(self._count_found, replace(selection, before=(), undated=True))
                yield from batches
                return Tally(population.result(), undated.result())

    def _count_found(self, selection: Selection) -> int:
        return sum(len(batch) for batch in self.find(selection))

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:
        """See ``Connector.act``."""
        if (code := why_refused(selection, batch, action)) is not None:
            return Outcomes.of(refuse(batch, code))
        with translated(self._spec.name), self._backend.writing() as connection:
            layout = self._layout(connection)
            for name in (batch.dataset, *(part.dataset for part in batch.companions)):
                self._usable(layout, name, is_purged=action is Action.PURGE)
            with self._throttle.paced(connection, len(batch)):
                return Actor(selection, batch, action, layout, self._backend).outcomes(connection)

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:
        """See ``Connector.inspect``: of a table or view the first rows that the database gives."""
        with translated(self._spec.name), self._backend.reading() as connection:
            table = self._layout(connection).catalogue.tables.get(source)
            if table is None or not table.columns:
                return {}
            statement = select(*columns_of(table.plain(), tuple(column.name for column in table.columns)))
            with self._backend.snapshot(connection):
                rows = self._backend.fetch(connection, statement.limit(limit))
        found: dict[str, dict[str, int]] = {}
        for column, *values in zip((column.name for column in table.columns), *rows, strict=True):
            for value in values:
                answer = None if value is None else look(column, spell(value))
                if answer is not None:
                    counts = found.setdefault(column, {})
                    counts[answer] = counts.get(answer, 0) + 1
        return found

    def settle(self, dataset: str) -> str:  # noqa: ARG002 - the whole place is settled at once
        """See ``Connector.settle``."""
        with translated(self._spec.name):
            return self._backend.settle()

    def finish(self, dataset: str) -> str:
        """See ``Connector.finish``: what ``after_purge`` asks for."""
        with translated(self._spec.name):
            with self._backend.reading() as connection:
                table = self._layout(connection).declared(dataset).table
            return self._backend.finish(table)

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:
        """See ``Connector.remaining``: over a connection opened for this."""
        keys = list(batch.keys)
        if not keys:
            return set()
        with translated(self._spec.name), self._backend.reading() as connection:
            layout = self._layout(connection)
            declared = layout.declared(batch.dataset)
            question = ask(selection, layout, self._backend)
            own, changes = question.own, question.changes
            pages = self._backend.pages(question)
            with self._backend.snapshot(connection):
                pending = [changes.may_be_pending(own)] if changes else []
                if pages is not None and (left := pages.remaining(connection, keys, pending)) is not None:
                    return left
                table = load(connection, "remaining", declared, keys, self._backend)
                key, content = columns_of(own, declared.key), columns_of(own, changes.columns)
                if declared.kinds == (Kind.NUMBER,):
                    # A number has one spelling, so which key it was need not be asked.
                    asked = select(*key, *content).where(is_one_of(key, table), *pending)
                    rows = self._backend.fetch(connection, asked)
                    there = {spell_key(row[:1]) for row in rows if not changes or changes.is_pending(row[1:])}
                    return there.intersection(keys)
                joined_rows = select(table.pos, *content).select_from(table.source)
                asked = joined_rows.join(own, joined(key, table, self._backend)).where(*pending)
                rows = self._backend.fetch(connection, asked)
        return {keys[row[0]] for row in rows if not changes or changes.is_pending(row[1:])}

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """See ``Connector.read``: the records of this dataset that have the identifier in a ``subject`` column."""
        persons = frozenset({normalise_identifier(subject)})
        with translated(self._spec.name), self._backend.reading() as connection:
            declared = self._usable(self._layout(connection), dataset)
            if not declared.spec.subject:
                return
            # How an identifier is compared no database knows, so all rows are looked at, a page at a time.
            for row in self._all_rows(connection, declared):
                values = dict(zip((column.name for column in declared.table.columns), row, strict=True))
                if any(is_subject(values[name], persons) for name in declared.spec.subject):
                    key = spell_key(tuple(values[name] for name in declared.key))
                    yield Record(key, {name: _readable(value) for name, value in values.items()})

    def _all_rows(self, connection: Connection, declared: Declared) -> Iterator[Row]:
        """Yield every row with all its columns; those with a NULL in the key last, because they have no order."""
        own = declared.table.plain()
        key, everything = columns_of(own, declared.key), columns_of(own, tuple(c.name for c in declared.table.columns))
        places = [everything.index(column) for column in key]
        order = order_of(declared, own, self._backend)
        last: Row | None = None
        while True:
            statement = select(*everything).where(*(column.is_not(None) for column in key), *after(order, last))
            with self._backend.snapshot(connection):
                rows = self._backend.fetch(connection, statement.order_by(*order).limit(_PAGE))
            yield from rows
            if len(rows) < _PAGE:
                break
            last = tuple(rows[-1][place] for place in places)
        with self._backend.snapshot(connection):
            yield from self._backend.fetch(connection, select(*everything).where(or_(*(c.is_(None) for c in key))))

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

    def _usable(self, layout: Layout, dataset: str, *, is_purged: bool = False) -> Declared:
        """Return a dataset that can be asked for, or purged: the database may be another than when that was planned.
        Raises LocationError, with the first problem, for one that cannot."""
        declared = layout.declared(dataset)
        if (dataset, is_purged) in layout.usable:
            return declared
        found = find_problems(dataset, self._spec, layout, None)
        if is_purged:
            found += of_purging(declared)
        if found:
            msg = f"location {self._spec.name}: dataset {dataset}: {found[0]}"
            raise LocationError(msg, code="missing", next_step="Run `ropa check` and correct the configuration.")
        layout.usable.add((dataset, is_purged))
        return declared


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
        kind="partition" if table.partition_of else table.kind,
        declared_as=names[0].name if names else None,
    )


def _readable(value: object) -> Scalar:
    """Return a value for the person it is about: bytes in hexadecimal, the rest as it is."""
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | float) else None
