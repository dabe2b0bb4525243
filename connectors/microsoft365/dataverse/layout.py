"""How the declared datasets lie in the catalogue: their tables, key, columns, and how their rows refer to each other.

Which references are looked at: those between declared datasets always; those of other tables where deleting a row would
delete theirs, empty their lookup, or be refused (Cascade, RemoveLink, Restrict, or nobody says). Left out are the
service's own bookkeeping (``_SYSTEM``) and the addresses that every contact, account and lead has as a part of itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from connectors.microsoft365.dataverse.catalogue import UNKNOWN, Catalogue, Entity, Link
from connectors.microsoft365.dataverse.columns import Attribute, Kind, spell_guid
from ropa.connector import DatasetSpec, LocationSpec
from ropa.errors import CallError, LocationError

_SYSTEM = frozenset(
    {
        "actioncard",
        "asyncoperation",
        "audit",
        "bulkdeletefailure",
        "bulkdeleteoperation",
        "customeraddress",
        "deleteditemreference",
        "duplicaterecord",
        "flowsession",
        "importdata",
        "importlog",
        "mailboxtrackingfolder",
        "postfollow",
        "postregarding",
        "postrole",
        "principalobjectaccess",
        "principalobjectattributeaccess",
        "processsession",
        "recyclebinconfig",
        "syncerror",
        "teamtemplate",
        "tracelog",
        "untrackedemail",
        "userentityinstancedata",
        "workflowlog",
    }
)
_ACTIVITY = "activitypointer"
_TAKING = frozenset({"Cascade", "RemoveLink", "Restrict", UNKNOWN})


@dataclass(frozen=True, slots=True)
class Declared:
    """One dataset as configured, with its table."""

    name: str
    spec: DatasetSpec
    entity: Entity
    lookups: tuple[tuple[str, str], ...] = ()
    """(lookup column, declared dataset that it may refer to)."""
    targets: Mapping[str, str] = field(default_factory=dict)
    """Of those datasets, the table."""

    def is_parent(self, column: str, dataset: str) -> bool:
        """Whether a lookup says what a record belongs to (``DatasetSpec.belongs_by``), however ``via`` spells it."""
        via = self.spec.parent.via if self.spec.parent is not None else ()
        spelled = {known.name: name for name in via if (known := self.entity.column(name)) is not None}
        return self.spec.belongs_by([spelled.get(column, column)], dataset)

    @property
    def key(self) -> str:
        """The primary id."""
        return self.entity.head.key

    def column(self, name: str) -> Attribute | None:
        """Return a column by any of its names."""
        return self.entity.column(name)

    def answered(self, names: Iterable[str]) -> set[str]:
        """Return the names by which columns are asked for, of those that there are."""
        return {found.name for name in names if (found := self.column(name)) is not None}


@dataclass(frozen=True, slots=True)
class Place:
    """A table whose rows refer to a dataset's, by one or more of its columns."""

    source: str
    """The dataset's name where it is declared, else the table's."""
    is_declared: bool
    entity: str
    path: str
    key: str
    columns: tuple[str, ...]
    datasets: tuple[str, ...]
    is_restricting: bool
    """Whether the service itself refuses to delete a row that these refer to."""
    narrowed: str = ""
    """A condition on what is asked for besides."""


@dataclass(slots=True)
class Layout:
    """The declared datasets of a location over its catalogue."""

    spec: LocationSpec
    catalogue: Catalogue
    _known: dict[str, Declared] = field(default_factory=dict)
    _places: dict[str, tuple[Place, ...]] = field(default_factory=dict)

    def declared(self, name: str) -> Declared:
        """Return a dataset. Raises CallError where it is not declared, LocationError where its table is not there."""
        if name not in self.spec.datasets:
            raise CallError(f"{self.spec.name} has no dataset {name}", code="dataset-unknown")
        if name not in self._known:
            spec = self.spec.datasets[name]
            entity = self.catalogue.entity(spec.source)
            if entity is None:
                raise LocationError(
                    f"location {self.spec.name}: there is no table {spec.source}",
                    code="missing",
                    next_step="Write the table's logical name as the environment has it.",
                )
            lookups = tuple(self._lookups(spec, entity))
            heads = {other: self.catalogue.head(self.spec.datasets[other].source) for _, other in lookups}
            targets = {other: head.name for other, head in heads.items() if head is not None}
            self._known[name] = Declared(name, spec, entity, lookups, targets)
        return self._known[name]

    def of_entity(self, entity: str) -> list[str]:
        """Return the datasets over a table."""
        heads = ((name, self.catalogue.head(spec.source)) for name, spec in self.spec.datasets.items())
        return [name for name, head in heads if head is not None and head.name == entity]

    def lookups_to(self, child: Declared, dataset: str) -> list[str]:
        """Return the columns of ``child`` that may refer to a dataset."""
        return [column for column, target in child.lookups if target == dataset]

    def _lookups(self, spec: DatasetSpec, entity: Entity) -> dict[tuple[str, str], None]:
        found: dict[tuple[str, str], None] = {}
        for link in entity.refers:
            if link.column in entity.columns:
                found.update(dict.fromkeys((link.column, name) for name in self.of_entity(link.parent)))
        parent = spec.parent
        if parent is not None and len(parent.via) == 1 and parent.dataset in self.spec.datasets:
            column = entity.column(parent.via[0])
            if column is not None and column.kind in {Kind.LOOKUP, Kind.GUID}:
                found[column.name, parent.dataset] = None
        return found

    def places(self, declared: Declared) -> tuple[Place, ...]:
        """Return where rows may be that refer to a dataset's."""
        if declared.name not in self._places:
            self._places[declared.name] = tuple(self._find_places(declared))
        return self._places[declared.name]

    def _find_places(self, declared: Declared) -> list[Place]:
        by_child: dict[str, dict[str, str]] = {}
        for link in self._links_to(declared):
            columns = by_child.setdefault(link.child, {})
            columns[link.column] = columns.get(link.column) or link.on_delete
        heads = self.catalogue.heads()
        activities = {name for name in by_child if name in heads and heads[name].key == "activityid"}
        places = []
        for child, columns in sorted(by_child.items()):
            head = heads.get(child)
            datasets = tuple(self.of_entity(child))
            if head is None or (child in _SYSTEM and not datasets):
                continue
            # Every activity stands in activitypointer as well: what has no dataset of its own is counted there.
            if child in activities and child != _ACTIVITY and _ACTIVITY in activities and not datasets:
                continue
            others = [name for name in sorted(activities - {_ACTIVITY}) if self.of_entity(name)]
            narrowed = " and ".join(f"activitytypecode ne '{name}'" for name in others) if child == _ACTIVITY else ""
            is_restricting = all(on_delete == "Restrict" for on_delete in columns.values())
            source = datasets[0] if datasets else child
            places.append(
                Place(
                    source,
                    bool(datasets),
                    child,
                    head.path,
                    head.key,
                    tuple(columns),
                    datasets,
                    is_restricting,
                    narrowed,
                )
            )
        return places

    def _links_to(self, declared: Declared) -> Iterable[Link]:
        own = declared.entity.head.name
        for link in declared.entity.referring:
            if link.on_delete in _TAKING or self.of_entity(link.child):
                yield link
        for spec in self.spec.datasets.values():
            parent = spec.parent
            if parent is None or parent.dataset not in self.of_entity(own) or len(parent.via) != 1:
                continue
            child = self.catalogue.entity(spec.source)
            column = child.column(parent.via[0]) if child is not None else None
            if child is not None and column is not None:
                yield Link(child.head.name, column.name, own)


def primary_keys(row: Mapping[str, object], columns: Iterable[str]) -> list[str]:
    """Return what lookup columns of a row refer to."""
    return [key for column in columns if (key := spell_guid(row.get(column))) is not None]
