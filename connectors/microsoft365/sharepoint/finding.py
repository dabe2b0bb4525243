"""Records that a selection means, in key order: listed whole, or, where it names them, read one by one.

Invariant: a listing that must start over begins again with nothing kept from before; of a record that came twice the
last counts. Labels are read of due files only, and before anything is planned.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from connectors.microsoft365.answers import Answer, AnswerError
from connectors.microsoft365.graph_batch import MOST
from connectors.microsoft365.http import Service
from connectors.microsoft365.records import Sorter
from connectors.microsoft365.sharepoint.asking import RETENTION_LABEL, Question, is_about, obstacles
from connectors.microsoft365.sharepoint.catalogue import NEEDS, Catalogue, Place
from connectors.microsoft365.sharepoint.listing import RESTARTS, Folders, Listing, item_url
from connectors.microsoft365.sharepoint.reading import AT_ONCE, content, read_all
from connectors.microsoft365.sharepoint.relations import Edge, Relations, key_of
from connectors.microsoft365.sharepoint.table import Entry, Table, numbers_in
from ropa.connector import Batch, Key, Note, Reference, Referring, Selection, Tally, references_of

_AT_A_TIME = 1000
"""Due files whose labels are read together."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands under a key now. ``entry`` is None where it is no record of the dataset (any more), or where it
    cannot be read, which ``answer`` then tells."""

    is_there: bool
    entry: Entry | None
    answer: Answer | None = None


class Finder:
    """Answers questions about the datasets of one location; threads may share it."""

    def __init__(
        self, service: Service, catalogue: Catalogue, tables: Mapping[str, Table], relations: Relations
    ) -> None:
        self._service = service
        self._catalogue = catalogue
        self._tables = tables
        self._relations = relations
        self._pages: dict[str, int] = {}
        for table in tables.values():
            table.rivals = [other for other in tables.values() if other is not table and other.may_share(table)]

    def question(self, table: Table, selection: Selection) -> Question:
        """Return a selection made ready, with the spared records that those of the dataset may descend from."""
        parent = table.spec.parent
        parents = self._spared(parent.dataset, selection) if parent is not None and selection.spare else frozenset()
        return Question(table, selection, parents)

    def find(self, table: Table, selection: Selection, size: int) -> Generator[Batch, None, Tally | None]:
        """Yield the batches of ``Connector.find``."""
        place = self._catalogue.place(table.source)
        question = self.question(table, selection)
        references = References(self._relations, table, place, selection)
        sorter = self._sorted(table, place, question, references)
        yield from sorter.batches(size)
        is_whole = selection.keys is None and selection.parents is None and not selection.undated
        return Tally(sorter.population, sorter.undated) if is_whole else None

    def count(self, table: Table) -> int:
        """Return how many records there are."""
        place = self._catalogue.place(table.source)
        sorter = self._collected(table, place, (), None)
        for _ in sorter.batches(_AT_A_TIME):
            pass
        return sorter.population

    def entries(self, table: Table, columns: Iterable[str]) -> Iterator[Entry]:
        """Yield every record as it is listed; one that is listed twice may come twice. Starts over nowhere."""
        place = self._catalogue.place(table.source)
        for _, entry in Listing(self._service, table, place, columns).entries():
            if entry is not None:
                yield entry

    def by_key(
        self, table: Table, place: Place, keys: Sequence[Key], columns: Iterable[str], service: Service | None = None
    ) -> list[Seen]:
        """Return what stands under some keys now, in their order. ``service``: who asks, in place of the planner."""
        names = table.selected(columns, place.fields)
        answers = read_all(service or self._service, [item_url(place, key[0], names) for key in keys])
        found: list[Seen] = []
        for answer in answers:
            if not answer.is_ok and answer.status != 404:
                found.append(Seen(is_there=True, entry=None, answer=answer))
                continue
            raw = content(answer)
            entry = table.entry(raw, place, Folders().path(raw)) if raw else None
            found.append(Seen(bool(raw) and "deleted" not in raw, entry))
        return found

    def listed(
        self, table: Table, place: Place, keys: Sequence[Key], columns: Iterable[str], service: Service
    ) -> dict[Key, Seen] | None:
        """Return those of many records that a listing shows as they stand now; None where reading them one by one, in
        batches and a few of those at once, is quicker. How many pages there are shows only while listing: given up
        once, it is not tried again."""
        most = len(keys) // (AT_ONCE * MOST)
        if self._pages.get(table.name, 1) > most:
            return None
        wanted, found = frozenset(keys), dict[Key, Seen]()
        listing = Listing(service, table, place, columns)
        try:
            for key, entry in listing.entries():
                self._pages[table.name] = listing.pages
                if listing.pages > most:
                    return None
                if key in wanted and entry is not None and entry.has_etag:
                    found[key] = Seen(is_there=True, entry=entry)
                else:
                    found.pop(key, None)
        except AnswerError as error:
            if error.status != 410:
                raise
            return None
        return found

    def _sorted(self, table: Table, place: Place, question: Question, references: References) -> Sorter:
        selection = question.selection
        columns = table.columns(selection, has_persons=len(selection.spare.subjects) > 0) | references.columns
        if selection.keys is None:
            return self._collected(table, place, columns, (question, references))
        taken = _Taken(self, table, place, question, references)
        for seen in self.by_key(table, place, sorted({key for key in selection.keys if len(key) == 1}), columns):
            if seen.answer is not None:
                raise self._service.refusal(seen.answer, NEEDS)
            if seen.entry is not None:
                taken.take(seen.entry)
        return taken.done()

    def _collected(
        self, table: Table, place: Place, columns: Iterable[str], asked: tuple[Question, References] | None
    ) -> Sorter:
        link: str | None = None
        for _ in range(RESTARTS + 1):
            taken = _Taken(self, table, place, *(asked or (None, None)))
            try:
                for key, entry in Listing(self._service, table, place, columns, link=link).entries():
                    if entry is None:
                        taken.forget(key)
                    else:
                        taken.take(entry)
            except AnswerError as error:
                if error.status != 410:
                    raise
                link = error.link
                continue
            return taken.done()
        raise self._service.incomplete("its listing starts over without end")

    def obstacles(self, place: Place, entries: Sequence[Entry]) -> dict[Key, str]:
        """Return which of some records must stay as they are, with a code for each."""
        if place.source.is_list:
            return {entry.key: RETENTION_LABEL for entry in entries if entry.is_labelled}
        found = obstacles(self._service, place, [entry.key for entry in entries])
        return {entry.key: entry.obstacle for entry in entries if entry.obstacle is not None} | found

    def _spared(self, dataset: str, selection: Selection) -> frozenset[Key]:
        """Return the records of a dataset that are spared, by themselves or by what they descend from."""
        held = selection.spare.keys.get(dataset, frozenset())
        table = self._tables.get(dataset)
        if table is None or not (len(selection.spare.subjects) or table.spec.parent is not None):
            return held
        above = self._spared(table.spec.parent.dataset, selection) if table.spec.parent is not None else frozenset()
        found = set(held)
        for entry in self.entries(table, table.columns()):
            parent = table.spec.parent.dataset if table.spec.parent is not None else ""
            if is_about(table, entry, selection.spare.subjects) or entry.item.is_child_of(parent, above):
                found.add(entry.key)
        return frozenset(found)


class References:
    """How records refer to each other; nothing where only fields are to go, or dates are asked."""

    def __init__(self, relations: Relations, table: Table, place: Place, selection: Selection) -> None:
        is_asked = place.source.is_list and not selection.fields and not selection.undated and selection.check_anchors
        self._spec = table.spec
        self._up: list[tuple[Edge, str]] = relations.from_place(table, place) if is_asked else []
        self._down: Mapping[str, tuple[Referring, ...]] = relations.counted(place) if is_asked else {}
        self.columns = frozenset(edge.column for edge, _ in self._up)

    def refers_to(self, entry: Entry) -> tuple[Reference, ...]:
        """Return the declared records that one names."""
        return references_of(
            Reference(dataset, key_of(number), self._spec.belongs_by([edge.column], dataset))
            for edge, dataset in self._up
            for number in numbers_in(entry.fields, edge.column)
        )

    def referred_by(self, entry: Entry) -> tuple[Referring, ...]:
        """Return how many items name one."""
        return self._down.get(entry.key[0], ())


class _Taken:
    """Records on their way into a sorter, with what is to be told of them."""

    def __init__(
        self, finder: Finder, table: Table, place: Place, question: Question | None, references: References | None
    ) -> None:
        self.sorter = Sorter(table.name)
        self._finder = finder
        self._place = place
        self._question = question
        self._references = references
        self._waiting: dict[Key, Entry] = {}

    def take(self, entry: Entry) -> None:
        """Take one record."""
        question = self._question
        if question is not None and question.is_selected(entry):
            self._waiting[entry.key] = entry
            if len(self._waiting) >= _AT_A_TIME:
                self._settle()
            return
        self._waiting.pop(entry.key, None)
        self.sorter.pass_over(entry.key, is_undated=question is not None and question.is_undated(entry))

    def forget(self, key: Key) -> None:
        """Take note that something is no record, whatever it was before."""
        self._waiting.pop(key, None)
        self.sorter.forget(key)

    def done(self) -> Sorter:
        """Return the sorter with all of them."""
        self._settle()
        return self.sorter

    def _settle(self) -> None:
        question, references = self._question, self._references
        if question is None or references is None or not self._waiting:
            return
        waiting, self._waiting = list(self._waiting.values()), {}
        is_planned = not question.selection.undated and question.selection.check_anchors
        kept = self._finder.obstacles(self._place, waiting) if is_planned else {}
        for entry in waiting:
            note = Note(
                question.is_spared(entry) or kept.get(entry.key) == RETENTION_LABEL,
                references.refers_to(entry),
                references.referred_by(entry),
                kept.get(entry.key),
            )
            self.sorter.add(entry.key, entry.version, question.anchored(entry), note if note != Note() else None)
