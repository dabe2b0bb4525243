"""What a selection asks of the records of one dataset, and what is said of those it means.

Invariant: the plain question (a message's own date of receipt) is put to the service as a filter that leaves out what
cannot be meant; whether a record is meant is decided by ``connectors.evaluate.Judge`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.evaluate import Judge, holds_something
from connectors.microsoft365.outlook.columns import (
    ALWAYS,
    COLUMNS,
    DEFAULT_ANCHORS,
    RECEIVED,
    identifiers,
    values_of,
)
from connectors.microsoft365.outlook.listing import Span
from connectors.microsoft365.outlook.sources import MESSAGES, Source
from connectors.microsoft365.records import JsonItem
from ropa.clock import read_moment, timestamp
from ropa.connector import AnchorPart, DatasetSpec, Key, Note, Selection, normalise_identifier

_UTC = ZoneInfo("UTC")
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as configured, made ready."""

    spec: DatasetSpec
    source: Source
    with_subfolders: bool = False
    is_rechecked: bool = False
    """Whether messages are listed once more before they are changed, whatever the selection."""

    @classmethod
    def of(cls, spec: DatasetSpec, source: Source) -> Dataset:
        """Return the dataset with the anchors that every one has."""
        full = replace(spec, anchors={**DEFAULT_ANCHORS, **spec.anchors})
        return cls(full, source, spec.options.get("subfolders") is True, spec.options.get("recheck") is True)

    @property
    def kind(self) -> str:
        """``messages`` or ``contacts``."""
        return self.source.kind


@dataclass(frozen=True, slots=True)
class Version:
    """What a record was when it was listed; as text in ``Found.version``."""

    received: str
    """A message's date of receipt, which never changes; "" of a contact."""
    folder: str
    change_key: str

    def __str__(self) -> str:
        return f"{self.received}|{self.folder}|{self.change_key}"

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Return the version behind a text; None where it is none."""
        parts = text.split("|")
        return cls(*parts) if len(parts) == 3 else None

    @property
    def moment(self) -> datetime | None:
        """The instant of receipt; None where there is none."""
        found = read_moment(self.received or None, zone=_UTC)
        return found if isinstance(found, datetime) else None


class Question:
    """A selection over one dataset; may be asked in several threads at once."""

    def __init__(self, dataset: Dataset, selection: Selection, *, further: Sequence[str] = ()) -> None:
        """``further``: columns that are needed besides."""
        self.dataset = dataset
        self.selection = selection
        self._judge = Judge(selection)
        self._undated = Judge(replace(selection, before=(), undated=True, check_anchors=True))
        self._held = selection.spare.keys.get(dataset.spec.name, frozenset())
        self._has_persons = len(selection.spare.subjects) > 0 and bool(dataset.spec.subject)
        conditions = [*selection.match, *(condition for group in selection.exclude for condition in group)]
        asked = {*selection.anchors, *(before.anchor for before in selection.before)}
        anchors = dataset.spec.anchors
        dates = [part.column for name in asked if name in anchors for part in anchors[name].parts]
        self._columns = tuple(
            dict.fromkeys([c.column for c in conditions] + dates + [c.column for c in selection.fields])
        )
        persons = dataset.spec.subject if self._has_persons else ()
        known = COLUMNS[dataset.kind]
        wanted = [*ALWAYS[dataset.kind], *(c for c in (*self._columns, *persons, *further) if c in known)]
        self.select = tuple(dict.fromkeys(wanted))
        self._is_plain = (
            dataset.kind == MESSAGES and bool(asked) and selection.check_anchors
            and all(name in anchors and _is_receipt(anchors[name].parts) for name in asked)
        )  # fmt: skip
        self.is_told_by_version = self._is_plain and not (conditions or selection.fields or self._has_persons)
        """Whether a message's version says all that this asks: nothing need be listed to decide again."""

    def span(self) -> Span | None:
        """Return the filters for what may be meant; None where every record must be looked at."""
        if not self._is_plain or self.selection.undated or not self.selection.before:
            return None
        end = min(before.instant for before in self.selection.before)
        if end > self.selection.now:
            return None
        first, now = timestamp(end), timestamp(self.selection.now)
        return Span(f"{RECEIVED} lt {first} or {RECEIVED} gt {now}", f"{RECEIVED} ge {first} and {RECEIVED} le {now}")

    def item(self, key: Key, row: Mapping[str, Any]) -> JsonItem:
        """Return a record as a judge looks at it."""
        return JsonItem(self.dataset.spec, key, values_of(self.dataset.kind, row, self._columns))

    def is_selected(self, item: JsonItem) -> bool:
        """Tell whether a record is one of those meant."""
        return self._judge.is_selected(item)

    def is_undated(self, item: JsonItem) -> bool:
        """Tell whether a record matches but has no date that can be gone by."""
        return self._undated.is_selected(item)

    def anchored(self, item: JsonItem) -> tuple[date | None, ...]:
        """Return the days of the selection's anchors."""
        return self._judge.anchored(item)

    def is_spared(self, key: Key, row: Mapping[str, Any]) -> bool:
        """Tell whether a record must be left alone."""
        return key in self._held or (self._has_persons and self._is_about(row))

    def note(self, key: Key, row: Mapping[str, Any]) -> Note | None:
        """Return what is to be said of a record besides."""
        return Note(is_spared=True) if self.is_spared(key, row) else None

    def holds_something(self, item: JsonItem) -> bool:
        """Tell whether one of the fields still holds something that its mask would change."""
        return holds_something(self.selection.fields, item)

    def _is_about(self, row: Mapping[str, Any]) -> bool:
        subjects = self.selection.spare.subjects
        found = identifiers(self.dataset.kind, row, self.dataset.spec.subject)
        return any(normalise_identifier(text) in subjects for text in found)


def version_of(kind: str, row: Mapping[str, Any]) -> Version:
    """Return a record's version."""
    received = str(row.get(RECEIVED) or "") if kind == MESSAGES else ""
    return Version(received, str(row.get("parentFolderId") or ""), str(row.get("changeKey") or ""))


def received_between(first: datetime, last: datetime) -> Span:
    """Return the filters for messages received from one instant to another, both with them."""
    start = timestamp(first)
    end = timestamp(last + _SECOND)
    return Span(f"{RECEIVED} ge {start} and {RECEIVED} lt {end}", f"{RECEIVED} lt {start} or {RECEIVED} ge {end}")


def _is_receipt(parts: Sequence[AnchorPart]) -> bool:
    return [(part.column, part.dataset, part.form) for part in parts] == [(RECEIVED, None, None)]
