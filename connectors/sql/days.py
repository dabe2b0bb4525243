"""Reading millions of dates: the same numbers as ``anchors.number_of``, found by looking up instead of computing.

Invariant: whatever is not certain (an odd spelling, a day on which a clock is changed, a date near now) is read by
``anchors.number_of``; a number found here is the number that gives.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sql.anchors import NO_DATE, number_of
from connectors.sql.backend import Dating
from ropa.clock import calendar_day, start_of_day

_FIRST, _LAST = date(1985, 1, 1), date(2040, 1, 1)
"""The days that are looked up; others are computed."""
_REMEMBERED = 1 << 17


def text_reader(dating: Dating) -> Callable[[Any], int]:
    """Return the function from ISO 8601 text to the number, as fast as looking up can be.

    Text without a zone in the controller's own zone says its day itself; in another zone the day follows from where
    the text lies between two midnights, except on the days around a change of a clock.
    """
    sure = (calendar_day(dating.now, dating.local) - timedelta(days=2)).isoformat()
    is_local = dating.zone.key == dating.local.key
    bounds, odd = ((), frozenset[str]()) if is_local else _walls(dating.zone, dating.local)
    offset = _FIRST.toordinal() - 1
    known: dict[Any, int] = {None: NO_DATE}
    days, is_time = _DAYS, _TIME.fullmatch

    def slowly(value: Any) -> int:
        found = known.get(value)
        if found is None:
            if len(known) >= _REMEMBERED:
                known.clear()
                known[None] = NO_DATE
            found = known[value] = number_of(value, dating)
        return found

    def number(value: Any) -> int:
        if type(value) is not str:
            return slowly(value)
        day = value[:10]
        found = days.get(day)
        if found is None:
            found = _day_of(day)
        if not found or day >= sure or day in odd:
            return slowly(value)
        if len(value) > 10:
            clock = value[10:]
            if is_time(clock) is None:
                return slowly(value)
            if not is_local:
                return offset + bisect_right(bounds, f"{day} {clock[1:]}")
        return found

    return number


_TIME = re.compile(r"[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?", re.ASCII)
_DAYS: dict[str, int] = {}
"""Days as text to their number, 0 for what is no day that can be looked up."""


def _day_of(text: str) -> int:
    found = 0
    if len(text) == 10 and text.isascii() and text[4] == text[7] == "-" and "1985-01-02" <= text < "2039-12-31":
        with suppress(ValueError):
            found = date.fromisoformat(text).toordinal()
    if len(_DAYS) >= _REMEMBERED:
        _DAYS.clear()
    _DAYS[text] = found
    return found


@lru_cache(maxsize=32)
def _walls(zone: ZoneInfo, local: ZoneInfo) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the wall-clock texts in ``zone`` at which the days of ``local`` begin, and the days (as text, in ``zone``)
    on which that cannot be relied upon."""
    bounds, odd = [], set()
    day, before = _FIRST, None
    while day <= _LAST:
        start = start_of_day(day, local)
        bounds.append(start.astimezone(zone).replace(tzinfo=None).isoformat(" ", "seconds"))
        offsets = (start.astimezone(zone).utcoffset(), start.astimezone(local).utcoffset())
        if before is not None and offsets != before:
            odd |= {(day + timedelta(days=n)).isoformat() for n in range(-3, 3)}
        before, day = offsets, day + timedelta(days=1)
    return tuple(bounds), frozenset(odd)
