"""Dates in PostgreSQL: fetched as the numbers the server keeps, read in Python.

A ``timestamptz`` comes as its eight bytes, the microseconds since 2000 (``timestamptz_send``): cheaper than text, and
exact; ``infinity`` and years before Christ are numbers like others instead of errors. Invariant: which day that is says
``ropa.clock``, through ``postgres_zones``; the server only compares columns with bound values, so as to leave out rows
that cannot matter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, case, false, func, literal_column, null, or_

from connectors.sql.anchors import FUTURE, NO_DATE, UNREADABLE, remembering
from connectors.sql.backend import Dates, Dating
from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.days import text_reader
from connectors.sql.postgres_columns import PostgresColumn
from connectors.sql.postgres_keys import Named, typed
from connectors.sql.postgres_moments import MomentReader, reader_of_bytes
from connectors.sql.postgres_zones import (
    EPOCH,
    EPOCH_DAY,
    end_of_days_before,
    is_in_order,
    wall_clock_bounds,
)
from connectors.sql.sqlite_dates import written_limit
from ropa.clock import calendar_day
from ropa.connector import Before

_EPOCHS = {"epoch": 1, "epoch-ms": 1000}
_FROM_1970 = (EPOCH - datetime(1970, 1, 1, tzinfo=EPOCH.tzinfo)) // timedelta(microseconds=1)
_WIDEST = timedelta(days=2)
"""How far the day as written can lie from the day in the controller's zone: an offset of +23:59, seen from -12:00."""
_PLAIN_DATE = (
    "^[0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
    "([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?(Z|[+]00:00)?)?$"
)
_WHOLE_NUMBERS = frozenset({"int2", "int4", "int8", "oid"})


def dates_of(column: TableColumn, dating: Dating) -> Dates:
    """Return how the dates of a column are read."""
    if column.kind is Kind.INSTANT:
        return Moments(dating, None)
    if column.kind is Kind.NAIVE:
        return Moments(dating, dating.zone)
    if column.kind is Kind.DATE:
        return CalendarDays(dating)
    if column.kind is Kind.TEXT:
        return Texts(dating)
    if column.kind is Kind.NUMBER and dating.form in _EPOCHS:
        return Epochs(dating, is_whole=isinstance(column, PostgresColumn) and column.sort in _WHOLE_NUMBERS)
    return Undatable()


class Moments:
    """``timestamptz``, and ``timestamp`` in the dataset's zone. See ``connectors.sql.backend.Dates``."""

    def __init__(self, dating: Dating, zone: ZoneInfo | None) -> None:
        self._dating = dating
        self._zone = zone
        self._type = "timestamptz" if zone is None else "timestamp"
        self._send = partial(_send, f"{self._type}_send")
        self.number: Callable[[Any], int] = reader_of_bytes(MomentReader(dating, zone))

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.value``."""
        return self._send(column)

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_before``. A wall-clock time is compared with the latest one that could be meant."""
        try:
            limit = end_of_days_before(before.instant, self._dating.local)
            if self._zone is not None:
                limit = wall_clock_bounds(limit, self._zone)[1]
        except OverflowError:
            return None
        return column < self._bound(limit)

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.is_likely_before``."""
        limit = before.instant
        if self._zone is not None:
            try:
                limit = limit.astimezone(self._zone).replace(tzinfo=None)
            except OverflowError:
                return None
        return column < self._bound(limit)

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_undated``. Years before 1 are smaller, ``infinity`` is greater than any that is read."""
        now = self._dating.now
        try:
            latest = now if self._zone is None else wall_clock_bounds(now, self._zone)[0]
        except OverflowError:
            return None
        return or_(column.is_(None), column > self._bound(latest), column < self._bound(datetime(1, 1, 4)))  # noqa: DTZ001 - in UTC or as written

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``: the first and the last; all of them where the last need not have the last day."""
        if is_in_order(self._zone, self._dating.local):
            return self._send(func.min(column)).op("||")(self._send(func.max(column)))
        return func.pg_catalog.string_agg(self._send(column).distinct(), literal_column("''::pg_catalog.bytea"))

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        return max(map(self.number, _chunks(raw, 8)), default=NO_DATE)

    def _bound(self, moment: datetime) -> ColumnElement[Any]:
        return typed(moment.isoformat(), f"pg_catalog.{self._type}")


class CalendarDays:
    """``date``. See ``connectors.sql.backend.Dates``."""

    def __init__(self, dating: Dating) -> None:
        self._today = calendar_day(dating.now, dating.local)
        self.number: Callable[[Any], int] = remembering(dating, self._number)
        self._send = partial(_send, "date_send")

    def _number(self, raw: bytes, _dating: Dating) -> int:
        day = EPOCH_DAY + int.from_bytes(raw, "big", signed=True)
        if not date.min.toordinal() <= day <= date.max.toordinal():
            return UNREADABLE
        return day + FUTURE if day > self._today.toordinal() else day

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.value``."""
        return self._send(column)

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_before``."""
        return column < typed(before.day.isoformat(), "pg_catalog.date")

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.is_likely_before``."""
        return self.may_be_before(column, before)

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_undated``."""
        limits = [typed(day.isoformat(), "pg_catalog.date") for day in (self._today, date.min)]
        return or_(column.is_(None), column > limits[0], column < limits[1])

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``."""
        return self._send(func.min(column)).op("||")(self._send(func.max(column)))

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        return max(map(self.number, _chunks(raw, 4)), default=NO_DATE)


class Texts:
    """Dates written as text. See ``connectors.sql.backend.Dates``."""

    def __init__(self, dating: Dating) -> None:
        self._dating = dating
        self.number: Callable[[Any], int] = text_reader(dating) if dating.form is None else remembering(dating)

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.value``: without the blanks that ``char(n)`` is filled up with."""
        return _as_text(column)

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_before``. ISO 8601 text begins with the day as written, at most two days later than the
        day meant. Of other patterns nothing is known."""
        if self._dating.form is not None:
            return None
        try:
            return _bytewise(column) < bound((before.day + _WIDEST).isoformat())
        except OverflowError:
            return None

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.is_likely_before``: text without a zone, in one spelling."""
        if self._dating.form is not None:
            return None
        return _bytewise(column) < bound(written_limit(before, self._dating.zone))

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_undated``: what is not a plain date of the past by its very spelling is looked at."""
        if self._dating.form is not None:
            return None
        text = _bytewise(column)
        latest = (self._dating.now - _WIDEST).date().isoformat()
        return or_(column.is_(None), text > bound(latest), text < bound("0002"), text.op("!~")(bound(_PLAIN_DATE)))

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``: every different text, as JSON."""
        return _as_text(func.pg_catalog.json_agg(_bytewise(column).distinct()))

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        return _latest(self.number, raw)


class Epochs:
    """Seconds or milliseconds since 1970 in a column of numbers. See ``connectors.sql.backend.Dates``."""

    def __init__(self, dating: Dating, *, is_whole: bool) -> None:
        self._dating = dating
        self._unit = _EPOCHS[dating.form or ""]
        self._is_whole = is_whole
        factor, read, other = 1_000_000 // self._unit, MomentReader(dating, None).read, remembering(dating)

        def number(raw: Any) -> int:
            return read(raw * factor - _FROM_1970) if type(raw) is int else other(raw)

        self.number: Callable[[Any], int] = number

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.value``: as it stands."""
        return column

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_before``."""
        try:
            limit = end_of_days_before(before.instant, self._dating.local)
        except OverflowError:
            return None
        return column < bound(math.ceil(limit.timestamp() * self._unit) + self._unit)

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.is_likely_before``."""
        return column < bound(math.ceil(before.instant.timestamp() * self._unit))

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_undated``: later than now (as is NaN here), or before the years that can be written."""
        latest = math.floor(self._dating.now.timestamp() * self._unit)
        found = or_(column.is_(None), column > bound(latest), column < bound(-62_000_000_000 * self._unit))
        return found if self._is_whole else None

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``: the least and the greatest, or every different number, as JSON."""
        if self._is_whole and is_in_order(None, self._dating.local):
            return _as_text(func.pg_catalog.json_build_array(func.min(column), func.max(column)))
        return _as_text(func.pg_catalog.json_agg(column.distinct()))

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        return _latest(self.number, raw)


class Undatable:
    """What has no date in it. See ``connectors.sql.backend.Dates``."""

    def number(self, raw: Any) -> int:
        """See ``Dates.number``."""
        return NO_DATE if raw is None else UNREADABLE

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.value``."""
        return case((column.is_(None), null()), else_=literal_column("1"))

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:  # noqa: ARG002
        """See ``Dates.may_be_before``: nothing is."""
        return false()

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:  # noqa: ARG002
        """See ``Dates.is_likely_before``."""
        return false()

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:  # noqa: ARG002
        """See ``Dates.may_be_undated``: everything is."""
        return None

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``: how many there are."""
        return func.count(column)

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        return UNREADABLE if raw else NO_DATE


def _send(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the bytes of a value as the server keeps it."""
    found: ColumnElement[Any] = getattr(func.pg_catalog, name)(column)
    return found


def _as_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return column.cast(Named("pg_catalog.text"))


def _bytewise(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a text that compares byte by byte, whatever the column's collation."""
    return _as_text(column).op("COLLATE")(literal_column('"C"'))


def _chunks(raw: bytes | None, size: int) -> list[bytes]:
    return [] if raw is None else [raw[start : start + size] for start in range(0, len(raw), size)]


def _latest(number: Callable[[Any], int], raw: str | None) -> int:
    return max((number(value) for value in json.loads(raw or "[]")), default=NO_DATE)
