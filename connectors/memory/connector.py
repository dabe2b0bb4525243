"""A location that lives in this process.

It keeps the whole contract truthfully, so that a sweep tested over it has been tested, and adds what a test needs: it
records every call, and it can be told to fail, to lie and to list incompletely. Invariant: a record goes only together
with everything that refers to it, or not at all; the lists that the caller gave are the data, changed in place.
"""

from __future__ import annotations

import hmac
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from connectors.evaluate import Judge, holds_something, spell
from connectors.memory.act import Act
from connectors.memory.tables import Row, Rows, TableItem, Tables, View, key_columns
from ropa import clock
from ropa.connector import (
    Action,
    Batch,
    Capabilities,
    CatalogueReference,
    Column,
    DatasetInfo,
    Found,
    Health,
    Key,
    LocationSpec,
    Look,
    Mask,
    Outcome,
    Outcomes,
    OutcomeWord,
    Record,
    Selection,
    normalise_identifier,
)
from ropa.errors import CallError, IncompleteListingError

CAPABILITIES = Capabilities(
    actions=frozenset({Action.PURGE, Action.ANONYMISE}), masks=frozenset(Mask), default_batch_size=1000
)

_VERSION_KEY = secrets.token_bytes(32)
"""Versions are keyed, so that they are no plain hash of content; the same for every connector of this process."""


class Call(NamedTuple):
    """One call that was made; for ``find`` noted when the iteration ends, with what it gave until then."""

    name: str
    dataset: str
    records: int


class MemoryConnector:
    """Tables as lists of rows.

    ``rows``: table to rows; a table is a dataset's name or ``source``, any other is an undeclared table.
    ``references``: foreign keys as a catalogue would have them, by table; those of ``parent`` need no repetition. A
    dataset without ``key`` has the key ``id``. A column missing in a row is a NULL.
    """

    capabilities = CAPABILITIES

    def __init__(
        self,
        spec: LocationSpec,
        rows: Rows | None = None,
        *,
        references: Mapping[str, Sequence[CatalogueReference]] | None = None,
        version_key: bytes = _VERSION_KEY,
    ) -> None:
        self.spec = spec
        self.rows: Rows = rows if rows is not None else {}
        self._version_key = version_key
        self._tables = Tables(spec, self.rows, references)
        self.calls: list[Call] = []
        """Every call, in order."""
        self.before_act: Callable[[Selection, Batch], None] | None = None
        """Called first thing in ``act``: what happens between planning and acting."""
        self.fail: dict[Key, str] = {}
        """Records whose change fails, with the code."""
        self.obstacles: dict[Key, str] = {}
        """Records that cannot be removed as they are, with the code."""
        self.lies: set[Key] = set()
        """Records that are said to be purged and are not."""
        self.incomplete = False
        """Whether a listing breaks off, at the latest after its first batch."""
        self.clock: Callable[[], datetime] = clock.now
        """The source's own clock."""

    def check(self) -> Health:
        """Say that it is there, as it always is."""
        self.calls.append(Call("check", "", 0))
        return Health(is_reachable=True, identity="memory", may_read=True, may_delete=True, now=self.clock())

    def datasets(self) -> list[DatasetInfo]:
        """List declared and undeclared tables."""
        infos = []
        for name in self._tables.names:
            spec = self.spec.datasets.get(name)
            infos.append(
                DatasetInfo(
                    source=spec.source if spec else name,
                    columns=tuple(Column(column, kind) for column, kind in self._tables.columns(name).items()),
                    key=key_columns(spec) if spec else (),
                    references=self._tables.references_of(name),
                    declared_as=name if spec else None,
                )
            )
        return infos

    def count(self, dataset: str) -> int:
        """Return the number of rows."""
        self._expect(dataset)
        size = len(self._tables.rows(dataset))
        self.calls.append(Call("count", dataset, size))
        return size

    def problems(self, dataset: str, selection: Selection | None = None) -> list[str]:
        """Return what the rows know nothing of. A table that never had a row has no columns to miss."""
        return self._tables.problems(dataset, selection)

    def find(self, selection: Selection) -> Iterator[Batch]:
        """Stream the selected rows in key order (numbers as numbers)."""
        self._expect(selection.dataset)
        return self._find(selection)

    def _find(self, selection: Selection) -> Iterator[Batch]:
        view, judge = View(self._tables), Judge(selection)
        size = self.spec.batch_size or self.capabilities.default_batch_size
        given = 0
        batch: list[Found] = []
        try:
            for item in view.items(selection.dataset):
                if not judge.is_selected(item):
                    continue
                batch.append(self._look_at(view, judge, item))
                if len(batch) == size:
                    given += size
                    yield Batch.of(selection.dataset, tuple(batch))
                    batch = []
                    self._break_off(given)
            self._break_off(given)
            if batch:
                given += len(batch)
                yield Batch.of(selection.dataset, tuple(batch))
        finally:
            self.calls.append(Call("find", selection.dataset, given))

    def _look_at(self, view: View, judge: Judge, item: TableItem) -> Found:
        dataset = judge.selection.dataset
        return Found(
            key=item.key,
            version=self._version(item.row),
            anchored=judge.anchored(item),
            is_spared=view.is_spared(judge.selection.spare, dataset, item.row),
            refers_to=view.refers_to(dataset, item.row),
            referred_by=view.referred_by(dataset, item.row),
            obstacle=self.obstacles.get(item.key),
        )

    def act(self, selection: Selection, batch: Batch, action: Action) -> Outcomes:
        """Purge or anonymise. A record and its companions are one unit: all of it goes, or nothing.

        A purge of what a selection with ``fields`` found is refused: it would take the other fields along.
        """
        self._expect(batch.dataset)
        if self.before_act is not None:
            self.before_act(selection, batch)
        self.calls.append(Call("act", batch.dataset, len(batch.records)))
        act = Act(View(self._tables), Judge(selection), batch, self._hindrance, self.lies)
        if action is Action.PURGE and not selection.fields:
            return Outcomes.of(act.purge())
        if action is Action.ANONYMISE and selection.fields and not batch.companions:
            return Outcomes.of(self._with_version(batch.dataset, outcome) for outcome in act.anonymise())
        return Outcomes.of(act.refuse())

    def _with_version(self, dataset: str, outcome: Outcome) -> Outcome:
        item = View(self._tables).by_key(dataset).get(outcome.key)
        if outcome.word is not OutcomeWord.ANONYMISED or item is None:
            return outcome
        return replace(outcome, version=self._version(item.row))

    def inspect(self, source: str, look: Look, *, limit: int) -> Mapping[str, Mapping[str, int]]:
        """See ``Connector.inspect``: the first rows of a table, declared or not; {} for one that is not there."""
        table = self._tables.name_of(source)
        counts: dict[str, Counter[str]] = {}
        rows = self._tables.rows(table)[: max(limit, 0)]
        self.calls.append(Call("inspect", table, len(rows)))
        for row in rows:
            for column, value in row.items():
                if value is None:
                    continue
                answer = look(column, spell(value))
                if answer is not None:
                    counts.setdefault(column, Counter())[answer] += 1
        return counts

    def settle(self, dataset: str) -> str:
        """Removed rows are gone with the list that held them: ``physical``."""
        self.calls.append(Call("settle", dataset, 0))
        return "physical"

    def finish(self, dataset: str) -> str:
        """See ``Connector.finish``: nothing more is to be done than for every batch."""
        return self.settle(dataset)

    def remaining(self, selection: Selection, batch: Batch) -> set[Key]:
        """Return the keys of rows still there, or still holding something to change."""
        self.calls.append(Call("remaining", batch.dataset, len(batch.records)))
        present = View(self._tables).by_key(batch.dataset)
        items = [present[found.key] for found in batch.records if found.key in present]
        return {item.key for item in items if not selection.fields or holds_something(selection.fields, item)}

    def read(self, dataset: str, subject: str) -> Iterator[Record]:
        """Stream the rows of a person: those whose ``subject`` columns, or whose parent's, hold the identifier."""
        self._expect(dataset)
        self.calls.append(Call("read", dataset, 0))
        view, identifier = View(self._tables), frozenset({normalise_identifier(subject)})
        for item in view.items(dataset):
            if view.is_about(identifier, dataset, item.row):
                yield Record(item.key, dict(item.row))

    def close(self) -> None:
        """Let go of nothing: nothing is held."""

    def _expect(self, dataset: str) -> None:
        if dataset not in self.spec.datasets:
            raise CallError(f"{self.spec.name} has no dataset {dataset}", code="dataset-unknown")

    def _break_off(self, given: int) -> None:
        if self.incomplete:
            raise IncompleteListingError(f"{self.spec.name}: the listing broke off after {given} records")

    def _hindrance(self, found: Found, row: Row) -> tuple[OutcomeWord, str | None] | None:
        """Return what keeps a record from going that has nothing to do with the selection."""
        if self._version(row) != found.version:
            return OutcomeWord.CHANGED, None
        if found.key in self.obstacles:
            return OutcomeWord.BLOCKED, self.obstacles[found.key]
        return (OutcomeWord.FAILED, self.fail[found.key]) if found.key in self.fail else None

    def _version(self, row: Row) -> str:
        content = repr(sorted((name, value) for name, value in row.items() if value is not None))
        return hmac.digest(self._version_key, content.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]
