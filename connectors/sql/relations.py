"""How records hang together: what a record refers to, what refers to it, and which of a batch hang on each other.

Invariant: questions are put once for a batch, never once for a row; a row is counted once per place that refers,
however many of its columns do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, or_, select

from connectors.sql.backend import Backend, KeyTable, Row
from connectors.sql.catalogue import Kind, TableColumn, columns_of
from connectors.sql.conditions import joined
from connectors.sql.keys import spell_key
from connectors.sql.layout import Declared, Layout, Link
from ropa.connector import Key, Reference, Referring, references_of

_ONE_SPELLING = frozenset({Kind.UUID, Kind.BYTES, Kind.DATE, Kind.NAIVE, Kind.INSTANT, Kind.BOOLEAN})
"""Kinds of which equal values have equal texts in columns of one type."""


def refers(link: Link, child: FromClause, parent: FromClause) -> ColumnElement[bool]:
    """Return the condition that a row of ``child`` refers to a row of ``parent`` by this link.

    The parent's columns stand on the left: their collation decides what is equal, as it does for a foreign key.
    """
    pairs = zip(columns_of(parent, link.parent_columns), columns_of(child, link.child_columns), strict=True)
    return and_(*(target == source for target, source in pairs))


def _is_told_by_key(declared: Declared, target: Declared, link: Link) -> bool:
    """Tell whether a row that refers to a record has its key, letter by letter: ``ab`` may be equal to ``AB`` by a
    collation, and 1 is equal to 1.0."""
    if not target.key or frozenset(target.key) != frozenset(link.parent_columns):
        return False
    pairs = zip(link.child_columns, link.parent_columns, strict=True)
    return all(_is_spelled_alike(declared.table.column(own), target.table.column(other)) for own, other in pairs)


def _is_spelled_alike(one: TableColumn | None, other: TableColumn | None) -> bool:
    if one is None or other is None:
        return False
    if one.kind is other.kind is Kind.NUMBER:
        return one.bounds is not None and other.bounds is not None  # whole numbers both
    return one.kind in _ONE_SPELLING and one.type == other.type


class References:
    """What the records of one dataset refer to in other declared datasets."""

    def __init__(self, declared: Declared, layout: Layout, backend: Backend) -> None:
        self._declared = declared
        self._backend = backend
        names = [column.name for column in declared.table.columns]
        self._direct: list[tuple[str, tuple[int, ...], bool]] = []
        self._joined: list[tuple[Declared, Link, bool]] = []
        for link in layout.links_from(declared.table.name):
            for target in layout.of_table(link.parent):
                is_parent = declared.spec.belongs_by(link.child_columns, target.name)
                if _is_told_by_key(declared, target, link):
                    places = dict(zip(link.parent_columns, link.child_columns, strict=True))
                    columns = tuple(names.index(places[column]) for column in target.key)
                    self._direct.append((target.name, columns, is_parent))
                elif target.key:
                    self._joined.append((target, link, is_parent))

    def of_rows(
        self, connection: Connection, keys: KeyTable | None, rows: Mapping[int, Row]
    ) -> dict[int, tuple[Reference, ...]]:
        """Return the references of rows, given by position with all their columns in the catalogue's order.

        ``keys``: the keys of those positions; needed where ``needs_keys``.
        """
        found: dict[int, list[Reference]] = {}
        known: dict[tuple[str, Row, bool], Reference] = {}
        for name, places, is_parent in self._direct:
            for pos, row in rows.items():
                values = tuple([row[place] for place in places])
                if None in values:
                    continue
                reference = known.get((name, values, is_parent))
                if reference is None:
                    reference = known[name, values, is_parent] = Reference(name, spell_key(values), is_parent)
                found.setdefault(pos, []).append(reference)
        for target, link, is_parent in self._joined if keys is not None else []:
            for pos, *parts in self._look_up(connection, keys, target, link):
                if pos in rows and None not in parts:
                    found.setdefault(pos, []).append(Reference(target.name, spell_key(tuple(parts)), is_parent))
        return {pos: references_of(told) for pos, told in found.items()}

    @property
    def is_any(self) -> bool:
        """Whether the dataset refers to a declared one at all."""
        return bool(self._direct or self._joined)

    @property
    def needs_keys(self) -> bool:
        """Whether some reference does not tell the key of its target, so that the target must be looked up."""
        return bool(self._joined)

    def _look_up(self, connection: Connection, keys: KeyTable | None, target: Declared, link: Link) -> list[Row]:
        if keys is None:
            return []
        child, parent = self._declared.table.aliased("child"), target.table.aliased("parent")
        statement = (
            select(keys.pos, *columns_of(parent, target.key))
            .select_from(keys.source)
            .join(child, joined(columns_of(child, self._declared.key), keys, self._backend))
            .join(parent, refers(link, child, parent))
        )
        return self._backend.fetch(connection, statement)


def count_referring(
    connection: Connection, declared: Declared, layout: Layout, keys: KeyTable, backend: Backend
) -> dict[int, list[Referring]]:
    """Return, for each position that has any, how many rows refer to it from where (``Found.referred_by``)."""
    found: dict[int, list[Referring]] = {}
    for source, links in layout.links_to(declared.table.name).items():
        own, child = declared.table.aliased("own"), layout.catalogue.tables[source].aliased("child")
        statement = (
            select(keys.pos, func.count())
            .select_from(keys.source)
            .join(own, joined(columns_of(own, declared.key), keys, backend))
            .join(child, or_(*(refers(link, child, own) for link in links)))
            .group_by(keys.pos)
        )
        names = layout.of_table(source)
        place, is_declared = (names[0].name, True) if names else (source, False)
        for pos, count in backend.fetch(connection, statement):
            found.setdefault(pos, []).append(Referring(place, is_declared, count))
    return found


def referring_rows(
    connection: Connection,
    declared: Declared,
    layout: Layout,
    keys: KeyTable,
    known: Mapping[str, Mapping[Key, int]],
    *,
    backend: Backend,
) -> Iterable[tuple[int, int | None]]:
    """Yield (position of a record, position of the record that refers to it, None for one outside the batch).

    ``known``: the datasets of the batch, with their keys and positions. Of rows of other tables one per record is told.
    """
    for source, links in layout.links_to(declared.table.name).items():
        own, child = declared.table.aliased("own"), layout.catalogue.tables[source].aliased("child")
        members = [layout.declared(name) for name in known if layout.declared(name).table.name == source]
        columns = [column for member in members for column in columns_of(child, member.key)]
        statement = (
            select(keys.pos, *columns)
            .distinct()
            .select_from(keys.source)
            .join(own, joined(columns_of(own, declared.key), keys, backend))
            .join(child, or_(*(refers(link, child, own) for link in links)))
        )
        for pos, *values in backend.fetch(connection, statement):
            found, start = None, 0
            for member in members:
                key = spell_key(tuple(values[start : start + len(member.key)]))
                start += len(member.key)
                found = known[member.name].get(key) if found is None else found
            yield pos, found
