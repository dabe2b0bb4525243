"""The records of a batch and its companions, numbered, and how one that stays keeps others.

Invariant: one that stays keeps what it refers to, and keeps the companions that were to go with it; the reason spreads
until nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from connectors.sql.keys import Values, parse_keys, spell_key
from ropa.connector import Batch, Found, Key, OutcomeWord

if TYPE_CHECKING:
    from connectors.sql.layout import Declared, Layout

Verdict = tuple[OutcomeWord, str | None] | None
"""Why a record stays, as word and code; None: it goes."""


class Entry(NamedTuple):
    """One record of a batch."""

    dataset: str
    found: Found
    pos: int
    """The same for a record that is listed twice."""
    is_main: bool


@dataclass(frozen=True)
class Entries:
    """All records of a batch; ``all`` in the order of outcomes, ``by_dataset`` in the order in which they go."""

    all: tuple[Entry, ...]
    by_dataset: dict[str, dict[Key, int]]

    @classmethod
    def of(cls, batch: Batch, layout: Layout) -> Entries:
        """Number the records of a batch."""
        listed = [(batch.dataset, found, True) for found in batch.records]
        listed += [(part.dataset, found, False) for part in flat(batch.companions) for found in part.records]
        # Companions are listed deepest first, and go before what they refer to.
        names = dict.fromkeys([part.dataset for part in flat(batch.companions)])
        names.pop(batch.dataset, None)
        by_dataset: dict[str, dict[Key, int]] = {name: {} for name in [*names, batch.dataset]}
        for name in by_dataset:
            layout.declared(name)
        entries = [
            Entry(name, found, by_dataset[name].setdefault(found.key, pos), is_main)
            for pos, (name, found, is_main) in enumerate(listed)
        ]
        return cls(tuple(entries), by_dataset)

    def parsed(self, dataset: str, declared: Declared) -> list[tuple[int, Values]]:
        """Return the keys of a dataset as values, with their positions; those that no row can have are left out."""
        return parse_keys(((pos, key) for key, pos in self.by_dataset[dataset].items()), declared.kinds)

    def by_key(self, dataset: str, declared: Declared) -> dict[Key, int]:
        """Return the positions of a dataset's records by key, as the database spells it."""
        parsed = parse_keys(((pos, key) for key, pos in self.by_dataset[dataset].items()), declared.kinds)
        return {spell_key(values): pos for pos, values in parsed}

    def of_dataset(self, dataset: str) -> list[Entry]:
        """Return the records of one dataset."""
        if len(self.by_dataset) == 1:
            return list(self.all)
        return [entry for entry in self.all if entry.dataset == dataset]

    def has_companions_in(self, dataset: str) -> bool:
        """Tell whether some companions are of that dataset."""
        return any(entry.dataset == dataset and not entry.is_main for entry in self.all)


def flat(batches: Sequence[Batch]) -> list[Batch]:
    """Return companions with their own companions before them."""
    return [part for batch in batches for part in (*flat(batch.companions), batch)]


def companions_of(batch: Batch, records: Sequence[Found]) -> tuple[Batch, ...]:
    """Return the companions that go with some of the batch's records, down to the last descendant."""
    if len(records) == len(batch.records):
        return batch.companions
    parts = flat(batch.companions)
    going = {(batch.dataset, record.key) for record in records}
    grown = True
    while grown:
        more = {
            (part.dataset, found.key)
            for part in parts
            for found in part.records
            if any((reference.dataset, reference.key) in going for reference in found.refers_to)
        } - going
        going |= more
        grown = bool(more)
    kept = [
        Batch.of(part.dataset, tuple(found for found in part.records if (part.dataset, found.key) in going))
        for part in parts
    ]
    return tuple(part for part in kept if part.records)


def spread(
    entries: Entries,
    verdicts: dict[int, Verdict],
    references: Iterable[tuple[int, int | None]],
    present: set[int],
    referred_to: str,
) -> None:
    """Add to ``verdicts`` (of those that stay) every record that must stay because another does.

    ``references``: (record, the record that refers to it; None: one outside the batch). ``present``: those that exist.
    """
    referring: dict[int, set[int]] = {}
    waiting: list[int] = list(verdicts)

    def keep(pos: int, verdict: Verdict) -> None:
        if pos in present and pos not in verdicts:
            verdicts[pos] = verdict
            waiting.append(pos)

    for pos, other in references:
        if other is None:
            keep(pos, (OutcomeWord.BLOCKED, referred_to))
        elif other != pos:
            referring.setdefault(other, set()).add(pos)
    # A record that was selected itself goes in its own right, also where it is listed as a companion too.
    mains = {entry.pos for entry in entries.all if entry.is_main}
    parents: dict[int, set[int]] = {}
    for entry in entries.all:
        if entry.pos not in mains:
            named = {
                entries.by_dataset[reference.dataset].get(reference.key)
                for reference in entry.found.refers_to
                if reference.dataset in entries.by_dataset
            } - {None, entry.pos}
            parents.setdefault(entry.pos, set()).update(pos for pos in named if pos is not None)
    companions: dict[int, set[int]] = {}
    for pos, above in parents.items():
        for parent in above:
            companions.setdefault(parent, set()).add(pos)
        if not above:
            keep(pos, (OutcomeWord.CHANGED, None))
    while waiting:
        pos = waiting.pop()
        verdict = verdicts[pos]
        is_there = pos in present
        for parent in referring.get(pos, ()) if is_there else ():
            keep(parent, (OutcomeWord.BLOCKED, referred_to))
        for companion in companions.get(pos, ()):
            # A parent that is gone already leaves nothing to go with.
            keep(companion, verdict if is_there else (OutcomeWord.CHANGED, None))
