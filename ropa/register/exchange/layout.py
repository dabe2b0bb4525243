"""Which sheets the register's workbook has, and which columns: as the values describe themselves, and in no other list.

Invariant: every table of the register is one sheet, every key of it one column, an entry one row; the columns before
them say which entry it is. A sheet's name is ``edit`` and the table's key, and is the same in every language.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from ropa.register.models import Register
from ropa.register.specs import Kind, Spec, specs

MARK = "ropa.register"
"""Name of the hidden sheet by which a register is recognised within any workbook."""
READ_ME = "edit read me"
WORDS = "ropa.words"
"""Name of the hidden sheet with the words that may be chosen."""
LISTED = frozenset({Kind.TABLES, Kind.CONTACTS})
"""Tables that stand in order and have no key: several rows may be about one entry."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    spec: Spec | None
    """None: part of the entry's name."""
    help: str


@dataclass(frozen=True, slots=True)
class Layout:
    """One sheet."""

    path: tuple[tuple[str, Spec], ...]
    """Keys from the root of the register to this table, with what each is."""
    keys: tuple[str, ...]
    """Columns that say which entry a row is (about)."""
    columns: tuple[Column, ...]

    @property
    def sheet(self) -> str:
        """The sheet's name."""
        return f"edit {self.path[-1][0]}"

    @property
    def spec(self) -> Spec:
        """What the table itself is."""
        return self.path[-1][1]

    @property
    def parent(self) -> str | None:
        """Name of the sheet whose entries this one belongs to, where a column names them."""
        depth = len(self.keys) - (self.spec.kind in {Kind.NAMED, Kind.DATA})
        return f"edit {self.keys[depth - 1]}" if depth else None

    @property
    def is_single(self) -> bool:
        """Whether there is one such table, so that the sheet has one row."""
        return not self.keys and self.spec.kind is Kind.TABLE


@cache
def layouts() -> tuple[Layout, ...]:
    """Return the sheets, a table before those within it."""
    return tuple(_layouts(Register, (), ()))


def _layouts(table: type[Any], path: tuple[tuple[str, Spec], ...], keys: tuple[str, ...]) -> Iterator[Layout]:
    for written, (_, spec) in specs(table).items():
        if spec.table is None:
            continue
        inner = (*path, (written, spec))
        own = {Kind.NAMED: ("key",), Kind.DATA: ("category",)}.get(spec.kind, ())
        names = (*keys, *own)
        about = [Column(name, None, f"Which {name} this row is about: its key.") for name in keys]
        about += [Column(name, None, f"{spec.help} Each stands in one row only.") for name in own]
        values = [Column(key, one, one.help) for key, (_, one) in specs(spec.table).items() if one.table is None]
        yield Layout(inner, names, (*about, *values))
        yield from _layouts(spec.table, inner, (*keys, written) if own else keys)


def entries(document: dict[str, Any], layout: Layout) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield the rows of a sheet out of a document (``to_data``, expanded): the entry's keys, and its values."""
    found: list[tuple[tuple[str, ...], Any]] = [((), document)]
    for written, spec in layout.path:
        inner: list[tuple[tuple[str, ...], Any]] = []
        for keys, table in found:
            held = table.get(written)
            if held is None:
                continue
            if spec.kind is Kind.TABLE:
                inner.append((keys, held))
            elif spec.kind in LISTED:
                inner += [(keys, one) for one in held]
            else:
                inner += [((*keys, key), one) for key, one in held.items()]
        found = inner
    yield from found
