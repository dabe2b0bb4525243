"""Which records must be left alone: those named, those of a named person, and all that descend from one of them.

Invariant: the climb from a record to its ancestors goes by every link the catalogue or the configuration knows, also
through tables that are not declared; it ends, because no row is looked at twice. When in doubt a record is spared.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import Connection, select

from connectors.sql.backend import Backend, Row
from connectors.sql.catalogue import Table, columns_of
from connectors.sql.conditions import joined
from connectors.sql.keys import spell_key
from connectors.sql.layout import Layout, Link
from ropa.connector import Key, Spare, SubjectSet, normalise_identifier

_REMEMBERED = 100_000

Place = tuple[str, tuple[str, ...]]
"""A table and the columns of it by which rows are named."""


class Sparing:
    """Decides for batches of one table whether ``spare`` covers each row."""

    def __init__(self, spare: Spare, layout: Layout, backend: Backend) -> None:
        self._spare = spare
        self._layout = layout
        self._backend = backend
        self._named = {
            name: [
                (declared.key, frozenset(map(_folded, keys)))
                for declared in layout.of_table(name)
                if (keys := spare.keys.get(declared.name))
            ]
            for name in layout.catalogue.tables
        }
        self._subjects = {
            name: [column for declared in layout.of_table(name) for column in declared.spec.subject]
            * (len(spare.subjects) > 0)
            for name in layout.catalogue.tables
        }
        self._climbs = self._worthwhile()
        self._known: dict[tuple[Place, Row], bool] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing at all is to be spared."""
        return not self._spare

    def _worthwhile(self) -> dict[str, list[Link]]:
        """Return, by table, the links that lead towards a table with something to spare."""
        useful = {name for name in self._named if self._named[name] or self._subjects[name]}
        grown = True
        while grown:
            more = {link.child for link in self._layout.links if link.parent in useful} - useful
            useful |= more
            grown = bool(more)
        return {
            name: [link for link in self._layout.links_from(name) if link.parent in useful]
            for name in self._layout.catalogue.tables
        }

    def spared(self, connection: Connection, table: Table, rows: Mapping[int, Row]) -> set[int]:
        """Return the positions that are spared; rows hold all columns of the table in the catalogue's order."""
        if self.is_idle:
            return set()
        spared = {pos for pos, row in rows.items() if self._is_itself_spared(table, row)}
        origins: dict[tuple[Place, Row], set[int]] = {}
        for pos, row in rows.items():
            if pos not in spared:
                for ancestor in self._parents(table, row):
                    origins.setdefault(ancestor, set()).add(pos)
        verdicts = self._climb(connection, set(origins))
        for ancestor, positions in origins.items():
            if verdicts[ancestor]:
                spared |= positions
        return spared

    def _is_itself_spared(self, table: Table, row: Row) -> bool:
        for link, names in self._upwards(table, row):
            # A loose reference may be of another type than the key, and spelled otherwise: 1 and '01'.
            for key, keys in self._named[link.parent]:
                if key == link.parent_columns and _folded(spell_key(names)) in keys:
                    return True
        if not self._named[table.name] and not self._subjects[table.name]:
            return False
        values = dict(zip((column.name for column in table.columns), row, strict=True))
        for key, keys in self._named[table.name]:
            if _folded(spell_key(tuple(values[column] for column in key))) in keys:
                return True
        return any(is_subject(values.get(column), self._spare.subjects) for column in self._subjects[table.name])

    def _parents(self, table: Table, row: Row) -> list[tuple[Place, Row]]:
        return [((link.parent, link.parent_columns), names) for link, names in self._upwards(table, row)]

    def _upwards(self, table: Table, row: Row) -> list[tuple[Link, Row]]:
        """Return the links by which a row refers to what may have to be spared, each with the names it refers by."""
        links = self._climbs[table.name]
        if not links:
            return []
        values = dict(zip((column.name for column in table.columns), row, strict=True))
        found = [(link, tuple(values[column] for column in link.child_columns)) for link in links]
        return [(link, names) for link, names in found if None not in names]

    def _climb(self, connection: Connection, start: set[tuple[Place, Row]]) -> dict[tuple[Place, Row], bool]:
        """Return for each ancestor whether it, or one above it, is spared."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        above: dict[tuple[Place, Row], set[tuple[Place, Row]]] = {}
        verdicts: dict[tuple[Place, Row], bool] = {}
        frontier = set(start)
        while frontier:
            verdicts |= {node: self._known[node] for node in frontier if node in self._known}
            frontier -= verdicts.keys()
            upwards: set[tuple[Place, Row]] = set()
            for place in {place for place, _ in frontier}:
                names = [name for other, name in frontier if other == place]
                for name, row in self._look_up(connection, place, names):
                    node = (place, name)
                    table = self._layout.catalogue.tables[place[0]]
                    verdicts[node] = verdicts.get(node, False) or self._is_itself_spared(table, row)
                    above.setdefault(node, set()).update(self._parents(table, row))
            for node in frontier:
                verdicts.setdefault(node, False)
                upwards |= above.get(node, set())
            frontier = upwards - verdicts.keys()
        _spread(above, verdicts)
        self._known |= verdicts
        return verdicts

    def _look_up(self, connection: Connection, place: Place, names: list[Row]) -> list[tuple[Row, Row]]:
        table = self._layout.catalogue.tables[place[0]]
        columns = [column for name in place[1] if (column := table.column(name)) is not None]
        keys = self._backend.load_keys(connection, "ancestors", columns, list(enumerate(names)))
        own = table.aliased("own")
        statement = (
            select(keys.pos, *columns_of(own, tuple(column.name for column in table.columns)))
            .select_from(keys.source)
            .join(own, joined(columns_of(own, place[1]), keys, self._backend))
        )
        return [(names[row[0]], row[1:]) for row in self._backend.fetch(connection, statement)]


def _folded(key: Key) -> Key:
    """Return a key without what databases and people may take for no difference: case, spelling of a number. Rather one
    record too many is spared than one too few."""
    return tuple(map(_folded_part, key))


def _folded_part(part: str) -> str:
    text = normalise_identifier(part)
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return str(number.normalize()) if number.is_finite() else text


def _spread(above: Mapping[Any, set[Any]], verdicts: dict[Any, bool]) -> None:
    """Let every record whose ancestor is spared be spared, down to the last descendant."""
    below: dict[Any, set[Any]] = {}
    for node, parents in above.items():
        for parent in parents:
            below.setdefault(parent, set()).add(node)
    waiting = [node for node, is_spared in verdicts.items() if is_spared]
    while waiting:
        for child in below.get(waiting.pop(), ()):
            if not verdicts[child]:
                verdicts[child] = True
                waiting.append(child)


def is_subject(value: object, subjects: SubjectSet) -> bool:
    """Tell whether what a ``subject`` column holds names one of these persons."""
    if value is None:
        return False
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    return normalise_identifier(text) in subjects
