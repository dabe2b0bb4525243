"""What acting begins and ends with: each record is read once more and judged once more, and one outcome is told of it.

Invariant: a record that is not there, is held, is no longer meant or was touched since it was planned has its verdict
before anything is sent; what got no answer is asked for before anything is told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from connectors.evaluate import Judge, holds_something
from connectors.microsoft365.answers import Answer
from connectors.microsoft365.dataverse.bulk import RESTRICTED, Verdict
from connectors.microsoft365.dataverse.columns import spell_guid
from connectors.microsoft365.dataverse.items import Relatives, RowItem, columns_for, comparable
from connectors.microsoft365.dataverse.layout import Layout
from connectors.microsoft365.dataverse.reading import Reader, Row
from connectors.microsoft365.dataverse.relations import Sparing
from connectors.microsoft365.dataverse.remains import History, RecycleBin
from connectors.microsoft365.dataverse.settings import Settings
from ropa.connector import Batch, Key, Outcome, Outcomes, OutcomeWord, Reference, Selection

Name = tuple[str, str]
"""Dataset and primary id."""

ABSENT: Verdict = (OutcomeWord.ABSENT, None)
CHANGED: Verdict = (OutcomeWord.CHANGED, None)
PURGED: Verdict = (OutcomeWord.PURGED, None)
_LOST: Verdict = (OutcomeWord.BLOCKED, "parent-unknown")
"""Of a companion whose record is not in the batch."""
_DUPLICATE = "0x80040237"
"""DuplicateRecord, which is a 412 as well."""


@dataclass(frozen=True, slots=True)
class Means:
    """What acting is done with."""

    layout: Layout
    reader: Reader
    settings: Settings
    bin: RecycleBin
    history: History


class Act:
    """One call of ``act``."""

    def __init__(self, means: Means, selection: Selection, batch: Batch) -> None:
        self.means = means
        self.batch = batch
        self.declared = means.layout.declared(batch.dataset)
        self.selection = comparable(self.declared, selection)
        self.judge = Judge(self.selection)
        self.own: list[Name] = [(batch.dataset, id_of(key)) for key in batch.keys]
        self.riders = _flatten(batch)
        self.versions: dict[Name, str] = {}
        for name, version in [*zip(self.own, batch.versions or [""] * len(batch.keys), strict=True), *_versions(batch)]:
            self.versions.setdefault(name, version)
        self.rows: dict[Name, Row] = {}
        self.verdicts: dict[Name, Verdict] = {}
        self.tags: dict[Name, str] = {}

    def look(self, *, more: Iterable[str] = (), has_version: bool = True) -> None:
        """Read every record of the batch, and note what keeps it from being touched.

        ``more``: columns that are read besides; ``has_version``: whether a record that was changed since stays.
        """
        means = self.means
        by_dataset: dict[str, list[str]] = defaultdict(list)
        for dataset, key in dict.fromkeys([*self.own, *(name for name, _ in self.riders)]):
            by_dataset[dataset] += [key] if spell_guid(key) else []
        own = set(self.own)
        sparing = Sparing(self.selection.spare, means.layout, means.reader)
        for dataset, keys in by_dataset.items():
            declared = means.layout.declared(dataset)
            asked = self.selection if dataset == self.declared.name else self._bare(dataset)
            columns = columns_for(declared, asked, is_whole=not self.selection.fields) | declared.answered(more)
            rows = means.reader.by_keys(declared.entity.head.path, declared.key, columns, keys)
            self.rows.update({(dataset, key): row for key, row in rows.items()})
            spared = sparing.spared(declared, rows)
            relatives = Relatives(means.layout, declared, asked, means.reader)
            kin = relatives.of(rows) if relatives.parts else None
            for key in keys:
                name, row = (dataset, key), rows.get(key)
                item = None if row is None else RowItem(declared, row, kin, key)
                is_judged = name in own
                verdict = self._check(name, item, is_spared=key in spared, is_judged=is_judged, has_version=has_version)
                if verdict is not None:
                    self.verdicts[name] = verdict
        for name in [*self.own, *(rider for rider, _ in self.riders)]:
            if name not in self.rows:
                self.verdicts[name] = ABSENT

    def _bare(self, dataset: str) -> Selection:
        """Return what companions are asked for: they go by no dates of their own."""
        selection = self.selection
        return Selection(dataset, selection.zone, selection.now, spare=selection.spare, check_anchors=False)

    def _check(
        self, name: Name, item: RowItem | None, *, is_spared: bool, is_judged: bool, has_version: bool
    ) -> Verdict | None:
        fields = self.selection.fields
        if item is None or (fields and not holds_something(fields, item)):
            return ABSENT
        if is_spared:
            return OutcomeWord.HELD, None
        if is_judged and not self.judge.is_selected(item):
            return CHANGED
        planned = self.versions.get(name) or item.version
        if has_version and planned != item.version:
            return CHANGED
        self.tags[name] = item.version
        return None if item.version else (OutcomeWord.FAILED, "no-version")

    def settle(self, own: Name, members: Iterable[Name], verdict: Verdict) -> None:
        """Tell the same of all members of a unit of which nothing is told yet."""
        for name in (own, *members):
            self.verdicts.setdefault(name, verdict)

    def tell(self, until: dict[Name, date], versions: dict[Name, str] | None = None) -> Outcomes:
        """Return one outcome for each record: the batch's own, then the companions' as they are listed."""
        tags = versions or {}
        named: list[tuple[str | None, Name, Key]] = [
            (None, name, key) for name, key in zip(self.own, self.batch.keys, strict=True)
        ]
        named += [(name[0], name, (name[1],)) for name, _ in self.riders]
        odd: dict[int, Outcome] = {}
        for pos, (dataset, name, key) in enumerate(named):
            word, code = self.verdicts.get(name, _LOST)
            day = until.get(name) if word is OutcomeWord.PURGED else None
            if word is not OutcomeWord.PURGED or day is not None or dataset is not None:
                word = OutcomeWord.RECOVERABLE if day is not None else word
                odd[pos] = Outcome(key, word, code, day, dataset, tags.get(name) or None)
        return Outcomes([key for _, _, key in named], OutcomeWord.PURGED, odd)


def verdict_of(answer: Answer) -> Verdict:
    """Return what an answer other than success says became of a record."""
    fault = answer.fault
    if fault.code == RESTRICTED:
        return OutcomeWord.BLOCKED, "referenced"
    if answer.status == 404:
        return ABSENT
    if answer.status == 412 and fault.code != _DUPLICATE:
        return CHANGED
    if answer.status in {401, 403}:
        return OutcomeWord.REFUSED, None
    return OutcomeWord.FAILED, "throttled" if answer.status in {429, 503} else fault.code


def id_of(key: Key) -> str:
    """Return the primary id of a key; what is no GUID stands as it is, and names no row."""
    return spell_guid(key[0]) or key[0]


def _flatten(batch: Batch) -> list[tuple[Name, tuple[Reference, ...]]]:
    """Return every companion with what it refers to, in the order of the list."""
    found: list[tuple[Name, tuple[Reference, ...]]] = []
    for companion in batch.companions:
        found += [((companion.dataset, id_of(record.key)), record.refers_to) for record in companion.records]
        found += _flatten(companion)
    return found


def _versions(batch: Batch) -> list[tuple[Name, str]]:
    found: list[tuple[Name, str]] = []
    for companion in batch.companions:
        found += [((companion.dataset, id_of(record.key)), record.version) for record in companion.records]
        found += _versions(companion)
    return found
