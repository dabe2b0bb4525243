"""Cutting loose what refers to rows that go before it: PostgreSQL checks a reference that is not deferrable when the
statement ends, not the transaction.

Invariant: only rows that are about to go are changed, in the transaction that deletes them; where that cannot be done
nothing is, and the server refuses the rows.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Connection, TableClause, null, text, update
from sqlalchemy.exc import DBAPIError

from connectors.sql.catalogue import Table
from connectors.sql.faults import REFUSING, fault_code

# Bit 4 of tgtype: UPDATE (https://www.postgresql.org/docs/current/catalog-pg-trigger.html).
_FOLLOWERS = text("""
    SELECT (SELECT count(*) FROM pg_catalog.pg_trigger
            WHERE tgrelid = pg_catalog.to_regclass(:name) AND NOT tgisinternal AND tgtype & 16 <> 0)
         + (SELECT count(*) FROM pg_catalog.pg_constraint c
            WHERE c.contype = 'f' AND c.confrelid = pg_catalog.to_regclass(:name) AND EXISTS (
              SELECT 1 FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = c.confrelid AND a.attnum = ANY (c.confkey) AND a.attname = ANY (:columns)))
""")
"""How many would do something else when those columns change."""


def cut_loose(
    connection: Connection, table: Table, own: TableClause, where: ColumnElement[bool], names: Collection[str]
) -> None:
    """See ``Backend.cut_loose``."""
    empty = table.to_be_emptied(names)
    name = connection.dialect.identifier_preparer.format_table(own)
    if not empty or connection.execute(_FOLLOWERS, {"name": name, "columns": empty}).scalar():
        return
    connection.exec_driver_sql("SAVEPOINT ropa_loose")
    try:
        connection.execute(update(own).where(where).values({own.c[column]: null() for column in empty}))
    except DBAPIError as error:
        if fault_code(error) not in REFUSING:
            raise
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT ropa_loose")
