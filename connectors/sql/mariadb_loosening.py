"""Cutting loose what refers to rows that go before it or with it: InnoDB checks every row as it goes.

Invariant: only rows that are about to go are changed, in the transaction that deletes them; where that cannot be done
nothing is, and the server refuses the rows.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, TableClause, Update, bindparam, null, text, update
from sqlalchemy.exc import DBAPIError

from connectors.sql.catalogue import Table
from connectors.sql.faults import REFUSING, fault_code

_FOLLOWERS = text(
    "SELECT (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE EVENT_MANIPULATION = 'UPDATE'"
    " AND EVENT_OBJECT_SCHEMA = COALESCE(:schema, DATABASE()) AND EVENT_OBJECT_TABLE = :name)"
    " + (SELECT COUNT(*) FROM information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME = :name"
    " AND REFERENCED_TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND REFERENCED_COLUMN_NAME IN :columns)"
).bindparams(bindparam("columns", expanding=True))
"""How many would do something else when those columns change."""


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


def _as_they_are(table: Table, own: TableClause) -> dict[Any, Any]:
    """Return that moments stay, also where they tell when a row was changed: the limit may run from one
    (https://mariadb.com/kb/en/timestamp/#automatic-values)."""
    moments = [c.name for c in table.columns if c.type.startswith(("timestamp", "datetime")) and not c.is_computed]
    return {own.c[name]: own.c[name] for name in moments}
