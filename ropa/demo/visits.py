"""The web logs of the demonstration: visitors who come back, line by line, in logs that are rotated every week.

Invariant: addresses come from the blocks kept for documentation (RFC 5737, RFC 3849); lines are of days before today,
in the order of their times; a log holds lines of seven days, so that the limit of a period runs through one of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from ropa.demo.files import make_root, set_modified
from ropa.demo.model import first_kept_day

WEEKS = 43
VISITORS = 240

_ZONE = ZoneInfo("Europe/Brussels")
_HOURS = (0, 1, *range(4, 24))
"""Those that every day has; the first two are still the day before in UTC."""
_PAGES = ("/", "/diensten", "/webshop", "/offerte", "/contact", "/blog/seo", "/jobs", "/privacy")
_ORIGINS = ("-", "-", "https://www.example.org/", "https://zoeken.example.com/?q=website+gent")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
)


@dataclass(frozen=True, slots=True)
class Logged:
    """What was written: lines, ranges of lines of one day, how many of those are due, and how many have no date."""

    lines: int
    ranges: int
    due: int
    undated: int


@dataclass(frozen=True, slots=True)
class _Visitor:
    address: str
    agent: str


def write_logs(folder: Path, *, today: date, seed: int) -> Logged:
    """Write a log a week, the last one rotated at the beginning of ``today``."""
    make_root(folder)
    draw = random.Random(f"logs {seed}")  # noqa: S311 - generated data
    visitors = [_visitor(draw) for _ in range(VISITORS)]
    kept = first_kept_day(today, months=6)
    days = [today - timedelta(days=back) for back in range(7 * WEEKS, 0, -1)]
    lines = 0
    for week in range(WEEKS):
        own = days[7 * week : 7 * week + 7]
        text = [line for day in own for line in _lines_of(draw, day, visitors)]
        if week == 0:
            # The disk was full for a moment: a line breaks off before its date is whole. Nobody can tell its day.
            text.append(text[-1][: text[-1].index("[") + 9] + "\n")
        lines += len(text)
        rotated = own[-1] + timedelta(days=1)
        path = folder / f"access.log-{rotated:%Y%m%d}"
        path.write_text("".join(text), encoding="ascii")
        set_modified(path, own[-1])
    return Logged(lines, len(days) + 1, sum(day < kept for day in days), 1)


def _visitor(draw: random.Random) -> _Visitor:
    host = draw.randint(1, 254)
    return _Visitor(f"192.0.2.{host}" if draw.random() < 0.8 else f"2001:db8::{host:x}", draw.choice(_AGENTS))


def _lines_of(draw: random.Random, day: date, visitors: list[_Visitor]) -> Iterator[str]:
    """Stream the lines of one day, by their times."""
    views: list[tuple[datetime, str]] = []
    for _ in range(draw.randint(6, 18)):
        visitor = draw.choice(visitors)
        clock = time(draw.choice(_HOURS), draw.randint(0, 49), draw.randint(0, 59))
        moment = datetime.combine(day, clock, tzinfo=_ZONE)
        origin = draw.choice(_ORIGINS)
        for _ in range(draw.randint(1, 5)):
            page = draw.choice(_PAGES)
            views.append((moment, _line(visitor, moment, page, origin, draw.randint(300, 40_000))))
            moment, origin = moment + timedelta(seconds=draw.randint(3, 110)), f"https://www.example.com{page}"
    views.sort(key=lambda view: view[0])
    return (line for _, line in views)


def _line(visitor: _Visitor, moment: datetime, page: str, origin: str, size: int) -> str:
    request = f'{visitor.address} - - [{moment:%d/%b/%Y:%H:%M:%S %z}] "GET {page} HTTP/1.1" 200 {size}'
    return f'{request} "{origin}" "{visitor.agent}"\n'
