"""A workbook that came back: the sheets of the register, by their mark, or a table with the columns of Art. 30.

Invariants: every problem is told at once, with sheet, row and column; what stands in another sheet of the workbook and
was edited is told as not carried over; a value is checked by the same rules as a text of the register.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ropa.config.problems import guess
from ropa.register.exchange.cells import is_blank, read_cell, sheet_digest
from ropa.register.exchange.incoming import Incoming, NotCarried
from ropa.register.exchange.layout import LISTED, MARK, Column, Layout, layouts
from ropa.register.exchange.places import Places
from ropa.register.exchange.sheets import Cell, Sheet, cell_name, letters, open_workbook, refused
from ropa.register.models import Register
from ropa.register.parse import SCHEMA
from ropa.register.specs import LISTS, Kind

_SPLIT = re.compile(r"(.+) ([2-9]|[1-9][0-9])", re.ASCII)


def read_workbook(data: bytes, name: str) -> Incoming:
    """Read a workbook: the register where it holds one, else entries out of a table with the columns of Art. 30.

    Raises RegisterError: no workbook, past a bound, no such sheets, or with every problem in them.
    """
    sheets = open_workbook(data, name)
    if any(one.name == MARK for one in sheets):
        return _Reading(name, {one.name: one for one in sheets}, Places(name)).incoming()
    ours = {one.sheet for one in layouts()} & {one.name for one in sheets}
    if ours:
        raise refused(
            name,
            f"has the sheet {min(ours)} but not the hidden sheet {MARK}, by which a register is recognised;"
            " export the register again and copy the rows into the new file",
        )
    from ropa.register.exchange.article30 import read_sheets

    return read_sheets(sheets, name)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the hidden sheet says about the workbook as it was written."""

    entries: int
    columns: dict[str, tuple[str, ...]]
    made: dict[str, str]

    @classmethod
    def of(cls, sheet: Sheet, name: str) -> _Mark:
        rows = [[*row, "", "", ""] for row in sheet.rows]
        if not rows or rows[0][0] != SCHEMA:
            raise refused(name, f"says in its sheet {MARK} that it holds another form than {SCHEMA}")
        found = [(row[0], str(row[1]), str(row[2])) for row in rows]
        count = next((row[1] for row in rows if row[0] == "entries"), 1)
        return cls(
            entries=0 if count == 0 else 1,
            columns={one: tuple(value.split("\n")) for kind, one, value in found if kind == "columns"},
            made={one: value for kind, one, value in found if kind == "made"},
        )


@dataclass(slots=True)
class _Reading:
    """One workbook while it is read."""

    name: str
    sheets: dict[str, Sheet]
    places: Places
    document: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, dict[tuple[str, ...], int]] = field(default_factory=dict)
    """Sheet, and keys of an entry, to its row."""

    def incoming(self) -> Incoming:
        mark = _Mark.of(self.sheets[MARK], self.name)
        for layout in layouts():
            sheet = self.sheets.get(layout.sheet)
            if sheet is not None:
                self._read(layout, sheet, mark.columns.get(layout.sheet, ()))
            elif layout.sheet in mark.columns:
                self.places.add(
                    f"sheet {layout.sheet}", "is missing; put it back, without rows if there is nothing to say"
                )
        register = self._register(mark)
        return Incoming("workbook", register, is_whole=True, left=tuple(self._left(mark)))

    def _left(self, mark: _Mark) -> Iterator[NotCarried]:
        known = {one.sheet for one in layouts()} | {MARK}
        for one in self.sheets.values():
            if one.name in known:
                continue
            if one.name not in mark.made:
                yield NotCarried(f"sheet {one.name}", "is not a sheet of the register")
            elif sheet_digest(one.rows) != mark.made[one.name]:
                yield NotCarried(
                    f"sheet {one.name}",
                    "was edited, but is made from the register; edit the sheets whose name begins with 'edit' instead",
                )

    def _register(self, mark: _Mark) -> Register:
        if not self.document and not self.places:
            if mark.entries:
                raise refused(self.name, "has no entries left: it says nothing, and nothing never means everything")
            return Register()
        return self.places.register(self.document or {"organisation": {}})

    # --- one sheet ---

    def _read(self, layout: Layout, sheet: Sheet, written: tuple[str, ...]) -> None:
        where = f"sheet {sheet.name}"
        for (top, left), (bottom, right) in sheet.merged:
            self.places.add(
                where, f"cells {cell_name(top, left)} to {cell_name(bottom, right)} are merged; separate them"
            )
        columns = self._columns(layout, sheet, written)
        seen = self.rows.setdefault(layout.sheet, {})
        for index, row in enumerate(sheet.rows[1:], start=1):
            if all(is_blank(cell) and (index, column) not in sheet.broken for column, cell in enumerate(row)):
                continue
            at = f"{where}, row {index + 1}"
            self._check_cells(sheet, index, row, columns, at)
            keys = self._keys(layout, row, columns, at)
            if keys is None:
                continue
            if keys in seen and layout.spec.kind not in LISTED:
                what = "the only row that this sheet takes" if layout.is_single else "the entry that has a row already"
                self.places.add(at, f"is about {what}: row {seen[keys] + 1}")
                continue
            seen[keys] = index
            self._entry(layout, keys, self._values(row, columns, at), at)

    def _columns(self, layout: Layout, sheet: Sheet, written: tuple[str, ...]) -> dict[int, Column]:
        where = f"sheet {sheet.name}"
        known = {column.name: column for column in layout.columns}
        found: dict[int, Column] = {}
        names: set[str] = set()
        for index, cell in enumerate(sheet.rows[0] if sheet.rows else []):
            if is_blank(cell):
                continue
            name = str(cell).strip().lower()
            split = _SPLIT.fullmatch(name)
            column = known.get(name)
            if column is None and split is not None and split[1] in known:
                one = known[split[1]]
                column = one if one.spec is not None and one.spec.kind in LISTS else None
            if column is None:
                self.places.add(
                    f"{where}, row 1, column {letters(index)}", "is not a known column", guess(str(cell), known)
                )
            elif name in names:
                self.places.add(f"{where}, row 1, column {letters(index)}", "has the name of another column")
            else:
                found[index] = column
            names.add(name)
        for column in layout.columns:
            if column.name not in names and (column.name in written or column.spec is None):
                self.places.add(
                    f"{where}, row 1", f"the column {column.name} is missing; put it back, empty if need be"
                )
        return found

    def _check_cells(self, sheet: Sheet, index: int, row: list[Cell], columns: dict[int, Column], at: str) -> None:
        for number, cell in enumerate(row):
            column = columns.get(number)
            name = column.name if column is not None else f"column {letters(number)}"
            if (index, number) in sheet.computed:
                self.places.add(f"{at}, {name}", "is a formula; put the value itself there")
            elif (index, number) in sheet.broken:
                self.places.add(f"{at}, {name}", "holds an error in place of a value")
            elif (
                column is None
                and not is_blank(cell)
                and is_blank([*sheet.rows[0], ""][min(number, len(sheet.rows[0]))])
            ):
                self.places.add(f"{at}, {name}", "has a value, but its column has no name")

    def _keys(self, layout: Layout, row: list[Cell], columns: dict[int, Column], at: str) -> tuple[str, ...] | None:
        cells = {column.name: row[index] for index, column in columns.items() if index < len(row)}
        keys = []
        for name in layout.keys:
            cell = cells.get(name, "")
            if is_blank(cell) or not isinstance(cell, str):
                trouble = "is required" if is_blank(cell) else "must be text; format the cell as text and type it again"
                self.places.add(f"{at}, {name}", trouble)
                return None
            is_cookie = layout.path[-1][0] == "cookie"
            keys.append(cell if is_cookie else cell.strip())
        return tuple(keys)

    def _values(self, row: list[Cell], columns: dict[int, Column], at: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for index, column in columns.items():
            if column.spec is None or index >= len(row) or is_blank(row[index]):
                continue
            try:
                value = read_cell(row[index], column.spec)
            except ValueError as failure:
                self.places.add(f"{at}, {column.name}", str(failure))
                continue
            values[column.name] = [*values.get(column.name, []), *value] if column.spec.kind in LISTS else value
        return values

    def _entry(self, layout: Layout, keys: tuple[str, ...], values: dict[str, Any], at: str) -> None:
        """Put an entry into the document, and remember where it stands."""
        table: Any = self.document
        left = list(keys)
        path: tuple[str | int, ...] = ()
        for written, spec in layout.path[:-1]:
            path = (*path, written)
            table = table.setdefault(written, {})
            if spec.kind in {Kind.NAMED, Kind.DATA}:
                key = left.pop(0)
                path = (*path, key)
                if key not in table:
                    self.places.add(f"{at}, {layout.keys[0]}", f"names no row of the sheet {layout.parent}")
                    return
                table = table[key]
        written, spec = layout.path[-1]
        path = (*path, written)
        if spec.kind is Kind.TABLE:
            table.setdefault(written, {}).update(values)
        elif spec.kind in {Kind.NAMED, Kind.DATA}:
            path = (*path, left[0])
            table.setdefault(written, {})[left[0]] = values
        else:
            items = table.setdefault(written, [])
            path = (*path, len(items))
            items.append(values)
        self.places.note(path, at)
        for column in layout.columns:
            if column.spec is not None:
                self.places.note((*path, column.name), f"{at}, {column.name}")
