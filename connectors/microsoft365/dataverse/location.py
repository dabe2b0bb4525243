"""An environment of Dataverse as a location: datasets are tables, records are rows.

Invariant: planning reads and nothing else, through the service that needs only read; applying goes through the one that
``apply`` names, where it names another. Nothing of a row is ever logged or in an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

import httpx

from connectors.evaluate import holds_something
from connectors.microsoft365.dataverse import CAPABILITIES
from connectors.microsoft365.dataverse.acting import Means
from connectors.microsoft365.dataverse.catalogue import Catalogue, Entity
from connectors.microsoft365.dataverse.changing import Change
from connectors.microsoft365.dataverse.columns import Kind, read_value, spell_guid
from connectors.microsoft365.dataverse.finding import Finding
from connectors.microsoft365.dataverse.health import health_of
from connectors.microsoft365.dataverse.items import RowItem
from connectors.microsoft365.dataverse.layout import Declared, Layout
from connectors.microsoft365.dataverse.problems import problems_of
from connectors.microsoft365.dataverse.purging import Purge
from connectors.microsoft365.dataverse.reading import Reader, Row, address
from connectors.microsoft365.dataverse.relations import Sparing
from connectors.microsoft365.dataverse.remains import History, RecycleBin
from connectors.microsoft365.dataverse.rights import Rights
from connectors.microsoft365.dataverse.settings import read_settings
from connectors.microsoft365.opening import certificate_notes, open_services, root_of
from ropa.connector import (
    Action,
    Batch,
    CatalogueReference,
    Column,
    DatasetInfo,
    Health,
    Key,
    LocationSpec,
    Look,
    Outcome,
    Outcomes,
    OutcomeWord,
    Record,
    Scalar,
    Selection,
    Spare,
    Tally,
    normalise_identifier,
)

VERSION = "api/data/v9.2/"
_LOOKED_INTO = 5_000


class DataverseLocation:
    """One environment. Asks nobody anything before it is asked something. ``transport``: stands in for the network."""

    capabilities = CAPABILITIES

    def __init__(self, spec: LocationSpec, *, transport: httpx.BaseTransport | None = None) -> None:
        self._spec = spec
        self._settings = read_settings(spec.name, spec.options)
        root = root_of(spec.name, "url", spec.options.get("url"))
        parts = urlsplit(root)
        settings = self._settings
        self._planning, self._applying = open_services(
            spec,
            root=root + VERSION,
            resource=f"{parts.scheme}://{parts.netloc}",
            kind="dataverse",
            at_once=settings.at_once,
            transport=transport,
        )
        self._reader = Reader(self._planning, page_size=settings.page_size, at_once=settings.at_once)
        self._layout = Layout(spec, Catalogue(self._planning))
        applying = Reader(self._applying, page_size=settings.page_size, at_once=settings.at_once)
        self._planning_rights = Rights(self._planning)
        is_same = self._applying is self._planning
        self._applying_rights = self._planning_rights if is_same else Rights(self._applying)
        self._means = Means(
            Layout(spec, self._layout.catalogue),
            applying,
            settings,
            RecycleBin(applying, settings),
            History(applying, self._applying_rights, settings),
        )

    def check(self) -> Health:
        """Tell who we are, what our security roles allow and lack, and what a purge leaves behind."""
        health = health_of(self._layout, self._means, self._planning_rights, self._applying_rights, self._planning)
        return replace(health, notes=(*health.notes, *certificate_notes(self._planning, self._applying)))

    def datasets(self) -> Iterator[DatasetInfo]:
        """List the tables that a user could look into, with their columns; the declared ones first."""
        seen = set()
        for name in self._spec.datasets:
            declared = self._layout.declared(name)
            seen.add(declared.entity.head.name)
            yield _info(declared.entity, declared.spec.source, name)
        for entity in self._layout.catalogue.outlines():
            if entity.head.name not in seen:
                yield _info(entity, entity.head.name, None)

    def count(self, dataset: str) -> int:
        """Return the number of rows."""
        head = self._layout.declared(dataset).entity.head
        return self._reader.count(head.path, head.key)

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """See ``Connector.problems``."""
        return problems_of(self._layout, dataset, selection, self._means)

    def find(self, selection: Selection) -> Generator[Batch, None, Tally | None]:
        """Stream the selected rows in the order of their keys; counts what has no date on its way."""
        declared = self._layout.declared(selection.dataset)
        size = self._spec.batch_size or self.capabilities.default_batch_size
        return Finding(self._layout, declared, selection, self._reader).batches(size)

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:
        """Purge, change fields, or mark. A purge of what a selection with ``fields`` found is refused: it would take
        the other fields along."""
        self._layout.declared(batch.dataset)
        if action is Action.PURGE and not selection.fields:
            return Purge(self._means, selection, batch).run()
        if action is Action.ANONYMISE and selection.fields and not batch.companions:
            return Change(self._means, selection, batch).anonymise()
        if action is Action.FLAG and not batch.companions:
            return Change(self._means, selection, batch).flag()
        own = [Outcome(key, OutcomeWord.REFUSED) for key in batch.keys]
        return Outcomes.of(own + _refused(batch))

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:
        """See ``Connector.inspect``: the first rows of a table; {} for one that is not there."""
        entity = self._layout.catalogue.entity(source)
        columns = [] if entity is None else [c for c in entity.columns.values() if c.kind is not Kind.LOOKUP]
        if entity is None or not columns or limit < 1:
            return {}
        limit = min(limit, _LOOKED_INTO)
        url = address(entity.head.path, [column.name for column in columns], more=f"&$top={limit}")
        rows = self._planning.get(url, headers={"Accept": "application/json"}, needs=f"read access to {source}")
        counts: dict[str, Counter[str]] = {}
        for row in rows.get("value", ())[:limit]:
            for column in columns:
                value = row.get(column.name)
                answer = None if value is None else look(column.name, str(value))
                if answer is not None:
                    counts.setdefault(column.name, Counter())[answer] += 1
        return counts

    def settle(self, dataset: str) -> str:
        """Return ``logical``: what the service does with its disks and backups it does not say."""
        self._layout.declared(dataset)
        return "logical"

    def finish(self, dataset: str) -> str:
        """See ``Connector.finish``: nothing more is to be done than for every batch."""
        return self.settle(dataset)

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:
        """Return the keys of rows still there, or still holding something to change."""
        declared = self._layout.declared(batch.dataset)
        fields = selection.fields
        keys = {found: key for key in batch.keys if (found := spell_guid(key[0])) is not None}
        columns = {declared.key} | declared.answered(change.column for change in fields)
        rows = self._reader.by_keys(declared.entity.head.path, declared.key, columns, list(keys))
        return {
            keys[name] for name, row in rows.items() if not fields or holds_something(fields, RowItem(declared, row))
        }

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """Stream the rows of a person: those whose ``subject`` columns, or whose parent's, hold the identifier.

        The table is listed and compared here, so that no identifier stands in an address.
        """
        declared = self._layout.declared(dataset)
        head = declared.entity.head
        sparing = Sparing(Spare(subjects=frozenset({normalise_identifier(subject)})), self._layout, self._reader)
        columns = {head.key, *declared.answered(declared.spec.subject), *(column for column, _ in declared.lookups)}
        for page in self._reader.pages(head.path, columns, needs=f"read access to {head.name}"):
            rows = {key: row for row in page if (key := spell_guid(row.get(head.key))) is not None}
            mine = sorted(sparing.spared(declared, rows))
            whole = self._reader.by_keys(head.path, head.key, list(declared.entity.columns), mine) if mine else {}
            for key in sorted(whole):
                yield Record((key,), _values(declared, whole[key]))

    def close(self) -> None:
        """Close the connections."""
        self._planning.close()
        self._applying.close()


def _values(declared: Declared, row: Row) -> dict[str, Scalar]:
    return {
        name: read_value(column.kind, row.get(name)) for name, column in declared.entity.columns.items() if name in row
    }


def _refused(batch: Batch) -> list[Outcome]:
    found = []
    for companion in batch.companions:
        found += [Outcome(key, OutcomeWord.REFUSED, dataset=companion.dataset) for key in companion.keys]
        found += _refused(companion)
    return found


def _info(entity: Entity, source: str, declared_as: str | None) -> DatasetInfo:
    columns = tuple(
        Column(column.name, column.type or str(column.kind), is_nullable=not column.is_required)
        for column in entity.columns.values()
    )
    references = tuple(
        CatalogueReference((link.column,), link.parent, (), on_delete=link.on_delete) for link in entity.refers
    )
    return DatasetInfo(source, columns, (entity.head.key,), references, "table", declared_as)
