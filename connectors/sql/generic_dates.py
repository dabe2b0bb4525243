"""Dates of any database that SQLAlchemy reaches: read in Python, compared there only where types make that safe.

Invariant: a date is read by ``ropa.clock.read_moment``. Conditions exist for columns with a type of dates, where every
value is one, and for numbers with a declared unit. Of dates in text nothing is asked: how text is ordered is the
business of a collation. A column of instants whose driver forgets the zone (Oracle's) has no date that can be read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_

from connectors.sql.anchors import NO_DATE, UNREADABLE, remembering
from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.days import text_reader
from ropa.clock import calendar_day
from ropa.connector import Before
from ropa.errors import LocationError

_MARGIN = timedelta(days=2)
"""More than any two zones, or a session's zone that nobody thought of, can differ."""
_EPOCHS = {"epoch": 1, "epoch-ms": 1000}
_FIRST_EPOCH = -60_000_000_000
"""Seconds; what is less is before the years that can be written."""
_ZONED = re.compile(r"(?:Z|[+-]\d{2}:\d{2}(?::\d{2})?)\Z", re.ASCII)
_TYPED = frozenset({Kind.DATE, Kind.NAIVE, Kind.INSTANT})


@dataclass(frozen=True, slots=True)
class GenericDates:
    """See ``connectors.sql.backend.Dates``."""

    number: Callable[[Any], int]
    dating: Dating
    column: TableColumn
    location: str

    @classmethod
    def of(cls, column: TableColumn, dating: Dating, location: str) -> GenericDates:
        """Return how the dates of a column are read."""
        if column.kind in _TYPED:
            # Such a column has one way of writing, whatever form is configured.
            read = text_reader(Dating(dating.zone, None, dating.local, dating.now))
            return cls(_only_with_zone(read) if column.kind is Kind.INSTANT else read, dating, column, location)
        return cls(text_reader(dating) if dating.form is None else remembering(dating), dating, column, location)

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.value``: as it stands."""
        return column

    @property
    def _unit(self) -> int | None:
        """Of a number its unit in a second; None where the column is none."""
        return _EPOCHS.get(self.dating.form or "") if self.column.kind is Kind.NUMBER else None

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_before``: typed columns and numbers, with a margin."""
        if (unit := self._unit) is not None:
            return column < bound(math.ceil(before.instant.timestamp() * unit) + unit)
        return self._is_less(column, before, _MARGIN)

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.is_likely_before``: the same without a margin."""
        if (unit := self._unit) is not None:
            return column < bound(math.ceil(before.instant.timestamp() * unit))
        return self._is_less(column, before, timedelta())

    def _is_less(self, column: ColumnElement[Any], before: Before, margin: timedelta) -> ColumnElement[bool] | None:
        if self.column.kind not in _TYPED:
            return None
        try:
            if self.column.kind is Kind.DATE:
                return column < bound(before.day)
            return column < bound(self._wall(before.instant + margin))
        except OverflowError:
            return None

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_undated``. Of instants nothing is known: a driver may forget their zone."""
        if (unit := self._unit) is not None:
            now = math.floor(self.dating.now.timestamp() * unit) - unit
            return or_(column.is_(None), column > bound(now), column < bound(_FIRST_EPOCH * unit))
        if self.column.kind is Kind.DATE:
            return or_(column.is_(None), column > bound(calendar_day(self.dating.now, self.dating.local) - _MARGIN))
        if self.column.kind is Kind.NAIVE:
            return or_(column.is_(None), column > bound(self._wall(self.dating.now - _MARGIN)))
        return None

    def _wall(self, instant: datetime) -> date:
        """Return an instant as the column has it: with a zone, or as clocks in the dataset's zone show it."""
        if self.column.kind is Kind.INSTANT:
            return instant.astimezone(UTC)
        return instant.astimezone(self.dating.zone).replace(tzinfo=None)

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``: the greatest; of numbers the least where that is no date. Raises LocationError for
        text, of which the greatest need not be the latest."""
        if (unit := self._unit) is not None:
            least = func.min(column)
            return case((least < bound(_FIRST_EPOCH * unit), least), else_=func.max(column))
        if self.column.kind in _TYPED:
            return func.max(column)
        raise LocationError(
            f"location {self.location}: column {self.column.name!r} holds no dates of the database's own, and the "
            f"latest of several records' dates cannot be told from text on this engine",
            code="unsupported",
            next_step="Take an anchor of the record itself, or a column whose type is a date.",
        )

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        return NO_DATE if raw is None else self.number(raw)


def _only_with_zone(read: Callable[[Any], int]) -> Callable[[Any], int]:
    def number(value: Any) -> int:
        if isinstance(value, str) and _ZONED.search(value) is None:
            return UNREADABLE
        return read(value)

    return number
