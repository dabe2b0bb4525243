"""The sheets of a file with the columns of Art. 30, row by row: each row an activity.

Invariant: every cell that says something ends up in a key of the register, or in what is told as not carried over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ropa.clock import parse_period
from ropa.register.exchange.article30_cells import Cells, Entry, place, says_none, says_unknown
from ropa.register.exchange.article30_recipients import read_recipients
from ropa.register.exchange.article30_table import Table
from ropa.register.exchange.article30_words import category_of, column_of, recognised, subject_of
from ropa.register.exchange.cells import is_blank
from ropa.register.exchange.incoming import key_of
from ropa.register.exchange.sheets import Sheet
from ropa.vocabulary import conditions, legal_bases, plain

ENOUGH = 3
"""So many columns make a row a header."""
_TERM = re.compile(r"[a-z][a-z-]{1,15}:\s?[A-Z][A-Za-z-]+\s*|Use https?://\S+\s*", re.ASCII)
_POINT = re.compile(r"\b([69])\s?[.(]\s?([12])\s?[).]\s?\(?([a-j])\b\)?", re.ASCII | re.IGNORECASE)
_ARTICLE = re.compile(r"\b(?:art|article|artikel|gdpr|avg|rgpd|dsgvo)\b|[\W_]", re.IGNORECASE)
_LONGEST_KEY = 58
_TEXTS = ("interest", "source", "owner")
_LISTS = ("purposes", "measures", "systems", "processing")


def read_sheet(sheet: Sheet, header: int, table: Table) -> None:
    """Read a sheet whose headings stand in the row ``header`` into the table."""
    for number, column in sorted(sheet.broken):
        table.places.add(place(sheet, number, column), "holds an error in place of a value")
    for number, column in sorted(sheet.computed):
        if number >= len(sheet.rows) or is_blank([*sheet.rows[number], *[""] * (column + 1)][column]):
            table.leave(place(sheet, number, column), "is a formula that was saved without its value")
    table.add_above(sheet, header)
    _spread(sheet, header, table)
    titles = {top for (top, left), (_, right) in sheet.merged if right > left}
    columns = _columns(sheet, header, table)
    for index, row in enumerate(sheet.rows[header + 1 :], start=header + 1):
        said = sum(not is_blank(cell) for cell in row)
        if not said:
            continue
        if recognised(row) >= ENOUGH:  # a second table, or the headings once more
            header, columns = index, _columns(sheet, index, table)
        elif said == 1 and index in titles:
            table.leave(f"sheet {sheet.name}, row {index + 1}", "is a title over several columns, and no activity")
        else:
            _read_row(Cells(sheet, header, index, columns), table)


def _columns(sheet: Sheet, header: int, table: Table) -> dict[int, str]:
    columns: dict[int, str] = {}
    for index, cell in enumerate(sheet.rows[header]):
        found = column_of(cell) if isinstance(cell, str) else None
        if found is not None and found in columns.values():
            table.leave(place(sheet, header, index), "is a second column of the same kind")
        elif found is not None:
            columns[index] = found
    return columns


def _spread(sheet: Sheet, header: int, table: Table) -> None:
    """Give every row of a merged cell its value, for each row becomes an activity."""
    for (top, column), (bottom, _) in sheet.merged:
        if header < top < bottom < len(sheet.rows) and column < len(sheet.rows[top]):
            for row in range(top + 1, bottom + 1):
                sheet.rows[row][column] = sheet.rows[top][column]
            table.leave(
                place(sheet, top, column),
                f"is merged over the rows to {bottom + 1}; each of them became an activity of its own",
            )


def _read_row(cells: Cells, table: Table) -> None:
    terms = [cell for cell in cells.said if isinstance(cell, str) and _TERM.fullmatch(cell)]
    if len(terms) * 2 > len(cells.said):
        table.leave(cells.row, "names terms of a vocabulary, and no processing activity")
        return
    entry = Entry()
    for name in ("title", "purposes", "processing"):
        items, where = cells.items(name)
        if items:
            entry.put("title", items[0], where)
            break
    else:
        table.leave(cells.row, "has neither a name nor a purpose, so that no activity can be told")
        return
    for where in cells.others:
        table.leave(where, "stands in a column that the register has no key for")
    _read_texts(cells, entry, table)
    _read_subjects(cells, entry, table)
    _read_data(cells, entry, table)
    read_recipients(cells, entry, table)
    _read_period(cells, entry)
    _read_basis(cells, entry, table)
    if entry.notes:
        entry.put("note", "\n".join(entry.notes), cells.row)
    table.activity(entry, cells.row)


def _read_texts(cells: Cells, entry: Entry, table: Table) -> None:
    titles, where = cells.items("title")
    if len(titles) > 1:
        entry.put("description", "\n".join(titles[1:]), where)
    for name in _LISTS:
        items, where = cells.items(name)
        if items:
            entry.put(name, items, where)
    for name in _TEXTS:
        text, where = cells.text(name)
        if text:
            entry.put(name, text, where)
    text, where = cells.text("controller")
    if text:
        table.controller(text, where)
    controllers, where = cells.items("controllers")
    if controllers:
        entry.put("controllers", controllers, where)
    if controllers or "processing" in entry.values:
        entry.values["role"] = "processor"


def _named(items: Iterable[str], where: str, table: Table, what: str) -> Iterator[str]:
    """Yield the items that name something; the others are told as left."""
    for item in items:
        if says_none(item) or says_unknown(item):
            table.leave(where, f"does not say {what}")
        else:
            yield item


def _read_subjects(cells: Cells, entry: Entry, table: Table) -> None:
    items, where = cells.items("subjects", has_commas=True)
    found: dict[str, None] = {}
    for item in _named(items, where, table, "whose data they are"):
        key = subject_of(item)
        if key is None:
            key = key_of(item, fallback="other")
            if key == "other" or len(plain(item)) > _LONGEST_KEY:
                entry.notes.append(f"Data subjects: {item}")
        found[key] = None
    if found:
        entry.put("subjects", [*found], where)


def _read_data(cells: Cells, entry: Entry, table: Table) -> None:
    items, where = cells.items("data", has_commas=True)
    found: dict[str, None] = {}
    for item in _named(items, where, table, "which data they are"):
        found[category_of(item) or table.category(item, where)] = None
    if found:
        entry.put("data", [*found], where)


def _read_period(cells: Cells, entry: Entry) -> None:
    text, where = cells.text("period")
    if not text:
        return
    try:
        if len(text) > 64:
            raise ValueError(text)  # noqa: TRY301 - like a text that cannot be read
        parse_period(text)
    except ValueError:
        entry.put("stated_text", text, where)
    else:
        entry.put("stated_period", text, where)


def _read_basis(cells: Cells, entry: Entry, table: Table) -> None:
    for name, known in (("legal_basis", legal_bases()), ("condition", conditions())):
        text, where = cells.text(name)
        if not text or says_none(text) or says_unknown(text):
            continue
        points = {f"{article}.{number}.{letter.lower()}" for article, number, letter in _POINT.findall(text)}
        is_certain = len(points) == 1 and points <= known.keys()
        if is_certain:
            entry.put(name, points.pop(), where)
        else:
            table.leave(where, "names not exactly one point of the law; its words are in the note")
        if not is_certain or _ARTICLE.sub("", _POINT.sub("", text)):
            entry.notes.append(f"{name}: {text}")
