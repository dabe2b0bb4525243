"""What the generators of the demonstration share: the records worth telling about, and the days that decide.

Invariant: the deciding day is searched for with ``day + period`` alone, on its own path beside ``ropa.retention``, so
that the demonstration's counts can show a fault there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that the story of the demonstration tells about."""

    dataset: str
    key: tuple[str, ...]
    name: str
    email: str
    why: str


@dataclass(slots=True)
class CrmRows:
    """What was written: rows per table, what is due per rule, and the records worth telling about."""

    due: Counter[str] = field(default_factory=Counter)
    undated: Counter[str] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)
    candidates: dict[str, Candidate] = field(default_factory=dict)


def first_kept_day(today: date, *, months: int = 0, days: int = 0) -> date:
    """Return the first calendar day whose period has not ended on ``today``: earlier days are due.

    Searched for with ``day + period`` alone, because ``today - period`` is wrong at the ends of months.
    """
    from dateutil.relativedelta import relativedelta

    period = relativedelta(months=months, days=days)
    day = today - period - timedelta(days=4)
    while day + period < today:
        day += timedelta(days=1)
    return day


def first_kept_year(today: date) -> int:
    """Return the first year whose invoices stay: ten years from 1 January of the next year have not ended."""
    return today.year - 10 - (today == date(today.year, 1, 1))
