"""Anonymising as SQL: what a column becomes, and whether it still holds something that its mask would change.

Invariant: after a change nothing is pending, so a second run changes nothing. NULL and empty text hold nothing. What
cannot be NULL is cleared to empty text, or to a random text where the column is unique; columns for which neither
will do are told as problems when planning, and left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, FromClause, and_, case, func, not_, null

from connectors.sql.catalogue import Kind, Table, TableColumn, bound
from ropa.connector import FieldChange, Mask

if TYPE_CHECKING:
    from connectors.sql.backend import Backend
    from connectors.sql.layout import Layout


def _needs_random(table: Table, column: TableColumn) -> bool:
    """Tell whether a cleared column must still differ from row to row."""
    return not column.is_nullable and any(column.name in unique for unique in table.uniques)


def _column(table: Table, name: str) -> TableColumn:
    found = table.column(name)
    if found is None:
        raise KeyError(name)
    return found


def is_pending(own: FromClause, table: Table, change: FieldChange, backend: Backend) -> ColumnElement[bool]:
    """Return the condition that the column still holds something that the mask would change; never unknown."""
    column, value = _column(table, change.column), own.c[change.column]
    conditions: list[ColumnElement[bool]] = [value.is_not(None), value != bound("")]
    if change.mask is not Mask.CLEAR:
        conditions.append(not_(backend.is_masked(value, change.mask)))
    if _needs_random(table, column):
        # What an earlier run put in the place of a value holds nothing any more.
        conditions.append(not_(backend.is_masked(value, Mask.RANDOM)))
    return and_(*conditions)


def changed(own: FromClause, table: Table, change: FieldChange, backend: Backend) -> ColumnElement[Any]:
    """Return what the column becomes: masked where something is pending, itself otherwise."""
    column, value = _column(table, change.column), own.c[change.column]
    cleared: ColumnElement[Any] = null()
    if _needs_random(table, column):
        cleared = backend.random_text()
    elif not column.is_nullable:
        cleared = bound("")
    new = cleared if change.mask is Mask.CLEAR else func.coalesce(backend.masked(value, change.mask), cleared)
    return case((is_pending(own, table, change, backend), new), else_=value)


def masking_problems(table: Table, change: FieldChange, layout: Layout, key: tuple[str, ...]) -> list[str]:
    """Return why a column cannot be changed that way, one sentence each."""
    column = table.column(change.column)
    if column is None:
        return []
    named = f"column {column.name!r} of {table.name!r}"
    if column.is_computed:
        return [f"{named} is computed from others and cannot be changed"]
    if column.name in key or column.name in table.key:
        return [f"{named} is part of the key and cannot be changed"]
    if any(column.name in link.parent_columns for links in layout.links_to(table.name).values() for link in links):
        return [f"{named} is what other rows refer to and cannot be changed"]
    problems = []
    is_reference = any(column.name in link.child_columns for link in layout.links_from(table.name))
    if is_reference and (change.mask is not Mask.CLEAR or not column.is_nullable):
        problems.append(f"{named} refers to another table: it can only be cleared, and only where it may be NULL")
    elif change.mask is Mask.CLEAR and not column.is_nullable and column.kind is not Kind.TEXT:
        problems.append(f"{named} may not be NULL and is no text, so it cannot be cleared")
    elif change.mask in {Mask.REDACT, Mask.RANDOM} and column.kind is not Kind.TEXT:
        problems.append(f"{named} is no text, so it cannot take the mask {change.mask.value!r}")
    elif change.mask is Mask.REDACT and table.is_unique(column.name):
        problems.append(f'{named} is unique and cannot hold the same text twice; use mask "random"')
    return problems
