"""The order in which rows of a table that refers to itself can go: InnoDB checks every row as it goes, not at the end.

Invariant: this only orders; whether a row goes is decided elsewhere, and what refers from outside is the server's to
refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.sql.backend import Row
from connectors.sql.catalogue import Table

Link = tuple[tuple[str, ...], tuple[str, ...]]
"""The columns that refer, and those that are referred to."""


def links_to_itself(table: Table) -> list[Link]:
    """Return the foreign keys of a table that refer to it itself."""
    return [(key.columns, key.to_columns) for key in table.foreign_keys if key.to_table == table.name]


def names_needed(table: Table) -> list[str]:
    """Return the columns that ``in_turns`` reads: the key first."""
    linked = [name for link in links_to_itself(table) for names in link for name in names]
    return list(dict.fromkeys([*table.key, *linked]))


def in_turns(table: Table, rows: Sequence[Row]) -> list[list[Row]]:
    """Return rows of ``names_needed`` in turns: in each, rows to which no row of the same or a later turn refers. Those
    that refer to each other in a circle come last, together."""
    names = names_needed(table)
    above: list[set[int]] = [set() for _ in rows]
    below = [0] * len(rows)
    for columns, to_columns in links_to_itself(table):
        own, other = ([names.index(name) for name in each] for each in (columns, to_columns))
        places = {_folded(row, other): place for place, row in enumerate(rows)}
        for place, row in enumerate(rows):
            found = places.get(_folded(row, own))
            if found is not None and found != place and found not in above[place]:
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
    return turns


def _folded(row: Row, places: Sequence[int]) -> tuple[object, ...] | None:
    """Return values such that what a collation takes for equal is equal; more may be. None where one is NULL."""
    values = [row[place] for place in places]
    if any(value is None for value in values):
        return None
    return tuple(value.casefold().rstrip() if isinstance(value, str) else value for value in values)
