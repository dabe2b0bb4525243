"""Time: the only source of ``now``, how dates found in records are read, and periods as values.

Invariant: an instant is an aware UTC ``datetime``; a date without a time is a calendar day as it stands, in no zone;
what cannot be read is ``None``, never a guess. Arithmetic with periods is in ``ropa.retention.periods``.
"""

from __future__ import annotations

import calendar
import ctypes
import re
import time
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

Moment = date | datetime
"""What an anchor holds: a calendar day (``date``, no zone) or an aware UTC instant (``datetime``)."""


def now() -> datetime:
    """Return the present instant: aware, UTC, cut to the second."""
    return datetime.now(UTC).replace(microsecond=0)


def monotonic() -> float:
    """Return seconds of a clock that nobody can set; only differences mean something."""
    return time.monotonic()


def pause(seconds: float) -> None:
    """Wait; a negative time is none."""
    time.sleep(max(0.0, seconds))


def timestamp(instant: datetime) -> str:
    """Return ``YYYY-MM-DDTHH:MM:SSZ`` (20 characters), as the ledger and ``--json`` spell an instant."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def is_kernel_synchronised() -> bool | None:
    """Tell whether the kernel calls its clock disciplined (adjtimex(2), STA_UNSYNC); None where it cannot be asked."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(256)
        if libc.adjtimex(buffer) < 0:
            return None
    except (OSError, AttributeError):
        return None
    status = ctypes.c_int.from_buffer(buffer, 4 * ctypes.sizeof(ctypes.c_long)).value
    return not status & 0x40


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a calendar day in a zone, as UTC (also where midnight is skipped or repeated).

    Of 0001-01-01, which begins in year 0 east of Greenwich, the first instant that can be written.
    """
    try:
        return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def calendar_day(moment: Moment, zone: ZoneInfo) -> date:
    """Return the calendar day of a moment: a date stands as it is, an instant is seen in ``zone``.

    At either end of the calendar, the last day that can be written.
    """
    if not isinstance(moment, datetime):
        return moment
    try:
        return moment.astimezone(zone).date()
    except OverflowError:
        return moment.date()


def in_zone(naive: datetime, zone: ZoneInfo) -> datetime:
    """Read a wall-clock time in a zone as a UTC instant; of two possible instants the later counts (never early)."""
    offsets = [zone.utcoffset(naive.replace(fold=fold)) or timedelta() for fold in (0, 1)]
    return (naive - min(offsets)).replace(tzinfo=UTC, fold=0)


_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)\s?(Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?)?",
    re.ASCII,
)
_EPOCH_UNITS = {"epoch": 1, "epoch-ms": 1000}
EPOCH_FORMS = frozenset(_EPOCH_UNITS)
_LONGEST_FORM = 64
_SAMPLE = datetime(2019, 12, 31, 23, 58, 59, tzinfo=UTC)
"""A day that differs from what strptime fills in (1 January 1900) and is the last of its month and year, which is
what ``read_moment`` takes where a form gives the month or the year alone."""
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d+)?", re.ASCII)


def read_moment(value: object, *, zone: ZoneInfo, form: str | None = None) -> Moment | None:
    """Read a date found in a record.

    ``value``: what the source gave (text, number, ``date``, ``datetime`` or None). ``zone``: where a date without a
    zone is read. ``form``: how the source writes it: None for ISO 8601, ``epoch`` or ``epoch-ms`` for numbers, else a
    ``strptime`` pattern. Returns a ``date`` where there is no time of day, an aware UTC ``datetime`` otherwise, and
    None for what is missing or cannot be read: zero dates, empty text, digits without a declared form, a form without
    a year. Where a form has no day or month (``%Y-%m``), the last day that fits counts: never early.
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        if isinstance(value, datetime):
            return value.astimezone(UTC) if value.tzinfo else in_zone(value, zone)
        if isinstance(value, date):
            return value
        if form in _EPOCH_UNITS:
            found = _NUMBER.fullmatch(str(value))
            return datetime.fromtimestamp(float(found[0]) / _EPOCH_UNITS[form], UTC) if found else None
        if not isinstance(value, str):
            return None
        return _read_text(value, zone, form)
    except (ValueError, OverflowError, OSError, re.error):
        return None


def reads_days(form: str) -> bool:
    """Tell whether a day written by a ``strptime`` pattern is read back as itself; by one that drops the year or the
    month it is not."""
    if len(form) > _LONGEST_FORM:
        return False
    try:
        written = _SAMPLE.strftime(form)
    except ValueError:
        return False
    moment = read_moment(written, zone=ZoneInfo("UTC"), form=form)
    return moment is not None and calendar_day(moment, ZoneInfo("UTC")) == _SAMPLE.date()


def _read_form(text: str, zone: ZoneInfo, form: str) -> Moment | None:
    directives = set(re.findall(r"%(.)", form))
    if not directives & set("YyGcx"):
        return None
    if "Z" in directives:
        # strptime reads a zone's name and forgets it; only names that mean one thing everywhere are taken.
        form, text = form.replace("%Z", "%z"), re.sub(r"\b(?:UTC|GMT)\b", "Z", text)
    parsed = datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the dataset's, applied below
    has_week = bool(directives & set("UWV") and directives & set("aAuw"))
    if not (has_week or directives & set("djcx")):
        month = parsed.month if directives & set("mbB") else 12
        parsed = parsed.replace(month=month, day=calendar.monthrange(parsed.year, month)[1])
    if not directives & set("HIcXf"):
        return parsed.date()
    return parsed.astimezone(UTC) if parsed.tzinfo else in_zone(parsed, zone)


def _read_text(text: str, zone: ZoneInfo, form: str | None) -> Moment | None:
    if form is not None:
        return _read_form(text, zone, form)
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    day, clock_time, offset = found.groups()
    if clock_time is None:
        return date.fromisoformat(day)
    parsed = datetime.fromisoformat(f"{day}T{clock_time.replace(',', '.')}")
    if offset is None:
        return in_zone(parsed, zone)
    if offset in {"Z", "z", "UTC"}:
        return parsed.replace(tzinfo=UTC)
    return datetime.fromisoformat(f"{parsed.isoformat()}{offset}").astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """How long: whole numbers of calendar units, at least one of them above zero."""

    years: int = 0
    months: int = 0
    weeks: int = 0
    days: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: int = 0

    @property
    def is_sub_day(self) -> bool:
        """Whether a part is shorter than a day; such periods are documented, never enforced (design 4.1)."""
        return bool(self.hours or self.minutes or self.seconds)

    @property
    def iso(self) -> str:
        """The period in ISO 8601, e.g. ``P1Y27D`` or ``PT30M``."""
        dates = ((self.years, "Y"), (self.months, "M"), (self.weeks, "W"), (self.days, "D"))
        times = ((self.hours, "H"), (self.minutes, "M"), (self.seconds, "S"))
        day_part, time_part = ("".join(f"{n}{unit}" for n, unit in part if n) for part in (dates, times))
        return f"P{day_part}" + (f"T{time_part}" if time_part else "")

    def __str__(self) -> str:
        parts = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return " ".join(f"{n} {name if n != 1 else name[:-1]}" for name, n in parts if n)


_ISO_PERIOD = re.compile(
    r"\+?P(?=[\dT])(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?",
    re.ASCII | re.IGNORECASE,
)
_WORDS = re.compile(r"(\d+) (year|month|week|day|hour|minute|second)s?", re.ASCII)
_LARGEST = 9999


def parse_period(text: object) -> Period:
    """Read ``"6 months"``, ``"1 year 27 days"`` or ISO 8601 ``"P1Y27D"``.

    Raises ValueError, with the reason, for anything else: no unit, zero, negative, fractions, numbers that are not
    text. There is no default unit and no default period.
    """
    if not isinstance(text, str):
        msg = 'a period is text with a unit, such as "6 months" or "P6M"'
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for every unreadable period
    iso = _ISO_PERIOD.fullmatch(text.strip())
    if iso:
        numbers = [int(n) if n else 0 for n in iso.groups()]
        period = Period(*numbers)
    else:
        period = _parse_words(text.strip())
    values = [getattr(period, f.name) for f in fields(period)]
    if not any(values):
        msg = "a period of zero would erase everything at once; zero is refused"
        raise ValueError(msg)
    if max(values) > _LARGEST:
        msg = f"a period of more than {_LARGEST} units is refused"
        raise ValueError(msg)
    return period


def _parse_words(text: str) -> Period:
    units: dict[str, int] = {}
    for part in re.split(r"(?:,| and)? +(?=\d)", text):
        found = _WORDS.fullmatch(part)
        if found is None or f"{found[2]}s" in units:
            msg = 'cannot be read as a period; write "6 months", "10 years", "1 year 27 days" or ISO 8601 "P6M"'
            raise ValueError(msg)
        units[f"{found[2]}s"] = int(found[1])
    return Period(**units)
