"""What a database holds, as plain values: tables, columns, keys, foreign keys. Read by an engine's own module.

Invariant: every identifier in a statement of this connector comes from here, that is from the database itself, and is
quoted by SQLAlchemy; nothing that was configured is ever put into a statement as it was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, FromClause, TableClause, bindparam, column, table
from sqlalchemy.sql.elements import BindParameter, quoted_name
from sqlalchemy.types import NullType


class Kind(Enum):
    """What sort of value a column holds, as far as its declaration says."""

    NUMBER = "number"
    TEXT = "text"
    BYTES = "bytes"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table or view."""

    name: str
    type: str
    """As declared."""
    kind: Kind
    is_nullable: bool = True
    is_computed: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key; ``to_table`` and ``to_columns`` in the spelling of the catalogue."""

    columns: tuple[str, ...]
    to_table: str
    to_columns: tuple[str, ...]
    on_delete: str
    has_index: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a view."""

    name: str
    kind: str
    """``table``, ``view`` or ``virtual``."""
    columns: tuple[TableColumn, ...]
    key: tuple[str, ...] = ()
    """The primary key; empty where there is none."""
    uniques: tuple[frozenset[str], ...] = ()
    """Sets of columns that together are unique (the primary key included)."""
    indexed: frozenset[str] = frozenset()
    """Columns that an index over the whole table starts with."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    deleting_triggers: tuple[str, ...] = ()
    """Triggers that delete rows themselves when a row of this table is deleted."""
    delete_triggers: tuple[str, ...] = ()
    """All triggers that run when a row of this table is deleted."""

    def column(self, name: str) -> TableColumn | None:
        """Return the column of that name, None where there is none."""
        return next((c for c in self.columns if c.name == name), None)

    def is_unique(self, name: str) -> bool:
        """Tell whether the column alone is unique."""
        return frozenset({name}) in self.uniques

    def plain(self) -> TableClause:
        """Return the table for use in a statement, every identifier quoted, every value untyped."""
        names: list[ColumnClause[Any]] = [column(quoted_name(c.name, quote=True)) for c in self.columns]
        return table(quoted_name(self.name, quote=True), *names)

    def aliased(self, alias: str) -> FromClause:
        """Return the table under another name, for a statement in which it may occur twice."""
        return self.plain().alias(quoted_name(alias, quote=True))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole database."""

    version: int
    """Changes whenever the schema changes."""
    tables: Mapping[str, Table] = field(default_factory=dict)


def bound(value: object) -> BindParameter[Any]:
    """Return a value as a bound parameter that reaches the driver as it is."""
    return bindparam(None, value, type_=NullType(), unique=True)


def columns_of(source: FromClause, names: tuple[str, ...]) -> list[ColumnElement[Any]]:
    """Return columns of an aliased table, in the order of ``names``."""
    return [source.c[name] for name in names]
