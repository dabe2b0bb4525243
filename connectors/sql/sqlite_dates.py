"""Dates in SQLite, whose columns hold anything whatever they are declared as: text, numbers, bytes.

Invariant: a date is read by ``ropa.clock.read_moment``, in Python; the conditions here only keep rows from being read
that cannot matter. SQLite orders numbers before text before blobs (https://sqlite.org/datatype3.html#comparisons),
which is why one comparison also tells text in a column of numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, collate, func, literal_column, or_

from connectors.sql.anchors import NO_DATE, UNREADABLE, number_of, remembering
from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.days import least_offset, text_reader
from ropa.connector import Before

_WIDEST = timedelta(days=2)
"""How far the day as written can lie from the day in the controller's zone: an offset of +23:59, seen from -12:00."""
_EPOCHS = {"epoch": 1, "epoch-ms": 1000}


@dataclass(frozen=True, slots=True)
class SqliteDates:
    """See ``connectors.sql.backend.Dates``."""

    number: Callable[[Any], int]
    dating: Dating
    is_number: bool

    @classmethod
    def of(cls, column: TableColumn, dating: Dating) -> SqliteDates:
        """Return how the dates of a column are read."""
        is_number = column.kind is Kind.NUMBER
        is_epoch = dating.form in _EPOCHS

        def read(value: object, dating: Dating) -> int:
            # In a column of numbers, text is what SQLite could not read as one.
            if isinstance(value, bytes) or (is_epoch and is_number and isinstance(value, str)):
                return UNREADABLE
            return number_of(value, dating)

        # A blob is no date, and text in a column of bytes comes as bytes too; text is looked up where it is ISO 8601.
        reader = text_reader(dating) if dating.form is None else remembering(dating, read)
        return cls(reader, dating, is_number)

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.value``: as it stands."""
        return column

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_before``. ISO 8601 text begins with the day as written, at most two days later than the
        day meant. Of other patterns nothing is known."""
        if self.dating.form is None:
            try:
                return column < bound((before.day + _WIDEST).isoformat())
            except OverflowError:
                return None
        # A number in a column of text is compared as text, in which "999" is greater than "1700000000".
        if self.dating.form in _EPOCHS and self.is_number:
            unit = _EPOCHS[self.dating.form]
            return column < bound(math.ceil(before.instant.timestamp() * unit) + unit)
        return None

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.is_likely_before``: text without a zone, in one spelling."""
        if self.dating.form is None:
            return column < bound(written_limit(before, self.dating.zone))
        if self.dating.form in _EPOCHS and self.is_number:
            return column < bound(before.instant.timestamp() * _EPOCHS[self.dating.form])
        return self.may_be_before(column, before)

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_undated``. What ``date()`` and ``datetime()`` change of a text is looked at."""
        if self.dating.form is None:
            return or_(*self._outside(column), _is_odd(column))
        if self.dating.form in _EPOCHS and self.is_number:
            unit = _EPOCHS[self.dating.form]
            # Not later than now, nor before the years that can be written; text and blobs are greater than any number.
            limits = (bound(-60_000_000_000 * unit), bound(math.floor(self.dating.now.timestamp() * unit)))
            return or_(column.is_(None), column > limits[1], column < limits[0])
        return None

    def undated_ranges(self, column: ColumnElement[Any], ends: Sequence[object]) -> list[list[ColumnElement[bool]]]:
        """See ``Backend.undated_ranges``: of text, read from one of these ends to the next, each by a statement."""
        starts = [column.is_not(None), *(column > bound(end) for end in ends)]
        stops = [*([column <= bound(end)] for end in ends), []]
        parts = zip(starts, stops, strict=True)
        return [self._outside(column), *([and_(start, *stop, _is_odd(column))] for start, stop in parts)]

    def _outside(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Return the conditions that text is missing, that a date without a zone lies in the future, or in the year 0,
        which SQLite knows and no calendar here does."""
        now = self.dating.now
        wall = min(now + least_offset(zone, now) for zone in (self.dating.zone, self.dating.local))
        latest = wall.replace(tzinfo=None).isoformat(" ", "seconds")
        return [column.is_(None), column > bound(latest), column < bound("0001-01-01")]

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``: every different content, as JSON; a blob as an empty text, which is no date."""
        readable = case((func.typeof(column) == literal_column("'blob'"), literal_column("''")), else_=column)
        return func.json_group_array(readable.distinct())

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        return max((self.number(value) for value in json.loads(raw or "[]")), default=NO_DATE)


def _is_odd(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that a value is anything but a date of the calendar, without a zone, in the very spelling
    that ``date()`` or ``datetime()`` gives it."""
    # Only where it has to compute does SQLite see that 30 February is none.
    as_is: ColumnElement[str] = literal_column("'+0 days'")
    written = collate(column, "BINARY")  # whatever the column takes for equal: a blank at the end is no date
    return and_(*(function(column, as_is).is_distinct_from(written) for function in (func.datetime, func.date)))


def written_limit(before: Before, zone: ZoneInfo) -> str:
    """Return the least text, in ISO 8601 with a space, of a date in a zone that is no longer before."""
    wall = before.instant.astimezone(zone).replace(tzinfo=None)
    return wall.date().isoformat() if wall == datetime.combine(wall.date(), time()) else wall.isoformat(" ", "seconds")
