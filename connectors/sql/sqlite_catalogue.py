"""Reading the catalogue of an SQLite database, by its own pragmas (https://sqlite.org/pragma.html).

Invariant: names are passed to the pragmas as bound values. SQLite compares names without regard to case, so what a
foreign key names is brought back to the spelling of the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from connectors.sql.catalogue import Catalogue, ForeignKey, Kind, Table, TableColumn, named_in
from connectors.sql.sqlite_checks import read_checks, read_computed, read_outside
from connectors.sql.triggers import Trigger, deleting

_DELETES = re.compile(r"\b(?:DELETE\s+FROM|REPLACE\s+INTO|OR\s+REPLACE)\b", re.IGNORECASE)
_LENGTH = re.compile(r"\(\s*(\d{1,9})\s*\)")
_NO_CODE = re.compile(r"""'(?:[^']|'')*'|--[^\n]*|/\*.*?(?:\*/|\Z)|(?P<name>"(?:[^"]|"")*")""", re.DOTALL)
_BEGIN = re.compile(r"\bBEGIN\b", re.IGNORECASE)
_EVENTS = {
    "DELETE": re.compile(r"\bDELETE\s+ON\b", re.IGNORECASE),
    "UPDATE": re.compile(r"\bUPDATE\b.*\bON\b", re.IGNORECASE | re.DOTALL),
    "INSERT": re.compile(r"\bINSERT\s+ON\b", re.IGNORECASE),
}


def schema_version(connection: Connection) -> int:
    """Return the number that SQLite raises with every change of the schema."""
    return int(connection.exec_driver_sql("PRAGMA schema_version").scalar_one())


def read_catalogue(connection: Connection) -> Catalogue:
    """Read every table and view but SQLite's own."""
    version = schema_version(connection)
    entries = _rows(connection, "SELECT type, name, tbl_name, coalesce(sql, '') FROM main.sqlite_master")
    triggers = [_read_trigger(name, of_table, sql) for kind, name, of_table, sql in entries if kind == "trigger"]
    found = _Triggers(tuple(triggers), deleting(triggers))
    told = _Told.of_tables(connection, {name: sql for kind, name, _, sql in entries if kind == "index"})
    tables = [
        _read_table(connection, name, _kind_of(kind, sql), found, sql=sql, told=told)
        for kind, name, _, sql in entries
        if kind in {"table", "view"} and not name.lower().startswith("sqlite_")
    ]
    spelling = {found.name.lower(): found for found in tables}
    return Catalogue(version, {found.name: _with_spelling(found, spelling) for found in tables})


def _kind_of(kind: str, sql: str) -> str:
    return "virtual" if re.match(r"\s*CREATE\s+VIRTUAL\b", sql, re.IGNORECASE) else kind


_TABLES = "FROM main.sqlite_master AS m"
_ORDINARY = "WHERE m.type = 'table' AND m.rootpage > 0"
"""Neither views nor virtual tables: one that cannot be read would spoil the answer for all."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What the pragmas tell of every ordinary table, each asked once for all of them; by the name of the table."""

    columns: Mapping[str, list[Sequence[Any]]]
    """name, type, notnull, pk, hidden"""
    indexes: Mapping[str, list[Sequence[Any]]]
    """name, unique, partial, name of a column: a row for each column"""
    keys: Mapping[str, list[Sequence[Any]]]
    """id, table, from, to, on_delete: a row for each column"""
    made: Mapping[str, str]
    """How each index was made, by its own name"""

    @classmethod
    def of_tables(cls, connection: Connection, made: Mapping[str, str]) -> _Told:
        """Ask."""
        return cls(
            _by_table(
                connection,
                f'SELECT m.name, x.name, x.type, x."notnull", x.pk, x.hidden {_TABLES} '
                f"JOIN pragma_table_xinfo(m.name, 'main') AS x {_ORDINARY} ORDER BY m.name, x.cid",
            ),
            _by_table(
                connection,
                f'SELECT m.name, x.name, x."unique", x.partial, i.name {_TABLES} '
                "JOIN pragma_index_list(m.name, 'main') AS x JOIN pragma_index_info(x.name, 'main') AS i "
                f"{_ORDINARY} ORDER BY m.name, x.seq, i.seqno",
            ),
            _by_table(
                connection,
                f'SELECT m.name, x.id, x."table", x."from", x."to", x.on_delete {_TABLES} '
                f"JOIN pragma_foreign_key_list(m.name, 'main') AS x {_ORDINARY} ORDER BY m.name, x.id, x.seq",
            ),
            made,
        )


def _by_table(connection: Connection, statement: str) -> dict[str, list[Sequence[Any]]]:
    found: dict[str, list[Sequence[Any]]] = {}
    for table, *row in _rows(connection, statement):
        found.setdefault(table, []).append(row)
    return found


def _read_table(connection: Connection, name: str, kind: str, triggers: _Triggers, *, sql: str, told: _Told) -> Table:
    try:
        found = told.columns.get(name) or _rows(
            connection,
            "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid",
            name,
        )
    except DBAPIError:
        # A view over a table that is gone, a virtual table whose module is not loaded: it exists and cannot be read.
        return Table(name, kind, (), is_loose=True)
    found = [row for row in found if row[4] != 1]
    key = tuple(row[0] for row in sorted((r for r in found if r[3]), key=lambda r: r[3]))
    indexes = _read_indexes(told.indexes.get(name, ()))
    # An INTEGER PRIMARY KEY is the row's own number: unique, never NULL, and not in the list of indexes.
    is_row_number = len(key) == 1 and any(r[0] == key[0] and r[1].upper() == "INTEGER" for r in found)
    names = [row[0] for row in found]
    computed = read_computed(sql, names) if any(row[4] in {2, 3} for row in found) else {}
    columns = tuple(
        TableColumn(
            name=column,
            type=declared,
            kind=kind_of_type(declared),
            is_nullable=not not_null and not (is_row_number and column == key[0]),
            is_computed=hidden in {2, 3},
            length=_length_of(declared),
            bounds=(-(2**63), 2**63 - 1) if "INT" in declared.upper() else None,
            expression=computed.get(column, ""),
        )
        for column, declared, not_null, _, hidden in found
    )
    whole = [columns for columns, _, is_whole in indexes if is_whole and columns] + ([key] if key else [])
    uniques = tuple(
        dict.fromkeys(
            [frozenset(c) for c, is_unique, is_whole in indexes if is_unique and is_whole and c]
            + [frozenset(key)] * bool(key)
        )
    )
    return Table(
        is_loose=True,
        name=name,
        kind=kind,
        columns=columns,
        key=key,
        uniques=uniques,
        differing=_differing(columns, told.indexes.get(name, ()), told.made, sql),
        indexed=frozenset(columns[0] for columns in whole),
        foreign_keys=_read_foreign_keys(told.keys.get(name, ()), whole),
        deleting_triggers=tuple(one.name for one in triggers.on("DELETE", name) if one in triggers.deleting),
        delete_triggers=tuple(one.name for one in triggers.on("DELETE", name)),
        update_triggers=tuple(one.name for one in triggers.on("UPDATE", name)),
        outside=tuple(
            read_outside(index, told.made[index], names)
            for index in sorted(_odd(told.indexes.get(name, ())))
            if told.made.get(index)
        ),
        checks=read_checks(sql, names) if kind == "table" else (),
    )


@dataclass(frozen=True, slots=True)
class _Triggers:
    """All triggers of a database."""

    all: tuple[Trigger, ...]
    deleting: frozenset[Trigger]

    def on(self, event: str, table: str) -> list[Trigger]:
        """Return those of a table that run on an event."""
        return [one for one in self.all if event in one.events and one.place == table.lower()]


def _read_trigger(name: str, of_table: str, sql: str) -> Trigger:
    """Read a trigger from how it was made: the words before BEGIN say when it runs."""
    head, *rest = _BEGIN.split(sql, maxsplit=1)
    events = frozenset(event for event, form in _EVENTS.items() if form.search(head))
    code = _NO_CODE.sub(lambda found: found[0] if found["name"] else " ", "".join(rest))
    return Trigger(of_table.lower(), frozenset({of_table}), name, events, code, _DELETES.search(code) is not None)


def _differing(
    columns: Sequence[TableColumn], indexes: Iterable[Sequence[Any]], made: Mapping[str, str], sql: str
) -> frozenset[str]:
    """See ``Table.differing``. ``made``: how indexes were made, by name; ``sql``: how the table was."""
    names = [column.name for column in columns]
    computed = {column.name for column in columns if column.is_computed}
    unique = [(index, name) for index, is_unique, _, name in indexes if is_unique]
    odd = _odd(indexes)
    found = named_in([made.get(index, "").partition("(")[2] for index in odd], names)
    # What a column is computed of stands somewhere in how the table was made: rather one too many.
    is_computed = any(name in computed for _, name in unique) or bool(computed & found)
    return found | (named_in([sql], names) if is_computed else frozenset())


def _odd(indexes: Iterable[Sequence[Any]]) -> set[str]:
    """Return the unique indexes that are about some of the rows or about something computed."""
    return {index for index, is_unique, is_partial, name in indexes if is_unique and (is_partial or name is None)}


def _read_indexes(rows: Iterable[Sequence[Any]]) -> list[tuple[tuple[str, ...], bool, bool]]:
    """Return columns, whether they are unique, and whether the index covers the whole table (is not partial).

    Columns stop at an expression; a unique index with an expression is no set of unique columns.
    """
    indexes = []
    for (_, unique, partial), parts in groupby(rows, key=lambda row: tuple(row[:3])):
        names = [row[3] for row in parts]
        plain = names[: names.index(None)] if None in names else names
        indexes.append((tuple(plain), bool(unique) and None not in names, not partial))
    return indexes


def _read_foreign_keys(told: Iterable[Sequence[Any]], indexes: list[tuple[str, ...]]) -> tuple[ForeignKey, ...]:
    grouped: dict[int, list[Sequence[Any]]] = {}
    for row in told:
        grouped.setdefault(row[0], []).append(row)
    return tuple(
        ForeignKey(
            columns=(columns := tuple(row[2] for row in rows)),
            to_table=rows[0][1],
            to_columns=tuple(row[3] for row in rows if row[3] is not None),
            on_delete=rows[0][4],
            has_index=any(frozenset(index[: len(columns)]) == frozenset(columns) for index in indexes),
        )
        for rows in grouped.values()
    )


def _with_spelling(table: Table, spelling: dict[str, Table]) -> Table:
    """Bring the targets of foreign keys to the catalogue's spelling; no columns named: the target's primary key."""

    def spelled(key: ForeignKey) -> ForeignKey:
        own = {c.name.lower(): c.name for c in table.columns}
        target = spelling.get(key.to_table.lower())
        names = {c.name.lower(): c.name for c in target.columns} if target else {}
        to_columns = key.to_columns or (target.key if target else ())
        return ForeignKey(
            columns=tuple(own.get(c.lower(), c) for c in key.columns),
            to_table=target.name if target else key.to_table,
            to_columns=tuple(names.get(c.lower(), c) for c in to_columns),
            on_delete=key.on_delete,
            has_index=key.has_index,
        )

    return replace(table, foreign_keys=tuple(spelled(key) for key in table.foreign_keys))


def kind_of_type(declared: str) -> Kind:
    """Return what a column holds, by SQLite's rules of affinity (https://sqlite.org/datatype3.html#determination_of_column_affinity)."""
    words = declared.upper()
    if not words or words == "ANY":
        return Kind.ANY
    if "INT" in words:
        return Kind.NUMBER
    if any(word in words for word in ("CHAR", "CLOB", "TEXT")):
        return Kind.TEXT
    return Kind.BYTES if "BLOB" in words else Kind.NUMBER


def _length_of(declared: str) -> int | None:
    """Return the length of a text column. SQLite does not insist on it; other programs that read it may."""
    found = _LENGTH.search(declared)
    return int(found[1]) if found and kind_of_type(declared) is Kind.TEXT else None


def _rows(connection: Connection, statement: str, *values: str) -> list[Any]:
    return list(connection.exec_driver_sql(statement, values).all())
