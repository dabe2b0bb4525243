"""Spreadsheets with the columns of Art. 30(1), in any order and in four languages: entries for a register.

Invariants: a row is an activity; a word is matched with the vocabulary only where it equals a label; a period in free
words stays in words (a finding until a person settles it); every cell that has no place in the register is told.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ropa.register.exchange.article30_rows import ENOUGH, read_sheet
from ropa.register.exchange.article30_table import Table
from ropa.register.exchange.article30_words import recognised
from ropa.register.exchange.cells import is_blank
from ropa.register.exchange.incoming import Incoming
from ropa.register.exchange.sheets import Cell, Sheet, refused

MOST_ROWS = 20_000
MOST_COLUMNS = 256
_HEADER_WITHIN = 30
"""Rows in which the headings are looked for."""
_DELIMITERS = (",", ";", "\t", "|")
_CODES = ("utf-8-sig", "cp1252")


def read_sheets(sheets: Sequence[Sheet], name: str) -> Incoming:
    """Read every sheet that has the columns of Art. 30.

    Raises RegisterError where no sheet has them, and with every problem in what was read.
    """
    table = Table(name)
    is_found = False
    for sheet in sheets:
        if len(sheet.rows) > MOST_ROWS or max(map(len, sheet.rows), default=0) > MOST_COLUMNS:
            raise refused(name, f"has a sheet of more than {MOST_ROWS:,} rows or {MOST_COLUMNS} columns")
        header = header_row(sheet.rows)
        if header is None:
            if any(not is_blank(cell) for row in sheet.rows for cell in row):
                table.leave(f"sheet {sheet.name}", "has no row with the columns of Art. 30")
            continue
        is_found = True
        read_sheet(sheet, header, table)
    if not is_found:
        raise refused(
            name,
            "has no sheet of a register, and none with the columns of Art. 30: purposes, categories of data subjects,"
            " categories of personal data, recipients, time limits, security (in nl, fr, de or en)",
        )
    return table.incoming()


def read_csv(data: bytes, name: str) -> Incoming:
    """Read the same columns from text: UTF-8, UTF-16 or Windows-1252; comma, semicolon, tab or bar between the cells.

    Raises RegisterError as ``read_sheets`` does, and where it is no such text.
    """
    text = _decoded(data)
    if text is None or "\0" in text:
        raise refused(name, "is not text in UTF-8, UTF-16 or Windows-1252")
    best: tuple[int, list[list[Cell]]] | None = None
    for delimiter in _DELIMITERS:
        rows = _cells(text, delimiter)
        header = header_row(rows) if rows is not None else None
        if rows is not None and header is not None:
            score = recognised(rows[header])
            if best is None or score > best[0]:
                best = score, rows
    return read_sheets([Sheet(name, best[1] if best is not None else [])], name)


def header_row(rows: Sequence[Sequence[Cell]]) -> int | None:
    """Return the row with the headings: the one that names most columns, at least three and purposes or data."""
    found: tuple[int, int] | None = None
    for index, row in enumerate(rows[:_HEADER_WITHIN]):
        score = recognised(row)
        if score >= ENOUGH and (found is None or score > found[0]):
            found = score, index
    return found[1] if found else None


def _decoded(data: bytes) -> str | None:
    codes = ("utf-16",) if data.startswith((b"\xff\xfe", b"\xfe\xff")) else _CODES
    for code in codes:
        try:
            return data.decode(code)
        except UnicodeError:
            continue
    return None


def _cells(text: str, delimiter: str) -> list[list[Cell]] | None:
    """Return the rows of a text; None where it cannot be read so."""
    rows: list[list[Cell]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            rows.append([cell.replace("\r\n", "\n").replace("\r", "\n") for cell in row])
            if len(rows) > MOST_ROWS:
                break
    except csv.Error:
        return None
    return rows
