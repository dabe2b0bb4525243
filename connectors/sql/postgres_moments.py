"""Moments as PostgreSQL keeps them, microseconds since 2000, to the numbers of ``connectors.sql.anchors``, for many.

Invariant: what is found by looking up is what ``anchors.number_of`` says; whatever is not plain (a day on which a clock
is changed, a moment near now) is asked there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from connectors.sql.anchors import FUTURE, NO_DATE, UNREADABLE, number_of, remembering
from connectors.sql.backend import Dating
from connectors.sql.postgres_zones import DAY, EPOCH, EPOCH_DAY, Days

_LAST_DAY = date.max.toordinal() - EPOCH_DAY
_FIRST_DAY = 1 - EPOCH_DAY
_REMEMBERED = 1 << 17


class MomentReader:
    """Reads microseconds since 2000."""

    def __init__(self, dating: Dating, zone: ZoneInfo | None) -> None:
        self._dating = dating
        self._zone = zone
        self._days = Days(zone, dating.local)
        self._this_day = (dating.now - EPOCH) // timedelta(days=1)
        self._memory = _memory(zone, dating.local, self._this_day)
        self.by_hour = self._memory.by_hour
        """The number of all the moments that have the same upper four bytes (some 72 minutes of them), where those are
        known to have the same."""
        self._exactly = remembering(dating, self._ask)

    def read(self, microseconds: int) -> int:
        """Return the number."""
        day, rest = divmod(microseconds, DAY)
        found = self._memory.days.get(day) or self._look(day)
        if found is None:
            return self._exactly(microseconds)
        return found[1] if rest < found[0] else found[2]

    def learn(self, hours: Iterable[int]) -> None:
        """Have in ``by_hour`` what there is to be known of these: a whole day at a time."""
        memory = self._memory
        if len(memory.by_hour) >= _REMEMBERED:
            memory.by_hour.clear()
            memory.learnt.clear()
        for hour in hours:
            day = (hour << 32) // DAY
            if day in memory.learnt:
                continue
            memory.learnt.add(day)
            found = memory.days.get(day) or self._look(day)
            if found is not None:
                start = day * DAY
                middle, end = start + found[0], start + DAY
                memory.by_hour.update(dict.fromkeys(_hours_within(start, middle), found[1]))
                memory.by_hour.update(dict.fromkeys(_hours_within(middle, end), found[2]))

    def _look(self, day: int) -> tuple[int, int, int] | None:
        if day in self._memory.odd:
            return None
        if not _FIRST_DAY <= day <= _LAST_DAY:
            return (0, UNREADABLE, UNREADABLE)
        # Around now each instant is asked whether it lies in the future.
        split = None if abs(day - self._this_day) <= 2 else self._days.split(day)
        if split is None:
            self._memory.odd.add(day)
            return None
        future = FUTURE if day > self._this_day else 0
        self._memory.days[day] = found = (split[0], split[1] + future, split[2] + future)
        return found

    def _ask(self, microseconds: int, dating: Dating) -> int:
        moment = EPOCH + timedelta(microseconds=microseconds)
        return number_of(moment if self._zone is None else moment.replace(tzinfo=None), dating)


def _hours_within(start: int, end: int) -> range:
    """Return the upper four bytes that only moments from ``start`` to before ``end`` have; never those of -infinity."""
    return range(max(-(-start >> 32), 1 - 2**31), end >> 32)


class _Memory(NamedTuple):
    days: dict[int, tuple[int, int, int]]
    odd: set[int]
    by_hour: dict[int, int]
    learnt: set[int]
    """Days that are in ``by_hour`` as far as can be."""


@lru_cache(maxsize=8)
def _memory(
    zone: ZoneInfo | None,  # noqa: ARG001 - one memory each
    local: ZoneInfo,  # noqa: ARG001 - the same
    this_day: int,  # noqa: ARG001 - the same: what is in it is two days from now at least, at any hour of this day
) -> _Memory:
    """Return what is known already: a run asks about the same days in each of its batches."""
    return _Memory({}, set(), {}, set())


def reader_of_bytes(reader: MomentReader) -> Callable[[bytes | None], int]:
    """Return the function from the eight bytes of a moment to the number: this runs once for every row."""
    find, from_bytes = reader.by_hour.get, int.from_bytes

    def number(raw: bytes | None) -> int:
        if raw is None:
            return NO_DATE
        hour = from_bytes(raw[:4], "big", signed=True)
        found = find(hour)
        if found is None:
            reader.learn((hour,))
            found = find(hour)
        return reader.read(from_bytes(raw, "big", signed=True)) if found is None else found

    return number
