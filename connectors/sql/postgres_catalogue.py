"""Reading the catalogue of a PostgreSQL database from pg_catalog, which, unlike information_schema, also shows what we
may not touch (https://www.postgresql.org/docs/current/catalogs.html).

In it are the tables of the location's schema; tables of other schemas that are configured (``audit.person``); and, from
there, whatever refers to one of those, is a partition of it, or is referred to by it.

Invariant: values are bound, and a row counts in one place. The rows of a partitioned table are that table's, and so is
every foreign key of, or to, a partition, also where other partitions have none; unless the configuration names
partitions and not their table: then they stand each for itself.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from connectors.sql.catalogue import Catalogue, Check, ForeignKey, Table, named_in
from connectors.sql.postgres_columns import PostgresColumn, TypeInfo, column_of
from connectors.sql.postgres_queries import (
    CHECKS,
    COLUMNS,
    FOREIGN_KEYS,
    INDEXES,
    INHERITANCE,
    RELATIONS,
    TYPES,
    VERSION,
)
from connectors.sql.postgres_triggers import read_triggers

_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}
_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_RANGED = frozenset({"btree", "brin"})
"""Kinds of index that find what is less than a value."""


@dataclass(frozen=True, slots=True)
class PostgresTable(Table):
    """A table, with what only PostgreSQL has."""

    is_spread: bool = False
    """Whether its rows lie in other tables: partitions, or children by INHERITS."""


@dataclass(frozen=True, slots=True)
class _Relation:
    schema: str
    name: str
    kind: str
    is_partition: bool


@dataclass(frozen=True, slots=True)
class _Key:
    """A foreign key with its two tables by their numbers."""

    source: int
    """Where it stands; its columns are told by the numbers they have in ``declared_on``."""
    declared_on: int
    columns: tuple[int, ...]
    target: int
    declared_to: int
    to_columns: tuple[int, ...]
    on_delete: str


@dataclass(frozen=True, slots=True)
class _Index:
    columns: tuple[int, ...]
    """Up to the first expression."""
    is_unique: bool
    is_primary: bool
    is_whole: bool
    is_plain: bool
    """Without any expression."""
    method: str
    made: str
    """How, where it is about some of the rows or about something computed, or an exclusion constraint."""
    name: str
    is_exclusion: bool
    outside: str
    """What holds of a row that can never be one too many for it; empty where nothing need be said."""


@dataclass
class _Read:
    """What was read, by the number (oid) of the table."""

    relations: dict[int, _Relation]
    keys: list[_Key] = field(default_factory=list)
    parents: dict[int, int] = field(default_factory=dict)
    """Of a partition, its partitioned table."""
    parts: dict[int, list[int]] = field(default_factory=dict)
    """Of a partitioned table, its partitions."""
    heirs: dict[int, list[int]] = field(default_factory=dict)
    """Of a table, its children by INHERITS: what is read from it, or deleted, is also theirs."""
    columns: dict[int, dict[int, PostgresColumn]] = field(default_factory=dict)
    indexes: dict[int, list[_Index]] = field(default_factory=dict)
    triggers: dict[int, list[tuple[str, bool]]] = field(default_factory=dict)
    """On deletion: (name, whether it deletes)."""
    update_triggers: dict[int, list[str]] = field(default_factory=dict)
    checks: dict[int, list[tuple[str, frozenset[int], str]]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)

    def partitions(self, oid: int) -> list[int]:
        """Return the partitions of a table, and theirs."""
        found = self.parts.get(oid, [])
        return [*found, *(deeper for child in found for deeper in self.partitions(child))]

    def column_names(self, oid: int, numbers: Sequence[int]) -> tuple[str, ...]:
        """Return the names of columns."""
        columns = self.columns.get(oid, {})
        return tuple(columns[number].name for number in numbers if number in columns)


def schema_version(connection: Connection) -> Hashable:
    """Return a fingerprint of everything a catalogue is made from, whatever schema it is in.

    A change of a definition writes new rows to pg_catalog; VACUUM and ANALYZE change theirs in place.
    """
    return tuple(_rows(connection, VERSION)[0])


def read_catalogue(connection: Connection, schema: str, sources: Collection[str]) -> Catalogue:
    """Read the catalogue. ``sources``: tables as configured, which may be in other schemas (``audit.person``)."""
    version = schema_version(connection)
    read = _Read({row[0]: _Relation(*row[1:5]) for row in _rows(connection, RELATIONS)})
    for child, parent in _rows(connection, INHERITANCE):
        if child in read.relations and read.relations[child].is_partition:
            read.parents[child] = parent
            read.parts.setdefault(parent, []).append(child)
        elif child in read.relations:
            read.heirs.setdefault(parent, []).append(child)
    for source, columns, target, to_columns, action in _rows(connection, FOREIGN_KEYS):
        if source in read.relations and target in read.relations:
            read.keys += [
                _Key(at, source, _numbers(columns), to, target, _numbers(to_columns), _ACTIONS.get(action, action))
                for at in _stands_for(read, source, schema, sources)
                for to in _stands_for(read, target, schema, sources)
            ]
    wanted = _wanted(read, schema, sources)
    read.names = _names(read, wanted, schema)
    _read_details(connection, read, wanted)
    tables = [_table(read, oid) for oid in wanted]
    return Catalogue(version, {table.name: table for table in sorted(tables, key=lambda table: table.name)})


def _stands_for(read: _Read, oid: int, schema: str, sources: Collection[str]) -> list[int]:
    """Return the tables whose rows the rows of a table are: of a partition, as a rule, the partitioned table."""
    root = oid
    while root in read.parents:
        root = read.parents[root]
    if root == oid and oid not in read.parts:
        return [oid]

    def is_configured(other: int) -> bool:
        relation = read.relations[other]
        return (
            relation.name in sources and relation.schema == schema
        ) or f"{relation.schema}.{relation.name}" in sources

    if is_configured(root) or not any(map(is_configured, read.partitions(root))):
        return [root]
    return [part for part in [oid, *read.partitions(oid)] if read.relations[part].kind != "p"]


def _wanted(read: _Read, schema: str, sources: Collection[str]) -> list[int]:
    """Return the tables to be shown."""
    asked = set(sources)
    found = {
        oid
        for oid, relation in read.relations.items()
        if relation.schema == schema or f"{relation.schema}.{relation.name}" in asked
    }
    waiting = list(found)
    while waiting:
        oid = waiting.pop()
        near = [key.source for key in read.keys if key.target == oid]
        near += [*read.parts.get(oid, []), *([read.parents[oid]] if oid in read.parents else [])]
        waiting += [other for other in near if other not in found]
        found.update(near)
    for key in read.keys:
        if key.source in found:
            found |= {key.target, key.declared_on, key.declared_to}
    return sorted(found & read.relations.keys())


def _names(read: _Read, wanted: Sequence[int], schema: str) -> dict[int, str]:
    """Return how each table is called: two that would be called alike never are."""
    own = {oid: read.relations[oid].name for oid in wanted if read.relations[oid].schema == schema}
    taken, names = set(own.values()), dict(own)
    for oid in wanted:
        relation = read.relations[oid]
        if oid not in own:
            name = f"{relation.schema}.{relation.name}"
            names[oid] = name if name not in taken else f'"{relation.schema}"."{relation.name}"'
            taken.add(names[oid])
    return names


def _read_details(connection: Connection, read: _Read, wanted: Sequence[int]) -> None:
    these = "{" + ",".join(map(str, wanted)) + "}"
    types = {
        oid: TypeInfo(*[*details, tuple(json.loads(labels or "[]"))])
        for oid, *details, labels in _rows(connection, TYPES, these)
    }
    for oid, number, name, shown, type_oid, modifier, is_required, is_computed, made in _rows(
        connection, COLUMNS, these
    ):
        read.columns.setdefault(oid, {})[number] = column_of(
            name,
            shown,
            type_oid,
            modifier,
            types,
            is_nullable=not is_required,
            is_computed=is_computed,
            expression=made or "",
        )
    for oid, numbers, count, is_unique, is_primary, is_whole, method, made, *more in _rows(connection, INDEXES, these):
        columns = _numbers(numbers)[:count]
        plain = columns[: columns.index(0)] if 0 in columns else columns
        read.indexes.setdefault(oid, []).append(
            _Index(plain, is_unique, is_primary, is_whole, plain == columns, method, made, *more)
        )
    for trigger, deletes in read_triggers(lambda statement: _rows(connection, statement)):
        if "DELETE" in trigger.events:
            read.triggers.setdefault(trigger.place, []).append((trigger.name, deletes))
        if "UPDATE" in trigger.events:
            read.update_triggers.setdefault(trigger.place, []).append(trigger.name)
    for oid, name, columns, expression in _rows(connection, CHECKS, these):
        read.checks.setdefault(oid, []).append((name, frozenset(_numbers(columns)), expression))


def _differing(read: _Read, oid: int) -> frozenset[str]:
    """See ``Table.differing``."""
    unique = [index for index in read.indexes.get(oid, []) if index.is_unique or index.is_exclusion]
    columns = read.columns.get(oid, {})
    names = [column.name for column in columns.values()]
    found = named_in([index.made.partition("(")[2] for index in unique], names)
    numbers = {number for index in unique for number in index.columns}
    made = [
        column.expression
        for number, column in columns.items()
        if column.is_computed and (number in numbers or column.name in found)
    ]
    return found | named_in(made, names)


def _outside(read: _Read, oid: int) -> list[Check]:
    """See ``Table.outside``; of an exclusion constraint, which random values are not known to satisfy, a check."""
    names = [column.name for column in read.columns.get(oid, {}).values()]
    return [
        Check(
            index.name,
            named_in([index.outside], names) | frozenset(read.column_names(oid, index.columns)),
            index.outside,
            is_of_constants=not index.is_exclusion,
        )
        for index in read.indexes.get(oid, [])
        if index.outside
    ]


def _table(read: _Read, oid: int) -> Table:
    relation = read.relations[oid]
    columns = read.columns.get(oid, {})

    def names(numbers: Sequence[int]) -> tuple[str, ...]:
        return read.column_names(oid, numbers)

    # Rows of children by INHERITS come with a table's own, and its indexes know nothing of them.
    indexes = [] if oid in read.heirs else read.indexes.get(oid, [])
    uniques = [frozenset(names(i.columns)) for i in indexes if i.is_unique and i.is_whole and i.is_plain and i.columns]
    triggers, on_update = list(read.triggers.get(oid, [])), list(read.update_triggers.get(oid, []))
    for part in read.partitions(oid):
        on_update += [f"{read.relations[part].name}.{name}" for name in read.update_triggers.get(part, [])]
        triggers += [(f"{read.relations[part].name}.{name}", deletes) for name, deletes in read.triggers.get(part, [])]
    triggers += [(f"INHERITS {read.relations[child].name}", True) for child in read.heirs.get(oid, [])]
    outside = _outside(read, oid)
    return PostgresTable(
        name=read.names[oid],
        kind=_KINDS[relation.kind],
        columns=tuple(columns[number] for number in sorted(columns)),
        key=next((names(index.columns) for index in indexes if index.is_primary), ()),
        uniques=tuple(dict.fromkeys(uniques)),
        differing=_differing(read, oid),
        indexed=frozenset(name for i in indexes if i.is_whole and i.method in _RANGED for name in names(i.columns[:1])),
        foreign_keys=tuple(dict.fromkeys(_foreign_key(read, key) for key in read.keys if key.source == oid)),
        deleting_triggers=tuple(name for name, deletes in triggers if deletes),
        delete_triggers=tuple(name for name, _ in triggers),
        update_triggers=tuple(on_update),
        # Always written out: a name alone could be shadowed by a temporary table or by another schema of the path.
        schema=relation.schema,
        own_name=relation.name,
        is_strict=True,
        checks=(
            *(
                Check(name, frozenset(names(sorted(numbers))), expression)
                for name, numbers, expression in read.checks.get(oid, [])
            ),
            *(check for check in outside if not check.is_of_constants),
        ),
        outside=tuple(check for check in outside if check.is_of_constants),
        partition_of=read.names.get(read.parents.get(oid, 0)),
        is_spread=relation.kind == "p" or oid in read.heirs,
    )


def _foreign_key(read: _Read, key: _Key) -> ForeignKey:
    columns = read.column_names(key.declared_on, key.columns)
    return ForeignKey(
        columns=columns,
        to_table=read.names.get(key.target, ""),
        to_columns=read.column_names(key.declared_to, key.to_columns),
        on_delete=key.on_delete,
        has_index=_has_index(read, key.source, columns),
    )


def _has_index(read: _Read, oid: int, columns: Sequence[str]) -> bool:
    """Tell whether rows are found by these columns; of a partitioned table, in each of its partitions."""
    own = read.columns.get(oid, {})
    for index in read.indexes.get(oid, []):
        leading = [own[number].name for number in index.columns[: len(columns)] if number in own]
        if index.is_whole and index.method in {"btree", "hash"} and sorted(leading) == sorted(columns):
            return True
    parts = read.parts.get(oid, [])
    return bool(parts) and all(_has_index(read, part, columns) for part in parts)


def _numbers(text: str | None) -> tuple[int, ...]:
    """Return the numbers of an ``int2vector`` or of an array, as text."""
    return tuple(int(number) for number in (text or "").strip("{}").replace(",", " ").split())


def _rows(connection: Connection, statement: str, *values: str) -> list[Any]:
    result = connection.exec_driver_sql(statement, tuple(values)) if values else connection.exec_driver_sql(statement)
    return list(result.all())
