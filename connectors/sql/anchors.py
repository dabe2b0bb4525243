"""Anchors as expressions: the number of the calendar day from which a period runs, for the database to compare.

One number says everything: 0, no date at all; up to ``FUTURE``, the calendar day (``date.toordinal``) in the
controller's zone; from ``FUTURE``, that day plus ``FUTURE`` of a date later than now; from ``UNREADABLE``, something
that is no date. So the greatest of several parts is the latest, and one that cannot be read makes the whole
unreadable. Invariant: what is not a past or present date is never before anything.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, and_, func, or_, select

from connectors.sql.catalogue import Kind, bound, columns_of
from ropa.connector import Anchor, AnchorPart, Before, Selection

if TYPE_CHECKING:
    from connectors.sql.backend import Backend
    from connectors.sql.layout import Declared, Layout

FUTURE = 1 << 23
"""Above every ``date.toordinal()`` (at most 3,652,059)."""
UNREADABLE = 1 << 25

_WIDEST = timedelta(days=2)
"""How far the day as written can lie after the day in the controller's zone: an offset of +23:59, seen from -12:00."""


def anchored_day(number: int) -> date | None:
    """Return the calendar day of an anchor's number, also of a future one; None where there is none to be read."""
    if number <= 0 or number >= UNREADABLE:
        return None
    return date.fromordinal(number - FUTURE if number >= FUTURE else number)


def anchor_number(
    anchor: Anchor, declared: Declared, own: FromClause, *, layout: Layout, selection: Selection, backend: Backend
) -> ColumnElement[int]:
    """Return the number of an anchor of the dataset whose table is ``own`` in the statement."""
    parts = [
        func.coalesce(_part(part, declared, own, layout=layout, selection=selection, backend=backend), 0)
        for part in anchor.parts
    ]
    return parts[0] if len(parts) == 1 else backend.greatest(list(parts))


def _part(
    part: AnchorPart, declared: Declared, own: FromClause, *, layout: Layout, selection: Selection, backend: Backend
) -> ColumnElement[Any]:
    other = declared if is_own(part, declared) else layout.declared(part.dataset or "")
    found = other.table.column(part.column)

    def day_of(source: FromClause) -> ColumnElement[int]:
        return backend.day_number(
            source.c[part.column],
            found.kind if found else Kind.ANY,
            zone=other.spec.zone,
            form=part.form,
            local=selection.zone,
            now=selection.now,
        )

    if other is declared:
        return day_of(own)
    relative = other.table.aliased("relative")
    upwards, downwards = layout.links_between(declared, other), layout.links_between(other, declared)
    is_parent = bool(upwards) and (declared.parent_is(other.name) or not downwards)
    if is_parent:
        pairs = [(columns_of(relative, x.parent_columns), columns_of(own, x.child_columns)) for x in upwards]
    else:
        pairs = [(columns_of(own, x.parent_columns), columns_of(relative, x.child_columns)) for x in downwards]
    is_relative = or_(*(and_(*(p == c for p, c in zip(ps, cs, strict=True))) for ps, cs in pairs))
    return select(func.max(day_of(relative))).where(is_relative).correlate(own).scalar_subquery()


def is_own(part: AnchorPart, declared: Declared) -> bool:
    """Tell whether a part stands in the dataset's own table."""
    return part.dataset is None or part.dataset == declared.name


def is_before(number: ColumnElement[int], befores: list[Before]) -> ColumnElement[bool]:
    """Return the exact condition: dated, not in the future, and before every day asked for (none: any day)."""
    last = min((before.day.toordinal() for before in befores), default=FUTURE) - 1
    return number.between(1, last)


def is_undated(number: ColumnElement[int]) -> ColumnElement[bool]:
    """Return the condition that an anchor is missing, cannot be read, or lies in the future."""
    return or_(number < 1, number >= FUTURE)


def prefilter(anchor: Anchor, before: Before, declared: Declared) -> tuple[str, object] | None:
    """Return (column, bound) such that every record that is before has ``column < bound``; None where none is known.

    This lets the database use an index; the exact condition stands beside it. ISO 8601 text begins with the day as
    written, which is at most two days later than the day meant. Of other patterns nothing is known, nor of an anchor
    with several parts, of which any may be missing.
    """
    if len(anchor.parts) != 1 or not is_own(anchor.parts[0], declared):
        return None
    part = anchor.parts[0]
    if part.form is None:
        try:
            return part.column, (before.day + _WIDEST).isoformat()
        except OverflowError:
            return None
    found = declared.table.column(part.column)
    # A number in a column of text is compared as text, in which "999" is greater than "1700000000".
    if part.form in {"epoch", "epoch-ms"} and found is not None and found.kind is Kind.NUMBER:
        unit = 1 if part.form == "epoch" else 1000
        return part.column, math.ceil(before.instant.timestamp() * unit) + unit
    return None


def sargable(column: ColumnElement[Any], limit: object) -> ColumnElement[bool]:
    """Return the cheap condition of ``prefilter``."""
    return column < bound(limit)
