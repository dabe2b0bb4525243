"""Calendar days of many instants: exactly what ``ropa.clock`` says of each, at the price of two comparisons.

Nearly every day of nearly every zone is plain: its offset does not change, so the instants of one day lie on at most
two calendar days, with one boundary between them. Such days are worked out once. Invariant: of any other day nothing is
said here, and the caller asks ``ropa.clock`` about each instant.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY = 86_400_000_000
"""Microseconds."""
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""From which PostgreSQL counts microseconds and days."""
EPOCH_DAY = EPOCH.toordinal()

_STEP = timedelta(hours=3)
_WIDEST = timedelta(hours=26)
"""How far two readings of one clock can lie apart: offsets go from -12 to +14 hours."""
_MICROSECOND = timedelta(microseconds=1)

Split = tuple[int, int, int]
"""A day of instants: up to which microsecond of it (exclusive) they lie on the first calendar day (an ordinal), and
from there on the second."""


def offset_of(zone: ZoneInfo, instant: datetime) -> timedelta:
    """Return the offset of a zone at an instant."""
    return instant.astimezone(zone).utcoffset() or timedelta()


def offsets_around(zone: ZoneInfo, start: datetime, end: datetime) -> set[timedelta]:
    """Return the offsets a zone has between two instants. Raises OverflowError at the ends of the calendar."""
    found, instant = set(), start
    while instant < end:
        found.add(offset_of(zone, instant))
        instant += _STEP
    found.add(offset_of(zone, end))
    return found


@lru_cache(maxsize=64)
class Days:
    """The days of instants, or of wall-clock times in a zone, as calendar days of another zone.

    ``zone``: of the wall-clock times; None: the days are of instants, in UTC. ``local``: where the calendar days are.
    """

    def __init__(self, zone: ZoneInfo | None, local: ZoneInfo) -> None:
        self._zone = zone
        self._local = local
        self._known: dict[int, Split | None] = {}

    def split(self, day: int) -> Split | None:
        """Return how a day (counted from ``EPOCH``) falls on calendar days; None where each instant must be asked."""
        if day not in self._known:
            self._known[day] = self._split(day)
        return self._known[day]

    def _split(self, day: int) -> Split | None:
        try:
            start = EPOCH + timedelta(days=day)
            end = start + timedelta(days=1)
            shift = timedelta()
            if self._zone is not None:
                start, end = start - _WIDEST, end + _WIDEST
                (own,) = offsets_around(self._zone, start, end)
                shift -= own
            (there,) = offsets_around(self._local, start, end)
        except (OverflowError, ValueError):
            return None
        late = (shift + there) // _MICROSECOND
        ordinal = EPOCH_DAY + day + late // DAY
        return DAY - late % DAY, ordinal, ordinal + 1


def _changes(zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta, timedelta]]:
    """Yield the changes of a zone's offset from 1900 to 2100: the instant, the offset before, the offset after."""
    day, last = datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    before = offset_of(zone, day)
    while day < last:
        following = day + timedelta(days=1)
        after = offset_of(zone, following)
        if after != before:
            low, high = day, following
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0) if middle.replace(microsecond=0) > low else middle
                low, high = (middle, high) if offset_of(zone, middle) == before else (low, middle)
            yield high.replace(microsecond=0), before, after
        day, before = following, after


@lru_cache(maxsize=64)
def is_in_order(zone: ZoneInfo | None, local: ZoneInfo) -> bool:
    """Tell whether a later value never has an earlier calendar day.

    Not so where clocks are set back over midnight (St. John's until 2011), or where a wall-clock time that does not
    exist is read as one after times that do, across a midnight of ``local``.
    """
    for instant, before, after in _changes(local):
        wall = instant.replace(tzinfo=None)
        if after < before and (wall + before - _MICROSECOND).date() > (wall + after).date():
            return False
    for instant, before, after in _changes(zone) if zone is not None else ():
        if after > before:
            last = instant + (after - before) - _MICROSECOND
            if instant.astimezone(local).date() != last.astimezone(local).date():
                return False
    return True


def end_of_days_before(instant: datetime, local: ZoneInfo) -> datetime:
    """Return an instant such that every instant of the calendar days before lies before it, and few others do.

    ``instant``: the first of a calendar day. Raises OverflowError at the end of the calendar.
    """
    later = instant + _WIDEST
    return instant if len(offsets_around(local, instant, later)) == 1 else later


def wall_clock_bounds(instant: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return (least, greatest) wall-clock time that could be read as an instant in a zone.

    Raises OverflowError at the ends of the calendar.
    """
    offsets = offsets_around(zone, instant - _WIDEST, instant + _WIDEST)
    wall = instant.astimezone(UTC).replace(tzinfo=None)
    return wall + min(offsets), wall + max(offsets)
