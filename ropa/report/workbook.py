"""Writing a workbook: typed cells, a frozen header with a filter, widths that fit, the same bytes for the same content.

Invariant: a text is a text. It is never read as a formula, a number or a link, also not when somebody edits the cell
later (``quotePrefix``); what does not fit into a cell goes on in the row below; nothing is left out without an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from typing import TYPE_CHECKING

from ropa.errors import CallError
from ropa.report.csv import starts_formula
from ropa.report.words import Words, shown

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from ropa.register.models import Register

BAD, GOOD, OPEN, PLAIN = "bad", "good", "open", "plain"
"""How a cell is coloured; its words say the same."""

MAX_ROWS = 1_048_576
MAX_NAME = 31
_MAX_TEXT = 32_000
"""UTF-16 units; a cell takes 32,767."""
_MAX_LINES = 250
"""A cell takes 253 line feeds."""

_FILLS: Mapping[str, dict[str, object]] = {
    BAD: {"bg_color": "#FBE3E0", "font_color": "#8E1B10"},
    OPEN: {"bg_color": "#FFF3CD", "font_color": "#5C4400", "italic": True},
    GOOD: {"font_color": "#0B5345"},
    PLAIN: {},
}

_LANGUAGE_CODES = {"nl_BE": "813", "fr_BE": "80C", "de_DE": "407", "en_GB": "809"}
"""Windows language identifiers ([MS-LCID]): a date format names one, so that months are in the reader's language."""

_FIRST_DAY = date(1900, 3, 1)
"""Before it spreadsheets disagree on the day (29 February 1900 never was) or know no dates."""

_FORBIDDEN = re.compile(r"[\[\]:*?/\\]")

Value = str | int | date | datetime | tuple[str, ...] | None
"""A tuple of texts stands on as many lines."""

Written = str | int | date | datetime | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A value that is coloured, or a date that is a month."""

    value: Value
    tone: str = PLAIN
    is_month: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One sheet."""

    name: str
    heads: Sequence[str]
    rows: Iterable[Sequence[Value | Cell]]
    empty: str = ""
    """What to say where there is no row."""


def text_of(value: str | tuple[str, ...]) -> str:
    """Return a text as a cell shows it, its lines one below the other."""
    return shown(value) if isinstance(value, str) else "\n".join(shown(line) for line in value)


def write(
    tables: Iterable[Table],
    words: Words,
    *,
    title: str,
    subject: str,
    created: datetime,
    is_large: bool = True,
    register: Register | None = None,
) -> bytes:
    """Return a workbook with these sheets.

    ``is_large``: keep one row in memory at a time. It costs an open file per sheet: not for many sheets.
    ``register``: what the sheets were made from; it follows them, on sheets that can be edited and imported again.
    Raises CallError for more rows than a sheet takes.
    """
    book = _Book(words, title=title, subject=subject, created=created, is_large=is_large, keeps=register is not None)
    try:
        for table in tables:
            book.add(table)
        if register is not None:
            book.add_register(register)
    finally:
        content = book.close()  # also after an error: it takes the files of the rows away
    return content


class _Book:
    """A workbook in the making."""

    def __init__(
        self, words: Words, *, title: str, subject: str, created: datetime, is_large: bool, keeps: bool
    ) -> None:
        """``keeps``: remember what was written, for the mark of ``add_register``."""
        from xlsxwriter import Workbook

        self._target = BytesIO()
        self._words = words
        self._book = Workbook(
            self._target,
            {
                "constant_memory": is_large,
                "strings_to_formulas": False,
                "strings_to_urls": False,
                "strings_to_numbers": False,
            },
        )
        self._book.set_properties(
            {"title": shown(title)[:255], "subject": subject, "created": created.astimezone(UTC).replace(tzinfo=None)}
        )
        self._book.set_custom_property("Language", str(words.locale).replace("_", "-"), "text")
        self._names: set[str] = set()
        self._made: dict[str, list[list[Written]]] | None = {} if keeps else None
        self._rows: list[list[Written]] = []
        """Of the sheet in hand."""
        self._formats: dict[tuple[str, str], Format] = {}
        self._head = self._book.add_format(
            {
                "bold": True,
                "text_wrap": True,
                "valign": "top",
                "bg_color": "#1F3A4D",
                "font_color": "#FFFFFF",
                "border": 1,
            }
        )

    def add(self, table: Table) -> None:
        """Add a sheet."""
        name = self._name(table.name)
        sheet = self._book.add_worksheet(name)
        self._rows = []
        widths = [_width_of_head(head) for head in table.heads]
        for column, head in enumerate(table.heads):
            sheet.write_string(0, column, shown(head), self._head)
            self._keep(0, column, shown(head))
        row = 0
        for cells in table.rows:
            row = self._write(sheet, row + 1, cells, widths, table.name)
        if not row:
            self._write_text(sheet, 1, 0, table.empty, Cell(table.empty))
            widths[0] = max(widths[0], min(len(table.empty), 60))
        sheet.freeze_panes(1, 1 if len(table.heads) > 4 else 0)
        sheet.autofilter(0, 0, max(row, 1), len(table.heads) - 1)
        for column, width in enumerate(widths):
            sheet.set_column(column, column, min(max(width + 2, 9), 62))
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        sheet.set_footer("&L&A&R&P / &N")
        if self._made is not None:
            self._made[name] = self._rows

    def _keep(self, row: int, column: int, value: Written) -> None:
        if self._made is not None:
            self._rows += [[] for _ in range(row + 1 - len(self._rows))]
            cells = self._rows[row]
            cells += [None] * (column - len(cells))
            cells[column:] = [value, *cells[column + 1 :]]

    def add_register(self, register: Register) -> None:
        """Add the sheets to edit, and a mark by which an import sees that another sheet was edited."""
        from ropa.register.exchange.workbook import write_sheets

        write_sheets(self._book, register, self._made)

    def close(self) -> bytes:
        """Return the file."""
        self._book.close()
        return self._target.getvalue()

    # --- cells ---------------------------------------------------------------------------------------------------

    def _write(self, sheet: Worksheet, row: int, cells: Sequence[Value | Cell], widths: list[int], name: str) -> int:
        """Write a row, and the rows below it that its long texts need; return the last of them."""
        texts: list[tuple[int, list[str], Cell]] = []
        for column, found in enumerate(cells):
            cell = found if isinstance(found, Cell) else Cell(found)
            value = cell.value
            if isinstance(value, date) and not _is_day(value):
                value = self._words.instant(value) if isinstance(value, datetime) else self._words.day(value)
            if isinstance(value, (str, tuple)):
                text = text_of(value)
                widths[column] = max(widths[column], *(min(len(line), 60) for line in text.split("\n")))
                texts.append((column, _parts(text), cell))
            elif value is not None:
                widths[column] = max(widths[column], self._write_value(sheet, row, column, value, cell))
        last = row + max((len(parts) for _, parts, _ in texts), default=1) - 1
        if last >= MAX_ROWS:
            raise CallError(
                f"the sheet {name!r} would have more than {MAX_ROWS:,} rows", next_step="Choose the format csv or json."
            )
        for line in range(row, last + 1):
            for column, parts, cell in texts:
                if line - row < len(parts) and parts[line - row]:
                    self._write_text(sheet, line, column, parts[line - row], cell)
        return last

    def _write_text(self, sheet: Worksheet, row: int, column: int, text: str, cell: Cell) -> None:
        kind = "quoted" if starts_formula(text) else "text"
        sheet.write_string(row, column, text, self._format(kind, cell.tone))
        self._keep(row, column, text)

    def _write_value(self, sheet: Worksheet, row: int, column: int, value: int | date | datetime, cell: Cell) -> int:
        if isinstance(value, datetime):
            local = value.astimezone(self._words.zone).replace(tzinfo=None)
            sheet.write_datetime(row, column, local, self._format("instant", cell.tone))
            self._keep(row, column, local)
            return 18
        self._keep(row, column, value)
        if isinstance(value, date):
            sheet.write_datetime(row, column, value, self._format("month" if cell.is_month else "day", cell.tone))
            return 12
        sheet.write_number(row, column, value, self._format("number", cell.tone))
        return 8

    def _format(self, kind: str, tone: str) -> Format:
        key = (kind, tone)
        if key not in self._formats:
            looks: dict[str, object] = {"text_wrap": True, "valign": "top"} | _FILLS[tone]
            if kind == "quoted":
                looks["quote_prefix"] = True
            elif kind != "text":
                looks |= {"num_format": self._pattern(kind), "text_wrap": False}
            self._formats[key] = self._book.add_format(looks)
        return self._formats[key]

    def _pattern(self, kind: str) -> str:
        """How numbers and dates look: days as the reader's language writes them in tables."""
        if kind == "number":
            return "#,##0"
        pattern = str(self._words.locale.date_formats["medium"].pattern)
        day = pattern.replace("MMM", "mmm").replace("MM", "mm").replace("y", "yyyy")
        code = _LANGUAGE_CODES.get(str(self._words.locale))
        prefix = f"[$-{code}]" if code else ""
        return prefix + {"day": day, "month": "mmm yyyy", "instant": f"{day} hh:mm"}[kind]

    def _name(self, wanted: str) -> str:
        name = sheet_name(wanted, self._names)
        self._names.add(name.casefold())
        return name


def sheet_name(wanted: str, taken: set[str]) -> str:
    r"""Return a name that a sheet may bear and that no other bears (``taken``, in lower case): at most 31 UTF-16 units,
    none of ``[]:*?/\``, no apostrophe at an end, not Excel's own "History"."""
    base = " ".join(_FORBIDDEN.sub(" ", shown(wanted)).split()).strip("'") or "-"
    base = f"{base} 1" if base.casefold() == "history" else base
    name, number = _cut(base, MAX_NAME), 1
    while name.casefold() in taken:
        number += 1
        name = f"{_cut(base, MAX_NAME - len(str(number)) - 1)} {number}"
    return name


def _cut(text: str, units: int) -> str:
    """Return as much of the start as fits into UTF-16 units, never half a character."""
    return text.encode("utf-16-le")[: 2 * units].decode("utf-16-le", errors="ignore").strip().rstrip("'")


def _parts(text: str) -> list[str]:
    """Return a text in parts that fit into a cell."""
    if len(text) <= _MAX_TEXT // 2 and text.count("\n") < _MAX_LINES:
        return [text]
    lines = [part for line in text.split("\n") for part in _pieces(line)]
    parts, held, size = [], [lines[0]], _units(lines[0])
    for line in lines[1:]:
        size += _units(line) + 1
        if size > _MAX_TEXT or len(held) == _MAX_LINES:
            parts.append("\n".join(held))
            held, size = [], _units(line)
        held.append(line)
    return [*parts, "\n".join(held)]


def _pieces(line: str) -> list[str]:
    """Return a line in pieces that fit into a cell, never half a character."""
    if _units(line) <= _MAX_TEXT:
        return [line]
    return [line[start : start + _MAX_TEXT // 2] for start in range(0, len(line), _MAX_TEXT // 2)]


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _is_day(value: date) -> bool:
    day = value.date() if isinstance(value, datetime) else value
    return day >= _FIRST_DAY


def _width_of_head(head: str) -> int:
    """The longest word, and room for the filter's button."""
    return max(len(word) for word in head.split()) + 3 if head.strip() else 3
