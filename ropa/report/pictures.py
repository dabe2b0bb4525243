"""The geometry of the report's pictures: where each mark, bar and label stands, in user units of an SVG view box.

Invariant: a picture shows nothing that a table of the report does not say in words; colour never stands alone, each
state has its own shape, each kind of bar its own pattern.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ropa.clock import Period
from ropa.report.model import ActivityPart, Document, TermPart
from ropa.report.view import category_label
from ropa.report.words import Words, shown
from ropa.sweep.standing import State

WIDTH = 960

# --- what lives where ---------------------------------------------------------------------------------------------

_LABEL = 240
_HEAD = 58
_ROW = 24
_ROWS_PER_PANEL = 40
"""A picture cannot break over two printed pages, so a long one is several."""
_COLUMNS_PER_PANEL = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """One state at one place."""

    x: float
    y: float
    state: str


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the matrix: an activity's heading, or one of its categories."""

    y: float
    text: str
    is_heading: bool
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One place of storage."""

    x: float
    lines: tuple[str, ...]
    """Its title, broken over at most two lines."""
    note: str
    """Its country's code."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A panel of "what lives where"."""

    width: float
    height: float
    left: float
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def matrices(document: Document, words: Words) -> list[Matrix]:
    """Return the panels of activity x category x place."""
    used = [place.key for place in document.places]
    if any(row.adherence.location is None for activity in document.activities for row in activity.rows):
        used.append("")
    groups = [used[i : i + _COLUMNS_PER_PANEL] for i in range(0, len(used), _COLUMNS_PER_PANEL)]
    found: list[Matrix] = []
    for group in groups:
        entries = [entry for activity in document.activities for entry in _entries(document, words, activity, group)]
        found += [_matrix(document, words, group, chunk) for chunk in _chunks(entries)]
    return found


_Entry = tuple[str, str | None, dict[str, str]]
"""Activity, category (None: the heading), place to state."""


def _entries(document: Document, words: Words, activity: ActivityPart, group: list[str]) -> list[_Entry]:
    by_category: dict[str, dict[str, str]] = {}
    for row in activity.rows:
        cell = row.adherence
        if (place := cell.location or "") in group:
            states = by_category.setdefault(row.category, {})
            states[place] = min(states.get(place, cell.state), cell.state, key=_rank)
    if not by_category:
        return []
    return [
        (activity.title, None, {}),
        *(
            (activity.title, category_label(document, words, category), states)
            for category, states in by_category.items()
        ),
    ]


def _rank(state: str) -> int:
    return list(State).index(State(state))


def _chunks(entries: list[_Entry]) -> Iterator[list[_Entry]]:
    """Cut into panels, at an activity's heading where that can be; a cut activity gets its heading again."""
    chunk: list[_Entry] = []
    for i, entry in enumerate(entries):
        size = next((j for j, e in enumerate(entries[i + 1 :], 1) if e[1] is None), len(entries) - i)
        is_full = len(chunk) >= _ROWS_PER_PANEL or (entry[1] is None and len(chunk) + size > _ROWS_PER_PANEL)
        if chunk and is_full:
            yield chunk
            chunk = [] if entry[1] is None else [(entry[0], None, {})]
        chunk.append(entry)
    if chunk:
        yield chunk


def _matrix(document: Document, words: Words, group: list[str], entries: list[_Entry]) -> Matrix:
    step = (WIDTH - _LABEL) / max(len(group), 3)
    xs = {key: _LABEL + step * (i + 0.5) for i, key in enumerate(group)}
    columns = []
    for key in group:
        place = document.place(key)
        title = shown(place.title) if place else words("state.no-place")
        country = (place.country or "?") if place else ""
        columns.append(Column(xs[key], wrapped(title, int(step / 7)), country))
    lines: list[Line] = []
    y = float(_HEAD)
    for title, category, states in entries:
        y += _ROW + (8 if category is None and lines else 0)
        marks = tuple(Mark(xs[key], y - 5, state) for key, state in states.items())
        text = clipped(shown(title if category is None else category), 100 if category is None else 34)
        lines.append(Line(y, text, category is None, marks))
    return Matrix(WIDTH, y + 14, _LABEL, tuple(columns), tuple(lines))


# --- how long -----------------------------------------------------------------------------------------------------

_CHART = 352
_CHART_END = 790
_BAR_ROW = 20
_TICK_ROOM = 42
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
    """One period."""

    y: float
    category: str
    """Empty where the bar above is of the same category."""
    activity: str
    end: float
    extension: float
    """Where the part ends that runs on to the end of a year; equal to ``end`` where there is none."""
    late: float
    """Where the overdue part ends; equal to ``extension`` where there is none."""
    is_documented: bool
    text: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the time axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A panel of "how long each category stays"."""

    width: float
    height: float
    start: float
    bottom: float
    ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    category: str
    activity: str
    term: TermPart
    late: int
    is_documented: bool


def days_of(period: Period) -> float:
    """Return about how many days a period lasts, for drawing only."""
    dates = period.years * 365.25 + period.months * 30.44 + period.weeks * 7 + period.days
    return dates + (period.hours * 3600 + period.minutes * 60 + period.seconds) / 86400


def axes(document: Document, words: Words) -> list[Axis]:
    """Return the panels of category x activity over one time axis, the same in all of them."""
    spans = sorted(_spans(document, words), key=lambda s: (s.category.casefold(), days_of(s.term.period), s.activity))
    if not spans:
        return []
    longest = max(days_of(s.term.period) + (365 if s.term.start == "next-year" else 0) + s.late for s in spans)
    shortest = min((days for s in spans if (days := days_of(s.term.period)) >= 1), default=1.0)
    last = next((i for i, (days, _, _) in enumerate(_DAYS) if days >= longest), len(_DAYS) - 1)
    chosen = [tick for tick in _DAYS[: last + 1] if tick[0] > shortest / 4] or [_DAYS[last]]
    scale = _Scale(min(shortest, chosen[0][0]) / 2, max(chosen[-1][0], longest))
    ticks: list[Tick] = []
    for days, unit, number in chosen:
        if not ticks or scale(days) - ticks[-1].x >= _TICK_ROOM:
            ticks.append(Tick(scale(days), words.tick(unit, number)))
    return [_axis(words, spans[i : i + 34], tuple(ticks), scale) for i in range(0, len(spans), 34)]


class _Scale:
    """Days to x, logarithmic: a day and ten years are both to be seen."""

    def __init__(self, shortest: float, longest: float) -> None:
        self.low, self.high = math.log(shortest), math.log(longest)

    def __call__(self, days: float) -> float:
        share = (math.log(max(days, 0.001)) - self.low) / (self.high - self.low)
        return round(_CHART + min(max(share, 0.02), 1.0) * (_CHART_END - _CHART), 1)


def _spans(document: Document, words: Words) -> list[_Span]:
    found: dict[tuple[str, str, str], _Span] = {}
    for activity in document.activities:
        for row in activity.rows:
            cell = row.adherence
            for name in cell.rules:
                term = document.term(name)
                if term is None:
                    continue
                key = (row.category, activity.key, f"{term.period.iso}/{term.start}")
                before = found.get(key)
                late = max(cell.worst_late_days, before.late if before else 0)
                is_documented = cell.state is State.DOCUMENTED_ONLY and (before is None or before.is_documented)
                label = category_label(document, words, row.category)
                found[key] = _Span(label, activity.title, term, late, is_documented)
    return list(found.values())


def _axis(words: Words, spans: list[_Span], ticks: tuple[Tick, ...], scale: _Scale) -> Axis:
    bars: list[Bar] = []
    y, previous = 30.0, ""
    for span in spans:
        y += _BAR_ROW + (6 if span.category != previous and bars else 0)
        days = days_of(span.term.period)
        end = scale(days)
        extension = scale(days + 365.25) if span.term.start == "next-year" else end
        until = days + (365.25 if span.term.start == "next-year" else 0)
        late = max(scale(until + span.late), extension + 6) if span.late else extension
        bars.append(
            Bar(
                y=y,
                category="" if span.category == previous else clipped(shown(span.category), 21),
                activity=clipped(shown(span.activity), 27),
                end=end,
                extension=extension,
                late=late,
                is_documented=span.is_documented,
                text=words.period(span.term.period),
            )
        )
        previous = span.category
    return Axis(WIDTH, y + 22, _CHART, y + 8, ticks, tuple(bars))


# --- what went ----------------------------------------------------------------------------------------------------

_TOP, _BASE = 48, 228


@dataclass(frozen=True, slots=True)
class Stack:
    """One month."""

    x: float
    width: float
    done_y: float
    done_height: float
    short_y: float
    short_height: float
    text: str
    short_text: str
    """Empty where every attempt succeeded."""
    label: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stacks:
    """The picture of "what went"."""

    width: float
    height: float
    base: float
    stacks: tuple[Stack, ...]


def stacks(document: Document, words: Words) -> Stacks | None:
    """Return one bar a month, None where no run has been."""
    if not document.months:
        return None
    most = max(month.done + month.fell_short for month in document.months) or 1
    step = min((WIDTH - 20) / len(document.months), 96)
    every = math.ceil(58 / step)
    found = []
    for i, month in enumerate(document.months):
        done, short = (_height(count, most) for count in (month.done, month.fell_short))
        found.append(
            Stack(
                x=round(10 + i * step + step * 0.18, 1),
                width=round(step * 0.64, 1),
                done_y=_BASE - done,
                done_height=done,
                short_y=_BASE - done - short,
                short_height=short,
                text=words.number(month.done),
                short_text=words.number(month.fell_short) if month.fell_short else "",
                label=tuple(words.month(month.month).split(" ", 1)) if i % every == 0 else (),
            )
        )
    return Stacks(WIDTH, _BASE + 42, _BASE, tuple(found))


def _height(count: int, most: int) -> float:
    """A bar that stands for something can be seen, however small its share."""
    return max(2.0, round((_BASE - _TOP) * count / most, 1)) if count else 0.0


# --- words in pictures --------------------------------------------------------------------------------------------


def clipped(text: str, width: int) -> str:
    """Return text cut to a number of characters; the whole of it stands in the tables."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def wrapped(text: str, width: int) -> tuple[str, ...]:
    """Return text on at most two lines of about ``width`` characters."""
    first, rest = "", text.split()
    while rest and len(f"{first} {rest[0]}".strip()) <= width:
        first = f"{first} {rest.pop(0)}".strip()
    if not first and rest:
        return (clipped(text, width),)
    return (first, clipped(" ".join(rest), width)) if rest else (first,)
