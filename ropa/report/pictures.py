"""The report's pictures as tables one looks at: what lives where, how long it stays, what went each month.

A picture is a table whose cells hold marks and bars: it reads aloud, wraps on a telephone, breaks over printed pages
and is searched like any other. Invariant: a picture shows nothing that its own row does not also say in words; colour
never stands alone, each state has its own shape, each kind of bar its own pattern. Lengths are percents of a cell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ropa.clock import Period
from ropa.report.model import ActivityPart, RowPart, TermPart
from ropa.report.view import View
from ropa.sweep.standing import State

LINES = 400
"""More rows than this are told together: a picture with thousands of lines shows nobody anything."""

BARS = 120

# --- what lives where ---------------------------------------------------------------------------------------------

_COLUMNS_PER_PANEL = 6
_RANK = {str(state): rank for rank, state in enumerate(State)}


@dataclass(frozen=True, slots=True)
class Column:
    """One place of storage."""

    key: str
    title: str
    country: str


@dataclass(frozen=True, slots=True)
class Mark:
    """The worst state of what is at one place, and of how many categories."""

    state: str
    count: int


@dataclass(frozen=True, slots=True)
class Line:
    """A category of an activity; the whole activity where many are told together."""

    label: str
    marks: tuple[Mark | None, ...]
    """One per column."""
    at: str
    """For the filter, as ``View.at``."""


@dataclass(frozen=True, slots=True)
class Group:
    """An activity."""

    key: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """A table of "what lives where": a few places, every activity that has data there."""

    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    is_summed: bool
    """Each activity on one line, with the number of its categories."""


def panels(view: View) -> list[Panel]:
    """Return the tables of activity x category x place, a few places a table."""
    document, words = view.document, view.words
    used = {row.adherence.location or "" for activity in document.activities for row in activity.rows}
    columns = [
        Column(place.key, place.title, view.country(place.country)) for place in document.places if place.key in used
    ]
    columns += [Column("", words("state.no-place"), "")] if "" in used else []
    is_summed = sum(len(activity.rows) for activity in document.activities) > LINES
    found = []
    for start in range(0, len(columns), _COLUMNS_PER_PANEL):
        chosen = columns[start : start + _COLUMNS_PER_PANEL]
        groups = (_group(view, activity, chosen, is_summed=is_summed) for activity in document.activities)
        found.append(Panel(tuple(chosen), tuple(group for group in groups if group.lines), is_summed))
    return found


def _group(view: View, activity: ActivityPart, columns: list[Column], *, is_summed: bool) -> Group:
    keys = [column.key for column in columns]
    by_label: dict[str, list[RowPart]] = {}
    for row in activity.rows:
        if (row.adherence.location or "") in keys:
            by_label.setdefault("" if is_summed else row.category, []).append(row)
    return Group(
        activity.key,
        tuple(
            Line(
                view.category(label) if label else "",
                tuple(_mark([row for row in rows if (row.adherence.location or "") == key]) for key in keys),
                " ".join(dict.fromkeys(view.at(row) for row in rows)),
            )
            for label, rows in by_label.items()
        ),
    )


def _mark(rows: list[RowPart]) -> Mark | None:
    if not rows:
        return None
    return Mark(min((row.adherence.state for row in rows), key=_RANK.__getitem__), len({row.category for row in rows}))


# --- how long -----------------------------------------------------------------------------------------------------

_TICK_ROOM = 11.0
_YEAR = 365.25
_DAYS = (
    (1, "days", 1),
    (7, "weeks", 1),
    (30.44, "months", 1),
    (91.3, "months", 3),
    (182.6, "months", 6),
    (365.25, "years", 1),
    (730.5, "years", 2),
    (1826, "years", 5),
    (3652, "years", 10),
    (7305, "years", 20),
    (18262, "years", 50),
    (36525, "years", 100),
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One period of one category."""

    category: str
    activities: tuple[str, ...]
    """Keys of those that it is for."""
    term: TermPart
    end: float
    extension: float
    """Where the part ends that runs on to the end of a year; equal to ``end`` where there is none."""
    late_end: float
    """Where the overdue part ends; equal to ``extension`` where there is none."""
    late: int
    """Days."""
    is_documented: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the time axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The table of "how long each category stays"."""

    ticks: tuple[Tick, ...]
    categories: tuple[tuple[str, tuple[Bar, ...]], ...]
    """By category, the shortest period first."""
    is_summed: bool
    """Activities with the same period share a bar."""


@dataclass(slots=True)
class _Span:
    category: str
    term: TermPart
    activities: dict[str, None]
    late: int
    is_documented: bool


def days_of(period: Period) -> float:
    """Return about how many days a period lasts, for drawing only."""
    dates = period.years * _YEAR + period.months * 30.44 + period.weeks * 7 + period.days
    return dates + (period.hours * 3600 + period.minutes * 60 + period.seconds) / 86400


def axis(view: View) -> Axis | None:
    """Return every category x activity on one time axis, None where there is no period."""
    spans = _spans(view, is_summed=False)
    is_summed = len(spans) > BARS
    spans = _spans(view, is_summed=True) if is_summed else spans
    if not spans:
        return None
    spans.sort(key=lambda span: (span.category.casefold(), days_of(span.term.period), *span.activities))
    longest = max(_until(span) + span.late for span in spans)
    shortest = min((days for span in spans if (days := days_of(span.term.period)) >= 1), default=1.0)
    last = next((i for i, (days, _, _) in enumerate(_DAYS) if days >= longest), len(_DAYS) - 1)
    chosen = [tick for tick in _DAYS[: last + 1] if tick[0] > shortest / 4] or [_DAYS[last]]
    scale = _Scale(min(shortest, chosen[0][0]) / 2, max(chosen[-1][0], longest) * 1.08)
    ticks: list[Tick] = []
    for days, unit, number in chosen:
        if not ticks or scale(days) - ticks[-1].x >= _TICK_ROOM:
            ticks.append(Tick(scale(days), view.words.tick(unit, number)))
    by_category: dict[str, list[Bar]] = {}
    for span in spans:
        by_category.setdefault(span.category, []).append(_bar(span, scale))
    return Axis(tuple(ticks), tuple((name, tuple(bars)) for name, bars in by_category.items()), is_summed)


class _Scale:
    """Days to percents, logarithmic: a day and ten years are both to be seen."""

    def __init__(self, shortest: float, longest: float) -> None:
        self.low, self.high = math.log(shortest), math.log(longest)

    def __call__(self, days: float) -> float:
        share = (math.log(max(days, 0.001)) - self.low) / (self.high - self.low)
        return round(min(max(share, 0.02), 1.0) * 100, 2)


def _until(span: _Span) -> float:
    return days_of(span.term.period) + (_YEAR if span.term.start == "next-year" else 0)


def _spans(view: View, *, is_summed: bool) -> list[_Span]:
    found: dict[tuple[str, str, Period, str], _Span] = {}
    for activity in view.document.activities:
        for row in activity.rows:
            cell = row.adherence
            for term in view.terms(cell.rules):
                key = (row.category, "" if is_summed else activity.key, term.period, term.start)
                is_documented = cell.state is State.DOCUMENTED_ONLY
                span = found.get(key)
                if span is None:
                    label = view.category(row.category)
                    span = found[key] = _Span(label, term, {activity.key: None}, cell.worst_late_days, is_documented)
                    continue
                span.activities[activity.key] = None
                span.late = max(span.late, cell.worst_late_days)
                span.is_documented = span.is_documented and is_documented
    return list(found.values())


def _bar(span: _Span, scale: _Scale) -> Bar:
    until = _until(span)
    end, extension = scale(days_of(span.term.period)), scale(until)
    late_end = min(max(scale(until + span.late), extension + 2), 100.0) if span.late else extension
    return Bar(
        span.category, tuple(span.activities), span.term, end, extension, late_end, span.late, span.is_documented
    )


# --- what went ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Went:
    """The lengths of one month's bar."""

    done: float
    short: float


def months(counts: Iterable[tuple[int, int]]) -> list[Went]:
    """Return the bars of pairs of what went and what fell short, each against the largest of all."""
    pairs = list(counts)
    most = max((done + short for done, short in pairs), default=0) or 1
    return [Went(_share(done, most), _share(short, most)) for done, short in pairs]


def _share(count: int, most: int) -> float:
    """A bar that stands for something can be seen, however small its share."""
    return max(0.6, round(97 * count / most, 2)) if count else 0.0
