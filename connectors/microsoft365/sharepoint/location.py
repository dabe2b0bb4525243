"""A SharePoint site, or a OneDrive, as a location: datasets are libraries and lists.

Invariant: whatever is planned was listed whole; a record goes only as the version that was planned, and what became of
it is told as it is: gone for good, or in the recycle bin until a day.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import urlsplit

import httpx

from connectors.evaluate import holds_something
from connectors.microsoft365.answers import AnswerError
from connectors.microsoft365.http import Service
from connectors.microsoft365.opening import graph_root, open_services, root_of
from connectors.microsoft365.sharepoint import CAPABILITIES
from connectors.microsoft365.sharepoint.acting import Act
from connectors.microsoft365.sharepoint.asking import is_about
from connectors.microsoft365.sharepoint.catalogue import UNKNOWN, Catalogue
from connectors.microsoft365.sharepoint.finding import Finder
from connectors.microsoft365.sharepoint.health import health_of
from connectors.microsoft365.sharepoint.inventory import inspected, inventory
from connectors.microsoft365.sharepoint.problems import problems_of
from connectors.microsoft365.sharepoint.reading import AT_ONCE, shares, spread
from connectors.microsoft365.sharepoint.relations import Relations
from connectors.microsoft365.sharepoint.removal import Removal, are_there
from connectors.microsoft365.sharepoint.settings import Settings, read_settings
from connectors.microsoft365.sharepoint.table import Table
from connectors.microsoft365.sharepoint.units import Part, Units
from ropa.clock import calendar_day
from ropa.connector import (
    Action,
    Batch,
    DatasetInfo,
    Health,
    Key,
    LocationSpec,
    Look,
    Outcome,
    Outcomes,
    OutcomeWord,
    Record,
    Selection,
    Tally,
    normalise_identifier,
)
from ropa.errors import CallError


class SharePointConnector:
    """One site, or one person's OneDrive. ``transport``: what carries requests, for tests.

    Raises ConfigurationError at once for a source or option that means nothing, LocationError for a credential that
    cannot be used; asks nothing yet.
    """

    capabilities = CAPABILITIES

    def __init__(self, spec: LocationSpec, transport: httpx.BaseTransport | None = None) -> None:
        self._spec = spec
        self._transport = transport
        self._settings: Settings = read_settings(spec)
        self._tables = {name: Table(spec.datasets[name], source) for name, source in self._settings.sources.items()}
        root = graph_root(spec)
        parts = urlsplit(root)
        self._planning, self._applying = open_services(
            spec,
            root=root,
            resource=f"{parts.scheme}://{parts.netloc}",
            kind="sharepoint",
            at_once=AT_ONCE,
            transport=transport,
        )
        settings = self._settings
        self._catalogue = Catalogue(self._planning, site=settings.site, site_id=settings.site_id, user=settings.user)
        self._relations = Relations(self._planning, self._catalogue, self._tables)
        self._finder = Finder(self._planning, self._catalogue, self._tables, self._relations)
        self._rest: Service | None = None
        self._days: int | None = None
        self._lock = threading.Lock()

    def check(self) -> Health:
        """See ``Connector.check``: signs in, reads the site, and compares what was granted with what is needed."""
        return health_of(
            self._planning, self._applying, self._catalogue, [table.source for table in self._tables.values()]
        )

    def datasets(self) -> list[DatasetInfo]:
        """List what is declared, and the lists and libraries of the site that are not."""
        return inventory(self._catalogue, self._tables, has_site=self._settings.has_site)

    def count(self, dataset: str) -> int:
        """Return the number of records: listed, because Graph does not count them."""
        return self._finder.count(self._expect(dataset))

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """See ``Connector.problems``."""
        table = self._tables.get(dataset)
        if table is None:
            return [f"there is no dataset {dataset}"]
        place = self._catalogue.find(table.source)
        if place is None:
            return [f"there is no {table.source.kind} that {table.spec.source!r} names"]
        return problems_of(self._planning, table, place, selection)

    def find(self, selection: Selection) -> Generator[Batch, None, Tally | None]:
        """See ``Connector.find``: lists the dataset whole, once; what it counts on the way is returned."""
        size = self._spec.batch_size or self.capabilities.default_batch_size
        return self._finder.find(self._expect(selection.dataset), selection, size)

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:
        """See ``Connector.act``. FLAG writes the dataset's ``flag_column`` where one is configured."""
        self._expect(batch.dataset)
        if not batch.keys:
            return Outcomes.of(())
        is_row = action is Action.PURGE and not selection.fields
        if is_row and batch.companions:
            return Units(batch, lambda name, wanted: self._part(selection, name, wanted)).purge()
        if is_row:
            part = self._part(selection, batch.dataset, frozenset(key[0] for key in batch.keys if key))
            return replace(part.act, named=part.naming).purge(batch, part.removal)
        if action is Action.ANONYMISE and selection.fields and not batch.companions:
            return self._act(selection, batch.dataset).anonymise(batch)
        if action is Action.FLAG and not batch.companions:
            return self._act(selection, batch.dataset).flag(batch)
        own = [Outcome(key, OutcomeWord.REFUSED) for key in batch.keys]
        others = [(child.dataset, key) for child in batch.companions for key in child.keys]
        return Outcomes.of(own + [Outcome(key, OutcomeWord.REFUSED, dataset=dataset) for dataset, key in others])

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:
        """See ``Connector.inspect``: the first records of a list or library, declared or not."""
        counts: dict[str, Counter[str]] = {}
        for column, text in inspected(self._planning, self._catalogue, self._tables, source, limit):
            answer = look(column, text)
            if answer is not None:
                counts.setdefault(column, Counter())[answer] += 1
        return counts

    def settle(self, dataset: str) -> str:
        """Return ``logical``: versions, backups and search copies are Microsoft's to clear."""
        self._expect(dataset)
        return "logical"

    def finish(self, dataset: str) -> str:
        """See ``Connector.finish``: nothing more is to be done than for every batch."""
        return self.settle(dataset)

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:
        """See ``Connector.remaining``: each record is read once more, by its id."""
        table = self._expect(batch.dataset)
        place = self._catalogue.place(table.source)
        keys = [key for key in batch.keys if len(key) == 1]
        if not selection.fields:
            told = [
                one for own in spread(lambda own: are_there(self._planning, place, own), shares(keys)) for one in own
            ]
            return {key for key, is_there in zip(keys, told, strict=True) if is_there}
        columns = {change.column for change in selection.fields}
        seen = self._finder.by_key(table, place, keys, columns)
        return {one.entry.key for one in seen if one.entry and holds_something(selection.fields, one.entry.item)}

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """See ``Connector.read``: of a file its columns, name and dates; its content is the file itself."""
        table = self._expect(dataset)
        place = self._catalogue.place(table.source)
        person = frozenset({normalise_identifier(subject)})
        keys = {entry.key for entry in self._finder.entries(table, table.columns()) if is_about(table, entry, person)}
        for seen in self._finder.by_key(table, place, sorted(keys), {"*"}):
            if seen.entry is not None and is_about(table, seen.entry, person):
                item = seen.entry.item
                yield Record(seen.entry.key, {name: item.value(name) for name in item.values})

    def close(self) -> None:
        """See ``Connector.close``."""
        for service in {self._planning, self._applying, *({self._rest} if self._rest is not None else ())}:
            service.close()

    def _expect(self, dataset: str) -> Table:
        try:
            return self._tables[dataset]
        except KeyError:
            raise CallError(f"{self._spec.name} has no dataset {dataset}", code="dataset-unknown") from None

    def _act(self, selection: Selection, dataset: str) -> Act:
        table = self._expect(dataset)
        own = selection if dataset == selection.dataset else replace(selection, dataset=dataset)
        place, question = self._catalogue.place(table.source), self._finder.question(table, own)
        return Act(self._applying, self._finder, table, place, question, {})

    def _part(self, selection: Selection, dataset: str, wanted: frozenset[str]) -> Part:
        act = self._act(selection, dataset)
        is_list = act.place.source.is_list
        rest = self._open_rest() if is_list and self._settings.is_rest else None
        is_final = rest is not None or (not is_list and self._settings.is_permanent)
        removal = Removal(self._applying, act.place, until=None if is_final else self._until(selection), rest=rest)
        return Part(act, removal, self._relations.referring(act.place, wanted) if is_list else {})

    def _until(self, selection: Selection) -> date:
        """Return the day from which what goes into the recycle bin today cannot be brought back."""
        with self._lock:
            if self._days is None:
                self._days = self._bin_days()
        return calendar_day(selection.now, selection.zone) + timedelta(days=self._days)

    def _bin_days(self) -> int:
        if self._settings.has_site:
            try:
                found = self._applying.get(f"{self._catalogue.site()}/recycleBin?$select=id,settings")
            except AnswerError as error:
                if error.status not in UNKNOWN | {403}:
                    raise
            else:
                days = (found.get("settings") or {}).get("retentionPeriodOverrideDays")
                if isinstance(days, int):
                    return days
        return self._settings.bin_days

    def _open_rest(self) -> Service:
        with self._lock:
            if self._rest is None:
                address = self._settings.site or str(self._catalogue.site_facts().get("webUrl") or "")
                parts = urlsplit(address)
                options = {name: value for name, value in self._spec.options.items() if name != "resource"}
                planning, self._rest = open_services(
                    replace(self._spec, options=options),
                    root=root_of(self._spec.name, "site", address),
                    resource=f"{parts.scheme}://{parts.netloc}",
                    kind="sharepoint-rest",
                    at_once=AT_ONCE,
                    transport=self._transport,
                )
                if planning is not self._rest:
                    planning.close()
            return self._rest
