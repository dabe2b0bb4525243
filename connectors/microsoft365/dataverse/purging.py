"""Purging: rows go only as they were planned, alone or with their companions.

Each is deleted with ``If-Match``, so that the service refuses one that was touched since; a row and its companions are
one change set: all of it, or nothing. Invariant: a row that another refers to that does not go stays. Between looking
for such rows and deleting lies a moment in which there may come a new one: where its relationship says Restrict the
service refuses then, where it says Cascade or RemoveLink it does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from connectors.microsoft365.answers import Answer
from connectors.microsoft365.dataverse.acting import ABSENT, CHANGED, PURGED, Act, Means, Name, id_of, verdict_of
from connectors.microsoft365.dataverse.batching import Part, Unit, send_units
from connectors.microsoft365.dataverse.bulk import bulk_delete, row_version
from connectors.microsoft365.dataverse.items import RowItem
from connectors.microsoft365.dataverse.relations import UNSEEN, referrers
from ropa.clock import calendar_day
from ropa.connector import Batch, Outcomes, OutcomeWord, Selection
from ropa.errors import LocationError


class Purge(Act):
    """One purge of a batch."""

    def __init__(self, means: Means, selection: Selection, batch: Batch) -> None:
        super().__init__(means, selection, batch)
        self._children: dict[Name, list[Name]] = defaultdict(list)
        for name, references in self.riders:
            for reference in references:
                self._children[reference.dataset, id_of(reference.key)].append(name)

    def run(self) -> Outcomes:
        """Delete what may go."""
        self.look()
        units = self._units()
        outside = self._referring(units)
        pending = {own: members for own, members in units.items() if own not in self.verdicts}
        gone: set[Name] = set()
        while pending:
            ready = {own: pending[own] for own in pending if all(names & gone for names in outside.get(own, ()))}
            if not ready:  # what refers to these does not go
                for own, members in pending.items():
                    self.settle(own, members, (OutcomeWord.BLOCKED, "referenced"))
                break
            self._delete(ready)
            gone |= {name for members in ready.values() for name in members if self.verdicts.get(name) == PURGED}
            pending = {own: members for own, members in pending.items() if own not in ready}
        return self.tell(self._remains(gone))

    def _units(self) -> dict[Name, list[Name]]:
        """Return each record of the batch with what goes together with it: those first, the deepest descendants before
        all. What cannot go is settled."""
        if not self.riders:
            return {own: [own] for own in self.own}
        units: dict[Name, list[Name]] = {}
        taken: set[Name] = set()
        order = {name: place for place, (name, _) in enumerate(self.riders)}
        for own in dict.fromkeys(self.own):
            riders = sorted((name for name in self._with(own) if name not in taken), key=order.__getitem__)
            taken.update(riders)
            members = [*riders, own]
            units[own] = [name for name in members if self.verdicts.get(name) != ABSENT]
            verdict = self.verdicts.get(own)
            troubles = [found for name in riders if (found := self.verdicts.get(name)) not in {None, ABSENT}]
            if verdict is not None:
                self.settle(own, members, (OutcomeWord.BLOCKED, f"parent-{verdict[0]}"))
            elif troubles and troubles[0] is not None:
                self.settle(own, members, (OutcomeWord.BLOCKED, f"child-{troubles[0][0]}"))
        return units

    def _with(self, name: Name) -> list[Name]:
        """Return the companions that go with a record, whatever their depth."""
        found: dict[Name, None] = {}
        waiting = [name]
        while waiting:
            for child in self._children.get(waiting.pop(), ()):
                if child not in found and child != name:
                    found[child] = None
                    waiting.append(child)
        return list(found)

    def _referring(self, units: dict[Name, list[Name]]) -> dict[Name, list[frozenset[Name]]]:
        """Return what refers to the members of each unit from outside: for each such row, the names it may go by."""
        outside: dict[Name, list[frozenset[Name]]] = defaultdict(list)
        asked: dict[str, list[str]] = defaultdict(list)
        for own, members in units.items():
            for dataset, key in members if own not in self.verdicts else ():
                asked[dataset].append(key)
        told = {
            dataset: referrers(self.means.layout, self.means.layout.declared(dataset), self.means.reader, keys)
            for dataset, keys in asked.items()
        }
        heard = {dataset for dataset, found in told.items() if found.unseen or found.by_parent}
        for own, members in units.items() if heard else ():
            if own in self.verdicts:
                continue
            for dataset, key in members:
                if told[dataset].unseen:
                    self.settle(own, members, (OutcomeWord.BLOCKED, UNSEEN))
                outside[own] += told[dataset].outside(key, members)
        return outside

    def _delete(self, units: dict[Name, list[Name]]) -> None:
        alone = [own for own, members in units.items() if len(members) == 1]
        if self._is_bulk(alone):
            head = self.declared.entity.head
            tags = {key: self.tags[dataset, key] for dataset, key in alone}
            for key, verdict in bulk_delete(self.means.reader, head, tags, self.means.settings).items():
                self.verdicts[self.declared.name, key] = verdict
            units = {own: members for own, members in units.items() if len(members) > 1}
        paths = {name[0]: self._path(name[0]) for members in units.values() for name in members}
        asked: list[Unit] = [
            tuple([Part("DELETE", f"{paths[name[0]]}({name[1]})", {"If-Match": self.tags[name]}) for name in members])
            for members in units.values()
        ]
        settings = self.means.settings
        told = send_units(self.means.reader.service, asked, size=settings.parts_per_batch, at_once=settings.at_once)
        unsure: list[Name] = []
        for (own, members), answers in zip(units.items(), told, strict=True):
            if all(answer.is_ok for answer in answers):
                self.verdicts.update(dict.fromkeys(members, PURGED))
            elif len(members) == 1 and answers[0].status:
                self.verdicts[own] = verdict_of(answers[0])
            else:
                unsure += members
        if unsure:
            self._ask(units, dict(zip(units, told, strict=True)), unsure)

    def _is_bulk(self, names: Sequence[Name]) -> bool:
        over = self.means.settings.bulk_delete_over
        return over is not None and len(names) > over and all(row_version(self.tags[name]) for name in names)

    def _path(self, dataset: str) -> str:
        return self.means.layout.declared(dataset).entity.head.path

    def _ask(self, units: dict[Name, list[Name]], told: dict[Name, list[Answer]], unsure: Sequence[Name]) -> None:
        """Settle what got no answer, and change sets that were not carried out, by looking what is there."""
        tags = self._read_tags(unsure)
        for own, members in units.items():
            if own not in tags:
                continue
            for name in members:
                if tags[name] is None:
                    self.verdicts[name] = PURGED if told[own][0].status == 0 else ABSENT
                elif tags[name] != self.tags[name]:
                    self.verdicts[name] = CHANGED
            answer = told[own][0]
            rest = verdict_of(answer) if answer.status else (OutcomeWord.FAILED, "no-answer")
            troubles = [self.verdicts[name] for name in members if name in self.verdicts]
            if len(members) > 1 and troubles and troubles[0] != PURGED:
                rest = (OutcomeWord.BLOCKED, f"child-{troubles[0][0]}")
            self.settle(own, members, rest)

    def _read_tags(self, names: Sequence[Name]) -> dict[Name, str | None]:
        """Return the entity tag that each record has now, None for one that is not there."""
        found: dict[Name, str | None] = dict.fromkeys(names)
        for dataset in sorted({dataset for dataset, _ in names}):
            declared = self.means.layout.declared(dataset)
            keys = [key for other, key in names if other == dataset]
            rows = self.means.reader.by_keys(declared.entity.head.path, declared.key, (declared.key,), keys)
            found.update({(dataset, key): RowItem(declared, row).version for key, row in rows.items()})
        return found

    def _remains(self, gone: set[Name]) -> dict[Name, date]:
        """Return until when records that were deleted can be brought back, and delete what else would keep them."""
        means = self.means
        today = calendar_day(self.selection.now, self.selection.zone)
        found: dict[Name, date] = {}
        for dataset in sorted({dataset for dataset, _ in gone}):
            head = means.layout.declared(dataset).entity.head
            keys = sorted(key for other, key in gone if other == dataset)
            until = means.bin.until(head, today)
            if until is not None:
                kept = set(keys)
                if means.settings.purge_recycle_bin:
                    try:
                        kept = means.bin.empty(head, keys)
                    except LocationError:  # what cannot be asked may still be there
                        kept = set(keys)
                found.update({(dataset, key): until for key in kept})
            means.history.delete(head, keys)
        return found
