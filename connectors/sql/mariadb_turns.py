"""The order in which rows of a table that refers to itself can go: InnoDB checks every row as it goes, not at the end.

A row that refers to itself, and rows that refer to each other in a circle, have no such order: InnoDB refuses them in
one statement, too. They go once they are cut loose, in the transaction that deletes them. Invariant: this only orders
and cuts loose what goes; whether a row goes is decided elsewhere, and what refers from outside is the server's to
refuse.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, TableClause, Update, bindparam, null, text, update
from sqlalchemy.exc import DBAPIError

from connectors.sql.backend import Row
from connectors.sql.catalogue import Table
from connectors.sql.faults import REFUSING, fault_code

Link = tuple[tuple[str, ...], tuple[str, ...]]
"""The columns that refer, and those that are referred to."""


def links_to_itself(table: Table) -> list[Link]:
    """Return the foreign keys of a table that refer to it itself."""
    return [(key.columns, key.to_columns) for key in table.foreign_keys if key.to_table == table.name]


def key_of(table: Table) -> tuple[str, ...]:
    """Return the primary key, else columns that are unique together and never NULL; nothing where there are none."""
    if table.key:
        return table.key
    never_null = {column.name for column in table.columns if not column.is_nullable}
    others = sorted(tuple(sorted(unique)) for unique in table.uniques if unique <= never_null)
    return min(others, key=len, default=())


def names_needed(table: Table) -> list[str]:
    """Return the columns that ``in_turns`` reads: those of ``key_of`` first."""
    linked = [name for link in links_to_itself(table) for names in link for name in names]
    return list(dict.fromkeys([*key_of(table), *linked]))


def in_turns(table: Table, rows: Sequence[Row]) -> tuple[list[list[Row]], list[Row]]:
    """Return rows of ``names_needed`` in turns: in each, rows to which no row of the same or a later turn refers. Those
    that refer to each other in a circle come last, together; they, and those that refer to themselves, are returned
    beside them: they have to be cut loose first."""
    names = names_needed(table)
    above: list[set[int]] = [set() for _ in rows]
    below = [0] * len(rows)
    tied = set[int]()
    for columns, to_columns in links_to_itself(table):
        own, other = ([names.index(name) for name in each] for each in (columns, to_columns))
        places = {_folded(row, other): place for place, row in enumerate(rows)}
        for place, row in enumerate(rows):
            found = places.get(_folded(row, own))
            if found == place:
                tied.add(place)
            elif found is not None and found not in above[place]:
                above[place].add(found)
                below[found] += 1
    turns, left = [], set(range(len(rows)))
    turn = [place for place in left if not below[place]]
    while turn:
        turns.append([rows[place] for place in turn])
        left.difference_update(turn)
        following = []
        for place in turn:
            for upper in above[place]:
                below[upper] -= 1
                if not below[upper]:
                    following.append(upper)
        turn = following
    if left:
        turns.append([rows[place] for place in sorted(left)])
    return turns, [rows[place] for place in sorted(tied | left)]


def cut_loose(
    connection: Connection, table: Table, own: TableClause, where: ColumnElement[bool], names: Collection[str]
) -> None:
    """See ``Backend.cut_loose``."""
    empty = table.to_be_emptied(names)
    if not empty or connection.execute(_FOLLOWERS, {"schema": own.schema, "name": own.name, "columns": empty}).scalar():
        return
    statement: Update = update(own).where(where).values({own.c[name]: null() for name in empty})
    try:
        connection.execute(statement.values(_as_they_are(table, own)))
    except DBAPIError as error:
        if fault_code(error) not in REFUSING:  # only that statement was refused
            raise


_FOLLOWERS = text(
    "SELECT (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_MANIPULATION = 'UPDATE'"
    " AND EVENT_OBJECT_SCHEMA = COALESCE(:schema, DATABASE()) AND EVENT_OBJECT_TABLE = :name)"
    " + (SELECT COUNT(*) FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME = :name"
    " AND REFERENCED_TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND REFERENCED_COLUMN_NAME IN :columns)"
).bindparams(bindparam("columns", expanding=True))
"""How many would do something else when those columns change."""


def _as_they_are(table: Table, own: TableClause) -> dict[Any, Any]:
    """Return that moments stay, also where they tell when a row was changed: the limit may run from one
    (https://mariadb.com/kb/en/timestamp/#automatic-values)."""
    moments = [c.name for c in table.columns if c.type.startswith(("timestamp", "datetime")) and not c.is_computed]
    return {own.c[name]: own.c[name] for name in moments}


def _folded(row: Row, places: Sequence[int]) -> tuple[object, ...] | None:
    """Return values such that what a collation takes for equal is equal; more may be. None where one is NULL."""
    values = [row[place] for place in places]
    if any(value is None for value in values):
        return None
    return tuple(value.casefold().rstrip() if isinstance(value, str) else value for value in values)
