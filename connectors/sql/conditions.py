"""A ``Selection`` as SQL: the conjunction that ``find`` and ``act`` put to the database, and what is decided here.

The database is asked with conditions that hold for every selected record and for few others: ``match`` and
``exclude`` are exact there, dates and masks nearly so. What is read is then judged in Python, the same for every
engine. Invariant: no condition is ever unknown (SQL's third truth value) under a NOT: a NULL column fails
``values=("a",)`` and satisfies it negated. Values are bound, never written into the statement.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from ipaddress import ip_interface
from typing import Any

from sqlalchemy import ColumnElement, Connection, TableClause, and_, false, not_, or_, select, tuple_

from connectors.sql.anchors import FUTURE, NO_DATE, Part, may_be_before, may_be_undated, numbers_of, parts_of
from connectors.sql.backend import Backend, KeyTable, Row
from connectors.sql.catalogue import Kind, TableColumn, bound, columns_of
from connectors.sql.deciding import decide
from connectors.sql.layout import Declared, Layout
from connectors.sql.masking import Changes
from ropa.connector import Before, Condition, Scalar, Selection
from ropa.errors import LocationError

_SOON = frozenset({Kind.NUMBER, Kind.DATE, Kind.NAIVE, Kind.INSTANT})
"""Of these one statement soon tells whether any is no date, even where it must look at every entry of an index; of text
it does not."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A way to find the selected records by indexes alone."""

    steps: list[list[ColumnElement[bool]]]
    """Conditions, of which one at least holds for every selected record; together those that one statement asks."""
    is_as_asked: bool
    """Whether the conditions of the selection itself are answered by the same indexes."""


@dataclass(frozen=True)
class Question:
    """A selection, ready to be put to the database."""

    selection: Selection
    declared: Declared
    own: TableClause
    """The dataset's table in the statement."""
    conditions: tuple[ColumnElement[bool], ...]
    """Hold for every selected record, but for ``keys`` and ``parents``."""
    hints: tuple[tuple[str, Part, Before], ...]
    """More conditions, of the kind that an index on the column of that name can answer: ``hinted``."""
    anchors: tuple[tuple[str, tuple[Part, ...]], ...]
    """The anchors asked about, those of ``Selection.anchors`` first."""
    changes: Changes
    """What is made of the fields."""

    @property
    def key(self) -> list[ColumnElement[Any]]:
        """The key columns."""
        return columns_of(self.own, self.declared.key)

    @property
    def reads_others(self) -> bool:
        """Whether a date of another table is looked at."""
        return any(part.hint is None for _, parts in self.anchors for part in parts)

    def hinted(self, backend: Backend | None = None, *, is_close: bool = False) -> list[ColumnElement[bool]]:
        """Return the conditions of ``hints``; with a backend such that no index is used for them.

        ``is_close``: as close as can be, for a statement whose outcome is compared with the plan.
        """
        conditions = []
        for name, part, before in self.hints:
            condition = part.is_likely_before if is_close else part.may_be_before
            may = condition(before, None if backend is None else backend.unhinted(self.own.c[name]))
            if may is not None:
                conditions.append(may)
        return conditions

    def lookups(self, connection: Connection) -> list[Lookup]:
        """Return ways to find the selected records by indexes alone, and soon. Outside any snapshot."""
        if not self.selection.check_anchors:
            return []
        if self.selection.undated:
            found = self._undated_lookup(connection, [part for _, parts in self.anchors for part in parts])
            return [] if found is None else [found]
        may_be = [part.may_be_before(before, None) for _, part, before in self.hints if self._is_indexed(part)]
        return [Lookup([[may]], is_as_asked=True) for may in may_be if may is not None]

    def _undated_lookup(self, connection: Connection, parts: Sequence[Part]) -> Lookup | None:
        steps: list[list[ColumnElement[bool]]] = []
        is_as_asked = True
        for part in parts:
            if not self._is_indexed(part):
                return None
            ranges = part.undated_ranges(connection)
            if ranges is not None:
                steps += ranges
                is_as_asked = False
            elif part.may_be_undated is not None and self._is_indexed(part, _SOON):
                steps.append([part.may_be_undated])
            else:
                return None
        return Lookup(steps, is_as_asked=is_as_asked) if steps else None

    def _is_indexed(self, part: Part, kinds: frozenset[Kind] = frozenset(Kind)) -> bool:
        column = None if part.hint is None else self.declared.table.column(part.hint)
        return column is not None and column.kind in kinds and column.name in self.declared.table.indexed

    def values(self) -> list[ColumnElement[Any]]:
        """Return what has to be fetched of a row to judge it."""
        parts = [part.value for _, parts in self.anchors for part in parts]
        return [*parts, *columns_of(self.own, self.judged)]

    @property
    def judged(self) -> tuple[str, ...]:
        """The columns that must be read to know whether there is something to change; none where the database can tell
        by itself."""
        return () if self.changes.is_constant else self.changes.columns

    def judge(self, rows: Sequence[Row], places: Sequence[int]) -> tuple[list[bool] | None, list[Row]]:
        """Judge rows, of which ``values`` stand at these places.

        Returns whether each is selected (None: all are), and the numbers of ``Selection.anchors`` of each.
        """
        numbers, start = [], 0
        for _, parts in self.anchors:
            numbers.append(numbers_of(parts, places[start : start + len(parts)], rows))
            start += len(parts)
        verdicts = self.in_time(numbers)
        if self.judged:
            at = places[start:]
            pending = [self.changes.is_pending(tuple([row[place] for place in at])) for row in rows]
            verdicts = pending if verdicts is None else [a and b for a, b in zip(verdicts, pending, strict=True)]
        told = numbers[: len(self.selection.anchors)]
        is_all = verdicts is None or all(verdicts)
        return (None if is_all else verdicts), (list(zip(*told, strict=True)) if told else [()] * len(rows))

    def in_time(self, numbers: Sequence[Sequence[int]]) -> list[bool] | None:
        """Judge rows by the numbers of each of ``anchors``. Returns whether each is selected; None: all are, mostly."""
        selection = self.selection
        if not selection.check_anchors or not numbers:
            return None
        if selection.undated:
            return [any(not NO_DATE < n < FUTURE for n in row) for row in zip(*numbers, strict=True)]
        verdicts: list[bool] | None = None
        for (name, _), column in zip(self.anchors, numbers, strict=True):
            last = min((before.day.toordinal() for before in selection.before if before.anchor == name), default=FUTURE)
            if not column or (min(column) > NO_DATE and max(column) < last):
                continue
            found = [NO_DATE < n < last for n in column]
            verdicts = found if verdicts is None else [a and b for a, b in zip(verdicts, found, strict=True)]
        return verdicts


def ask(selection: Selection, layout: Layout, backend: Backend) -> Question:
    """Prepare a selection. Raises LocationError when it names a table or column that does not exist."""
    declared = layout.declared(selection.dataset)
    own = declared.table.plain()
    try:
        return _ask(selection, declared, layout, own, backend)
    except KeyError as error:
        msg = f"location {layout.location}: dataset {declared.name} has no column or anchor {error.args[0]!r}"
        raise LocationError(msg, code="missing", next_step="Run `ropa check` and correct the configuration.") from None


def _ask(selection: Selection, declared: Declared, layout: Layout, own: TableClause, backend: Backend) -> Question:
    named = dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)])
    anchors = tuple(
        (
            name,
            tuple(
                parts_of(
                    declared.spec.anchors[name], declared, own, layout=layout, selection=selection, backend=backend
                )
            ),
        )
        for name in named
    )
    conditions = [_holds(condition, declared, own) for condition in selection.match]
    conditions += [
        not_(and_(*(_holds(c, declared, own) for c in group))) if group else false() for group in selection.exclude
    ]
    hints: list[tuple[str, Part, Before]] = []
    if selection.check_anchors and selection.undated:
        may = may_be_undated(parts for _, parts in anchors)
        if not anchors:
            conditions.append(false())
        elif may is not None:
            conditions.append(may)
    elif selection.check_anchors:
        by_name = dict(anchors)
        for before in selection.before:
            parts = by_name[before.anchor]
            if len(parts) == 1 and parts[0].hint is not None:
                hints.append((parts[0].hint, parts[0], before))
            elif (may := may_be_before(parts, before)) is not None:
                conditions.append(may)
    question = Question(selection, declared, own, tuple(conditions), tuple(hints), anchors, Changes())
    if not selection.fields:
        return question
    changes = decide(selection, declared, layout, backend, own=own, conditions=[*question.hinted(), *conditions])
    return replace(question, conditions=(*conditions, changes.may_be_pending(own)), changes=changes)


def _holds(condition: Condition, declared: Declared, own: TableClause) -> ColumnElement[bool]:
    column = declared.table.column(condition.column)
    if column is None:
        raise KeyError(condition.column)
    return satisfied(own.c[condition.column], condition, column.kind, is_loose=declared.table.is_loose)


def satisfied(column: ColumnElement[Any], condition: Condition, kind: Kind, *, is_loose: bool) -> ColumnElement[bool]:
    """Return a condition on a column, true or false for every row (``ropa.connector.Condition``).

    ``is_loose``: any value can be compared with the column, whatever its type.
    """
    values = [
        bound(spelling)
        for value in condition.values
        if value is not None
        for spelling in (_loose_spellings(value) if is_loose else _spellings(value, kind))
    ]
    # NULL first, so that the comparison, which would be unknown for it, never decides alone.
    is_one_of = and_(column.is_not(None), column.in_(values)) if values else false()
    if None in condition.values:
        is_one_of = or_(column.is_(None), is_one_of)
    return not_(is_one_of) if condition.negated else is_one_of


def _loose_spellings(value: Scalar) -> Sequence[object]:
    """Return the values of the database that a configured value equals; none for what no column can hold."""
    if isinstance(value, bool):
        return [int(value)]
    if isinstance(value, datetime):
        plain = [value.isoformat(sep, "seconds") for sep in " T"]
        utc = (
            [value.astimezone(UTC).replace(tzinfo=None).isoformat(sep, "seconds") for sep in " T"]
            if value.tzinfo
            else []
        )
        return [*plain, *utc, *(f"{text}Z" for text in utc)]
    if isinstance(value, date):
        return [value.isoformat(), *(f"{value.isoformat()}{sep}00:00:00" for sep in " T")]
    if isinstance(value, float):
        return [] if math.isnan(value) else [value]
    if isinstance(value, int):
        return [value if -(2**63) <= value < 2**63 else float(value)]
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return []
    return [value]


def _spellings(value: Scalar, kind: Kind) -> Sequence[object]:
    """Return a configured value as the column's type can be compared with it; none where it never equals."""
    if kind is Kind.TEXT and isinstance(value, bool):
        return []
    if kind is Kind.TEXT:
        return _loose_spellings(value) if not isinstance(value, int | float) else [str(value)]
    if kind is Kind.BOOLEAN:
        truths: dict[Scalar, bool] = {True: True, False: False, "true": True, "false": False}
        return [truths[value]] if value in truths else []
    if kind is Kind.NUMBER:
        if isinstance(value, str):
            try:
                number = Decimal(value)
            except InvalidOperation:
                return []
            return [number] if number.is_finite() else []
        return _loose_spellings(value) if isinstance(value, int | float) else []
    if kind in {Kind.DATE, Kind.NAIVE, Kind.INSTANT}:
        return [value] if isinstance(value, date) else []
    return [value] if isinstance(value, str) and "\0" not in value else []


def can_equal(value: Scalar, column: TableColumn) -> bool:
    """Tell whether a configured value may be in a column of its type. One that never is would match nothing, and
    negated everything."""
    if value is None:
        return True
    if not _spellings(value, column.kind):
        return False
    if column.kind is Kind.NUMBER:
        return column.bounds is None or Decimal(str(int(value) if isinstance(value, bool) else value)) % 1 == 0
    if isinstance(value, str):
        if column.labels:
            labels = [label.casefold() for label in column.labels]
            parts = [value.casefold()]
            if column.joins_labels:
                parts = value.casefold().split(",") if value else []
            return set(parts) <= set(labels) and parts == sorted(set(parts), key=labels.index)
        readers: dict[Kind, Any] = {Kind.UUID: uuid.UUID, Kind.ADDRESS: ip_interface}
        try:
            readers.get(column.kind, str)(value)
        except ValueError:
            return False
    return True


def is_one_of(columns: list[ColumnElement[Any]], keys: KeyTable) -> ColumnElement[bool]:
    """Return the condition that these columns hold one of the loaded keys."""
    if keys.values is not None:
        return columns[0] == keys.values
    if len(columns) == 1:
        return columns[0].in_(select(keys.parts[0]))
    return tuple_(*columns).in_(select(*keys.parts))


def joined(columns: list[ColumnElement[Any]], keys: KeyTable, backend: Backend) -> ColumnElement[bool]:
    """Return the condition that joins loaded keys to a table's rows: the keys lead, the rows are looked up.

    The table's column stands on the left, where its collation counts.
    """
    return and_(*(column == backend.unhinted(part) for column, part in zip(columns, keys.parts, strict=True)))
