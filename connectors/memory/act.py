"""How rows in memory go: one call of ``act``, from the batch to its outcomes.

A record and its companions are a unit. Invariant: a unit is removed only when each of its members is unchanged and not
held, the record is still selected, and nothing outside the unit refers to any of them; else none of it is. Whatever
happens, there is one outcome per record, and only what was found fit to go is taken out of its table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Mapping

from connectors.evaluate import Judge, holds_something
from connectors.masks import mask_value
from connectors.memory.tables import Row, TableItem, View
from ropa.connector import Batch, Found, Key, Outcome, OutcomeWord, Reference

_Name = tuple[str, Key]
"""Dataset and key."""
_Verdict = tuple[OutcomeWord, str | None]
_ABSENT: _Verdict = (OutcomeWord.ABSENT, None)


class Act:
    """One call of ``act`` over the tables as they stand."""

    def __init__(
        self,
        view: View,
        judge: Judge,
        batch: Batch,
        hindrance: Callable[[Found, Row], _Verdict | None],
        lies: Container[Key],
    ) -> None:
        self._view = view
        self._judge = judge
        self._batch = batch
        self._hindrance = hindrance
        self._lies = lies
        self._companions = _flatten(batch)
        self._children: dict[Reference, list[_Name]] = defaultdict(list)
        for name, companion in self._companions:
            for reference in companion.refers_to:
                self._children[reference].append((name, companion.key))
        self._by_name = {(name, companion.key): companion for name, companion in self._companions}
        self._items = {name: view.by_key(name) for name in {batch.dataset, *(name for name, _ in self._companions)}}

    def purge(self) -> list[Outcome]:
        """Remove what may go; the tables change at the end, also when something else breaks off in between."""
        verdicts: dict[_Name, _Verdict] = {}
        try:
            for found in self._batch.records:
                if (self._batch.dataset, found.key) not in verdicts:
                    verdicts.update(self._purge_unit(found, taken=verdicts))
        finally:
            self._view.remove()
        return self._tell(verdicts)

    def anonymise(self) -> list[Outcome]:
        """Change the fields of what is still selected, unchanged and not held."""
        verdicts: dict[_Name, _Verdict] = {}
        for found in self._batch.records:
            verdict = self._check(self._batch.dataset, found, is_own=True)
            if verdict is None:
                row = self._items[self._batch.dataset][found.key].row
                for change in self._judge.selection.fields:
                    row[change.column] = mask_value(change.mask, row.get(change.column))
                verdict = (OutcomeWord.ANONYMISED, None)
            verdicts[self._batch.dataset, found.key] = verdict
        return self._tell(verdicts)

    def refuse(self) -> list[Outcome]:
        """Do nothing."""
        return self._tell({}, (OutcomeWord.REFUSED, None))

    def _purge_unit(self, found: Found, taken: Mapping[_Name, _Verdict]) -> dict[_Name, _Verdict]:
        own = (self._batch.dataset, found.key)
        members = [own, *(name for name in self._with(own) if name not in taken)]
        verdicts = {name: self._check(name[0], self._by_name[name]) for name in members[1:]}
        verdicts[own] = self._check(own[0], found, is_own=True)
        rows = {name: self._items[name[0]][name[1]].row for name in members if verdicts[name] != _ABSENT}
        trouble = [verdict for verdict in verdicts.values() if verdict not in {None, _ABSENT}]
        own_verdict = verdicts[own]
        rest: _Verdict
        if own_verdict is not None:
            rest = (OutcomeWord.BLOCKED, f"parent-{own_verdict[0]}")
        elif trouble and trouble[0] is not None:
            rest = (OutcomeWord.BLOCKED, f"child-{trouble[0][0]}")
        elif self._is_referred_to(rows):
            rest = (OutcomeWord.BLOCKED, "referenced")
        else:
            rest = (OutcomeWord.PURGED, None)
            self._view.mark_removed((name, row) for (name, key), row in rows.items() if key not in self._lies)
        return {name: verdict or rest for name, verdict in verdicts.items()}

    def _with(self, name: _Name) -> list[_Name]:
        """Return the companions that go with a record, whatever their depth."""
        found: dict[_Name, None] = {}
        waiting = [name]
        while waiting:
            for child in self._children.get(Reference(*waiting.pop()), ()):
                if child not in found and child != name:
                    found[child] = None
                    waiting.append(child)
        return list(found)

    def _is_referred_to(self, rows: Mapping[_Name, Row]) -> bool:
        going = {id(row) for row in rows.values()}
        referring = self._view.referring
        return any(id(other) not in going for (name, _), row in rows.items() for _, other in referring(name, row))

    def _check(self, dataset: str, found: Found, *, is_own: bool = False) -> _Verdict | None:
        """Return what keeps a record from being changed now. A companion goes by no dates of its own."""
        selection = self._judge.selection
        item: TableItem | None = self._items[dataset].get(found.key)
        if item is None or (selection.fields and not holds_something(selection.fields, item)):
            return _ABSENT
        if self._view.is_spared(selection.spare, dataset, item.row):
            return OutcomeWord.HELD, None
        if is_own and not self._judge.is_selected(item):
            return OutcomeWord.CHANGED, None
        return self._hindrance(found, item.row)

    def _tell(self, verdicts: Mapping[_Name, _Verdict], other: _Verdict | None = None) -> list[Outcome]:
        """Return one outcome per record: the batch's own, then the companions' as they are listed."""
        unknown = other or (OutcomeWord.BLOCKED, "parent-unknown")
        own = [(None, self._batch.dataset, found.key) for found in self._batch.records]
        companions = [(name, name, found.key) for name, found in self._companions]
        outcomes = []
        for told, dataset, key in [*own, *companions]:
            word, code = verdicts.get((dataset, key), unknown)
            outcomes.append(Outcome(key, word, code, dataset=told))
        return outcomes


def _flatten(batch: Batch) -> list[tuple[str, Found]]:
    """Return every companion of a batch, with its dataset, in the order of the list."""
    found = []
    for companion in batch.companions:
        found += [(companion.dataset, record) for record in companion.records]
        found += _flatten(companion)
    return found
