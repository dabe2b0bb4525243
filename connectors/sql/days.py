"""Reading millions of dates: the same numbers as ``anchors.number_of``, found by looking up instead of computing.

Invariant: whatever is not certain (an odd spelling, a day on which a clock is changed, a date near now) is read by
``anchors.number_of``; a number found here is the number that gives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sql.anchors import NO_DATE, Reader, number_of
from connectors.sql.backend import Dating
from ropa.clock import calendar_day, start_of_day

_REMEMBERED = 1 << 17
_TIME = re.compile(r"[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?", re.ASCII)
_DIGITS = str.maketrans("123456789", "000000000")
_DAY, _HOUR = slice(10), slice(11, 13)
_SHAPES = {f"0000-00-00{mark}00:00:00\n" for mark in " T"}
"""Of a whole moment, as nearly every column has them: read all at once."""
_NEVER = "~"
"""After every time of day."""


def least_offset(zone: tzinfo, instant: datetime) -> timedelta:
    """Return the least offset of a zone in the days around an instant."""
    return min(_offsets(zone, instant))


def greatest_offset(zone: tzinfo, instant: datetime) -> timedelta:
    """Return the greatest offset of a zone in the days around an instant."""
    return max(_offsets(zone, instant))


def _offsets(zone: tzinfo, instant: datetime) -> list[timedelta]:
    return [(instant + timedelta(hours=h)).astimezone(zone).utcoffset() or timedelta() for h in range(-48, 49, 6)]


def text_reader(dating: Dating) -> Reader:
    """Return what reads ISO 8601 text, as fast as looking up can be.

    Of text without a zone the day follows from when, in the day as written, the controller's day ends; except on the
    days around a change of a clock.
    """
    return _TextReader(dating)


class _TextReader(Reader):
    def __init__(self, dating: Dating) -> None:
        self._dating = dating
        self._sure = (calendar_day(dating.now, dating.local) - timedelta(days=2)).isoformat()
        self._walls = _walls(dating.zone, dating.local)
        self._known: dict[Any, int] = {None: NO_DATE}

    def __call__(self, value: Any) -> int:
        if type(value) is not str or value >= self._sure:
            return self._slowly(value)
        if len(value) == 10:
            return _DAYS[value] or self._slowly(value)
        number, edge = self._walls[value[_DAY]]
        clock = value[10:]
        if not number or _TIME.fullmatch(clock) is None:
            return self._slowly(value)
        return number + (clock[1:] >= edge)

    def all(self, values: Sequence[Any]) -> list[int]:
        """See ``Reader.all``."""
        if not self._is_plain(values):
            return super().all(values)
        walls = self._walls
        found = [n and n + (v[11:] >= edge) for v in values for n, edge in (walls[v[:10]],)]
        if 0 in found:
            found = [number or self._slowly(value) for number, value in zip(found, values, strict=True)]
        return found

    def _is_plain(self, values: Sequence[Any]) -> bool:
        """Tell whether all are past moments in one spelling, to the second; the days have yet to be looked up."""
        try:
            joined = "\n".join([*values, ""])
        except TypeError:
            return False
        shape = joined[:20].translate(_DIGITS)
        return (
            shape in _SHAPES
            and joined.translate(_DIGITS) == shape * len(values)
            and not joined[14::20].strip("012345")
            and not joined[17::20].strip("012345")
            and max([value[_HOUR] for value in values]) < "24"
            and max(values) < self._sure
        )

    def _slowly(self, value: Any) -> int:
        known = self._known
        found = known.get(value)
        if found is None:
            if len(known) >= _REMEMBERED:
                known.clear()
                known[None] = NO_DATE
            found = known[value] = number_of(value, self._dating)
        return found


class _Days(dict[str, int]):
    """Days as text to their number, 0 for what is no day that can be looked up."""

    def __missing__(self, text: str) -> int:
        found = 0
        if len(text) == 10 and text.isascii() and text[4] == text[7] == "-" and "1985-01-02" <= text < "2039-12-31":
            with suppress(ValueError):
                found = date.fromisoformat(text).toordinal()
        if len(self) >= _REMEMBERED:
            self.clear()
        self[text] = found
        return found


_DAYS = _Days()


class _Walls(dict[str, tuple[int, str]]):
    """Days of ``zone`` as text to the number of the day of ``local`` in which they begin, and the time of day at which
    the next one does; (0, …) where that cannot be relied upon."""

    def __init__(self, zone: ZoneInfo, local: ZoneInfo) -> None:
        self._zone = zone
        self._local = local

    def __missing__(self, text: str) -> tuple[int, str]:
        number = _DAYS[text]
        found = self._found(date.fromordinal(number)) if number else (0, _NEVER)
        if len(self) >= _REMEMBERED:
            self.clear()
        self[text] = found
        return found

    def _found(self, day: date) -> tuple[int, str]:
        zone, local = self._zone, self._local
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        first = midnight.astimezone(local).date()
        starts = [start_of_day(first + timedelta(days=n), local) for n in range(3)]
        if (
            len({(midnight + timedelta(days=n)).utcoffset() for n in range(-1, 3)}) > 1
            or len({start.astimezone(local).utcoffset() for start in starts}) > 1
        ):
            return 0, _NEVER
        following = starts[1].astimezone(zone)
        # Without the seconds where those are none: a time that is written without them is not before it.
        edge = following.time().isoformat().removesuffix(":00")
        return first.toordinal(), edge if following.date() == day else _NEVER


@lru_cache(maxsize=32)
def _walls(zone: ZoneInfo, local: ZoneInfo) -> _Walls:
    return _Walls(zone, local)
