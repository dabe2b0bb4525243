"""What stands in one row of a table with the columns of Art. 30: texts, items, and words that say none or not known.

Invariant: a text is taken apart at lines, semicolons and bullets, and at commas only where those separate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ropa.register.exchange.article30_words import NONE, UNCLEAR
from ropa.register.exchange.cells import is_blank
from ropa.register.exchange.sheets import Sheet, letters
from ropa.vocabulary import plain

_COMMA_OR_BRACKET = re.compile(r"([,()])")
_BULLETS = ("\N{BULLET}", "\N{MIDDLE DOT}", "\N{EN DASH}", "-", "*")


class Cells:
    """The cells of one row by what their columns hold (``article30_words.COLUMNS``)."""

    def __init__(self, sheet: Sheet, header: int, index: int, columns: Mapping[int, str]) -> None:
        self.row = f"sheet {sheet.name}, row {index + 1}"
        self.said = [cell for cell in sheet.rows[index] if not is_blank(cell)]
        self._sheet = sheet
        self._index = index
        self._heads = sheet.rows[header]
        self._cells: dict[str, tuple[Any, str]] = {}
        self.others: list[str] = []
        """Where something stands in a column that nobody knows."""
        for number, cell in enumerate(sheet.rows[index]):
            if is_blank(cell):
                continue
            if number in columns:
                self._cells[columns[number]] = (cell, self._where(number))
            else:
                self.others.append(self._where(number))

    def _where(self, number: int) -> str:
        head = self._heads[number] if number < len(self._heads) else ""
        name = " ".join(head.split())[:60].strip() if isinstance(head, str) else ""
        return place(self._sheet, self._index, name or number)

    def text(self, name: str) -> tuple[str, str]:
        """Return the text of a column, ``""`` where it says nothing, and where it stands."""
        cell, where = self._cells.get(name, ("", ""))
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        return str(cell).strip(), where

    def items(self, name: str, *, has_commas: bool = False) -> tuple[list[str], str]:
        """Return the items of a column, and where they stand."""
        text, where = self.text(name)
        return pieces(text, has_commas=has_commas), where


@dataclass(slots=True)
class Entry:
    """The activity that a row becomes, while it is read."""

    values: dict[str, Any] = field(default_factory=dict)
    wheres: dict[str, str] = field(default_factory=dict)
    """Key to the cell it came from."""
    notes: list[str] = field(default_factory=list)
    """What is kept in words."""

    def put(self, key: str, value: Any, where: str) -> None:
        """Set a key, and remember its cell."""
        self.values[key] = value
        self.wheres[key] = where


def pieces(text: str, *, has_commas: bool = False) -> list[str]:
    """Return the items of a cell: its lines, what stands between semicolons, and between commas if those separate."""
    found = [one for line in text.split("\n") for one in line.split(";")]
    if has_commas:
        found = [one for item in found for one in _at_commas(item)]
    stripped = [_bare(one) for one in found]
    return [*dict.fromkeys(one for one in stripped if one)]


def _bare(text: str) -> str:
    stripped = text.strip()
    is_bullet = stripped.startswith(_BULLETS) and stripped[1:2].isspace()
    return stripped[1:].strip() if is_bullet else stripped


def _at_commas(text: str) -> list[str]:
    """Split at commas that stand in no brackets."""
    found, depth = [""], 0
    for piece in _COMMA_OR_BRACKET.split(text):
        depth = max(depth + (piece == "(") - (piece == ")"), 0)
        if piece == "," and not depth:
            found.append("")
        else:
            found[-1] += piece
    return found


def says_none(text: str) -> bool:
    """Tell whether a text says that there is none (``nil``, ``geen``, ``n/a``)."""
    return plain(text) in NONE


def says_unknown(text: str) -> bool:
    """Tell whether a text says that it is not known."""
    return plain(text) in UNCLEAR


def place(sheet: Sheet, row: int, column: int | str) -> str:
    """Return where a cell stands, as people say it; ``row`` and ``column`` from 0, or the column's heading."""
    name = column if isinstance(column, str) else letters(column)
    return f"sheet {sheet.name}, row {row + 1}, column {name}"
