"""The sheets of a workbook as rows of values, read by calamine from a package that was vetted first.

Invariant: whatever the bytes are, ``open_workbook`` answers with sheets or with RegisterError; a formula or an error in
a cell is told (``computed``, ``broken``), because the values alone do not show it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TypeVar

from ropa.errors import Problem, RegisterError
from ropa.register.exchange.package import MOST_CELLS, Package, UnusableError, vetted

Cell = str | int | float | bool | date | datetime | time | timedelta
"""An empty cell is ``""``."""
MOST_SHEETS = 200
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet; places are row and column, both from 0."""

    name: str
    rows: list[list[Cell]]
    """From the first row and column of the sheet."""
    computed: frozenset[tuple[int, int]] = frozenset()
    """Cells that hold a formula; their value is the one that was last computed."""
    broken: frozenset[tuple[int, int]] = frozenset()
    """Cells that hold an error in place of a value."""
    merged: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = ()
    """First and last cell of every range that is merged."""


def refused(name: str, trouble: str) -> RegisterError:
    """Return the error for a file that cannot be used at all."""
    return RegisterError(
        f"{name}: {trouble}", (Problem(name, trouble),), next_step=f"Mend {name}; nothing was changed."
    )


def open_workbook(data: bytes, name: str) -> tuple[Sheet, ...]:
    """Return the sheets of a workbook, in its order. Raises RegisterError: it is none, or is past a bound."""
    try:
        package = vetted(data)
        return guarded(lambda: _sheets(package))
    except UnusableError as failure:
        raise refused(name, str(failure)) from None


def guarded(read: Callable[[], _Read]) -> _Read:
    """Call what reads by calamine. Raises UnusableError whatever it raises, a panic of Rust included."""
    from python_calamine import CalamineError

    try:
        return read()
    except UnusableError:
        raise
    except (CalamineError, OSError, ValueError, OverflowError) as failure:
        raise UnusableError("cannot be read as a workbook") from failure
    except BaseException as failure:
        # A panic is no Exception, and its class cannot be imported.
        if type(failure).__name__ != "PanicException":
            raise
        raise UnusableError("cannot be read as a workbook") from failure


def _sheets(package: Package) -> tuple[Sheet, ...]:
    from python_calamine import CalamineWorkbook, SheetTypeEnum

    book = CalamineWorkbook.from_filelike(io.BytesIO(package.data))
    names = [one.name for one in book.sheets_metadata if one.typ == SheetTypeEnum.WorkSheet]
    if len(names) > MOST_SHEETS:
        raise UnusableError(f"has more than {MOST_SHEETS} sheets")
    parts = [package.part_of(name) for name in names]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts) or len({id(part) for part in found}) < len(found):
        raise UnusableError("has a sheet that cannot be found in it")
    if sum(part.rows * part.columns for part in found) > MOST_CELLS:
        raise UnusableError(f"has more than {MOST_CELLS:,} cells, rows x columns")
    sheets = []
    for name, part in zip(names, found, strict=True):
        sheet = book.get_sheet_by_name(name)
        sheets.append(
            Sheet(
                name,
                [[_plain(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)],
                frozenset(part.formulas),
                frozenset(part.errors),
                tuple(sheet.merged_cell_ranges or ()),
            )
        )
    return tuple(sheets)


def _plain(cell: Cell) -> Cell:
    """A line ends in one way, and a day has no time."""
    if isinstance(cell, str):
        return cell.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(cell, datetime) and cell.time() == time():
        return cell.date()
    return cell


def letters(column: int) -> str:
    """Return how spreadsheet programs call a column, counted from 0."""
    found = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(65 + rest) + found
    return found


def cell_name(row: int, column: int) -> str:
    """Return how spreadsheet programs call a cell, counted from 0."""
    return f"{letters(column)}{row + 1}"
