"""What a selection asks of the records of one dataset: which it means, and which must stay.

Invariant: a record that bears a retention label that keeps it, or that descends from a spared record, counts as held;
labels are read, never set or removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from connectors.evaluate import Judge, spell
from connectors.files.names import Persons
from connectors.microsoft365.answers import Answer
from connectors.microsoft365.http import Service
from connectors.microsoft365.sharepoint.catalogue import Place
from connectors.microsoft365.sharepoint.reading import content, read_parts, shares, spread
from connectors.microsoft365.sharepoint.table import NAMED, Entry, Table
from ropa.connector import Key, Selection, SubjectSet, normalise_identifier

RETENTION_LABEL, UNREADABLE_LABEL = "retention-label", "label-unreadable"
"""Why a record stays. The first counts as a hold."""
_NEEDS = "Files.Read.All or Sites.Read.All (retention labels are read before anything is planned)"


class Question:
    """A selection over one dataset; may be asked in several threads. ``parents``: spared records of the parent
    dataset, its ancestors' among them."""

    def __init__(self, table: Table, selection: Selection, parents: frozenset[Key] = frozenset()) -> None:
        self.selection = selection
        self._table = table
        self._judge = Judge(selection)
        self._undated = Judge(replace(selection, before=(), undated=True))
        self._held = selection.spare.keys.get(table.name, frozenset())
        self._parents = parents
        self._parent = table.spec.parent.dataset if table.spec.parent is not None else ""

    def is_selected(self, entry: Entry) -> bool:
        """Tell whether a record is one of those meant."""
        return self._judge.is_selected(entry.item)

    def is_undated(self, entry: Entry) -> bool:
        """Tell whether a record would match, but has no date that can be read."""
        return self._undated.is_selected(entry.item)

    def anchored(self, entry: Entry) -> tuple[date | None, ...]:
        """Return the days of the selection's anchors."""
        return self._judge.anchored(entry.item)

    def is_spared(self, entry: Entry) -> bool:
        """Tell whether a record must be left alone."""
        if entry.key in self._held or (self._parents and entry.item.is_child_of(self._parent, self._parents)):
            return True
        return is_about(self._table, entry, self.selection.spare.subjects)


def is_about(table: Table, entry: Entry, subjects: SubjectSet) -> bool:
    """Tell whether a record identifies one of some persons, by the dataset's ``subject`` columns."""
    if not len(subjects):
        return False
    named = () if table.source.is_list else NAMED.intersection(table.spec.subject)
    if named and Persons(subjects).is_about(named, str(entry.item.value("path") or "")):
        return True
    values = (entry.item.value(column) for column in table.spec.subject if column not in named)
    return any(value is not None and normalise_identifier(spell(value)) in subjects for value in values)


def obstacles(service: Service, place: Place, keys: Sequence[Key]) -> dict[Key, str]:
    """Return which files their retention label keeps, or of which it cannot be read, with a code for each. Raises
    LocationError where the permission to read labels is missing."""
    found: dict[Key, str] = {}
    for own in spread(lambda own: obstacles_now(service, place, own), shares(keys)):
        found |= own
    return found


def obstacles_now(service: Service, place: Place, keys: Sequence[Key]) -> dict[Key, str]:
    """Return what ``obstacles`` does, in the caller's thread."""
    answers = read_parts(service, [f"{place.item(key[0])}/retentionLabel" for key in keys])
    codes = ((key, _obstacle(service, answer)) for key, answer in zip(keys, answers, strict=True))
    return {key: code for key, code in codes if code is not None}


def _obstacle(service: Service, answer: Answer) -> str | None:
    """Return what stands against a file. A label that only counts down to a deletion (``doNotRetain``) does not.

    Source: learn.microsoft.com/graph/api/resources/retentionlabelsettings.
    """
    if answer.status in {404, 501}:
        return None
    if answer.status in {401, 403}:
        raise service.refusal(answer, _NEEDS)
    if not answer.is_ok:
        return UNREADABLE_LABEL
    label = content(answer)
    settings = label.get("retentionSettings")
    if not isinstance(settings, Mapping):
        return RETENTION_LABEL if label.get("name") else None
    is_free = settings.get("behaviorDuringRetentionPeriod") == "doNotRetain"
    is_locked = settings.get("isRecordLocked") is True or settings.get("isDeleteAllowed") is False
    is_kept = bool(label.get("name") or settings) and (is_locked or not is_free)
    return RETENTION_LABEL if is_kept else None
