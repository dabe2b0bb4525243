"""``find``: which records are meant, in key order, in batches. Reads only, and holds no lock between two batches.

The table is walked in key order, a batch at a time, each starting after the last key of the one before; where an index
on the anchor's column tells that few rows can be meant at all, they are looked up by it. What the database lets
through is judged here (``conditions.Question``). Memory holds the content of two pages of ``AT_ONCE`` rows, one that
is described and one that is fetched meanwhile, and of a batch what is told of it.

Invariant: each key once, in key order; a key that does not tell its record apart from every other stops the listing
(IncompleteListingError), because then neither a purge nor "nothing is due" would be true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import compress
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    func,
    literal_column,
    or_,
    select,
    tuple_,
)

from connectors.sql.anchors import anchored_day
from connectors.sql.backend import Backend, KeyTable, Page, Row
from connectors.sql.catalogue import Kind, bound, columns_of
from connectors.sql.conditions import Question, ask, is_one_of, joined
from connectors.sql.fetched import Fetched, taken, taker
from connectors.sql.gathering import Gathered, ahead
from connectors.sql.keys import Values, parse_keys, spell_keys
from connectors.sql.layout import Declared, Layout
from connectors.sql.lookups import look_up
from connectors.sql.relations import References, count_referring, refers
from connectors.sql.sparing import Sparing
from connectors.sql.windows import Bounds, Number, Windows
from ropa.clock import monotonic
from ropa.connector import Batch, Key, Note, Selection
from ropa.errors import IncompleteListingError

AT_ONCE = 10_000
"""Rows of a page."""

_Describing = Callable[[], Batch | None]
"""Tells what is found in a page that has been fetched."""


class Finder:
    """One listing over one open connection."""

    def __init__(self, selection: Selection, layout: Layout, backend: Backend, *, size: int) -> None:
        self._selection = selection
        self._layout = layout
        self._backend = backend
        self._size = size
        self._at_once = min(size, AT_ONCE)
        self._question = ask(selection, layout, backend)
        self._declared = self._question.declared
        self._versions = backend.versions(self._declared.table)
        self._sparing = Sparing(selection.spare, layout, backend)
        self._references = References(self._declared, layout, backend)
        self._is_referred_to = not selection.fields and bool(layout.links_to(self._declared.table.name))
        own, fetched = self._question.own, Fetched()
        self._key_places = fetched.add(self._question.key)
        self._order = order_of(self._declared, own, backend)
        self._version_places = fetched.add(self._versions.columns(own))
        self._value_places = fetched.add(self._question.values())
        self._content_of = None
        if not self._sparing.is_idle or self._references.is_any:
            names = tuple(column.name for column in self._declared.table.columns)
            self._content_of = taker(fetched.add(columns_of(own, names)))
        self._fetched = fetched.expressions
        self._has_notes = self._content_of is not None or self._is_referred_to
        self._pages = None if self._has_notes else backend.pages(self._question)
        self._days: dict[Row, tuple[date | None, ...]] = {}
        self._wanted: Sequence[Key] | None = selection.keys
        """The records to look at, where those are known."""

    def batches(self, connection: Connection) -> Iterator[Batch]:
        """Yield the batches."""
        with self._backend.snapshot(connection):
            self._check_key(connection)
        few, windows = None, None
        if not self._is_narrow:
            few = look_up(connection, self._question, self._backend)
            if isinstance(few, list):
                self._wanted = few
            if few is not None and not few:
                return
            if few is None:
                with self._backend.snapshot(connection):
                    windows = self._windows(connection)
        found = self._found(connection, windows, is_few=few is not None)
        gathered = Gathered(self._declared.name)
        for describe in found if self._has_notes else ahead(found):
            if (batch := describe()) is not None:
                gathered.add(batch)
            while len(gathered) >= self._size:
                yield gathered.take(self._size)
        if len(gathered):
            yield gathered.take(self._size)

    @property
    def _is_narrow(self) -> bool:
        """Whether the keys are known, or the parents' are."""
        return self._wanted is not None or self._selection.parents is not None

    def _found(self, connection: Connection, windows: Windows | None, *, is_few: bool) -> Iterator[_Describing]:
        """Yield what is found in one page after the other, fetched but not described; nothing is open in between."""
        last: Values | None = None
        is_over = False
        while not is_over:
            window = windows.bounds() if windows is not None else None
            started = monotonic()
            with self._backend.snapshot(connection):
                narrow = self._narrowing(connection) if self._is_narrow else []
                conditions = [*narrow, *self._within(window, last)]
                describe, count, at = self._page(connection, conditions, is_few=is_few)
                last = at or last
                if windows is not None:
                    windows.moved(_number(at[0]) if at is not None and count == self._at_once else None, started)
                is_over = windows.is_over if windows is not None else count < self._at_once
            yield describe

    def _page(
        self, connection: Connection, conditions: Sequence[ColumnElement[bool]], *, is_few: bool
    ) -> tuple[_Describing, int, Values | None]:
        """Return what is found in one page, how many rows it had, and the key of the last of them."""
        # Without the hint the database would rather walk the whole table than sort the few keys.
        key = self._order
        statement = (
            select(*(self._fetched if self._pages is None else self._pages.columns))
            .where(*self._question.hinted(None if is_few else self._backend), *self._question.conditions, *conditions)
            .order_by(*([self._backend.unhinted(c) for c in key] if is_few else key))
            .limit(self._at_once)
        )
        if self._pages is not None:
            page = self._pages.found(connection, statement)
            return partial(self._told, page), len(page.keys), page.last
        rows = self._backend.fetch(connection, statement)
        last = tuple([rows[-1][place] for place in self._key_places]) if rows else None
        if self._has_notes:  # more has to be asked for them, of the same state of the database
            batch = self._describe(rows, connection)
            return (lambda: batch), len(rows), last
        return partial(self._describe, rows), len(rows), last

    def _within(self, window: Bounds | None, last: Values | None) -> list[ColumnElement[bool]]:
        key = self._question.key
        if window is not None:
            begin = [] if window[0] is None else [key[0] > bound(window[0])]
            return [*begin, key[0] <= bound(window[1])]
        return after(self._order, last)

    def _windows(self, connection: Connection) -> Windows | None:
        """Return windows over the keys where those are whole numbers, so that no statement looks at all of a table."""
        if self._declared.kinds != (Kind.NUMBER,):
            return None
        key = self._question.key[0]
        # Two statements, because an index answers each of them at once, but not every database both.
        low, high = (
            self._backend.fetch(connection, select(end(key)).select_from(self._question.own))[0][0]
            for end in (func.min, func.max)
        )
        return Windows(low, high, 4 * self._size) if type(low) is int and type(high) is int else None

    def _narrowing(self, connection: Connection) -> list[ColumnElement[bool]]:
        conditions = []
        if self._wanted is not None:
            wanted = load(connection, "wanted", self._declared, self._wanted, self._backend)
            conditions.append(is_one_of(self._question.key, wanted))
        if self._selection.parents is not None:
            conditions.append(belongs(connection, self._question, self._selection.parents, self._layout, self._backend))
        return conditions

    # --- what is told of each ---

    def _told(self, page: Page) -> Batch | None:
        verdicts = self._question.in_time(page.numbers)
        told = page.numbers[: len(self._selection.anchors)]
        numbers: list[Row] = list(zip(*told, strict=True)) if told else [()] * len(page.keys)
        keys, versions, anchored = page.keys, page.versions, self._anchored(numbers)
        if verdicts is not None:
            keys, versions = list(compress(keys, verdicts)), list(compress(versions, verdicts))
            anchored = list(compress(anchored, verdicts))
        return Batch(self._declared.name, keys, versions, anchored) if keys else None

    def _anchored(self, numbers: list[Row]) -> list[tuple[date | None, ...]]:
        days = self._days
        for number in set(numbers).difference(days):
            days[number] = tuple([anchored_day(one) for one in number])
        return list(map(days.__getitem__, numbers))

    def _describe(self, rows: list[Row], connection: Connection | None = None) -> Batch | None:
        verdicts, numbers = self._question.judge(rows, self._value_places)
        if verdicts is not None:
            rows, numbers = list(compress(rows, verdicts)), list(compress(numbers, verdicts))
        if not rows:
            return None
        return Batch(
            self._declared.name,
            self._spell(rows),
            self._versions.texts(taken(rows, self._version_places, len(self._fetched))),
            self._anchored(numbers),
            {} if connection is None else self._notes(connection, rows),
        )

    def _notes(self, connection: Connection, rows: list[Row]) -> dict[int, Note]:
        keys: KeyTable | None = None
        if self._is_referred_to or self._references.needs_keys:
            named = [(pos, tuple([row[place] for place in self._key_places])) for pos, row in enumerate(rows)]
            keys = self._backend.load_keys(connection, "found", self._declared.key_columns, named)
        contents = {} if self._content_of is None else {pos: self._content_of(row) for pos, row in enumerate(rows)}
        spared = self._sparing.spared(connection, self._declared.table, contents)
        refers_to = self._references.of_rows(connection, keys, contents)
        referred_by = {}
        if keys is not None and self._is_referred_to:
            referred_by = count_referring(connection, self._declared, self._layout, keys, self._backend)
        return {
            pos: Note(pos in spared, refers_to.get(pos, ()), tuple(referred_by.get(pos, ())))
            for pos in sorted(spared | refers_to.keys() | referred_by.keys())
        }

    def _spell(self, rows: list[Row]) -> list[Key]:
        keys = spell_keys(rows, self._key_places, self._declared.kinds)
        if keys is None:
            raise self._incomplete("key-ambiguous", "holds values of different sorts")
        return keys

    # --- a key that can be trusted ---

    def _check_key(self, connection: Connection) -> None:
        nullable = [
            self._question.own.c[name]
            for name in self._declared.key
            if (found := self._declared.table.column(name)) is not None and found.is_nullable
        ]
        fetch = self._backend.fetch
        if nullable and self._selection.keys is None:
            # Whatever its anchor says: NULL is in no order, so such a row would be passed over without a word.
            nameless: Select[Any] = select(literal_column("1")).select_from(self._question.own)
            matching = self._question.hinted() + list(self._question.conditions)
            nameless = nameless.where(or_(*(column.is_(None) for column in nullable)), *matching).limit(1)
            if fetch(connection, nameless):
                raise self._incomplete("key-null", "is NULL in some of them")
        if not self._declared.is_key_unique:
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


def _number(key: object) -> Number:
    """Return a numeric key as the database takes it, from what was fetched of it."""
    if isinstance(key, int | float | Decimal):
        return key
    number = Decimal(str(key))
    return int(number) if number == number.to_integral_value() else number


def order_of(declared: Declared, own: FromClause, backend: Backend) -> list[ColumnElement[Any]]:
    """Return what the rows of a dataset are put in order by, and compared by with the one before (``after``)."""
    return [backend.ordered(column, own.c[column.name]) for column in declared.key_columns]


def after(key: list[ColumnElement[Any]], last: Values | None) -> list[ColumnElement[bool]]:
    """Return the condition that a key comes after another, in a form that an index on the key can answer."""
    if last is None:
        return []
    bounds = [bound(value) for value in last]
    if len(last) == 1:
        return [key[0] > bounds[0]]
    return [key[0] >= bounds[0], tuple_(*key) > tuple_(*bounds)]


def load(connection: Connection, slot: str, declared: Declared, keys: Sequence[Key], backend: Backend) -> KeyTable:
    """Load keys given as text, each by its place in ``keys``; those that no record can have are left out."""
    return backend.load_keys(connection, slot, declared.key_columns, parse_keys(enumerate(keys), declared.kinds))


def belongs(
    connection: Connection, question: Question, parents: tuple[str, tuple[Key, ...]], layout: Layout, backend: Backend
) -> ColumnElement[bool]:
    """Return the condition that a record belongs to one of these records of another dataset."""
    parent = layout.declared(parents[0])
    keys = load(connection, "parents", parent, parents[1], backend)
    child, above = question.declared.table.aliased("child"), parent.table.aliased("above")
    conditions = []
    for link in layout.links_to_parent(question.declared, parent):
        children = (
            select(*columns_of(child, question.declared.key))
            .select_from(keys.source)
            .join(above, joined(columns_of(above, parent.key), keys, backend))
            .join(child, refers(link, child, above))
        )
        columns = question.key
        conditions.append(columns[0].in_(children) if len(columns) == 1 else tuple_(*columns).in_(children))
    return or_(*conditions) if conditions else literal_column("1") == literal_column("0")
