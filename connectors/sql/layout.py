"""Where the configured datasets meet the catalogue: tables, keys, and every way in which rows refer to rows.

Invariant: a link is known whether the catalogue or the configuration (``parent``) names it, and only once if both do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.sql.catalogue import Catalogue, Kind, Table, TableColumn
from ropa.connector import DatasetSpec, LocationSpec
from ropa.errors import LocationError


@dataclass(frozen=True, slots=True)
class Link:
    """Rows of ``child`` refer to rows of ``parent``: these columns hold the value of those."""

    child: str
    child_columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """A configured dataset and its table."""

    spec: DatasetSpec
    table: Table
    key: tuple[str, ...]
    """Empty where there is neither a primary key nor a configured one: then it is a problem."""

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.spec.name

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What the key columns hold."""
        return tuple(found.kind if (found := self.table.column(name)) else Kind.ANY for name in self.key)

    @property
    def key_columns(self) -> tuple[TableColumn, ...]:
        """The key columns, as the catalogue has them."""
        return tuple(found for name in self.key if (found := self.table.column(name)) is not None)

    @property
    def is_key_unique(self) -> bool:
        """Whether the database itself sees to it that no two rows have the same key (but for NULLs)."""
        return frozenset(self.key) in {frozenset(self.table.key), *self.table.uniques}

    def parent_is(self, dataset: str) -> bool:
        """Tell whether ``dataset`` is the configured parent."""
        return self.spec.is_child_of(dataset)


@dataclass(frozen=True)
class Layout:
    """One location's tables as configured."""

    catalogue: Catalogue
    location: str
    datasets: Mapping[str, Declared] = field(default_factory=dict)
    """Those whose table exists."""
    links: tuple[Link, ...] = ()
    decisions: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    """What ``deciding.decide`` found out under this state of the schema."""
    usable: set[tuple[str, bool]] = field(default_factory=set, compare=False, repr=False)
    """Datasets that nothing was found to stand against under it."""

    def declared(self, name: str) -> Declared:
        """Return a dataset. Raises LocationError when it is not configured or its table does not exist."""
        try:
            return self.datasets[name]
        except KeyError:
            msg = f"location {self.location}: dataset {name} has no table at the source"
            raise LocationError(msg, code="missing", next_step="Run `ropa check` and correct its source.") from None

    def of_table(self, table: str) -> list[Declared]:
        """Return the datasets that a table is declared as."""
        return [found for found in self.datasets.values() if found.table.name == table]

    def anchored(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table from which the period of any record runs, its own or another dataset's."""
        names = {declared.name for declared in self.of_table(table)}
        parts = {
            part.column
            for declared in self.datasets.values()
            for anchor in declared.spec.anchors.values()
            for part in anchor.parts
            if (part.dataset or declared.name) in names
        }
        return tuple(column.name for column in self.catalogue.tables[table].columns if column.name in parts)

    def links_from(self, table: str) -> list[Link]:
        """Return how rows of a table refer to others."""
        return [link for link in self.links if link.child == table]

    def links_to(self, table: str) -> dict[str, list[Link]]:
        """Return how rows refer to a table, by the table they are in."""
        found: dict[str, list[Link]] = {}
        for link in self.links:
            if link.parent == table:
                found.setdefault(link.child, []).append(link)
        return dict(sorted(found.items()))

    def links_to_parent(self, child: Declared, parent: Declared) -> list[Link]:
        """Return how one dataset's rows belong to another's: as it is configured, else by every reference."""
        links = self.links_between(child, parent)
        return [link for link in links if child.spec.belongs_by(link.child_columns, parent.name)]

    def links_between(self, child: Declared, parent: Declared) -> list[Link]:
        """Return how one dataset's rows refer to another's."""
        return [link for link in self.links_from(child.table.name) if link.parent == parent.table.name]


def lay_out(spec: LocationSpec, catalogue: Catalogue) -> Layout:
    """Bring configuration and catalogue together; what does not fit is left out here and told by ``problems``."""
    datasets = {
        name: Declared(dataset, table, dataset.key or table.key)
        for name, dataset in spec.datasets.items()
        if (table := catalogue.tables.get(dataset.source)) is not None
    }
    links: dict[Link, None] = {}
    for table in catalogue.tables.values():
        for key in table.foreign_keys:
            if key.to_table in catalogue.tables and len(key.columns) == len(key.to_columns):
                links[Link(table.name, key.columns, key.to_table, key.to_columns)] = None
    for child in datasets.values():
        parent = child.spec.parent
        target = datasets.get(parent.dataset) if parent else None
        if parent is None or target is None or len(parent.via) != len(target.key):
            continue
        if any(
            (link.child, link.parent) == (child.table.name, target.table.name)
            and set(link.child_columns) == set(parent.via)
            for link in links
        ):
            continue  # a foreign key says to which columns these refer
        if all(child.table.column(name) for name in parent.via) and all(
            target.table.column(name) for name in target.key
        ):
            links[Link(child.table.name, parent.via, target.table.name, target.key)] = None
    return Layout(catalogue, spec.name, datasets, tuple(links))
