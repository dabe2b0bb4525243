"""Few rows: where indexes tell that no more than a few can be meant, the others are not looked at.

Invariant: no row that is meant is left out. An index is asked for more than the selection asks, never for less, and
what it gives is judged like everything else that is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    FromClause,
    Select,
    func,
    literal_column,
    select,
    union_all,
)

from connectors.sql.backend import Backend
from connectors.sql.conditions import Question
from connectors.sql.keys import spell_keys
from ropa.connector import Key

_FEW = 50_000
"""As many rows are rather looked up by an index than found by walking the whole table."""


def look_up(connection: Connection, question: Question, backend: Backend) -> int | list[Key] | None:
    """Return how many rows can be meant at all, where indexes tell that those are few; None elsewhere.

    Where they tell it of other conditions than the selection's, what comes back are the keys of those rows.
    """
    for lookup in question.lookups(connection):
        if not lookup.is_as_asked:
            keys = _keys_of(connection, question, lookup.steps, backend)
            if keys is not None:
                return keys
            continue
        one: ColumnElement[int] = literal_column("1")
        some = _any_of([one.label("one")], question.own, [may for step in lookup.steps for may in step])
        with backend.snapshot(connection):
            asked = select(func.count()).select_from(some.limit(_FEW + 1).subquery())
            count = int(connection.execute(asked).scalar_one())
        if count <= _FEW:
            return count
    return None


def _keys_of(
    connection: Connection, question: Question, steps: Sequence[Sequence[ColumnElement[bool]]], backend: Backend
) -> list[Key] | None:
    """Return the keys of the rows that meet one of these conditions; None where there are more than a few, or one
    cannot be told by its text."""
    found: dict[Key, None] = {}
    key = question.key
    for conditions in steps:
        some = _any_of(key, question.own, conditions).limit(_FEW + 1)
        with backend.snapshot(connection):
            rows = backend.fetch(connection, some)
        keys = spell_keys(rows, range(len(key)), question.declared.kinds)
        if keys is None:
            return None
        found |= dict.fromkeys(keys)
        if len(found) > _FEW:
            return None
    return list(found)


def _any_of(
    columns: Sequence[ColumnElement[Any]], own: FromClause, conditions: Sequence[ColumnElement[bool]]
) -> Select[Any] | CompoundSelect[Any]:
    """Return the statement that finds rows that meet one of these conditions, each by the index for that."""
    found = [select(*columns).select_from(own).where(may) for may in conditions]
    return union_all(*found) if len(found) > 1 else found[0]
