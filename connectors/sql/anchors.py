"""Anchors as numbers: the calendar day from which a period runs, and what else a date can be.

One number says everything: ``NO_DATE``, no date at all; up to ``FUTURE``, the calendar day (``date.toordinal``) in the
controller's zone; from ``FUTURE``, that day plus ``FUTURE`` of a date later than now; from ``UNREADABLE``, something
that is no date. So the greatest of several parts is the latest, and one that cannot be read makes the whole
unreadable. Invariant: what is not a past or present date is never before anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, FromClause, and_, exists, not_, or_, select

from connectors.sql.backend import Dating, Row
from connectors.sql.catalogue import columns_of
from ropa.clock import calendar_day, read_moment
from ropa.connector import Anchor, AnchorPart, Before, Selection

if TYPE_CHECKING:
    from connectors.sql.backend import Backend
    from connectors.sql.layout import Declared, Layout

NO_DATE = 0
FUTURE = 1 << 23
"""Above every ``date.toordinal()`` (at most 3,652,059)."""
UNREADABLE = 1 << 25

_REMEMBERED = 1 << 16
"""Dates whose reading is remembered; most of a table's dates occur again and again, or at least their days do."""


def anchored_day(number: int) -> date | None:
    """Return the calendar day of an anchor's number, also of a future one; None where there is none to be read."""
    if number <= NO_DATE or number >= UNREADABLE:
        return None
    return date.fromordinal(number - FUTURE if number >= FUTURE else number)


def number_of(value: object, dating: Dating) -> int:
    """Return the number of a date as it stands in a column, read by ``ropa.clock.read_moment``."""
    if value is None:
        return NO_DATE
    moment = read_moment(value, zone=dating.zone, form=dating.form)
    if moment is None:
        return UNREADABLE
    try:
        day = calendar_day(moment, dating.local).toordinal()
    except OverflowError:
        return UNREADABLE
    if isinstance(moment, datetime):
        return day + FUTURE if moment > dating.now else day
    return day + FUTURE if day > calendar_day(dating.now, dating.local).toordinal() else day


class Reader(ABC):
    """A function from what was fetched to a number, which can also read many at once."""

    @abstractmethod
    def __call__(self, value: Any) -> int:
        """Return the number of one."""

    def all(self, values: Sequence[Any]) -> list[int]:
        """Return the number of each."""
        return list(map(self, values))


def remembering(dating: Dating, read: Callable[[Any, Dating], int] = number_of) -> Callable[[Any], int]:
    """Return ``read`` as a function of the value alone, with a memory."""
    known: dict[Any, int] = {None: NO_DATE}

    def number(value: Any) -> int:
        found = known.get(value)
        if found is None:
            if len(known) >= _REMEMBERED:
                known.clear()
                known[None] = NO_DATE
            found = known[value] = read(value, dating)
        return found

    return number


# --- an anchor in a statement -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an anchor: what is fetched for it, how that is read, and what the source can tell by itself."""

    value: ColumnElement[Any]
    number: Callable[[Any], int]
    may_be_before: Callable[[Before, ColumnElement[Any] | None], ColumnElement[bool] | None]
    """Of the column itself, or of what is put in its place."""
    is_likely_before: Callable[[Before, ColumnElement[Any] | None], ColumnElement[bool] | None]
    may_be_undated: ColumnElement[bool] | None
    undated_ranges: Callable[[Connection], list[list[ColumnElement[bool]]] | None]
    """See ``Backend.undated_ranges``: of an index on ``hint``."""
    missing: ColumnElement[bool] | None
    """That the part has no date; None where that is not known."""
    hint: str | None
    """The column of the dataset's own table that ``may_be_before`` speaks of."""


def parts_of(
    anchor: Anchor, declared: Declared, own: FromClause, *, layout: Layout, selection: Selection, backend: Backend
) -> list[Part]:
    """Return the parts of an anchor of the dataset whose table is ``own`` in the statement."""
    return [_part(part, declared, own, layout=layout, selection=selection, backend=backend) for part in anchor.parts]


def _part(
    part: AnchorPart, declared: Declared, own: FromClause, *, layout: Layout, selection: Selection, backend: Backend
) -> Part:
    other = declared if is_own(part, declared) else layout.declared(part.dataset or "")
    column = other.table.column(part.column)
    if column is None:
        raise KeyError(part.column)
    dates = backend.dates(column, Dating(other.spec.zone, part.form, selection.zone, selection.now))
    if other is declared:
        there = own.c[part.column]
        return Part(
            value=dates.value(there),
            number=dates.number,
            may_be_before=lambda before, column: dates.may_be_before(there if column is None else column, before),
            is_likely_before=lambda before, column: dates.is_likely_before(there if column is None else column, before),
            may_be_undated=dates.may_be_undated(there),
            undated_ranges=lambda connection: backend.undated_ranges(connection, own, there, dates),
            missing=there.is_(None),
            hint=part.column,
        )
    relative = other.table.aliased("relative")
    is_relative = _is_relative(declared, other, own, relative, layout)
    there = relative.c[part.column]

    def may_be_before(before: Before, _column: ColumnElement[Any] | None) -> ColumnElement[bool] | None:
        """No relative has a date that is certainly not before."""
        may = dates.may_be_before(there, before)
        if may is None:
            return None
        later = select(there).where(is_relative, there.is_not(None), not_(may)).correlate(own)
        return not_(exists(later))

    return Part(
        value=select(dates.gathered(there)).where(is_relative).correlate(own).scalar_subquery(),
        number=dates.latest,
        may_be_before=may_be_before,
        is_likely_before=may_be_before,
        may_be_undated=None,
        undated_ranges=lambda _connection: None,
        missing=None,
        hint=None,
    )


def _is_relative(
    declared: Declared, other: Declared, own: FromClause, relative: FromClause, layout: Layout
) -> ColumnElement[bool]:
    upwards, downwards = layout.links_between(declared, other), layout.links_between(other, declared)
    is_parent = bool(upwards) and (declared.parent_is(other.name) or not downwards)
    if is_parent:
        pairs = [(columns_of(relative, x.parent_columns), columns_of(own, x.child_columns)) for x in upwards]
    else:
        pairs = [(columns_of(own, x.parent_columns), columns_of(relative, x.child_columns)) for x in downwards]
    return or_(*(and_(*(p == c for p, c in zip(ps, cs, strict=True))) for ps, cs in pairs))


def is_own(part: AnchorPart, declared: Declared) -> bool:
    """Tell whether a part stands in the dataset's own table."""
    return part.dataset is None or part.dataset == declared.name


def may_be_before(parts: Sequence[Part], before: Before) -> ColumnElement[bool] | None:
    """Return a condition that holds for every record whose anchor is before; None where none is known."""
    if len(parts) == 1:
        return parts[0].may_be_before(before, None)
    conditions = []
    for part in parts:
        may = part.may_be_before(before, None)
        if may is not None:
            conditions.append(may if part.missing is None else or_(part.missing, may))
    return and_(*conditions) if conditions else None


def may_be_undated(anchors: Iterable[Sequence[Part]]) -> ColumnElement[bool] | None:
    """Return a condition that holds for every record one of whose anchors is missing, cannot be read or lies in the
    future; None where none is known."""
    conditions: list[ColumnElement[bool]] = []
    for parts in anchors:
        for part in parts:
            if part.may_be_undated is None:
                return None
            conditions.append(part.may_be_undated)
    return or_(*conditions) if conditions else None


def numbers_of(parts: Sequence[Part], places: Sequence[int], rows: Sequence[Row]) -> list[int]:
    """Return the number of an anchor for each of some rows, whose parts were fetched at these places."""
    if len(parts) == 1:
        number, place = parts[0].number, places[0]
        values = [row[place] for row in rows]
        return number.all(values) if isinstance(number, Reader) else list(map(number, values))
    columns = [[part.number(row[place]) for row in rows] for part, place in zip(parts, places, strict=True)]
    return [max(numbers) for numbers in zip(*columns, strict=True)]
