"""Where each mark, bar and label of the pictures stands on a page, in 960ths of its width.

Invariant: what is drawn is what ``pictures`` found; here it only gets its place, and long pictures become panels,
because a drawing cannot break over two pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ropa.report import pictures
from ropa.report.pdf.blocks import Data, capitalised
from ropa.report.view import View

WIDTH = 960

# --- what lives where ---------------------------------------------------------------------------------------------

_LABEL = 240
_HEAD = 58
_ROW = 24
_LINES = 40
"""Lines of one panel."""


def where(view: View) -> list[Data]:
    """Return the panels of activity x category x place."""
    found = []
    for panel in pictures.panels(view):
        lines = [line for group in panel.groups for line in _lines(view, group, is_summed=panel.is_summed)]
        found += [_panel(panel.columns, lines[i : i + _LINES]) for i in range(0, len(lines), _LINES)]
    return found


_Line = tuple[str, bool, tuple[pictures.Mark | None, ...]]
"""Label, whether it is a heading, marks."""


def _lines(view: View, group: pictures.Group, *, is_summed: bool) -> Iterator[_Line]:
    title = view.activity(group.key)
    if is_summed:
        yield from ((title, False, line.marks) for line in group.lines)
        return
    yield (title, True, ())
    yield from ((capitalised(line.label), False, line.marks) for line in group.lines)


def _panel(columns: Sequence[pictures.Column], lines: Sequence[_Line]) -> Data:
    step = (WIDTH - _LABEL) / max(len(columns), 3)
    xs = [_LABEL + step * (i + 0.5) for i in range(len(columns))]
    drawn: list[Data] = []
    y = float(_HEAD)
    for label, is_heading, marks in lines:
        y += _ROW + (8 if is_heading and drawn else 0)
        signs = [{"x": x, "y": y - 5, "state": mark.state} for x, mark in zip(xs, marks, strict=False) if mark]
        drawn.append({"y": y, "text": clipped(label, 100), "is_heading": is_heading, "marks": signs})
    heads = [
        {"x": x, "lines": wrapped(column.title, int(step / 7)), "note": clipped(column.country, 30)}
        for x, column in zip(xs, columns, strict=True)
    ]
    return {"width": WIDTH, "height": y + 14, "left": _LABEL, "columns": heads, "lines": drawn}


# --- how long -----------------------------------------------------------------------------------------------------

_CHART, _CHART_END = 352, 790
_BAR = 20
_BARS = 34
"""Bars of one panel."""


def long(view: View) -> list[Data]:
    """Return the panels of category x activity over one time axis, the same in all of them."""
    axis = pictures.axis(view)
    if axis is None:
        return []
    ticks = [{"x": _x(tick.x), "text": tick.text} for tick in axis.ticks]
    bars = [bar for _, bars in axis.categories for bar in bars]
    return [_axis(view, bars[i : i + _BARS], ticks) for i in range(0, len(bars), _BARS)]


def _x(percent: float) -> float:
    return round(_CHART + percent / 100 * (_CHART_END - _CHART), 1)


def _axis(view: View, bars: Sequence[pictures.Bar], ticks: list[dict[str, object]]) -> Data:
    drawn: list[Data] = []
    y, before = 30.0, ""
    for bar in bars:
        y += _BAR + (6 if bar.category != before and drawn else 0)
        others = f" +{view.words.number(len(bar.activities) - 1)}" if len(bar.activities) > 1 else ""
        drawn.append(
            {
                "y": y,
                "category": "" if bar.category == before else capitalised(clipped(bar.category, 60)),
                "activity": f"{clipped(view.activity(bar.activities[0]), 60)}{others}",
                "end": _x(bar.end),
                "extension": _x(bar.extension),
                "late": _x(bar.late_end),
                "is_documented": bar.is_documented,
                "text": view.words.period(bar.term.period),
            }
        )
        before = bar.category
    return {"width": WIDTH, "height": y + 22, "start": _CHART, "bottom": y + 8, "ticks": ticks, "bars": drawn}


# --- what went ----------------------------------------------------------------------------------------------------

_TOP, _BASE = 48, 228


def went(view: View) -> list[Data]:
    """Return one bar a month; nothing where no run has been."""
    months, words = view.document.months, view.words
    if not months:
        return []
    step = min((WIDTH - 20) / len(months), 96)
    every = -(-58 // int(step))
    drawn = []
    for i, (month, bar) in enumerate(
        zip(months, pictures.months((month.done, month.fell_short) for month in months), strict=True)
    ):
        done, short = (share / 100 * (_BASE - _TOP) for share in (bar.done, bar.short))
        drawn.append(
            {
                "x": 10 + i * step + step * 0.18,
                "width": step * 0.64,
                "done_y": _BASE - done,
                "done_height": done,
                "short_y": _BASE - done - short,
                "short_height": short,
                "text": words.number(month.done),
                "short_text": words.number(month.fell_short) if month.fell_short else "",
                "label": words.month(month.month).split(" ", 1) if i % every == 0 else [],
            }
        )
    return [{"width": WIDTH, "height": _BASE + 42, "base": _BASE, "stacks": drawn}]


# --- words in pictures --------------------------------------------------------------------------------------------


def clipped(text: str, width: int) -> str:
    """Return text cut to a number of characters; the whole of it stands in the tables."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def wrapped(text: str, width: int) -> list[str]:
    """Return text on at most two lines of about ``width`` characters."""
    first, rest = "", text.split()
    while rest and len(f"{first} {rest[0]}".strip()) <= width:
        first = f"{first} {rest.pop(0)}".strip()
    if not first and rest:
        return [clipped(text, width)]
    return [first, clipped(" ".join(rest), width)] if rest else [first]
