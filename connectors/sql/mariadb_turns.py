"""The order in which rows of a table that refers to itself can go: InnoDB checks every row as it goes, not at the end.

A row that refers to itself, and rows that refer to each other in a circle, have no such order: InnoDB refuses them in
one statement, too, unless they are cut loose first (``mariadb_loosening``). Invariant: this only orders; whether a row
goes is decided elsewhere, and what refers from outside is the server's to refuse.
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


def _folded(row: Row, places: Sequence[int]) -> tuple[object, ...] | None:
    """Return values such that what a collation takes for equal is equal; more may be. None where one is NULL."""
    values = [row[place] for place in places]
    if any(value is None for value in values):
        return None
    return tuple(value.casefold().rstrip() if isinstance(value, str) else value for value in values)
