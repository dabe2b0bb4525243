"""One call of ``act``: from a batch to its outcomes.

Invariant: each record is looked at once more, and is changed only while it is the version that was planned, is still
selected, is not spared, bears no label that keeps it, and is not named by an item that stays. Where the change carries
that version as its condition the look may be a listing; else twenty are read just before they are changed. Several
twenties go at once; what an error interrupts is left alone and can be done again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.evaluate import holds_something
from connectors.masks import mask_value
from connectors.microsoft365.answers import Answer
from connectors.microsoft365.graph_batch import Part, send_parts
from connectors.microsoft365.http import Service
from connectors.microsoft365.sharepoint.asking import RETENTION_LABEL, Question, obstacles_now
from connectors.microsoft365.sharepoint.catalogue import Place
from connectors.microsoft365.sharepoint.finding import Finder, Seen
from connectors.microsoft365.sharepoint.reading import content, shares, spread
from connectors.microsoft365.sharepoint.removal import Removal, condition, told, within_budget
from connectors.microsoft365.sharepoint.table import Entry, Table, field_name
from ropa.connector import Batch, FieldChange, Key, Outcome, Outcomes, OutcomeWord
from ropa.errors import LocationError

_LOST = frozenset({0, 500, 502, 504})
_VERSION = re.compile(r'^(.*,)(\d+)("?)$')
Planned = tuple[Key, str]
"""Key, and the version that was planned."""


@dataclass(frozen=True, slots=True)
class Act:
    """What one call needs; threads may share it. ``named``: the items that others name, which must stay."""

    service: Service
    finder: Finder
    table: Table
    place: Place
    question: Question
    named: Mapping[str, object]

    def purge(self, batch: Batch, removal: Removal) -> Outcomes:
        """Remove the records of a batch that has no companions."""
        return self._over(batch, removal.remove, is_conditional=removal.is_conditional)

    def anonymise(self, batch: Batch) -> Outcomes:
        """Change the selection's fields."""
        changes = self.question.selection.fields

        def change(entries: Sequence[Entry]) -> list[Outcome]:
            bodies = [self._masked(entry, changes) for entry in entries]
            return self._written(
                entries, bodies, OutcomeWord.ANONYMISED, lambda entry: not holds_something(changes, entry.item)
            )

        return self._over(batch, change)

    def flag(self, batch: Batch) -> Outcomes:
        """Show the flag in the configured column; without one, say of each record whether it is still selected."""
        flag = self.table.flag

        def mark(entries: Sequence[Entry]) -> list[Outcome]:
            outcomes = {entry.key: Outcome(entry.key, OutcomeWord.FLAGGED) for entry in entries}
            if flag is not None:
                column, value = flag
                bare = [entry for entry in entries if entry.item.value(column) != value]
                bodies = [{field_name(column, self.place.fields): value}] * len(bare)
                written = self._written(
                    bare, bodies, OutcomeWord.FLAGGED, lambda entry: entry.item.value(column) == value
                )
                outcomes |= {outcome.key: outcome for outcome in written}
            return [outcomes[entry.key] for entry in entries]

        return self._over(batch, mark)

    def look(
        self, planned: Sequence[Planned], *, is_own: bool = True, listed: Mapping[Key, Seen] | None = None
    ) -> list[Entry | Outcome]:
        """Return of each record how it stands now, or the outcome that keeps it from being touched. Up to a batch of
        them; companions (not ``is_own``) go by no dates of their own. ``listed``: what was just listed of them."""
        seen_now = dict(listed or {})
        missing = [key for key, _ in planned if key not in seen_now]
        seen_now |= zip(missing, self._read(missing) if missing else (), strict=True)
        seen = [seen_now[key] for key, _ in planned]
        found = [self._verdict(key, version, one, is_own=is_own)
                 for (key, version), one in zip(planned, seen, strict=True)]  # fmt: skip
        kept = self._kept([one for one in found if isinstance(one, Entry)])
        return [_stays(one.key, kept[one.key]) if isinstance(one, Entry) and one.key in kept else one for one in found]

    def _columns(self) -> frozenset[str]:
        selection, flag = self.question.selection, self.table.flag
        columns = self.table.columns(selection, has_persons=len(selection.spare.subjects) > 0)
        return columns if flag is None else columns | {flag[0]}

    def _read(self, keys: Sequence[Key]) -> list[Seen]:
        return self.finder.by_key(self.table, self.place, keys, self._columns(), self.service)

    def _verdict(self, key: Key, version: str, seen: Seen, *, is_own: bool) -> Entry | Outcome:
        entry, fields = seen.entry, self.question.selection.fields
        if seen.answer is not None:
            return told(key, seen.answer, OutcomeWord.FAILED)
        if not seen.is_there:
            return Outcome(key, OutcomeWord.ABSENT)
        if entry is None:
            return Outcome(key, OutcomeWord.CHANGED)
        if is_own and fields and not holds_something(fields, entry.item):
            return Outcome(key, OutcomeWord.ABSENT)
        if self.question.is_spared(entry):
            return Outcome(key, OutcomeWord.HELD)
        if entry.version != version or (is_own and not self.question.is_selected(entry)):
            return Outcome(key, OutcomeWord.CHANGED)
        if key[0] in self.named:
            return Outcome(key, OutcomeWord.BLOCKED, "referenced")
        return entry

    def _kept(self, entries: Sequence[Entry]) -> Mapping[Key, str]:
        """Return which records an obstacle keeps, with its code."""
        if self.place.source.is_list:
            return {entry.key: RETENTION_LABEL for entry in entries if entry.is_labelled}
        known = {entry.key: entry.obstacle for entry in entries if entry.obstacle is not None}
        asked = [entry.key for entry in entries if entry.key not in known]
        return known | (obstacles_now(self.service, self.place, asked) if asked else {})

    def _over(
        self, batch: Batch, change: Callable[[Sequence[Entry]], list[Outcome]], *, is_conditional: bool = True
    ) -> Outcomes:
        """Look at records and change those that may be changed. ``is_conditional``: the change itself is refused for
        another version than the one looked at, so that a listing is as good a look as one by one, and cheaper."""
        versions = batch.versions or ("",) * len(batch.keys)
        listed = (
            self.finder.listed(self.table, self.place, batch.keys, self._columns(), self.service)
            if is_conditional
            else None
        )

        def work(planned: Sequence[Planned]) -> list[Outcome]:
            own = [pair for pair in planned if len(pair[0]) == 1]
            try:
                looked = self.look(
                    own, listed={key: listed[key] for key, _ in own if key in listed} if listed else None
                )
            except LocationError as error:
                if error.code != "throttled":
                    raise
                return [Outcome(key, OutcomeWord.FAILED, "throttled") for key, _ in planned]
            found = [one for one in looked if isinstance(one, Entry)]
            outcomes = {one.key: one for one in looked if isinstance(one, Outcome)}
            if found:
                outcomes |= {outcome.key: outcome for outcome in change(found)}
            return [outcomes.get(key, Outcome(key, OutcomeWord.CHANGED)) for key, _ in planned]

        pairs = list(zip(batch.keys, versions, strict=True))
        return Outcomes.of(outcome for part in spread(work, shares(pairs)) for outcome in part)

    def _masked(self, entry: Entry, changes: Sequence[FieldChange]) -> dict[str, Any]:
        """Return the fields that a mask changes, as they are to be."""
        body = {}
        for change in changes:
            before = entry.item.value(change.column)
            after = mask_value(change.mask, before)
            if after != before:
                body[field_name(change.column, self.place.fields)] = after
        return body

    def _written(
        self,
        entries: Sequence[Entry],
        bodies: Sequence[Mapping[str, Any]],
        word: OutcomeWord,
        is_done: Callable[[Entry], bool],
    ) -> list[Outcome]:
        """Write fields, each on the condition that its record is what was read; never creates a record.

        Its new version is told by the answer, or read once more afterwards; where no answer came, it is read whether
        it was done.
        """
        tagged = [(entry, body) for entry, body in zip(entries, bodies, strict=True) if entry.list_etag]
        parts = [
            Part("PATCH", self.place.values(entry.key[0]), condition(entry.list_etag or ""), body)
            for entry, body in tagged
        ]
        answers = within_budget(lambda: send_parts(self.service, parts, weight=1), len(parts))
        outcomes = {entry.key: Outcome(entry.key, OutcomeWord.FAILED, "no-version") for entry in entries}
        unclear: list[tuple[Entry, Answer]] = []
        for (entry, _), answer in zip(tagged, answers, strict=True):
            outcomes[entry.key] = told(entry.key, answer, word)
            etag = content(answer).get("@odata.etag") if self.place.source.is_list else None
            if isinstance(etag, str):
                outcomes[entry.key] = Outcome(entry.key, word, version=etag)
            elif answer.status in _LOST or (answer.is_ok and word is OutcomeWord.ANONYMISED):
                unclear.append((entry, answer))
        after = self._read([entry.key for entry, _ in unclear]) if unclear else []
        for (entry, answer), seen in zip(unclear, after, strict=True):
            if seen.entry is not None and (answer.is_ok or is_done(seen.entry)):
                version = _successor(entry.version, seen.entry.version) if word is OutcomeWord.ANONYMISED else None
                outcomes[entry.key] = Outcome(entry.key, word, version=version)
        return [outcomes[entry.key] for entry in entries]


def _stays(key: Key, code: str) -> Outcome:
    return Outcome(key, OutcomeWord.HELD if code == RETENTION_LABEL else OutcomeWord.BLOCKED, code)


def _successor(before: str, after: str) -> str | None:
    """Return a record's version after a change of ours; None where somebody else may have changed it too.

    SharePoint counts versions up: one more is ours alone.
    """
    old, new = _VERSION.match(before), _VERSION.match(after)
    if old is None or new is None or (old[1], old[3]) != (new[1], new[3]):
        return None
    return after if int(new[2]) - int(old[2]) in {0, 1} else None
