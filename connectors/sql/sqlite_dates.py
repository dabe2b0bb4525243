"""Dates in SQLite, whose columns hold anything whatever they are declared as: text, numbers, bytes.

Invariant: a date is read by ``ropa.clock.read_moment``, in Python; the conditions here only keep rows from being read
that cannot matter. SQLite orders numbers before text before blobs (https://sqlite.org/datatype3.html#comparisons),
which is why one comparison also tells text in a column of numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_

from connectors.sql.anchors import NO_DATE, UNREADABLE, number_of, remembering
from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.days import text_reader
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
        """See ``Dates.may_be_undated``. ``date()`` and ``datetime()`` give a text back as it is only where it is a date
        of the calendar in that very spelling; what they change is looked at."""
        if self.dating.form is None:
            latest = (self.dating.now - _WIDEST).date().isoformat()
            # Only where it has to compute does SQLite see that 30 February is none.
            as_is: ColumnElement[str] = literal_column("'+0 days'")
            read = [function(column, as_is) for function in (func.datetime, func.date)]
            return or_(
                column > bound(latest),
                and_(*(back.is_distinct_from(column) for back in read)),
                column.is_(None),
                column < bound("0001-01-01"),  # the year 0, which SQLite knows, is in no calendar here
            )
        if self.dating.form in _EPOCHS and self.is_number:
            unit = _EPOCHS[self.dating.form]
            # Not later than now, nor before the years that can be written; text and blobs are greater than any number.
            limits = (bound(-60_000_000_000 * unit), bound(math.floor(self.dating.now.timestamp() * unit)))
            return or_(column.is_(None), column > limits[1], column < limits[0])
        return None

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``: every different content, as JSON; a blob as an empty text, which is no date."""
        readable = case((func.typeof(column) == literal_column("'blob'"), literal_column("''")), else_=column)
        return func.json_group_array(readable.distinct())

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        return max((self.number(value) for value in json.loads(raw or "[]")), default=NO_DATE)


def written_limit(before: Before, zone: ZoneInfo) -> str:
    """Return the least text, in ISO 8601 with a space, of a date in a zone that is no longer before."""
    wall = before.instant.astimezone(zone).replace(tzinfo=None)
    return wall.date().isoformat() if wall == datetime.combine(wall.date(), time()) else wall.isoformat(" ", "seconds")
