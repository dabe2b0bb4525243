"""A sheet by the names of its columns: the catalogue knows what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ropa.report.view import COUNTED, View
from ropa.report.workbook import BAD, Cell, Table, Value
from ropa.sweep.standing import State

MEASURED = (*COUNTED, "worst_late_days", "missed_nights")
"""Numbers that only a plan that has looked can tell."""


def table(
    view: View, key: str, heads: Sequence[str], rows: Iterable[Sequence[Value | Cell]], *, empty: str | None = None
) -> Table:
    """Return a sheet named ``sheet.<key>``; ``empty``: the text where there is no row."""
    return Table(
        name=view.words(f"sheet.{key}"),
        heads=[head(view, name) for name in heads],
        rows=rows,
        empty=view.words(empty) if empty else view.words("common.none"),
    )


def head(view: View, name: str) -> str:
    """Return what a column is called; one of instants names the zone they are in."""
    text = view.words.texts.get(f"column.{name}") or view.words(f"field.{name}")
    return f"{text} ({view.document.timezone})" if name.endswith("_at") else text


def toned(view: View, state: str) -> Cell:
    """Return a state in words, in red where it is bad."""
    return Cell(view.words.word("state", state), view.tone(State(state)))


def alarming(value: Value, *, is_bad: bool) -> Cell | Value:
    """Return a value, in red where it is bad."""
    return Cell(value, BAD) if is_bad else value
