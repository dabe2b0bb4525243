"""When a period ends, and which days have ended: the only arithmetic with dates in the house.

Invariants: ``start + period`` is the only sum; ``cutoff`` is its exact inverse, so that a source that is asked "before
this day" answers with the very days of which ``is_due`` is true, also at month ends, on leap days and at both ends of
the calendar. Nothing is ever due on the last day of its period (Regulation 1182/71 art. 3: the period ends with that
day's last hour).
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache
from typing import Literal

from dateutil.relativedelta import relativedelta

from ropa.clock import Period

Start = Literal["anchor", "next-year"]
"""``anchor``: from the anchor's own day; ``next-year``: from 1 January of the year after it, as tax law counts."""

_DAY = timedelta(days=1)


def due_on(day: date, period: Period, start: Start) -> date | None:
    """Return the last day of a period that runs from ``day``.

    Months and years keep the day number, clipped to the last day of a shorter month, before weeks and days are added
    (Regulation 1182/71 art. 3(2)(c)). None where the period ends after 9999-12-31: it never ends. Raises ValueError
    for a period with hours, minutes or seconds: those are documented, never enforced.
    """
    months, days = _split(period)
    try:
        first = day if start == "anchor" else date(day.year + 1, 1, 1)
        return first + months + days
    except (ValueError, OverflowError):
        return None


def is_due(day: date, period: Period, start: Start, as_of: date) -> bool:
    """Tell whether a period that runs from ``day`` has ended before ``as_of`` began; never on its last day itself."""
    last = due_on(day, period, start)
    return last is not None and as_of > last


@lru_cache(maxsize=1024)
def cutoff(as_of: date, period: Period, start: Start) -> date:
    """Return the first day of which ``due_on`` is not before ``as_of``: a day is due if and only if it lies before it.

    0001-01-01 where no day can be due. Raises ValueError for a period with hours, minutes or seconds.
    """
    first = _first_kept(as_of, *_split(period))
    if start == "anchor":
        return first
    is_new_year = (first.month, first.day) == (1, 1)
    year = first.year - 1 if is_new_year else first.year
    return date(max(year, 1), 1, 1)


@lru_cache(maxsize=256)
def never_ends_before(one: tuple[Period, Start], other: tuple[Period, Start]) -> bool:
    """Tell whether a period, from whatever day it runs, ends no sooner than another that runs from that day too.

    Where months stand against days, every day of ten years is tried, among them leap years and a year that is none.
    Raises ValueError for a period with hours, minutes or seconds.
    """
    (months, days), (other_months, other_days) = _split(one[0]), _split(other[0])
    starts_no_sooner = one[1] == "next-year" or other[1] == "anchor"
    is_longer = months.years * 12 + months.months >= other_months.years * 12 + other_months.months
    if starts_no_sooner and is_longer and days >= other_days:
        return True
    first = date(2095, 1, 1)
    for day in (first + _DAY * n for n in range(3653)):
        own, others = due_on(day, *one), due_on(day, *other)
        if own is not None and (others is None or own < others):
            return False
    return True


def _first_kept(as_of: date, months: relativedelta, days: timedelta) -> date:
    """Return the first day whose ``day + months + days`` is not before ``as_of``."""
    try:
        least = as_of - days
        guess = least - months
    except (ValueError, OverflowError):
        return date.min
    # Where the shorter month clipped the guess, adding the months back falls short of the day: 31 March less a month
    # is 28 February, which comes back as 28 March. Then the next day, the first of a month, is the first one kept.
    return guess if guess.day == least.day else guess + _DAY


@lru_cache(maxsize=256)
def _split(period: Period) -> tuple[relativedelta, timedelta]:
    if period.is_sub_day:
        msg = f"a period of {period} has parts shorter than a day; it can be documented but not enforced"
        raise ValueError(msg)
    return relativedelta(years=period.years, months=period.months), timedelta(weeks=period.weeks, days=period.days)
