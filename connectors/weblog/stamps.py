"""Which calendar day a line's date belongs to: times as logs write them, seen in the controller's zone.

Invariant: what cannot be read is no day, and is never guessed: an hour 24, a second 60, the 30th of February, an
offset that cannot be. ``Days.hours`` names only hours that lie in one day as a whole, so that looking at a date and an
hour decides exactly as reading the whole time would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from ropa.clock import calendar_day, in_zone, start_of_day

_NAMES = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
_KEPT = 50_000
LOCAL, UTC = b"", b"Z"
"""The zone of a time that carries none: the dataset's, or UTC."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How a log writes a date: an expression of fixed width, and both ways between it and a date."""

    expression: bytes
    read: Callable[[bytes], date]
    """Raises ValueError or KeyError."""
    spell: Callable[[date], bytes]


def _read_common(text: bytes) -> date:
    return date(int(text[7:11]), _MONTHS[text[3:6]], int(text[:2]))


COMMON = Notation(
    rb"[0-3][0-9]/[A-Z][a-z]{2}/[0-9]{4}",
    _read_common,
    lambda day: b"%02d/%s/%04d" % (day.day, _NAMES[day.month - 1], day.year),
)
ISO = Notation(
    rb"[0-9]{4}-[01][0-9]-[0-3][0-9]",
    lambda text: date(int(text[:4]), int(text[5:7]), int(text[8:10])),
    lambda day: b"%04d-%02d-%02d" % (day.year, day.month, day.day),
)


class Days:
    """Times of one log to days; a day is its ordinal number. ``local``: the zone of times that carry none; ``zone``:
    the controller's."""

    def __init__(self, local: ZoneInfo, zone: ZoneInfo) -> None:
        self.local, self.zone = local, zone
        self._known: dict[tuple[bytes, tuple[bytes, bytes, bytes], bytes], int | None] = {}

    def of(self, notation: Notation, day: bytes, clock: tuple[bytes, bytes, bytes], offset: bytes) -> int | None:
        """Return the day of one time (hour, minute, second) as it stands; None where it cannot be read."""
        key = (day, clock, offset)
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) > _KEPT:
            self._known.clear()
        try:
            read = notation.read(day)
            hour, minute, second = map(int, clock)
            naive = datetime(read.year, read.month, read.day, hour, minute, second)  # noqa: DTZ001 - its zone is ``offset``
            found = self._day(naive, offset)
        except (ValueError, KeyError, OverflowError):
            found = None
        self._known[key] = found
        return found

    def of_moment(self, moment: datetime | date | None) -> int | None:
        """Return the day of a moment read elsewhere."""
        return None if moment is None else calendar_day(moment, self.zone).toordinal()

    def hours(self, notation: Notation, ordinal: int, offset: bytes) -> list[tuple[bytes, tuple[int, ...]]]:
        """Return the dates, each with its hours, that lie wholly in a day when written with an offset."""
        try:
            found = self._whole_hours(ordinal, offset) if offset else self._local_hours(ordinal)
        except (ValueError, OverflowError):
            return []
        return [(notation.spell(day), tuple(hours)) for day, hours in found.items()]

    def _whole_hours(self, ordinal: int, offset: bytes) -> dict[date, list[int]]:
        """With an offset time never goes back, so the two ends of the day decide."""
        day = date.fromordinal(ordinal)
        distance = _zone(offset).utcoffset(None)
        start, end = (
            start_of_day(one, self.zone).replace(tzinfo=None) + distance for one in (day, day + timedelta(days=1))
        )
        hour = timedelta(hours=1)
        mark = start.replace(minute=0, second=0, microsecond=0)
        mark += hour if mark < start else 0 * hour
        found: dict[date, list[int]] = {}
        while mark + hour <= end:
            found.setdefault(mark.date(), []).append(mark.hour)
            mark += hour
        return found

    def _local_hours(self, ordinal: int) -> dict[date, list[int]]:
        """Without an offset clocks change, but since 1973 never within a quarter of an hour: its ends decide."""
        found: dict[date, list[int]] = {}
        for around in (ordinal - 1, ordinal, ordinal + 1):
            day = date.fromordinal(around)
            if day.year < 1973:
                continue
            midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - as written in the log
            for hour in range(24):
                starts = [midnight + timedelta(hours=hour, minutes=minutes) for minutes in (0, 15, 30, 45)]
                ends = [start + timedelta(minutes=15, seconds=-1) for start in starts]
                if all(self._day(mark, LOCAL) == ordinal for mark in starts + ends):
                    found.setdefault(day, []).append(hour)
        return found

    def _day(self, naive: datetime, offset: bytes) -> int:
        instant = in_zone(naive, self.local) if offset == LOCAL else naive.replace(tzinfo=_zone(offset))
        return calendar_day(instant, self.zone).toordinal()


def _zone(offset: bytes) -> timezone:
    """Read ``Z``, ``+0100`` or ``+01:00``. Raises ValueError."""
    if offset in {b"Z", b"z"}:
        return timezone.utc  # noqa: UP017 - datetime.UTC is the same; UTC is a text here
    digits = offset[1:].replace(b":", b"")
    minutes = int(digits[2:4])
    if minutes > 59:
        raise ValueError("not an offset")
    distance = timedelta(hours=int(digits[:2]), minutes=minutes)
    return timezone(-distance if offset[:1] == b"-" else distance)
