"""Tables as lists of rows, and how their rows refer to each other: what the memory connector looks things up in.

Invariant: a ``View`` changes nothing until ``remove``; rows are told apart by identity, so equal rows stay two rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.evaluate import read_moments, spell
from ropa.clock import Moment
from ropa.connector import (
    CatalogueReference,
    DatasetSpec,
    Key,
    LocationSpec,
    Reference,
    Referring,
    Selection,
    Spare,
    SubjectSet,
    normalise_identifier,
    references_of,
)

Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""Table to rows; a key missing in a row is a NULL."""


def key_columns(spec: DatasetSpec) -> tuple[str, ...]:
    """Return the key columns of a dataset; ``id`` where none are configured."""
    return spec.key or ("id",)


@dataclass(frozen=True, slots=True)
class Link:
    """The rows of one table refer to those of another."""

    child: str
    columns: tuple[str, ...]
    parent: str
    to_columns: tuple[str, ...]


class Tables:
    """The tables of a location: declared datasets by their names, others by the name of the table."""

    def __init__(
        self, spec: LocationSpec, rows: Rows, references: Mapping[str, Sequence[CatalogueReference]] | None = None
    ) -> None:
        self.spec = spec
        self.references = dict(references or {})
        self._tables = {
            name: rows.setdefault(name if name in rows or dataset.source not in rows else dataset.source, [])
            for name, dataset in spec.datasets.items()
        }
        self._names = {dataset.source: name for name, dataset in reversed(list(spec.datasets.items()))}
        for table, content in rows.items():
            self._tables.setdefault(self._names.get(table, table), content)
        self.edges = self._draw_edges()
        self._columns: dict[str, dict[str, str]] = defaultdict(dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Every table, the declared ones first."""
        return tuple(self._tables)

    def name_of(self, source: str) -> str:
        """Return the name by which a table is known here: its dataset's, else its own."""
        return self._names.get(source, source)

    def rows(self, table: str) -> list[Row]:
        """Return the rows themselves, none for a table that is not there."""
        return self._tables.get(table, [])

    def columns(self, table: str) -> Mapping[str, str]:
        """Return every column ever seen, with the type of its first content."""
        known = self._columns[table]
        for row in self.rows(table):
            for column, value in row.items():
                if value is not None or column not in known:
                    known[column] = known.get(column) or ("" if value is None else type(value).__name__)
        return known

    def references_of(self, table: str) -> tuple[CatalogueReference, ...]:
        """Return the foreign keys of a table, as they were given."""
        spec = self.spec.datasets.get(table)
        return tuple(self.references.get(table, self.references.get(spec.source, ()) if spec else ()))

    def _draw_edges(self) -> tuple[Link, ...]:
        edges: dict[Link, None] = {}
        for name, dataset in self.spec.datasets.items():
            parent = dataset.parent
            if parent is not None and parent.dataset in self.spec.datasets:
                to_columns = key_columns(self.spec.datasets[parent.dataset])
                edges[Link(name, parent.via, parent.dataset, to_columns)] = None
        for table, references in self.references.items():
            for reference in references:
                to = self._names.get(reference.to_source, reference.to_source)
                edges[Link(self._names.get(table, table), reference.columns, to, reference.to_columns)] = None
        return tuple(edges)

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """Return what the configuration of a dataset names that no row has ever had."""
        spec = self.spec.datasets.get(dataset)
        if spec is None:
            return [f"there is no dataset {dataset}"]
        key = key_columns(spec)
        asked = {*key, *spec.subject, *(column for columns in spec.data.values() for column in columns)}
        problems = []
        for anchor in spec.anchors.values():
            for part in anchor.parts:
                if part.dataset is None or part.dataset == dataset:
                    asked.add(part.column)
                elif not self.is_related(spec, part.dataset):
                    problems.append(f"anchor {anchor.name}: {part.dataset} is neither a child nor the parent")
                elif self._is_missing(part.dataset, part.column):
                    problems.append(f"anchor {anchor.name}: {part.dataset} has no column {part.column}")
        if spec.parent is not None:
            asked.update(spec.parent.via)
            if spec.parent.dataset not in self.spec.datasets:
                problems.append(f"the parent {spec.parent.dataset} is no dataset of this location")
        if selection is not None:
            conditions = [*selection.match, *(condition for group in selection.exclude for condition in group)]
            asked.update(condition.column for condition in conditions)
            asked.update(change.column for change in selection.fields)
            problems += [
                f"column {change.column} is part of the key and cannot be changed"
                for change in selection.fields
                if change.column in key
            ]
            anchors = dict.fromkeys([*selection.anchors, *(before.anchor for before in selection.before)])
            problems += [f"there is no anchor {name}" for name in anchors if name not in spec.anchors]
        problems += [f"there is no column {column}" for column in sorted(asked) if self._is_missing(dataset, column)]
        return problems

    def is_related(self, spec: DatasetSpec, other: str) -> bool:
        """Tell whether another dataset is the parent of this one, or a child of it."""
        return bool(self.links(spec.name, other) or self.links(other, spec.name))

    def links(self, child: str, parent: str) -> list[Link]:
        """Return how the rows of one table refer to those of another."""
        return [link for link in self.edges if link.child == child and link.parent == parent]

    def _is_missing(self, table: str, column: str) -> bool:
        columns = self.columns(table)
        return bool(columns) and column not in columns


class TableItem:
    """One row, as a selection looks at it (``connectors.evaluate.Item``)."""

    def __init__(self, view: View, spec: DatasetSpec, row: Row) -> None:
        self.row = row
        self._view = view
        self._spec = spec
        self.key: Key = tuple(spell(row.get(column)) for column in key_columns(spec))

    def value(self, column: str) -> Any:
        """Return the content of a column, None where the row has none."""
        return self.row.get(column)

    def moments(self, anchor: str) -> tuple[Moment, ...]:
        """Return the dates of an anchor's parts; an anchor that is not configured has none."""
        return self._view.moments(self._spec, anchor, self.row)

    def is_child_of(self, dataset: str, keys: frozenset[Key]) -> bool:
        """Tell whether the row belongs to one of these records."""
        references = self._view.refers_to(self._spec.name, self.row)
        return any(r.is_parent and r.dataset == dataset and r.key in keys for r in references)


class View:
    """The rows as they stand at one moment, with indexes that live as long as one call."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._datasets = tables.spec.datasets
        self._removed: dict[int, str] = {}
        self._indexes: dict[tuple[str, tuple[str, ...]], dict[tuple[Any, ...], list[Row]]] = {}

    def items(self, dataset: str) -> Iterator[TableItem]:
        """Stream the records of a dataset in key order: numbers as numbers, before text."""
        spec = self._datasets[dataset]
        columns = key_columns(spec)

        def position(row: Row) -> tuple[tuple[bool, Any], ...]:
            values = (row.get(column) for column in columns)
            return tuple((False, v) if isinstance(v, int | float) else (True, spell(v)) for v in values)

        for row in sorted(self._tables.rows(dataset), key=position):
            yield TableItem(self, spec, row)

    def by_key(self, dataset: str) -> dict[Key, TableItem]:
        """Return the records of a dataset by key."""
        return {item.key: item for item in self.items(dataset)}

    def moments(self, spec: DatasetSpec, anchor: str, row: Row) -> tuple[Moment, ...]:
        """Return the dates of an anchor's parts: of the row, of its children, of its parent."""
        if anchor not in spec.anchors:
            return ()
        values: list[tuple[object, Any, str | None]] = []
        for part in spec.anchors[anchor].parts:
            if part.dataset is None or part.dataset == spec.name:
                values.append((row.get(part.column), spec.zone, part.form))
                continue
            if not self._tables.is_related(spec, part.dataset):
                return ()
            zone = self._datasets[part.dataset].zone
            others = self._relatives(spec, part.dataset, row)
            values.extend((other.get(part.column), zone, part.form) for other in others)
        return read_moments(values)

    def refers_to(self, table: str, row: Row) -> tuple[Reference, ...]:
        """Return the declared records that a row refers to."""
        spec = self._datasets.get(table)
        return references_of(
            Reference(
                edge.parent,
                TableItem(self, self._datasets[edge.parent], other).key,
                spec is not None and spec.belongs_by(edge.columns, edge.parent),
            )
            for edge in self._tables.edges
            if edge.child == table and edge.parent in self._datasets
            for other in self._matching(edge.parent, edge.to_columns, row, edge.columns)
        )

    def referring(self, table: str, row: Row) -> list[tuple[str, Row]]:
        """Return the rows that refer to a row and are not removed, each once."""
        found: dict[int, tuple[str, Row]] = {}
        for edge in self._tables.edges:
            if edge.parent == table:
                for child in self._matching(edge.child, edge.columns, row, edge.to_columns):
                    if id(child) not in self._removed:
                        found[id(child)] = (edge.child, child)
        return list(found.values())

    def referred_by(self, table: str, row: Row) -> tuple[Referring, ...]:
        """Return how many rows refer to a row, by place."""
        counts = Counter(child for child, _ in self.referring(table, row))
        return tuple(Referring(name, name in self._datasets, count) for name, count in sorted(counts.items()))

    def is_spared(self, spare: Spare, table: str, row: Row) -> bool:
        """Tell whether a row, or one that it descends from, is to be left alone."""
        return bool(spare) and any(
            self._is_about(spare.subjects, name, ancestor) or self._is_named(spare, name, ancestor)
            for name, ancestor in self._with_ancestors(table, row)
        )

    def is_about(self, subjects: SubjectSet, table: str, row: Row) -> bool:
        """Tell whether a row, or a declared record that it belongs to, identifies one of these persons."""
        lineage = self._with_ancestors(table, row, is_declared_only=True)
        return any(self._is_about(subjects, name, ancestor) for name, ancestor in lineage)

    def mark_removed(self, rows: Iterable[tuple[str, Row]]) -> None:
        """Let rows count as gone; ``remove`` makes it so."""
        self._removed.update((id(row), table) for table, row in rows)

    def remove(self) -> None:
        """Take every row marked out of its table."""
        for table in set(self._removed.values()):
            rows = self._tables.rows(table)
            rows[:] = [row for row in rows if id(row) not in self._removed]
        self._removed.clear()

    def _relatives(self, spec: DatasetSpec, other: str, row: Row) -> list[Row]:
        """Return the rows of another dataset that a row belongs to, or else that belong to it."""
        upwards, downwards = self._tables.links(spec.name, other), self._tables.links(other, spec.name)
        if upwards and (not downwards or (spec.parent is not None and spec.parent.dataset == other)):
            found = [self._matching(other, link.to_columns, row, link.columns) for link in upwards]
        else:
            found = [self._matching(other, link.columns, row, link.to_columns) for link in downwards]
        return [relative for rows in found for relative in rows]

    def _parents(self, table: str, row: Row) -> Iterator[tuple[str, Row]]:
        for edge in self._tables.edges:
            if edge.child == table:
                for parent in self._matching(edge.parent, edge.to_columns, row, edge.columns):
                    yield edge.parent, parent

    def _with_ancestors(self, table: str, row: Row, *, is_declared_only: bool = False) -> Iterator[tuple[str, Row]]:
        waiting, seen = [(table, row)], {id(row)}
        while waiting:
            name, current = waiting.pop()
            yield name, current
            spec = self._datasets.get(name)
            declared = spec.parent.dataset if spec is not None and spec.parent is not None else None
            for parent, parent_row in self._parents(name, current):
                if id(parent_row) not in seen and (parent == declared or not is_declared_only):
                    seen.add(id(parent_row))
                    waiting.append((parent, parent_row))

    def _matching(self, table: str, columns: tuple[str, ...], row: Row, of: tuple[str, ...]) -> list[Row]:
        """Return the rows of ``table`` whose ``columns`` equal the columns ``of`` a row; NULL equals nothing."""
        wanted = tuple(row.get(column) for column in of)
        if None in wanted:
            return []
        index = self._indexes.get((table, columns))
        if index is None:
            index = defaultdict(list)
            for candidate in self._tables.rows(table):
                index[tuple(candidate.get(column) for column in columns)].append(candidate)
            self._indexes[table, columns] = index
        return index.get(wanted, [])

    def _is_about(self, subjects: SubjectSet, table: str, row: Row) -> bool:
        spec = self._datasets.get(table)
        values = [row.get(column) for column in spec.subject] if spec and len(subjects) else []
        return any(value is not None and normalise_identifier(spell(value)) in subjects for value in values)

    def _is_named(self, spare: Spare, table: str, row: Row) -> bool:
        spec, keys = self._datasets.get(table), spare.keys.get(table)
        return bool(spec and keys) and TableItem(self, self._datasets[table], row).key in spare.keys[table]
