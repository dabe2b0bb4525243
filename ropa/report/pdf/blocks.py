"""The pieces of the PDF's document, as plain data for the template: spans, lines, cells, tables, headings.

Invariant: every text goes through ``shown`` and ``spelled`` on its way in, and reaches Typst as a JSON string that is
never read as markup, so that a name in the register can neither act nor show as an empty box.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ropa.report.pdf.glyphs import is_turning, spelled
from ropa.report.words import Words, shown

Data = dict[str, object]
Cell = list[Data]
"""Lines, one below the other."""

TABLE_ROWS = 300
"""Rows of one table; the rest stands in the attached JSON and in the workbook."""


def plain(text: str) -> str:
    """Return text that the fonts can show, on one line, its direction of writing its own."""
    found = spelled(shown(text))
    return f"\u2068{found}\u2069" if is_turning(found) else found


def capitalised(text: str) -> str:
    """Return text with a capital at its start; the rest as it stands."""
    return text[:1].upper() + text[1:]


def span(text: str, *looks: str) -> Data:
    """A piece of a line. ``looks``: ``strong``, ``soft``, ``code``, ``bad``, ``good``, ``english``."""
    return {"text": plain(text), "looks": list(looks)}


def line(*parts: str | Data, look: str = "", mark: str = "", tone: str = "") -> Data:
    """A line of parts. ``look``: of the whole line; ``mark``: a state whose sign stands before it; ``tone``: its
    colour, ``good``, ``bad`` or ``plain``."""
    spans = [span(part) if isinstance(part, str) else part for part in parts]
    return {"spans": spans, "look": look, "mark": mark, "tone": tone}


def listed(words: Words, texts: Iterable[str]) -> Cell:
    """One line a text; words for none at all."""
    return [line(text) for text in texts] or [line(words("common.unknown"), look="missing")]


def heading(level: int, text: str, *, over: str = "") -> Data:
    """A heading, which is a bookmark too. ``over``: a small line above it."""
    return {"kind": "heading", "level": level, "text": plain(text), "over": plain(over)}


def para(*lines: Data, look: str = "") -> Data:
    """Lines on their own. ``look``: ``lead``, ``meta``, ``small``, ``alarm`` or ``code``."""
    return {"kind": "para", "lines": list(lines), "look": look}


def facts(items: Iterable[tuple[str, Cell]], *, title: str = "") -> Data:
    """Terms and what is said about them."""
    return {
        "kind": "facts",
        "title": plain(title),
        "items": [{"letter": "", "term": plain(term), "lines": lines} for term, lines in items],
    }


def points(items: Iterable[tuple[str, str, Cell]]) -> Data:
    """The same with the letter of a point of Art. 30 before each, ``+`` for what the article does not ask."""
    return {
        "kind": "facts",
        "title": "",
        "items": [{"letter": letter, "term": plain(term), "lines": lines} for letter, term, lines in items],
    }


def table(
    words: Words,
    heads: Sequence[tuple[str, float]],
    rows: Sequence[Sequence[Cell]],
    *,
    numeric: Sequence[str] = (),
    caption: str = "",
    left_out: int = 0,
) -> Data:
    """A table. ``heads``: key of the column's word and its share of the width; ``left_out``: rows that the caller
    did not make cells of."""
    return {
        "kind": "table",
        "heads": [plain(capitalised(words(f"field.{key}"))) for key, _ in heads],
        "widths": [width for _, width in heads],
        "numeric": [i for i, (key, _) in enumerate(heads) if key in numeric],
        "rows": [list(row) for row in rows],
        "caption": plain(caption),
        "note": plain(words.count("pdf.left_out", left_out)) if left_out else "",
    }


def figure(kind: str, drawing: object, alt: str, legend: Sequence[Data] = ()) -> Data:
    """A picture, its text alternative, and what its signs mean."""
    return {"kind": kind, "drawing": drawing, "alt": plain(alt), "legend": list(legend)}
