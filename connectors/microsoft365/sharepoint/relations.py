"""Which lists name items of which: lookup columns of the site, and ``parent`` of the configuration.

Invariant: an item that others name stays, whoever declared them: Graph does not say whether SharePoint would restrict,
cascade or clear (relationshipDeleteBehavior), so none of it is left to SharePoint.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.microsoft365.http import Service
from connectors.microsoft365.sharepoint.catalogue import NEEDS, Catalogue, Field, Place
from connectors.microsoft365.sharepoint.listing import expand
from connectors.microsoft365.sharepoint.sources import segment
from connectors.microsoft365.sharepoint.table import Table, numbers_in
from ropa.connector import Key, Referring

_Child = tuple[str, str]
"""List and item."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A column of one list that names items of another."""

    child: str
    """Id of the list."""
    label: str
    """The dataset's name where it is declared, else the list's title."""
    is_declared: bool
    column: str
    parent: str
    """Id of the list that is named."""
    name: str
    """Of the field that holds the number."""


class Relations:
    """The lookups of a site, by the lists they lead to."""

    def __init__(self, service: Service, catalogue: Catalogue, tables: Mapping[str, Table]) -> None:
        self._service = service
        self._catalogue = catalogue
        self._tables = tables

    def edges(self) -> list[Edge]:
        """Return every column that names items of a list of the site."""
        names = self._declared()
        titles = {info.id: info.title for info in self._catalogue.lists()}
        by_plain = {_plain(one): one for one in titles}
        found = {}
        for list_id, fields in self._catalogue.all_fields().items():
            for field in (fields or {}).values():
                to = by_plain.get(_plain(field.looks_up)) if field.looks_up is not None else None
                if to is not None:
                    label = names.get(list_id)
                    edge = Edge(list_id, label or titles[list_id], label is not None, field.name, to, _name(field))
                    found[list_id, field.name] = edge
        for table in self._tables.values():
            parent_table = self._tables.get(table.spec.parent.dataset) if table.spec.parent is not None else None
            if not table.source.is_list or parent_table is None or table.spec.parent is None:
                continue
            child, to_place = self._catalogue.find(table.source), self._catalogue.find(parent_table.source)
            if child is None or to_place is None:
                continue
            column = table.spec.parent.via[0]
            known = (child.fields or {}).get(column)
            name = _name(known) if known is not None else column
            found.setdefault((child.id, column), Edge(child.id, table.name, True, column, to_place.id, name))
        return list(found.values())

    def from_place(self, table: Table, place: Place) -> list[tuple[Edge, str]]:
        """Return the columns of a list that name items of declared lists, each with the dataset's name."""
        names = self._declared()
        named = self._tables.get(table.spec.parent.dataset) if table.spec.parent is not None else None
        if named is not None and (parent := self._catalogue.find(named.source)) is not None:
            names[parent.id] = named.name
        return [(edge, names[edge.parent]) for edge in self.edges() if edge.child == place.id and edge.parent in names]

    def referring(self, place: Place, wanted: Container[str] | None = None) -> Mapping[str, Collection[_Child]]:
        """Return, by item, the items of other lists that name it, each as (list, number): every list that may is read
        whole. ``wanted``: which items are asked about; None: any."""
        found: dict[str, set[_Child]] = defaultdict(set)
        for edge, own, numbers in self._named(place):
            for number in numbers:
                if wanted is None or number in wanted:
                    found[number].add((edge.child, own))
        return found

    def counted(self, place: Place) -> Mapping[str, tuple[Referring, ...]]:
        """Return, by item, how many items of which list name it."""
        places = {edge.child: (edge.label, edge.is_declared) for edge in self.edges() if edge.parent == place.id}
        found = {}
        for number, children in self.referring(place).items():
            counts = Counter(child for child, _ in children)
            told = sorted((*places[child], count) for child, count in counts.items())
            found[number] = tuple(Referring(*one) for one in told)
        return found

    def _named(self, place: Place) -> Iterator[tuple[Edge, str, set[str]]]:
        by_child: dict[str, list[Edge]] = defaultdict(list)
        for edge in self.edges():
            if edge.parent == place.id:
                by_child[edge.child].append(edge)
        for child, edges in by_child.items():
            names = tuple(sorted({edge.name for edge in edges}))
            address = f"{self._catalogue.site()}/lists/{segment(child)}/items{expand(names)}"
            for page in self._service.pages(address, needs=NEEDS):
                for raw in page:
                    fields: Mapping[str, Any] = raw.get("fields") or {}
                    for edge in edges:
                        yield edge, str(raw.get("id")), numbers_in(fields, edge.column)

    def _declared(self) -> dict[str, str]:
        """Return the names of declared datasets by their list's id."""
        found = {}
        for table in self._tables.values():
            if table.source.is_list and (place := self._catalogue.find(table.source)) is not None:
                found[place.id] = table.name
        return found


def key_of(number: str) -> Key:
    """Return the key of an item."""
    return (number,)


def _name(field: Field) -> str:
    return field.name if field.is_many else f"{field.name}LookupId"


def _plain(list_id: str | None) -> str | None:
    return None if list_id is None else list_id.strip("{}").lower()
