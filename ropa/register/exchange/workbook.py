"""The register as sheets of a workbook, for people to edit; ``workbook_reading`` reads them back.

Invariants: ``read_workbook(to_workbook(r)).register == r``; the same register gives the same bytes; every text is
written as text, so nothing becomes a formula, a link or a number.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ropa.register.exchange.cells import list_cells, sheet_digest
from ropa.register.exchange.layout import MARK, READ_ME, WORDS, Column, Layout, entries, layouts
from ropa.register.models import Register
from ropa.register.parse import LONGEST_LIST, LONGEST_TEXT, MOST_ENTRIES, SCHEMA
from ropa.register.specs import LISTS, Kind, Spec
from ropa.register.text import to_data

_CREATED = datetime(2000, 1, 1)  # noqa: DTZ001 - a constant, so that the same register gives the same bytes
_OLDEST = date(1901, 1, 1)
"""Days before it are written as text: spreadsheet programs disagree about 1900 and know nothing before."""
_LAST = MOST_ENTRIES
_WIDTHS = {Kind.TEXT: 36, Kind.TEXTS: 36, Kind.NAMES: 24, Kind.CHOICES: 24, Kind.CHOICE: 18, Kind.PERIOD: 16}
_HOW = (
    "How to edit the register here",
    "Sheets whose name begins with 'edit' are the register itself. Change a cell, add a row, delete a row.",
    "A list has one item a line (Alt+Enter begins a line). An empty cell or row says nothing.",
    "Keys tie the sheets together: the column 'activity' of another sheet holds a key of the sheet 'edit activity'.",
    "Leave the sheets' names, the first row and the columns as they are. Write values, no formulas; merge no cells.",
    "Every other sheet is made from the register: what is changed there is not taken over, and the import says so.",
    "Then: ropa register import FILE --preview shows what would change; without --preview it is one new revision.",
    "What is no longer in a sheet is no longer in the register: deleting a row takes its entry out.",
)


def to_workbook(register: Register) -> bytes:
    """Return the register as an XLSX workbook that can be edited and read back."""
    import xlsxwriter

    target = io.BytesIO()
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    book = xlsxwriter.Workbook(target, options)
    book.set_properties({"title": "Register of processing activities", "created": _CREATED})
    write_sheets(book, register)
    book.close()
    return target.getvalue()


def write_sheets(book: Any, register: Register, made: Mapping[str, Sequence[Sequence[Any]]] | None = None) -> None:
    """Add the sheets of the register to a workbook of xlsxwriter, after those that it has.

    ``made``: the values, as written, of every other sheet by its name: an import then says when one was edited, since
    what stands there is not taken over. None of their names may be one of ours (``layout``).
    """
    form = _Form.of(book)
    document = to_data(register, is_expanded=True)
    others = dict(made or {})
    others[READ_ME] = _read_me(book, form)
    words = {layout.sheet: _word_columns(layout) for layout in layouts()}
    others[WORDS] = _word_rows(words)
    count = 0
    for layout in layouts():
        rows = list(entries(document, layout))
        count += len([values for _, values in rows if values])
        _sheet(book, form, layout, rows)
    _hidden(book, WORDS, others[WORDS])
    mark: list[list[Any]] = [[SCHEMA], ["entries", count]]
    mark += [["columns", one.sheet, "\n".join(column.name for column in one.columns)] for one in layouts()]
    mark += [["made", name, sheet_digest(rows)] for name, rows in others.items()]
    _hidden(book, MARK, mark)


@dataclass(frozen=True, slots=True)
class _Form:
    """The formats of the cells."""

    head: Any
    text: Any
    date: Any
    plain: Any
    title: Any

    @classmethod
    def of(cls, book: Any) -> _Form:
        top = {"valign": "top"}
        return cls(
            head=book.add_format({"bold": True, "bottom": 1, "bg_color": "#E8EEF4", "num_format": "@"}),
            text=book.add_format({"num_format": "@", "text_wrap": True, **top}),
            date=book.add_format({"num_format": "yyyy-mm-dd", "align": "left", **top}),
            plain=book.add_format({"align": "left", **top}),
            title=book.add_format({"bold": True, "font_size": 14}),
        )

    def for_kind(self, spec: Spec | None) -> Any:
        if spec is None:
            return self.text
        return {Kind.DATE: self.date, Kind.FLAG: self.plain, Kind.COUNT: self.plain}.get(spec.kind, self.text)


# --- the sheets of the register -----------------------------------------------------------------------------------


def _sheet(book: Any, form: _Form, layout: Layout, rows: Sequence[tuple[tuple[str, ...], dict[str, Any]]]) -> None:
    split = {
        column.name: max([1, *(len(list_cells(values.get(column.name, ()))) for _, values in rows)])
        for column in layout.columns
        if column.spec is not None and column.spec.kind in LISTS
    }
    columns = [(column, part) for column in layout.columns for part in range(split.get(column.name, 1))]
    sheet = book.add_worksheet(layout.sheet)
    sheet.freeze_panes(1, len(layout.keys))
    for index, (column, part) in enumerate(columns):
        spec = column.spec
        sheet.set_column(index, index, _WIDTHS.get(spec.kind, 14) if spec else 24, form.for_kind(spec))
        sheet.write_string(0, index, f"{column.name} {part + 1}" if part else column.name, form.head)
        sheet.write_comment(0, index, f"{column.help} ({_takes(spec)})", {"author": "ropa", "x_scale": 2})
        _validate(sheet, index, column, layout)
    sheet.autofilter(0, 0, max(len(rows), 1), len(columns) - 1)
    for number, (keys, values) in enumerate(rows, start=1):
        named = dict(zip(layout.keys, keys, strict=True))
        for index, (column, part) in enumerate(columns):
            if column.spec is None:
                sheet.write_string(number, index, named[column.name], form.text)
            elif column.name in values:
                value: Any = values[column.name]
                if column.spec.kind in LISTS:
                    value = [*list_cells(value), *[""] * part][part]
                _write(sheet, (number, index), value, form)


def _write(sheet: Any, place: tuple[int, int], value: Any, form: _Form) -> None:
    row, column = place
    if isinstance(value, bool):
        sheet.write_boolean(row, column, value, form.plain)
    elif isinstance(value, int):
        sheet.write_number(row, column, value, form.plain)
    elif isinstance(value, date) and value >= _OLDEST:
        sheet.write_datetime(row, column, value, form.date)
    elif str(value):
        sheet.write_string(row, column, str(value), form.text)


def _validate(sheet: Any, index: int, column: Column, layout: Layout) -> None:
    spec = column.spec
    rule: dict[str, Any] | None = None
    if spec is None:
        if column.name in layout.keys[:-1] or layout.spec.kind not in {Kind.NAMED, Kind.DATA}:
            rule = {"validate": "list", "source": f"='edit {column.name}'!$A$2:$A${_LAST + 1}"}
    elif spec.kind is Kind.CHOICE:
        rule = {"validate": "list", "source": _word_range(layout, column)}
    elif spec.kind is Kind.FLAG:
        rule = {"validate": "list", "source": ["TRUE", "FALSE"]}
    elif spec.kind is Kind.DATE:
        rule = {"validate": "date", "criteria": ">=", "value": _OLDEST, "error_type": "warning"}
    elif spec.kind is Kind.COUNT:
        rule = {"validate": "integer", "criteria": ">=", "value": 0}
    elif spec.kind is Kind.TEXT:
        rule = {"validate": "length", "criteria": "<=", "value": LONGEST_TEXT}
    if rule is not None:
        sheet.data_validation(1, index, _LAST, index, {"ignore_blank": True, **rule})


# --- the words that may be chosen ---------------------------------------------------------------------------------


def _word_columns(layout: Layout) -> dict[str, tuple[str, ...]]:
    return {
        column.name: column.spec.choices()
        for column in layout.columns
        if column.spec is not None and column.spec.kind is Kind.CHOICE and column.spec.choices is not None
    }


def _word_lists() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for layout in layouts():
        for name, listed in _word_columns(layout).items():
            yield layout.sheet, name, listed


def _word_rows(words: Mapping[str, Mapping[str, tuple[str, ...]]]) -> list[list[str]]:
    columns = [(f"{sheet}: {name}", *listed) for sheet, lists in words.items() for name, listed in lists.items()]
    depth = max(map(len, columns))
    return [[column[row] if row < len(column) else "" for column in columns] for row in range(depth)]


def _word_range(layout: Layout, column: Column) -> str:
    from xlsxwriter.utility import xl_col_to_name

    for index, (sheet, name, listed) in enumerate(_word_lists()):
        if (sheet, name) == (layout.sheet, column.name):
            letter = xl_col_to_name(index)
            return f"='{WORDS}'!${letter}$2:${letter}${len(listed) + 1}"
    raise KeyError(column.name)


# --- the other sheets ---------------------------------------------------------------------------------------------


def _read_me(book: Any, form: _Form) -> list[list[str]]:
    rows = [[line] for line in _HOW]
    rows += [[""], ["sheet", "column", "takes", "means"]]
    for layout in layouts():
        rows.append([layout.sheet, "", layout.spec.kind.value, layout.spec.help])
        rows += [[layout.sheet, one.name, _takes(one.spec), one.help] for one in layout.columns]
    sheet = book.add_worksheet(READ_ME)
    for index, width in enumerate((26, 30, 50, 90)):
        sheet.set_column(index, index, width)
    wrapped = form.text
    for number, row in enumerate(rows):
        style = form.title if number == 0 else form.head if number == len(_HOW) + 1 else wrapped
        for index, text in enumerate(row):
            if text:
                sheet.write_string(number, index, text, None if len(row) == 1 and number else style)
    return rows


def _takes(spec: Spec | None) -> str:
    if spec is None:
        return "key"
    if spec.choices is not None:
        listed = spec.choices()
        return f"{spec.kind.value}: {', '.join(listed)}" if len(listed) <= 15 else f"{spec.kind.value} the vocabulary"
    return f"{spec.kind.value}, one a line, at most {LONGEST_LIST}" if spec.kind in LISTS else spec.kind.value


def _hidden(book: Any, name: str, rows: Sequence[Sequence[Any]]) -> None:
    sheet = book.add_worksheet(name)
    sheet.hide()
    for number, row in enumerate(rows):
        for index, value in enumerate(row):
            if isinstance(value, int):
                sheet.write_number(number, index, value)
            elif value:
                sheet.write_string(number, index, value)
