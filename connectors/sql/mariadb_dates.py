"""Dates in MariaDB and MySQL: what is fetched of a column, how it is read, and conditions that an index can answer.

Invariant: a date is read by ``ropa.clock.read_moment``, in Python; the engine's own date arithmetic and CONVERT_TZ are
never used. Dates are fetched as text, so that a zero date (``0000-00-00``, ``2020-00-00``) is text that is no date and
never an error. Where every moment of a written day surely has one number, the day is read once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, FromClause, and_, case, func, literal_column, not_, or_

from connectors.sql.anchors import NO_DATE, UNREADABLE, Reader, remembering
from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind, TableColumn, bound
from connectors.sql.days import greatest_offset, least_offset
from connectors.sql.mariadb_gaps import gaps_between_months
from connectors.sql.mariadb_text import WHOLE, as_text, converted
from ropa.connector import Before

_EPOCHS = {"epoch": 1, "epoch-ms": 1000}
_WIDEST = timedelta(days=2)
_DATED = frozenset({Kind.DATE, Kind.NAIVE, Kind.INSTANT})
_OF_TEXT = frozenset({"enum", "set", "json"})
_UTC = ZoneInfo("UTC")
_FIRST_DAY, _SURE_DAY = "0001-01-01", "0001-01-03"
"""Before the first no date can be read, zero dates among them; from the other on every one, wherever it is written."""
_FIRST_SECOND, _SURE_SECOND = -62_135_596_801, -62_100_000_000
"""The same in seconds since 1970."""
_PLAIN_ISO = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?$"
_REMEMBERED = 1 << 17
_READERS = 32
"""What was read for one batch is known for the next, as long as it is asked with the same ``now``."""


@dataclass(frozen=True, slots=True)
class MariadbDates:
    """See ``connectors.sql.backend.Dates``."""

    number: Callable[[Any], int]
    kind: Kind
    """DATE, NAIVE, INSTANT, NUMBER, TEXT; OTHER: there is no date in it."""
    dating: Dating
    """For an instant the zone is UTC, which is the session's."""
    is_unsigned: bool

    @classmethod
    def of(cls, column: TableColumn, dating: Dating) -> MariadbDates:
        """Return how the dates of a column are read."""
        kind = column.kind
        if kind is Kind.OTHER and column.type.partition("(")[0].lower() in _OF_TEXT:
            kind = Kind.TEXT
        if kind is Kind.INSTANT:
            dating = Dating(_UTC, None, dating.local, dating.now)
        elif kind in _DATED:
            dating = Dating(dating.zone, None, dating.local, dating.now)
        if kind in {Kind.NAIVE, Kind.INSTANT}:
            number: Callable[[Any], int] = _ByDay(dating)
        elif kind in {Kind.DATE, Kind.TEXT, Kind.NUMBER}:
            number = _reader(dating)
        else:
            kind, number = Kind.OTHER, remembering(dating, lambda _value, _dating: UNREADABLE)
        is_unsigned = column.bounds is not None and column.bounds[0] == 0
        return cls(number, kind, dating, is_unsigned)

    def value(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.value``: as it stands; of what has no date in it, that it is there."""
        if self.kind is not Kind.OTHER:
            return column
        return case((column.is_not(None), literal_column("''")))

    def may_be_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_before``. Exact for typed columns but near a clock change, and for dates with a zero in
        them that are no zero dates."""
        try:
            limits = self._limits_before(before)
        except (OverflowError, ValueError):
            return None
        if limits is None:
            return None
        return and_(column >= bound(limits[0]), column < bound(limits[1]))

    def _limits_before(self, before: Before) -> tuple[object, object] | None:
        dating = self.dating
        if self.kind is Kind.DATE:
            return _FIRST_DAY, before.day.isoformat()
        if self.kind in {Kind.NAIVE, Kind.INSTANT}:
            last = before.instant + _spread(dating.local, before.instant)
            low = "1970-01-01 00:00:01" if self.kind is Kind.INSTANT else _FIRST_DAY
            return low, _spell(last + greatest_offset(dating.zone, last))
        if self.kind is Kind.NUMBER and dating.form in _EPOCHS:
            last = before.instant + _spread(dating.local, before.instant)
            unit = _EPOCHS[dating.form]
            return self._least(_FIRST_SECOND, unit), math.ceil(last.timestamp() * unit)
        if self.kind is Kind.TEXT and dating.form is None:
            # Such text begins with the day as written, at most two days later than the day meant.
            return "0001", (before.day + _WIDEST).isoformat()
        return None

    def surely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """Return a condition that holds for no row whose date is not before, and for every other one; None where none
        is known: near a clock change, of what is no typed date, of a day that is not over."""
        local, zone, last = self.dating.local, self.dating.zone, before.instant
        try:
            may = self.may_be_before(column, before)
            is_over = last + _WIDEST < self.dating.now
            if may is None or not is_over or self.kind not in _DATED:
                return None
            if self.kind is not Kind.DATE and (_spread(local, last) or _spread(zone, last)):
                return None
        except (OverflowError, ValueError):
            return None
        day, longest = func.dayofmonth(column), func.dayofmonth(func.last_day(column))
        # Of a date without a month, or with a day that no calendar has, this is not true.
        return may if self.kind is Kind.INSTANT else and_(may, day > _number_literal(0), day <= longest)

    def is_likely_before(self, column: ColumnElement[Any], before: Before) -> ColumnElement[bool] | None:
        """See ``Dates.is_likely_before``: of text, what begins with a day before is taken for before."""
        if self.kind is Kind.TEXT and self.dating.form is None:
            return and_(column >= bound("0001"), column < bound(before.day.isoformat()))
        return self.may_be_before(column, before)

    def may_be_undated(self, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
        """See ``Dates.may_be_undated``."""
        dating = self.dating
        try:
            if self.kind in _DATED:
                odd = [] if self.kind is Kind.INSTANT else [_is_odd(column)]
                return or_(*self._outside(column), *odd)
            if self.kind is Kind.NUMBER and dating.form in _EPOCHS:
                unit = _EPOCHS[dating.form]
                latest_number = math.floor(dating.now.timestamp() * unit)
                return or_(
                    column.is_(None), column > bound(latest_number), column < bound(self._least(_SURE_SECOND, unit))
                )
            if self.kind is Kind.TEXT and dating.form is None:
                is_plain = and_(
                    as_text(column).op("REGEXP")(bound(_PLAIN_ISO)),
                    # The pattern's end also holds before a last line break.
                    func.char_length(column).in_([literal_column("10"), literal_column("16"), literal_column("19")]),
                )
                latest = (dating.now - _WIDEST).date().isoformat()
                return or_(column.is_(None), column > bound(latest), column < bound(_SURE_DAY), not_(is_plain))
        except (OverflowError, ValueError):
            return None
        return None

    def undated_ranges(
        self, connection: Connection, own: FromClause, column: ColumnElement[Any]
    ) -> list[ColumnElement[bool]] | None:
        """See ``Backend.undated_ranges``: of dates of the calendar, where ``may_be_undated`` reads every one."""
        if self.kind not in {Kind.DATE, Kind.NAIVE}:
            return None
        try:
            outside, latest = self._outside(column), self._latest()
        except (OverflowError, ValueError):
            return None
        gaps = gaps_between_months(connection, own, column, self.kind, (_SURE_DAY, latest))
        return None if gaps is None else [*outside, *gaps]

    def _outside(self, column: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Return the conditions that a typed date is missing, may lie in the future, or before every sure one."""
        low = "1970-01-01 00:00:01" if self.kind is Kind.INSTANT else _SURE_DAY
        return [column.is_(None), column > bound(self._latest()), column < bound(low)]

    def _latest(self) -> str:
        """Return the last typed date, as it is written, that surely is none of the future."""
        dating = self.dating
        if self.kind is Kind.DATE:
            return (dating.now.astimezone(dating.local).date() - timedelta(days=1)).isoformat()
        return _spell(dating.now + least_offset(dating.zone, dating.now) - timedelta(seconds=1))

    def _least(self, seconds: int, unit: int) -> int:
        return 0 if self.is_unsigned else seconds * unit

    def gathered(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """See ``Dates.gathered``: how many there are, and all of them; NULL where there are none.

        A list that was cut (``group_concat_max_len``, ``max_allowed_packet``) has too few of them, which shows.
        """
        if self.kind is Kind.TEXT:
            each: ColumnElement[Any] = func.hex(converted(column, WHOLE))
        else:
            each = self.value(column)
        count = func.count(column)
        listed = func.coalesce(
            func.concat(count, literal_column("'|'"), func.group_concat(each)), literal_column("'?'")
        )
        return case((count > literal_column("0"), listed))

    def latest(self, raw: Any) -> int:
        """See ``Dates.latest``."""
        if raw is None:
            return NO_DATE
        count, bar, rest = str(raw).partition("|")
        values: list[Any] = rest.split(",")
        if not bar or not count.isdigit() or len(values) != int(count):
            return UNREADABLE
        try:
            if self.kind is Kind.TEXT:
                values = [bytes.fromhex(value).decode() for value in values]
            elif self.kind is Kind.NUMBER:
                values = [_number(value) for value in values]
        except ValueError:
            return UNREADABLE
        return max(map(self.number, values), default=NO_DATE)


def _number(text: str) -> object:
    if "e" in text or "E" in text:
        return float(text)
    return text if "." in text else int(text)


def _is_odd(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return whether a date has a month or day that no calendar has."""
    month, day = func.month(column), func.dayofmonth(column)
    zero, last = _number_literal(0), _number_literal(28)
    longest = func.coalesce(func.dayofmonth(func.last_day(column)), zero)
    return or_(month == zero, day == zero, and_(day > last, day > longest))


def _number_literal(number: int) -> ColumnElement[int]:
    return literal_column(str(number))


def _spell(instant: datetime) -> str:
    return instant.replace(tzinfo=None).isoformat(" ")


def _spread(zone: tzinfo, instant: datetime) -> timedelta:
    """Return how far the clocks of a zone move around an instant: nothing, but near a clock change."""
    return greatest_offset(zone, instant) - least_offset(zone, instant)


# --- reading ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=_READERS)
def _reader(dating: Dating) -> Callable[[Any], int]:
    """Return the reader of single dates, the same one for batch after batch."""
    return remembering(dating)


class _ByDay(Reader):
    """Reads text ``YYYY-MM-DD HH:MM:SS[.ffffff]``: by the written day, where it has one number or two."""

    def __init__(self, dating: Dating) -> None:
        self._exact = _reader(dating)
        self._days = _days(dating.zone, dating.local)
        # On a day that begins two days before now in UTC no moment lies in the future, whatever the zone.
        self._sure = (dating.now.astimezone(UTC).date() - timedelta(days=2)).isoformat()

    def __call__(self, value: Any) -> int:
        return self.all([value])[0]

    def all(self, values: Sequence[Any]) -> list[int]:
        """See ``Reader.all``."""
        days, exact = self._days, self._exact
        try:
            if max(values, default="") < self._sure:
                return [
                    exact(value) if found is None else found[1] if value[11:] < found[0] else found[2]
                    for value in values
                    for found in (days[value[:10]],)
                ]
        except TypeError:  # NULLs among them
            pass
        return [self._number(value) for value in values]

    def _number(self, value: Any) -> int:
        found = self._days[value[:10]] if value is not None and value < self._sure else None
        if found is None:
            return self._exact(value)
        return found[1] if value[11:] < found[0] else found[2]


class _Days(dict[str, tuple[str, int, int] | None]):
    """By written day: the time of day at which the number of its moments changes, and the numbers before and from then
    on; None where each moment has to be looked at. Nothing of it depends on what time it is now."""

    def __init__(self, zone: tzinfo, local: tzinfo) -> None:
        super().__init__()
        self._zones = (zone, local)

    def __missing__(self, day: str) -> tuple[str, int, int] | None:
        if len(self) >= _REMEMBERED:
            self.clear()
        self[day] = found = self._found(day)
        return found

    def _found(self, day: str) -> tuple[str, int, int] | None:
        try:
            start = datetime.combine(date.fromisoformat(day), time())
        except ValueError:
            return "", UNREADABLE, UNREADABLE
        try:
            # The clocks stand still from the day before to the day after: no time is missing or double, all are in
            # order.
            written, local = (_steady_offset(zone, start) for zone in self._zones)
            if written is None or local is None:
                return None
            first = start + local - written
            midnight = datetime.combine(first.date() + timedelta(days=1), time())
            change = start + (midnight - first)
            ordinal = first.toordinal()
        except OverflowError:  # at either end of the calendar
            return None
        if change.date() != start.date():
            return "", ordinal, ordinal
        return change.time().isoformat(), ordinal, ordinal + 1


@lru_cache(maxsize=_READERS)
def _days(zone: ZoneInfo, local: ZoneInfo) -> _Days:
    """Return the days of two zones, the same ones for batch after batch."""
    return _Days(zone, local)


def _steady_offset(zone: tzinfo, start: datetime) -> timedelta | None:
    """Return the offset of a zone from a day before to two days after; None where it changes."""
    offsets = {_offset_at(zone, start + timedelta(days=days)) for days in (-1, 0, 1, 2)}
    return offsets.pop() if len(offsets) == 1 else None


@lru_cache(maxsize=1 << 16)
def _offset_at(zone: tzinfo, midnight: datetime) -> timedelta | None:
    """Return the offset of a zone at a wall-clock time; None where there are two."""
    offsets = {midnight.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1)}
    return offsets.pop() if len(offsets) == 1 else None
