"""What one cell says: lists as lines, values by the kind of their key, and a digest over a whole sheet.

Invariants: ``read_list`` gives back what ``list_cells`` was given, whatever the texts are; a cell's value is never
guessed at: a number is no text, and a text is no date unless it is written as one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from ropa.register.specs import LISTS, Kind, Spec

LONGEST = 32_000
"""UTF-16 units in a cell; spreadsheet programs allow 32,767."""
MOST_LINES = 250
"""Lines in a cell; spreadsheet programs allow 253 line feeds."""
MORE = "\N{DOWNWARDS ARROW WITH TIP RIGHTWARDS}"
"""Begins a line that belongs to the item above it."""
PLAIN = "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
"""Begins a line that would be taken for something else; it is taken off."""
_STRIPPED = frozenset({Kind.NAMES, Kind.CHOICES})
_TRUTHS = {
    **dict.fromkeys(("true", "waar", "vrai", "wahr"), True),
    **dict.fromkeys(("false", "onwaar", "faux", "falsch"), False),
}
"""How spreadsheet programs spell the two truths in our languages."""


def units(text: str) -> int:
    """Return how long a text is in UTF-16, as spreadsheet programs count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def list_cells(items: Iterable[str]) -> list[str]:
    """Return a list as the text of one cell, one item a line; of more cells where one cannot hold it."""
    cells: list[list[str]] = []
    size = 0
    for item in items:
        first, *others = item.split("\n")
        if not first.strip() or first.startswith((MORE, PLAIN)):
            first = PLAIN + first
        lines = [first, *(MORE + other for other in others)]
        length = sum(units(line) + 1 for line in lines)
        if not cells or size + length > LONGEST or len(cells[-1]) + len(lines) > MOST_LINES:
            cells.append([])
            size = 0
        cells[-1] += lines
        size += length
    return ["\n".join(lines) for lines in cells]


def read_list(text: str) -> list[str]:
    """Return the items of a cell. Raises ValueError where a line goes on with an item that is not there."""
    items: list[str] = []
    for line in text.split("\n"):
        if line.startswith(MORE):
            if not items:
                raise ValueError(f"a line that begins with {MORE} goes on with the item above it, and there is none")
            items[-1] += "\n" + line[len(MORE) :]
        elif line.strip():
            items.append(line.removeprefix(PLAIN))
    return items


def is_blank(cell: object) -> bool:
    """Tell whether a cell says nothing."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def read_cell(cell: Any, spec: Spec) -> Any:
    """Return what a cell that is not blank means for a key, for ``parse`` to check.

    Raises ValueError, with the reason, where the cell holds another kind of value than the key takes.
    """
    if spec.kind is Kind.FLAG:
        return _TRUTHS.get(cell.strip().casefold(), cell) if isinstance(cell, str) else cell
    if spec.kind is Kind.COUNT:
        if isinstance(cell, str) and cell.strip().isdecimal() and len(cell) < 10:
            return int(cell)
        return int(cell) if isinstance(cell, float) and cell.is_integer() else cell
    if spec.kind is Kind.DATE:
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            raise ValueError("is a number; format the cell as a date, or write YYYY-MM-DD")
        return cell.strip() if isinstance(cell, str) else cell
    text = _text(cell, spec)
    if spec.kind in LISTS:
        items = read_list(text)
        return [item.strip() for item in items] if spec.kind in _STRIPPED else items
    return text if spec.kind is Kind.TEXT else text.strip()


def _text(cell: Any, spec: Spec) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        raise ValueError("is a truth value (TRUE or FALSE); format the cell as text and type it again")  # noqa: TRY004 - one kind of error for every cell
    if isinstance(cell, int | float):
        # A word such as 10 that was chosen from the list of a cell that is not formatted as text.
        if spec.choices and float(cell).is_integer():
            return str(int(cell))
        raise ValueError("is a number; format the cell as text and type it again")
    raise ValueError("is a date or a time; format the cell as text and type it again")


def sheet_digest(rows: Iterable[Sequence[Any]]) -> str:
    """Return ``sha256:`` and 64 hex digits over the values of a sheet, the same before and after a program saved it.

    Empty cells at the end of a row and empty rows at the end do not count, nor does how a value is formatted.
    """
    found: list[list[str]] = []
    for row in rows:
        cells = [_spelled(cell) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        found.append(cells)
    while found and not found[-1]:
        found.pop()
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _spelled(cell: Any) -> str:
    if cell is None or cell == "":
        return ""
    if isinstance(cell, str):
        return "s" + cell.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(cell, bool):
        return f"b{cell:d}"
    if isinstance(cell, int | float):
        return f"n{cell:.12g}"
    if isinstance(cell, datetime):
        cell = (cell.replace(tzinfo=None) + timedelta(microseconds=500_000)).replace(microsecond=0)
        return f"d{cell.date() if cell.time() == time() else cell}"
    if isinstance(cell, date):
        return f"d{cell}"
    return f"t{cell}"
