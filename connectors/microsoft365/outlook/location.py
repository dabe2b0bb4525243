"""Mailboxes as a location: datasets are all messages, the messages of a folder, or contacts; records are items.

Invariant: every request asks for immutable ids; nothing is concluded from a listing that was not whole; no content of
an item leaves but through ``read``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx

from connectors.microsoft365.clouds import cloud_of
from connectors.microsoft365.opening import certificate_notes, graph_root, open_services
from connectors.microsoft365.outlook import CAPABILITIES, problems
from connectors.microsoft365.outlook.acting import CATEGORIES, Act, Means
from connectors.microsoft365.outlook.asking import Dataset, Question
from connectors.microsoft365.outlook.catalogue import Catalogue
from connectors.microsoft365.outlook.columns import COLUMNS, LOOKED_AT, identifiers, values_of
from connectors.microsoft365.outlook.folders import Folders
from connectors.microsoft365.outlook.granted import granted, reach
from connectors.microsoft365.outlook.listing import PREFER
from connectors.microsoft365.outlook.mailboxes import Mailboxes, is_mailbox, named_mailboxes
from connectors.microsoft365.outlook.reading import AT_ONCE, Reader
from connectors.microsoft365.outlook.sources import CONTACTS, parse_source
from ropa.clock import calendar_day, now
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
from ropa.errors import CallError, ConfigurationError, LocationError, Problem

PERMANENT, DELETED_ITEMS = "permanent", "deleted-items"
_READ_PAGE = 50
"""Items with their bodies a page."""


class OutlookLocation:
    """The mailboxes of a location. Opening asks nobody.

    ``transport``: how requests are sent, for tests. Raises ConfigurationError for options and sources that mean
    nothing, LocationError for a credential that is missing or twofold.
    """

    def __init__(self, spec: LocationSpec, *, transport: httpx.BaseTransport | None = None) -> None:
        self._spec = spec
        self._datasets = _read_datasets(spec)
        self._named, self._is_permanent = _read_options(spec)
        kinds = {dataset.kind for dataset in self._datasets.values()}
        can_clear = CONTACTS in kinds
        self.capabilities = (
            CAPABILITIES
            if can_clear
            else replace(CAPABILITIES, actions=CAPABILITIES.actions - {Action.ANONYMISE}, masks=frozenset())
        )
        root = graph_root(spec)
        resource = cloud_of(spec.name, spec.options.get("cloud")).graph
        self._planning, self._applying = open_services(
            spec, root=root, resource=resource, kind="outlook", at_once=AT_ONCE, transport=transport
        )
        for service in (self._planning, self._applying):
            service.headers.update(PREFER)
        group = spec.options.get("group")
        self._mailboxes = Mailboxes(self._planning, self._named, str(group) if group else None)
        self._folders = Folders(self._planning)
        self._reader = Reader(self._planning, self._folders, is_moved=not self._is_permanent)

    # --- looking --------------------------------------------------------------------------------------------------

    def check(self) -> Health:
        """Sign in, read one record of each mailbox, and say which permissions are missing or too much."""
        planning = self._planning.tokens.claims()
        applying = planning if self._applying is self._planning else self._applying.tokens.claims()
        kinds = {dataset.kind for dataset in self._datasets.values()}
        found = granted(planning, applying, kinds, has_group=bool(self._spec.options.get("group")))
        wanted = [(name, mailbox, kind) for name, mailbox in self._called() for kind in sorted(kinds)]
        closed = reach(self._planning, wanted)
        notes = [*found.notes, *closed, *certificate_notes(self._planning, self._applying)]
        if self._mailboxes.nested:
            notes.append(f"{self._mailboxes.nested} groups are members of the group: their members are not meant")
        return Health(
            is_reachable=True,
            identity=f"application {self._planning.tokens.app}",
            may_read=False if closed else True if wanted else found.may_read,
            may_delete=found.may_delete,
            now=self._planning.seen_at,
            notes=tuple(notes),
            planning_may_delete=found.planning_may_delete,
        )

    def datasets(self) -> list[DatasetInfo]:
        """List the declared datasets, and the folders that none of them covers."""
        return self._catalogue().datasets()

    def count(self, dataset: str) -> int:
        """Return how many items there are, in all mailboxes. Raises IncompleteListingError when that cannot be told."""
        own = self._expect(dataset)
        sums = self._reader.count(own, self._mailboxes.all())
        return self._reader.tally(sums).population

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """Return what cannot be: columns, anchors and fields; and folders that a mailbox has not, or has twice."""
        own = self._datasets.get(dataset)
        if own is None:
            return [f"there is no dataset {dataset}"]
        found = list(problems.of_dataset(own, self._datasets))
        found += problems.of_selection(own, selection) if selection is not None else ()
        for name, mailbox in self._called() if not own.source.is_whole else ():
            try:
                self._folders.collections(mailbox, own.source, with_subfolders=own.with_subfolders)
                if self._folders.is_ambiguous(mailbox, own.source):
                    found.append(f"{name}: {own.spec.source} may mean two folders; see the docs page for the slash")
            except LocationError as error:
                if error.code not in {"folder", "missing"}:
                    raise
                found.append(f"{name}: {error.message.partition(': ')[2]}")
        return list(dict.fromkeys(found))

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:
        """See ``Connector.inspect``: the first items of a folder, one mailbox after another."""
        counts: dict[str, Counter[str]] = {}
        for row, kind in self._catalogue().sample(source, limit):
            for column, value in values_of(kind, row, LOOKED_AT[kind]).items():
                answer = None if value is None else look(column, str(value))
                if answer is not None:
                    counts.setdefault(column, Counter())[answer] += 1
        return counts

    # --- finding and acting ---------------------------------------------------------------------------------------

    def find(self, selection: Selection) -> Generator[Batch, None, Tally | None]:
        """Stream the selected items in the order of their keys, after all pages were read; the population and the
        items without a date are told with it."""
        return self._find(self._expect(selection.dataset), selection)

    def _find(self, dataset: Dataset, selection: Selection) -> Generator[Batch, None, Tally | None]:
        mailboxes = self._mailboxes.all()
        if selection.keys is not None:
            asked = {key[0] for key in selection.keys if len(key) == 2}
            mailboxes = tuple(mailbox for mailbox in mailboxes if mailbox in asked)
        if selection.parents is not None:
            return None  # items belong to no other record
        size = self._spec.batch_size or self.capabilities.default_batch_size
        sums = yield from self._reader.find(Question(dataset, selection), mailboxes, size)
        return self._reader.tally(sums) if selection.keys is None else None

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:
        """Purge whole items, clear or redact columns of contacts, or mark items with the category."""
        dataset = self._expect(batch.dataset)
        is_clear = action is Action.ANONYMISE
        is_possible = not batch.companions and is_clear is bool(selection.fields) and action is not Action.KEEP
        if is_clear and any(problems.of_selection(dataset, replace(selection, match=(), exclude=()))):
            is_possible = False
        if not is_possible:
            own = [Outcome(key, OutcomeWord.REFUSED) for key in batch.keys]
            others = [(child.dataset, key) for child in batch.companions for key in child.keys]
            return Outcomes.of(own + [Outcome(key, OutcomeWord.REFUSED, dataset=name) for name, key in others])
        further = (CATEGORIES,) if action is Action.FLAG and self._category is not None else ()
        question = Question(dataset, selection, further=further)
        return Act(self._applying, self._reader, question, batch, action=action, means=self._means()).outcomes(
            self._mailboxes.all()
        )

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:
        """Return what is still listed, by a listing of its own; with ``fields``, what still holds something there."""
        question = Question(
            self._expect(batch.dataset), replace(selection, spare=replace(selection.spare, subjects=()))
        )
        versions = batch.versions or ("",) * len(batch.keys)
        there = self._reader.present(question, dict(zip(batch.keys, versions, strict=True)))
        if not selection.fields:
            return set(there)
        return {key for key, row in there.items() if question.holds_something(question.item(key, row))}

    def settle(self, dataset: str) -> str:
        """Return ``logical``: Exchange keeps what is removed for a while where only an administrator reaches it, and
        longer while a hold stands."""
        self._expect(dataset)
        return "logical"

    def finish(self, dataset: str) -> str:
        """See ``Connector.finish``: nothing more is to be done than for every batch."""
        return self.settle(dataset)

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """Stream a person's items with their content: those whose ``subject`` columns name the person."""
        own, person = self._expect(dataset), normalise_identifier(subject)
        columns = COLUMNS[own.kind]
        for mailbox in self._mailboxes.all():
            for rows in self._reader.rows(own, mailbox, None, page=_READ_PAGE):
                for row in rows:
                    texts = identifiers(own.kind, row, own.spec.subject)
                    if any(normalise_identifier(text) == person for text in texts):
                        yield Record(self._reader.key_of(mailbox, row), values_of(own.kind, row, columns))

    def close(self) -> None:
        """Close the connections."""
        self._planning.close()
        self._applying.close()

    # --- helpers --------------------------------------------------------------------------------------------------

    @property
    def _category(self) -> str | None:
        found = self._spec.options.get("flag_category")
        return str(found) if found else None

    def _means(self) -> Means:
        days = self._spec.options.get("recoverable_days")
        today = calendar_day(now(), self._spec.zone)
        until = today + timedelta(days=int(days)) if days is not None and not self._is_permanent else None
        return Means(self._is_permanent, until, self._category)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self._folders, self._reader, self._datasets, self._mailboxes.all())

    def _called(self) -> list[tuple[str, str]]:
        """Return each mailbox with what it is called in words: its place in the options, or the member's id."""
        named = len(self._named)
        return [
            (f"mailboxes[{pos}]" if pos < named else f"member {mailbox}", mailbox)
            for pos, mailbox in enumerate(self._mailboxes.all())
        ]

    def _expect(self, dataset: str) -> Dataset:
        try:
            return self._datasets[dataset]
        except KeyError:
            raise CallError(f"{self._spec.name} has no dataset {dataset}", code="dataset-unknown") from None


def _read_datasets(spec: LocationSpec) -> dict[str, Dataset]:
    datasets, found = {}, []
    for name, dataset in spec.datasets.items():
        try:
            datasets[name] = Dataset.of(dataset, parse_source(dataset.source))
        except ValueError as error:
            found.append(Problem(f"location.{spec.name}.dataset.{name}.source", str(error)))
    if found:
        raise ConfigurationError(f"{spec.name} cannot be opened", tuple(found))
    return datasets


def _read_options(spec: LocationSpec) -> tuple[tuple[str, ...], bool]:
    """Return the named mailboxes, and whether a purge is final. Raises ConfigurationError."""
    options: Mapping[str, Any] = spec.options
    found: list[Problem] = []

    def refuse(name: str, message: str) -> None:
        found.append(Problem(f"location.{spec.name}.{name}", message))

    named: tuple[str, ...] = ()
    try:
        named = named_mailboxes(options)
    except ValueError as error:
        refuse("mailboxes", str(error))
    group = options.get("group")
    if group is not None and not is_mailbox(str(group)):
        refuse("group", "is the address or the object id of a group")
    if not named and not group and not found:
        refuse("mailboxes", "is missing: name mailboxes, or a group whose members' mailboxes are meant")
    removal = options.get("removal", PERMANENT)
    if removal not in {PERMANENT, DELETED_ITEMS}:
        refuse("removal", f'is "{PERMANENT}" or "{DELETED_ITEMS}"')
    elif removal == PERMANENT and options.get("cloud") not in {None, "global"}:
        refuse("removal", f'"{PERMANENT}" is there in the global cloud only; write "{DELETED_ITEMS}"')
    days = options.get("recoverable_days")
    if days is not None and (isinstance(days, bool) or not 0 < days <= 3650 or removal == PERMANENT):
        refuse("recoverable_days", f'is a number of days, for removal = "{DELETED_ITEMS}"')
    if found:
        raise ConfigurationError(f"{spec.name} cannot be opened", tuple(found))
    return named, removal == PERMANENT
