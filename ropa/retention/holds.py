"""Holds: what may not be disposed of, whatever the rules say.

Invariants: a hold covers what it names and everything that descends from it; a hold that was placed stays in force
until it is released, also after its review date; in doubt more is held, never less. Restriction (GDPR art. 18) is a
hold.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, get_args
from uuid import UUID

from ropa.config.models import Config
from ropa.connector import Key, Spare, normalise_identifier
from ropa.retention.targets import Target

HoldKind = Literal["record", "subject", "dataset", "location", "activity"]

REASON_CODES = (
    "litigation",
    "investigation",
    "authority-request",
    "legal-obligation",
    "restriction",
    "objection",
    "other",
)


@dataclass(frozen=True, slots=True)
class Hold:
    """A dated, reasoned order that suspends disposal. Raises ValueError where it does not say what it holds."""

    id: str
    kind: HoldKind
    reason: str
    """One of REASON_CODES."""
    by: str
    since: datetime
    review_on: date | None
    target: str
    """``location.dataset`` (record, dataset), location, activity, or the subject's identifier (in any spelling)."""
    key: Key | None = None
    """Of a record."""
    is_active: bool = True
    """False once it is released; nothing else ends it."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(HoldKind) or self.reason not in REASON_CODES:
            msg = f"hold {self.id}: unknown kind or reason code"
            raise ValueError(msg)
        if not normalise_identifier(self.target) or (self.kind == "record") != bool(self.key):
            msg = f"hold {self.id}: it does not say what it holds"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What active holds come to. The values are ids of holds, in the order in which they were given."""

    datasets: Mapping[str, tuple[str, ...]]
    """``location.dataset`` of which every record is held."""
    rules: Mapping[str, tuple[str, ...]]
    """Rules of activities that are held: no target that rests on one of them may be carried out."""
    touched: Mapping[str, tuple[str, ...]]
    """``location.dataset`` in which a held activity has a rule."""
    spares: Mapping[str, Spare]
    """Per location of the configuration: the single records and the persons that must be left alone."""
    unresolved: tuple[str, ...]
    """Holds that name a place or activity that the configuration does not know (renamed?): a finding. Where at least
    the location is known, all of it is held meanwhile."""

    def holders(self, target: Target) -> tuple[str, ...]:
        """Return the holds under which nothing of a target may happen; empty: only ``spare`` counts."""
        lists = [self.datasets.get(target.full_dataset, ()), *(self.rules.get(r.name, ()) for r in target.rules)]
        return _merged(lists)

    def companion_holders(self, dataset: str) -> tuple[str, ...]:
        """Return the holds under which no record of ``location.dataset`` may go along with its parent."""
        return _merged([self.datasets.get(dataset, ()), self.touched.get(dataset, ())])

    def spare(self, location: str) -> Spare:
        """Return what a selection at a location must spare. Raises KeyError for a location that is not configured."""
        return self.spares[location]


def covering(holds: Iterable[Hold], config: Config, references: Mapping[str, Collection[str]]) -> Coverage:
    """Return what the active ones of these holds cover.

    ``references``: ``location.dataset`` to the datasets (same spelling) that its records refer to, as the catalogues
    have it, also by way of what is not declared; the parents of the configuration are added to it, and that datasets
    over one source have the same records.
    """
    children = _children(config, references)
    datasets: dict[str, list[str]] = {}
    rules: dict[str, list[str]] = {}
    touched: dict[str, list[str]] = {}
    keys: dict[str, dict[str, set[Key]]] = {name: {} for name in config.locations}
    subjects: set[str] = set()
    unresolved: list[str] = []
    for hold in holds:
        if not hold.is_active:
            continue
        wholly: set[str] = set()
        location, _, name = hold.target.partition(".")
        if hold.kind == "subject":
            subjects.add(normalise_identifier(hold.target))
        elif hold.kind == "activity":
            named = [rule for rule in config.rules.values() if rule.activity == hold.target]
            for rule in named:
                rules.setdefault(rule.name, []).append(hold.id)
            for dataset in dict.fromkeys(rule.dataset for rule in named):
                touched.setdefault(dataset, []).append(hold.id)
                wholly |= _descendants(dataset, children)
            if not named:
                unresolved.append(hold.id)
        elif hold.kind == "location" and hold.target in config.locations:
            wholly = _with_descendants(_datasets_of(config, hold.target), children)
        elif hold.kind != "location" and location in config.locations and name in config.locations[location].datasets:
            if hold.key is None:
                wholly = _with_descendants([hold.target], children)
            else:
                keys[location].setdefault(name, set()).update(_spellings(hold.key))
        else:
            unresolved.append(hold.id)
            if location in config.locations:
                wholly = _with_descendants(_datasets_of(config, location), children)
        for dataset in sorted(wholly):
            datasets.setdefault(dataset, []).append(hold.id)
    spares = {
        location: Spare({name: frozenset(found) for name, found in by_dataset.items()}, frozenset(subjects))
        for location, by_dataset in keys.items()
    }
    return Coverage(_frozen(datasets), _frozen(rules), _frozen(touched), spares, tuple(unresolved))


def is_overdue_for_review(hold: Hold, today: date) -> bool:
    """Tell whether a hold should have been looked at again: a finding, and never its end."""
    return hold.is_active and hold.review_on is not None and hold.review_on < today


def _datasets_of(config: Config, location: str) -> list[str]:
    return [f"{location}.{name}" for name in config.locations[location].datasets]


def _children(config: Config, references: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    children: dict[str, set[str]] = {}
    for child, parents in references.items():
        for parent in parents:
            children.setdefault(parent, set()).add(child)
    for location in config.locations.values():
        for spec in location.datasets.values():
            if spec.parent:
                parent = f"{location.name}.{spec.parent.dataset.removeprefix(f'{location.name}.')}"
                children.setdefault(parent, set()).add(f"{location.name}.{spec.name}")
        over: dict[str, set[str]] = {}
        for spec in location.datasets.values():
            over.setdefault(spec.source.casefold(), set()).add(f"{location.name}.{spec.name}")
        for names in over.values():
            for name in names:
                if others := names - {name}:
                    children.setdefault(name, set()).update(others)
    return children


def _descendants(dataset: str, children: Mapping[str, set[str]]) -> set[str]:
    """Return the datasets below one; itself among them where its records refer to each other."""
    found: set[str] = set()
    waiting = [dataset]
    while waiting:
        new = children.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _with_descendants(datasets: Iterable[str], children: Mapping[str, set[str]]) -> set[str]:
    named = set(datasets)
    return named.union(*(_descendants(dataset, children) for dataset in named))


def _spellings(key: Key) -> set[Key]:
    """Return a key as it was typed and as the source may spell it: one record too many is better than one too few."""
    return {
        key,
        tuple(part.strip() for part in key),
        tuple(unicodedata.normalize("NFC", part.strip()) for part in key),
        tuple(unicodedata.normalize("NFD", part.strip()) for part in key),
        tuple(_canonical(part) for part in key),
    }


def _canonical(part: str) -> str:
    plain = normalise_identifier(part)
    if plain.isascii() and plain.isdigit():
        return plain.lstrip("0") or "0"
    bare = plain.replace("-", "")
    try:
        is_guid = len(bare) == 32 and len(plain) in {32, 36}
        return str(UUID(hex=bare)) if is_guid else part.strip()
    except ValueError:
        return part.strip()


def _merged(lists: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hold for found in lists for hold in found))


def _frozen(lists: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(dict.fromkeys(ids)) for name, ids in lists.items()}
