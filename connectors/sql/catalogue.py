"""What a database holds, as plain values: tables, columns, keys, foreign keys. Read by an engine's own module.

Invariant: every identifier in a statement of this connector comes from here, that is from the database itself, and is
quoted by SQLAlchemy; nothing that was configured is ever put into a statement as it was typed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, FromClause, TableClause, bindparam, column, table
from sqlalchemy.sql.elements import BindParameter, quoted_name
from sqlalchemy.types import NullType


class Kind(Enum):
    """What sort of value a column holds, as far as its declaration says."""

    NUMBER = "number"
    """Integers, decimals, floats; of SQLite also what its affinity makes of them."""
    TEXT = "text"
    BYTES = "bytes"
    BOOLEAN = "boolean"
    DATE = "date"
    """A calendar day without a time."""
    NAIVE = "naive"
    """Date and time without a zone."""
    INSTANT = "instant"
    """Date and time that mean one instant."""
    UUID = "uuid"
    ADDRESS = "address"
    """A network address (PostgreSQL inet, MariaDB inet4 and inet6)."""
    ANY = "any"
    """Nothing is known (SQLite without a type)."""
    OTHER = "other"
    """Something of the engine's own: json, arrays, ranges, enums, intervals, geometry."""


_DATES = frozenset({Kind.DATE, Kind.NAIVE, Kind.INSTANT})


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table or view."""

    name: str
    type: str
    """As declared."""
    kind: Kind
    is_nullable: bool = True
    is_computed: bool = False
    """Generated from others, or numbered by the engine such that no statement may change it."""
    length: int | None = None
    """The most characters (bytes for BYTES) it takes; None where there is no limit or it is not known."""
    octets: int = 0
    """The most bytes of a text or binary value; 0 of others, and where it is not known."""
    differs_within: int | None = None
    """Of how many characters (bytes for BYTES) the first alone a unique index looks at; None: it is not about some."""
    bounds: tuple[int, int] | None = None
    """Of an integer column the least and the greatest number it takes, where known."""
    expression: str = ""
    """What a computed column is computed by, as the catalogue has it; empty where it is not known."""
    is_tellable: bool = True
    """Whether a key may be made of it: its values can be told as text and found again by that."""
    labels: tuple[str, ...] = ()
    """Of an enum, or of a set."""
    joins_labels: bool = False
    """Whether a value is several labels in their order, with commas between (SET of MariaDB)."""
    renews_itself: bool = False
    """Whether the engine writes the time of each change into it (``ON UPDATE CURRENT_TIMESTAMP``)."""


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint."""

    name: str
    columns: frozenset[str]
    """The columns it speaks of; empty where it is not known: then it may be any."""
    expression: str
    """As the catalogue has it."""
    is_of_constants: bool = False
    """Whether it need not hold for a row that has a random value in one of the columns."""


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
    """As it is configured: with the schema before it (``audit.person``) where it is in another than the location's."""
    kind: str
    """``table``, ``view``, ``materialized view``, ``foreign table`` or ``virtual``."""
    columns: tuple[TableColumn, ...]
    key: tuple[str, ...] = ()
    """The primary key; empty where there is none."""
    uniques: tuple[frozenset[str], ...] = ()
    """Sets of columns that together are unique (the primary key included)."""
    differing: frozenset[str] = frozenset()
    """Columns that must differ from row to row as well, in some way: a unique index is about what is computed of them,
    about some of the rows, or about the first characters."""
    outside: tuple[Check, ...] = ()
    """By unique indexes about something computed, about some of the rows, or for which two NULLs are the same: what
    holds of a row that can never be one too many for it."""
    indexed: frozenset[str] = frozenset()
    """Columns that an index over the whole table starts with."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    deleting_triggers: tuple[str, ...] = ()
    """Triggers that delete rows themselves when a row of this table is deleted."""
    delete_triggers: tuple[str, ...] = ()
    """All triggers that run when a row of this table is deleted."""
    update_triggers: tuple[str, ...] = ()
    """All triggers that run when a row of this table is changed."""
    tells_triggers: bool = True
    """Whether the engine was asked about triggers."""
    schema: str | None = None
    """The schema to write before the name; None where the connection's own will do."""
    own_name: str | None = None
    """The name without the schema, where ``name`` has one."""
    checks: tuple[Check, ...] = ()
    partition_of: str | None = None
    """``name`` of the partitioned table this is a part of."""
    is_loose: bool = False
    """Whether any value can be compared with any column, whatever its type (SQLite)."""
    is_strict: bool = False
    """Whether columns of different sorts must not be compared: the statement is refused (PostgreSQL), or compares what
    the engine makes of their values (MariaDB, where 'ACME' equals 0)."""
    is_versioned: bool = False
    """Whether the engine itself keeps what was deleted (system-versioned tables)."""

    def column(self, name: str) -> TableColumn | None:
        """Return the column of that name, None where there is none."""
        return next((c for c in self.columns if c.name == name), None)

    def compares(self, own: TableColumn, other: TableColumn) -> bool:
        """Tell whether a statement may compare a column of this table with another; True where that is not known."""
        kinds = {own.kind, other.kind}
        is_known = self.is_strict and kinds.isdisjoint({Kind.ANY, Kind.OTHER})
        return not is_known or len(kinds) == 1 or kinds <= _DATES

    def to_be_emptied(self, names: Collection[str]) -> list[str]:
        """Return those of some columns that can be NULL in a row that stays findable."""
        return [c.name for c in self.columns if c.name in names and c.is_nullable and c.name not in self.key]

    def is_unique(self, name: str) -> bool:
        """Tell whether the column alone is unique."""
        return frozenset({name}) in self.uniques

    def is_differing(self, name: str) -> bool:
        """Tell whether two rows may have to differ in the column."""
        return name in self.differing or any(name in unique for unique in self.uniques)

    def plain(self) -> TableClause:
        """Return the table for use in a statement, every identifier quoted, every value untyped."""
        names: list[ColumnClause[Any]] = [column(quoted_name(c.name, quote=True)) for c in self.columns]
        schema = None if self.schema is None else quoted_name(self.schema, quote=True)
        return table(quoted_name(self.own_name or self.name, quote=True), *names, schema=schema)

    def aliased(self, alias: str) -> FromClause:
        """Return the table under another name, for a statement in which it may occur twice."""
        return self.plain().alias(quoted_name(alias, quote=True))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole database."""

    version: Hashable
    """Changes whenever the schema changes."""
    tables: Mapping[str, Table] = field(default_factory=dict)


def named_in(sql: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """Return which of some columns pieces of SQL may speak of; rather one too many: a word may mean something else."""
    text = "\n".join(sql).lower()
    return frozenset(name for name in names if text and re.search(rf"(?<!\w){re.escape(name.lower())}(?!\w)", text))


def bound(value: object) -> BindParameter[Any]:
    """Return a value as a bound parameter that reaches the driver as it is."""
    return bindparam(None, value, type_=NullType(), unique=True)


def columns_of(source: FromClause, names: tuple[str, ...]) -> list[ColumnElement[Any]]:
    """Return columns of an aliased table, in the order of ``names``."""
    return [source.c[name] for name in names]
