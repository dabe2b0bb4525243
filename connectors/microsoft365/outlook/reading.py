"""How a dataset is read: mailbox by mailbox, its lists one after another, each record once in key order at the end.

Invariant: what cannot be read wholly ends the reading with an error; nothing is concluded from a part. A record that
lies in Deleted Items is none of a dataset of a whole mailbox where a purge brings it there: it has been purged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from connectors.microsoft365.graph_batch import MOST, Part, send_parts
from connectors.microsoft365.http import Service
from connectors.microsoft365.outlook.asking import Dataset, Question, Version, received_between, version_of
from connectors.microsoft365.outlook.columns import ALWAYS
from connectors.microsoft365.outlook.folders import NEEDS, Folders
from connectors.microsoft365.outlook.listing import PAGE, PREFER, Listing, Row, Span
from connectors.microsoft365.outlook.mailboxes import path_of, segment
from connectors.microsoft365.outlook.sources import MESSAGES
from connectors.microsoft365.records import Sorter
from ropa.connector import Batch, Key, Tally
from ropa.errors import LocationError

_MOST_LISTED = 10
"""Pages that are read, and one more for every twenty records looked for, before these are asked for one by one."""
_FEW = 100
"""Messages that are asked for one by one where a selection names them."""
AT_ONCE = 4
"""Requests that Outlook takes at a time of one application (learn.microsoft.com/graph/throttling-limits)."""


@dataclass(slots=True)
class Sums:
    """What was counted while reading."""

    population: int = 0
    counted: int = 0
    listed: int = 0
    undated: int = 0

    def add(self, other: Sums) -> None:
        """Add those of another mailbox."""
        self.population += other.population
        self.counted += other.counted
        self.listed += other.listed
        self.undated += other.undated


class Reader:
    """Reads the datasets of a location.

    ``is_moved``: whether a purge brings records to Deleted Items instead of removing them.
    """

    def __init__(self, service: Service, folders: Folders, *, is_moved: bool) -> None:
        self._service = service
        self._folders = folders
        self._is_moved = is_moved

    def rows(
        self,
        dataset: Dataset,
        mailbox: str,
        select: Sequence[str] | None,
        *,
        span: Span | None = None,
        page: int = PAGE,
        sums: Sums | None = None,
    ) -> Iterator[list[Row]]:
        """Yield a dataset's records in one mailbox page by page; with a span perhaps others too.

        ``select``: the columns that are needed; None: everything.
        """
        sums = sums if sums is not None else Sums()
        deleted, count = self._left_out(dataset, mailbox)
        for listing, pages in self._listings(dataset, mailbox, select, span, page):
            kept = counted = 0
            for rows in pages:
                sums.listed += len(rows)
                sums.counted += listing.counted - counted
                counted = listing.counted
                own = rows if deleted is None else [row for row in rows if row.get("parentFolderId") != deleted]
                kept += len(own)
                yield own
            sums.population += listing.population - count if listing.is_filtered else kept

    def find(self, question: Question, mailboxes: Iterable[str], size: int) -> Generator[Batch, None, Sums]:
        """Stream what a question means in key order; at the end the sums are told."""
        name, kind = question.dataset.spec.name, question.dataset.kind
        sorter, sums, lock = Sorter(name), Sums(), threading.Lock()

        def read(mailbox: str) -> None:
            own = Sums()
            for rows in self._asked(question, mailbox, own):
                found = []
                for row in rows:
                    key = self.key_of(mailbox, row)
                    item = question.item(key, row)
                    own.undated += question.is_undated(item)
                    if question.is_selected(item):
                        version = str(version_of(kind, row))
                        found.append((key, version, question.anchored(item), question.note(key, row)))
                with lock:
                    for each in found:
                        sorter.add(*each)
            with lock:
                sums.add(own)

        _each(read, tuple(mailboxes))
        yield from sorter.batches(size)
        if sums.listed - sorter.repeated < sums.counted:
            raise self._service.incomplete(
                f"{sums.counted} records were counted, and {sums.listed - sorter.repeated} were listed"
            )
        return sums

    def _asked(self, question: Question, mailbox: str, sums: Sums) -> Iterator[list[Row]]:
        """Yield what a question may mean in one mailbox: a few messages that it names, else what is listed."""
        keys = question.selection.keys
        ids = [key[1] for key in keys or () if len(key) == 2 and key[0] == mailbox]
        if keys is not None and question.dataset.kind == MESSAGES and len(ids) <= _FEW:
            yield list(self._named(question, mailbox, sorted(set(ids))).values())
        else:
            yield from self.rows(question.dataset, mailbox, question.select, span=question.span(), sums=sums)

    def count(self, dataset: Dataset, mailboxes: Iterable[str]) -> Sums:
        """Count a dataset's records: by the service's own sum, or by listing where it tells none."""
        sums = Sums()
        for mailbox in mailboxes:
            own = Sums()
            is_told = not (self._is_moved and dataset.source.is_whole)
            for listing, pages in self._listings(dataset, mailbox, ("id",), None, 1) if is_told else ():
                next(pages)
                is_told = is_told and listing.is_counted
                own.population += listing.counted
            if not is_told:
                own = Sums()
                for _ in self.rows(dataset, mailbox, ("id",), sums=own):
                    pass
            sums.add(own)
        return sums

    def present(self, question: Question, keys: Mapping[Key, str]) -> dict[Key, Row]:
        """Return those of some records, given with their versions, that are there now, as they are now."""
        by_mailbox: dict[str, dict[str, str]] = {}
        for key, version in keys.items():
            if len(key) == 2:
                by_mailbox.setdefault(key[0], {})[key[1]] = version
        found: dict[Key, Row] = {}
        lock = threading.Lock()

        def read(mailbox: str) -> None:
            wanted, own = by_mailbox[mailbox], Sums()
            there: dict[Key, Row] = {}
            span = _span_of(question.dataset, wanted.values())
            for rows in self.rows(question.dataset, mailbox, question.select, span=span, sums=own):
                if question.dataset.kind == MESSAGES and own.counted > _MOST_LISTED * PAGE + len(wanted) // MOST * PAGE:
                    there = self._named(question, mailbox, tuple(wanted))
                    break
                there |= {self.key_of(mailbox, row): row for row in rows if row.get("id") in wanted}
            with lock:
                found.update(there)

        _each(read, tuple(by_mailbox))
        return found

    def _named(self, question: Question, mailbox: str, ids: Sequence[str]) -> dict[Key, Row]:
        """Return those of some messages that are there, asked for one by one, twenty in a request: where they are few
        among very many that takes fewer requests than the list."""
        dataset, service = question.dataset, self._service
        deleted, _ = self._left_out(dataset, mailbox)
        inside = None
        if not dataset.source.is_whole:
            inside = self._folders.ids(mailbox, dataset.source, with_subfolders=dataset.with_subfolders)
        top, select = path_of(mailbox), ",".join(question.select)
        found: dict[Key, Row] = {}
        for start in range(0, len(ids), MOST):
            some = ids[start : start + MOST]
            parts = [Part("GET", f"/{top}/messages/{segment(one)}?$select={select}", PREFER) for one in some]
            for one, answer in zip(some, send_parts(service, parts, weight=AT_ONCE), strict=True):
                if answer.status == 404:
                    continue
                if not answer.is_ok:
                    raise service.refusal(answer, NEEDS[dataset.kind])
                row = answer.json()
                folder = row.get("parentFolderId")
                if folder != deleted and (inside is None or folder in inside):
                    found[mailbox, one] = row
        return found

    def key_of(self, mailbox: str, row: Mapping[str, Any]) -> Key:
        """Return a record's key. Raises IncompleteListingError for a record without an id."""
        number = row.get("id")
        if not isinstance(number, str) or not number:
            raise self._service.incomplete("a record has no id")
        return (mailbox, number)

    def tally(self, sums: Sums) -> Tally:
        """Return what a reading of everything tells."""
        return Tally(max(sums.population, 0), sums.undated)

    def _left_out(self, dataset: Dataset, mailbox: str) -> tuple[str | None, int]:
        if not (self._is_moved and dataset.source.is_whole):
            return None, 0
        return self._folders.deleted_items(mailbox)

    def _listings(
        self, dataset: Dataset, mailbox: str, select: Sequence[str] | None, span: Span | None, page: int
    ) -> Iterator[tuple[Listing, Iterator[list[Row]]]]:
        source, needs = dataset.source, NEEDS[dataset.kind]
        chosen = () if select is None else tuple(dict.fromkeys([*ALWAYS[dataset.kind], *select]))

        def listing(collection: str) -> Listing:
            return Listing(self._service, collection, chosen, span, needs, page)

        for collection in self._folders.collections(mailbox, source, with_subfolders=dataset.with_subfolders):
            one = listing(collection)
            pages = one.pages()
            try:
                first = next(pages, None)
            except LocationError as error:
                if error.code != "missing" or not source.is_known or len(source.path) != 1:
                    raise
                (other,) = self._folders.by_name(mailbox, source)
                one = listing(other)
                pages = one.pages()
                first = next(pages, None)
            yield one, _again(first, pages)


def _again(first: list[Row] | None, pages: Iterator[list[Row]]) -> Iterator[list[Row]]:
    if first is not None:
        yield first
        yield from pages


def _each(read: Callable[[str], None], mailboxes: Sequence[str]) -> None:
    if len(mailboxes) < 2:
        for mailbox in mailboxes:
            read(mailbox)
        return
    executor = ThreadPoolExecutor(min(AT_ONCE, len(mailboxes)), "outlook")
    try:
        for _ in executor.map(read, mailboxes):
            pass
    finally:
        executor.shutdown(cancel_futures=True)


def _span_of(dataset: Dataset, versions: Iterable[str]) -> Span | None:
    """Return the filters for messages by the dates that their versions tell; None where one tells none."""
    if dataset.kind != MESSAGES:
        return None
    moments = []
    for text in versions:
        version = Version.parse(text)
        moment = version.moment if version is not None else None
        if moment is None:
            return None
        moments.append(moment)
    return received_between(min(moments), max(moments)) if moments else None
