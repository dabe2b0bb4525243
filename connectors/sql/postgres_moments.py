"""Moments as PostgreSQL keeps them, microseconds since 2000, to the numbers of ``connectors.sql.anchors``, for many.

Invariant: what is found by looking up is what ``anchors.number_of`` says; whatever is not plain (a day on which a clock
is changed, a moment near now) is asked there.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
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
        self._known, self._odd, self.by_prefix = _memory(zone, dating.local, self._this_day)
        self._exactly = remembering(dating, self._ask)

    def read(self, microseconds: int) -> int:
        """Return the number."""
        day, rest = divmod(microseconds, DAY)
        found = self._known.get(day) or self._look(day)
        if found is None:
            return self._exactly(microseconds)
        return found[1] if rest < found[0] else found[2]

    def on_one_day(self, first: int, last: int) -> int | None:
        """Return the number of all the microseconds of less than a day; None where they need not have the same."""
        ends = [divmod(first, DAY), divmod(last, DAY)]
        numbers = set()
        for day, rest in ends:
            found = self._known.get(day) or self._look(day)
            if found is None:
                return None
            numbers.add(found[1] if rest < found[0] else found[2])
        return numbers.pop() if len(numbers) == 1 else None

    def _look(self, day: int) -> tuple[int, int, int] | None:
        if day in self._odd:
            return None
        if not _FIRST_DAY <= day <= _LAST_DAY:
            return (0, UNREADABLE, UNREADABLE)
        # Around now each instant is asked whether it lies in the future.
        split = None if abs(day - self._this_day) <= 2 else self._days.split(day)
        if split is None:
            self._odd.add(day)
            return None
        future = FUTURE if day > self._this_day else 0
        self._known[day] = found = (split[0], split[1] + future, split[2] + future)
        return found

    def _ask(self, microseconds: int, dating: Dating) -> int:
        moment = EPOCH + timedelta(microseconds=microseconds)
        return number_of(moment if self._zone is None else moment.replace(tzinfo=None), dating)


@lru_cache(maxsize=8)
def _memory(
    zone: ZoneInfo | None,  # noqa: ARG001 - one memory each
    local: ZoneInfo,  # noqa: ARG001 - the same
    this_day: int,  # noqa: ARG001 - the same: what is in it is two days from now at least, at any hour of this day
) -> tuple[dict[int, tuple[int, int, int]], set[int], dict[bytes, int]]:
    """Return what is known already: a run asks about the same days in each of its batches."""
    return {}, set(), {}


def reader_of_bytes(reader: MomentReader) -> Callable[[bytes | None], int]:
    """Return the function from the eight bytes of a moment to the number.

    The first four bytes tell the moment to within 72 minutes. Nearly always all of these lie on one day, and the rest
    need not be looked at: this runs once for every row.
    """
    known = reader.by_prefix
    find, from_bytes = known.get, int.from_bytes

    def look(raw: bytes) -> int:
        first = from_bytes(raw[:4] + bytes(4), "big", signed=True)
        number = reader.on_one_day(first, first + 0xFFFFFFFF)
        if number is None:
            return reader.read(from_bytes(raw, "big", signed=True))
        if len(known) >= _REMEMBERED:
            known.clear()
        known[raw[:4]] = number
        return number

    def number(raw: bytes | None) -> int:
        if raw is None:
            return NO_DATE
        return find(raw[:4]) or look(raw)

    return number
