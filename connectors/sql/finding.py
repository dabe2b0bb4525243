"""``find``: which records are meant, in key order, in batches. Reads only, and holds no lock between two batches.

Two ways, by how many rows the condition on the anchor's column can select. Many: walk the table in key order, a batch
at a time, each batch starting after the last key of the one before. Few (an index tells), or records named by key or
parent: collect keys first, then look the records up. Memory holds one batch, or at most ``_FEW`` keys.

Invariant: each key once, in key order; a key that does not tell its record apart from every other stops the listing
(IncompleteListingError), because then neither a purge nor "nothing is due" would be true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal_column, or_, select, tuple_

from connectors.sql.anchors import anchored_day, sargable
from connectors.sql.backend import Backend, KeyTable
from connectors.sql.catalogue import Kind, bound, columns_of
from connectors.sql.conditions import Question, ask, is_one_of, joined
from connectors.sql.keys import Values, is_faithful, parse_keys, spell_key
from connectors.sql.layout import Declared, Layout
from connectors.sql.relations import References, Row, count_referring, fetch, refers
from connectors.sql.sparing import Sparing
from connectors.sql.versions import Versioner
from ropa.connector import Batch, Found, Key, Referring, Selection
from ropa.errors import IncompleteListingError

_FEW = 50_000
"""As many rows are rather looked up one by one than found by walking the whole table."""


class Finder:
    """One listing over one open connection."""

    def __init__(
        self, selection: Selection, layout: Layout, backend: Backend, *, size: int, versioner: Versioner
    ) -> None:
        self._selection = selection
        self._layout = layout
        self._backend = backend
        self._size = size
        self._question = ask(selection, layout, backend)
        self._declared = self._question.declared
        self._columns = columns_of(self._question.own, tuple(c.name for c in self._declared.table.columns))
        names = [column.name for column in self._declared.table.columns]
        self._key_places = tuple(names.index(name) for name in self._declared.key)
        self._kinds = self._declared.kinds
        self._versioner = versioner
        self._sparing = Sparing(selection.spare, layout, backend)
        self._references = References(self._declared, layout, backend)
        self._is_referred_to = not selection.fields and bool(layout.links_to(self._declared.table.name))
        self._is_number = self._kinds == (Kind.NUMBER,)
        self._days: dict[Row, tuple[date | None, ...]] = {}

    def batches(self, connection: Connection) -> Iterator[Batch]:
        """Yield the batches."""
        with self._backend.snapshot(connection):
            self._check_key(connection)
            is_narrow = self._selection.keys is not None or self._selection.parents is not None
            is_listed = is_narrow or self._is_few(connection)
        rows = self._walk_keys(connection, is_narrow=is_narrow) if is_listed else self._walk_table(connection)
        for found in rows:
            if found:
                yield Batch(self._declared.name, tuple(found))

    # --- the two ways ---

    def _walk_table(self, connection: Connection) -> Iterator[list[Found]]:
        last: Values | None = None
        while True:
            with self._backend.snapshot(connection):
                statement = (
                    select(*self._columns, *self._question.anchors)
                    .where(*self._question.conditions(self._backend, is_indexed=False), *self._after(last))
                    .order_by(*self._question.key)
                    .limit(self._size)
                )
                rows = fetch(connection, statement)
                found = self._describe(connection, list(enumerate(rows)), None)
            if rows:
                last = self._key_of(rows[-1])
            yield found
            if len(rows) < self._size:
                return

    def _walk_keys(self, connection: Connection, *, is_narrow: bool) -> Iterator[list[Found]]:
        last: Values | None = None
        while True:
            with self._backend.snapshot(connection):
                narrow = self._narrowing(connection) if is_narrow else []
                # Without the plus the database would rather walk the whole table than sort the few keys.
                order = self._question.key if is_narrow else [self._backend.unhinted(c) for c in self._question.key]
                statement = (
                    select(*self._question.key)
                    .where(
                        *self._question.conditions(self._backend, is_indexed=not is_narrow), *narrow, *self._after(last)
                    )
                    .order_by(*order)
                    .limit(_FEW)
                )
                keys = iter(fetch(connection, statement))
            count = 0
            while batch := list(islice(keys, self._size)):
                count += len(batch)
                last = batch[-1]
                yield self._look_up(connection, batch)
            if count < _FEW:
                return

    def _look_up(self, connection: Connection, keys: Sequence[Values]) -> list[Found]:
        with self._backend.snapshot(connection):
            table = self._backend.load_keys(connection, "found", self._declared.kinds, list(enumerate(keys)))
            statement = (
                select(table.pos, *self._columns, *self._question.anchors)
                .select_from(table.source)
                .join(self._question.own, joined(self._question.key, table, self._backend))
                .where(*self._question.conditions(self._backend, is_indexed=False))
                .order_by(table.pos)
            )
            rows = [(row[0], row[1:]) for row in fetch(connection, statement)]
            return self._describe(connection, rows, table)

    def _after(self, last: Values | None) -> list[ColumnElement[bool]]:
        if last is None:
            return []
        if len(last) == 1:
            return [self._question.key[0] > bound(last[0])]
        return [tuple_(*self._question.key) > tuple_(*(bound(value) for value in last))]

    def _narrowing(self, connection: Connection) -> list[ColumnElement[bool]]:
        conditions = []
        if self._selection.keys is not None:
            wanted = load(connection, "wanted", self._declared, self._selection.keys, self._backend)
            conditions.append(is_one_of(self._question.key, wanted))
        if self._selection.parents is not None:
            conditions.append(belongs(connection, self._question, self._selection.parents, self._layout, self._backend))
        return conditions

    def _is_few(self, connection: Connection) -> bool:
        """Tell whether an index says that few rows can be meant at all."""
        for name, limit in self._question.hints:
            if name in self._declared.table.indexed:
                some: Select[Any] = select(literal_column("1")).select_from(self._question.own)
                some = some.where(sargable(self._question.own.c[name], limit)).limit(_FEW + 1)
                if (connection.execute(select(func.count()).select_from(some.subquery())).scalar() or 0) <= _FEW:
                    return True
        return False

    # --- what is told of each ---

    def _key_of(self, row: Row) -> Values:
        return tuple([row[place] for place in self._key_places])

    def _describe(self, connection: Connection, rows: list[tuple[int, Row]], keys: KeyTable | None) -> list[Found]:
        """Return what is told of rows (position; all columns, then the anchors' numbers)."""
        if not rows:
            return []
        width = len(self._columns)
        contents = {pos: row[:width] for pos, row in rows}
        if keys is None and (self._is_referred_to or self._references.needs_keys):
            named = [(pos, self._key_of(row)) for pos, row in rows]
            keys = self._backend.load_keys(connection, "found", self._kinds, named)
        spared = self._sparing.spared(connection, self._declared.table, contents)
        refers_to = self._references.of_rows(connection, keys, contents)
        referred_by: dict[int, list[Referring]] = {}
        if keys is not None and self._is_referred_to:
            referred_by = count_referring(connection, self._declared, self._layout, keys, self._backend)
        version, spell, anchored = self._versioner.version, self._spell, self._anchored
        return [
            Found(
                spell(row),
                version(contents[pos]),
                anchored(row[width:]),
                pos in spared,
                tuple(refers_to.get(pos, ())),
                tuple(referred_by.get(pos, ())),
            )
            for pos, row in rows
        ]

    def _anchored(self, numbers: Row) -> tuple[date | None, ...]:
        days = self._days.get(numbers)
        if days is None:
            days = self._days[numbers] = tuple([anchored_day(number) for number in numbers])
        return days

    def _spell(self, row: Row) -> Key:
        values = self._key_of(row)
        if self._is_number and type(values[0]) is int:
            return (str(values[0]),)
        if not all(map(is_faithful, values, self._kinds)):
            raise self._incomplete("key-ambiguous", "holds values of different sorts")
        return spell_key(values)

    # --- a key that can be trusted ---

    def _check_key(self, connection: Connection) -> None:
        nullable = [
            self._question.own.c[name]
            for name in self._declared.key
            if (found := self._declared.table.column(name)) is not None and found.is_nullable
        ]
        if nullable and self._selection.keys is None:
            nameless: Select[Any] = select(literal_column("1")).select_from(self._question.own)
            nameless = nameless.where(or_(*(column.is_(None) for column in nullable)), *self._question.exact).limit(1)
            if fetch(connection, nameless):
                raise self._incomplete("key-null", "is NULL in some of them")
        if not self._declared.is_key_primary:
            twice: Select[Any] = (
                select(literal_column("1"))
                .select_from(self._question.own)
                .where(and_(*(column.is_not(None) for column in self._question.key)))
            )
            if fetch(
                connection, twice.group_by(*self._question.key).having(func.count() > literal_column("1")).limit(1)
            ):
                raise self._incomplete("key-not-unique", "is the same in some of them")

    def _incomplete(self, code: str, what: str) -> IncompleteListingError:
        return IncompleteListingError(
            f"location {self._layout.location}: the key of {self._declared.name} tells no records apart: it {what}",
            code=code,
            next_step="Give the dataset a `key` that is filled in and different in every row.",
        )


def load(connection: Connection, slot: str, declared: Declared, keys: Sequence[Key], backend: Backend) -> KeyTable:
    """Load keys given as text, each by its place in ``keys``; those that no record can have are left out."""
    return backend.load_keys(connection, slot, declared.kinds, parse_keys(enumerate(keys), declared.kinds))


def belongs(
    connection: Connection, question: Question, parents: tuple[str, tuple[Key, ...]], layout: Layout, backend: Backend
) -> ColumnElement[bool]:
    """Return the condition that a record belongs to one of these records of another dataset."""
    parent = layout.declared(parents[0])
    keys = load(connection, "parents", parent, parents[1], backend)
    child, above = question.declared.table.aliased("child"), parent.table.aliased("above")
    conditions = []
    for link in layout.links_between(question.declared, parent):
        children = (
            select(*columns_of(child, question.declared.key))
            .select_from(keys.source)
            .join(above, joined(columns_of(above, parent.key), keys, backend))
            .join(child, refers(link, child, above))
        )
        columns = question.key
        conditions.append(columns[0].in_(children) if len(columns) == 1 else tuple_(*columns).in_(children))
    return or_(*conditions) if conditions else literal_column("1") == literal_column("0")
