"""What stands above a table with the columns of Art. 30: who the controller is, the DPO, the representative.

Invariant: only a label that is listed (``article30_words``), with its value in the next cell that says something in its
row, is taken over; everything else above the table is told as not carried over.
"""

from __future__ import annotations

from typing import Any

from ropa.register.exchange.article30_words import detail_of, party_of
from ropa.register.exchange.cells import is_blank
from ropa.register.exchange.incoming import NotCarried
from ropa.register.exchange.places import Places
from ropa.register.exchange.sheets import Cell, Sheet, letters
from ropa.register.models import Contact, Organisation
from ropa.register.specs import specs

_LONGEST_LABEL = 100


def read_above(sheet: Sheet, header: int, organisation: dict[str, Any], places: Places, left: list[NotCarried]) -> None:
    """Put what the rows above ``header`` say into ``organisation``, and the rest into ``left``."""
    party: dict[int, str] = {}
    for index, row in enumerate(sheet.rows[:header]):
        number = 0
        while number < len(row):
            cell = row[number]
            where = f"sheet {sheet.name}, row {index + 1}, column {letters(number)}"
            number += 1
            if is_blank(cell):
                continue
            label = cell if isinstance(cell, str) and len(cell) <= _LONGEST_LABEL else ""
            value, after = _next(row, number)
            group, detail = party_of(label), detail_of(label)
            if group is not None and (value is None or _is_label(value)):
                party[number - 1] = group
                continue
            owner = group or _nearest(party, number - 1)
            key = "name" if group is not None else detail
            if key is None or value is None or _is_label(value):
                left.append(NotCarried(where, "stands above the table and is no label of a detail that is known"))
                continue
            number = after
            path = ("organisation", key) if owner == "organisation" else ("organisation", owner, key)
            if not _set(organisation, path[1:], value):
                why = f"says what the register has no key for at the {owner}, or something else than a label before"
                left.append(NotCarried(where, why))
                continue
            places.note(path, where)
            if owner != "organisation":
                places.note(("organisation", owner, "name"), where)


def _set(organisation: dict[str, Any], path: tuple[str, ...], value: Cell) -> bool:
    """Set a key of the organisation or of a contact; tell whether there is such a key and nothing else stood there."""
    *within, key = path
    if key not in specs(Contact if within else Organisation):
        return False
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
    table = organisation.setdefault(within[0], {}) if within else organisation
    return bool(table.setdefault(key, text) == text)


def _next(row: list[Cell], start: int) -> tuple[Cell | None, int]:
    """Return the next cell of a row that says something, and where the search goes on."""
    for number in range(start, len(row)):
        if not is_blank(row[number]):
            return row[number], number + 1
    return None, len(row)


def _is_label(cell: Cell) -> bool:
    return isinstance(cell, str) and len(cell) <= _LONGEST_LABEL and bool(party_of(cell) or detail_of(cell))


def _nearest(party: dict[int, str], column: int) -> str:
    """Return whose block a column is in: the nearest heading at its left or above it; the controller where none is."""
    found = [at for at in party if at <= column]
    return party[max(found)] if found else "organisation"
