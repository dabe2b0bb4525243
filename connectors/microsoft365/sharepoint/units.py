"""List items that go together with the items of other lists that belong to them (``with_parent``).

Invariant: a record and its companions are looked at together, and none of them is touched unless all of them may go and
nothing outside names any of them. SharePoint has no transaction over items, so children go first: where one of them
does not, its parent stays, and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from connectors.microsoft365.sharepoint.acting import Act
from connectors.microsoft365.sharepoint.reading import shares, spread
from connectors.microsoft365.sharepoint.removal import Removal
from connectors.microsoft365.sharepoint.table import Entry
from ropa.connector import Batch, Found, Key, Outcome, Outcomes, OutcomeWord, Reference

Name = tuple[str, Key]
"""Dataset and key."""
_GONE = frozenset({OutcomeWord.PURGED, OutcomeWord.RECOVERABLE, OutcomeWord.ABSENT})


@dataclass(frozen=True, slots=True)
class Part:
    """What acts on one dataset, and how its records go."""

    act: Act
    removal: Removal
    naming: Mapping[str, Collection[tuple[str, str]]]
    """By item, the items that name it, each as (list, number)."""


class Units:
    """One batch with companions. ``part``: what acts on a dataset, by its name and the numbers of its items."""

    def __init__(self, batch: Batch, part: Callable[[str, frozenset[str]], Part]) -> None:
        self._batch = batch
        self._companions = list(_flatten(batch))
        numbers: dict[str, set[str]] = {batch.dataset: {key[0] for key in batch.keys}}
        for name, companion in self._companions:
            numbers.setdefault(name, set()).add(companion.key[0])
        self._parts = {name: part(name, frozenset(own)) for name, own in numbers.items()}
        self._children: dict[Reference, list[Name]] = defaultdict(list)
        for name, companion in self._companions:
            for reference in companion.refers_to:
                self._children[reference].append((name, companion.key))
        self._entries: dict[Name, Entry] = {}
        self._outcomes: dict[Name, Outcome] = {}

    def purge(self) -> Outcomes:
        """Remove what may go, deepest first; the batch's own outcomes in their order, then each companion's."""
        self._look()
        units: dict[Name, list[list[Name]]] = {}
        taken: set[Name] = set()
        for key in self._batch.keys:
            own = (self._batch.dataset, key)
            if own not in taken:
                levels = self._levels(own, taken)
                taken.update(name for level in levels for name in level)
                if self._may_go(levels):
                    units[own] = levels
        deepest = max((len(levels) for levels in units.values()), default=0)
        for depth in range(deepest - 1, -1, -1):
            due = [levels for levels in units.values() if depth < len(levels)]
            self._remove([name for levels in due for name in levels[depth] if self._is_free(levels[depth + 1 :])])
            for levels in due:
                self._block([name for name in levels[depth] if not self._is_free(levels[depth + 1 :])], "child-stays")
        return Outcomes.of(self._told())

    def _look(self) -> None:
        planned: dict[str, list[tuple[Key, str]]] = defaultdict(list)
        for found in self._batch.records:
            planned[self._batch.dataset].append((found.key, found.version))
        for name, companion in self._companions:
            planned[name].append((companion.key, companion.version))
        for name, pairs in planned.items():
            act, is_own = self._parts[name].act, name == self._batch.dataset
            looked = spread(lambda own, act=act, is_own=is_own: act.look(own, is_own=is_own), shares(pairs))  # type: ignore[misc]
            for one in (one for part in looked for one in part):
                if isinstance(one, Entry):
                    self._entries[name, one.key] = one
                else:
                    self._outcomes[name, one.key] = one

    def _levels(self, own: Name, taken: set[Name]) -> list[list[Name]]:
        """Return a record, those that belong to it, those that belong to these …, each at its greatest depth."""
        depth, waiting = {own: 0}, [own]
        while waiting:
            name = waiting.pop()
            for child in self._children.get(Reference(*name), ()):
                if child not in taken and child != own and depth.get(child, 0) <= depth[name] < len(self._companions):
                    depth[child] = depth[name] + 1
                    waiting.append(child)
        levels: list[list[Name]] = [[] for _ in range(max(depth.values()) + 1)]
        for name, level in depth.items():
            levels[level].append(name)
        return levels

    def _may_go(self, levels: list[list[Name]]) -> bool:
        """Tell whether a unit may go; where not, say of each of its records why it stays."""
        names = [name for level in levels for name in level]
        own = self._outcomes.get(names[0])
        trouble = [self._outcomes[name] for name in names if name in self._outcomes]
        trouble = [outcome for outcome in trouble if outcome.word is not OutcomeWord.ABSENT]
        code = None
        if own is not None:
            code = f"parent-{own.word}"
        elif trouble:
            code = f"child-{trouble[0].word}"
        elif self._is_named_outside(names):
            code = "referenced"
        if code is not None:
            self._block(names, code)
        return code is None

    def _is_named_outside(self, names: list[Name]) -> bool:
        within = {(self._parts[dataset].act.place.id, key[0]) for dataset, key in names}
        return any(
            child not in within
            for dataset, key in names
            if (dataset, key) in self._entries
            for child in self._parts[dataset].naming.get(key[0], ())
        )

    def _is_free(self, below: list[list[Name]]) -> bool:
        return all(self._outcomes[name].word in _GONE for level in below for name in level)

    def _remove(self, names: list[Name]) -> None:
        by_dataset: dict[str, list[Entry]] = defaultdict(list)
        for name in names:
            if name not in self._outcomes:
                by_dataset[name[0]].append(self._entries[name])
        for dataset, entries in by_dataset.items():
            for outcomes in spread(self._parts[dataset].removal.remove, shares(entries)):
                self._outcomes |= {(dataset, outcome.key): outcome for outcome in outcomes}

    def _block(self, names: list[Name], code: str) -> None:
        for name in names:
            self._outcomes.setdefault(name, Outcome(name[1], OutcomeWord.BLOCKED, code))

    def _told(self) -> Iterator[Outcome]:
        for key in self._batch.keys:
            yield self._outcomes[self._batch.dataset, key]
        for name, companion in self._companions:
            found = self._outcomes.get((name, companion.key))
            word, code, until = (found.word, found.code, found.until) if found is not None else _UNKNOWN
            yield Outcome(companion.key, word, code, until=until, dataset=name)


_UNKNOWN = (OutcomeWord.BLOCKED, "parent-unknown", None)


def _flatten(batch: Batch) -> Iterator[tuple[str, Found]]:
    """Yield every companion of a batch with its dataset, in the order of the list."""
    for companion in batch.companions:
        yield from ((companion.dataset, record) for record in companion.records)
        yield from _flatten(companion)
