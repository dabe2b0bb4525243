"""Adherence: for each activity, data category and place, what was due, what was done, and what stands in the way.

Answered from the run tables alone: what plans found and what became of it. An intention is never counted as a deed: a
rule that no plan has looked at is ``never-scanned``, a period that nothing enforces is ``documented-only``.

Invariant: every category that an activity declares, and every one that its rules name, has at least one row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from ropa.config.models import Config, Rule
from ropa.connector import Action
from ropa.sweep.nights import Gap, Nights, gaps
from ropa.sweep.standing import NONE_COUNTED, Counts, Standing, State, documented_places, standings

if TYPE_CHECKING:
    from ropa.register import Register
    from ropa.retention import Target

GAPS_TOLD = 5

_Part = TypeVar("_Part")

_RANK = {state: rank for rank, state in enumerate(State)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adherence:
    """One cell: an activity's data category in one dataset."""

    activity: str
    category: str
    location: str | None
    dataset: str | None
    """The part after the dot; None, like ``location``, where no dataset holds the category."""
    state: State
    rules: tuple[str, ...] = ()
    """The activity's own rules for it."""
    also_needed_by: tuple[str, ...] = ()
    """Rules of other purposes for the same datum: with a rule of its own, it goes when the last of them ends (design
    4.4); with none, they alone decide."""
    goes_with: str | None = None
    """Full dataset of the records that these go with, where they have no rule of their own."""
    counts: Counts = NONE_COUNTED
    stopped_by: str | None = None
    worst_late_days: int = 0
    targets: tuple[str, ...] = ()
    """``Standing.identity`` of what the numbers come from."""
    plan: int | None = None
    as_of: date | None = None
    """Of several scans the one longest ago, as are ``plan``, ``scanned_at``, ``scanned_by`` and
    ``register_revision``."""
    scanned_at: datetime | None = None
    scanned_by: str | None = None
    """The run that made ``plan``."""
    register_revision: int | None = None
    last_run: str | None = None
    """The last run that carried anything out."""
    missed_nights: int = 0
    """Nights, since a sweep first planned it, on which it was not enforced: no sweep ran, or none got to it."""
    gaps: tuple[Gap, ...] = ()
    """When those were: the newest ``GAPS_TOLD``, the newest first."""


def _measured(cell: Adherence, stands: Sequence[Standing], nights: Collection[date]) -> Adherence:
    """Return the cell with what its targets found and did; ``nights``: those that one of them missed."""
    scanned = [(stand.as_of, stand.plan, stand) for stand in stands if stand.as_of is not None]
    oldest = min(scanned, key=lambda found: found[:2])[2] if scanned else None
    acted = [(stand.last_run_at, stand.last_run) for stand in stands if stand.last_run_at is not None]
    return replace(
        cell,
        state=min((stand.state for stand in stands), key=_RANK.__getitem__),
        counts=_sum(stand.counts for stand in stands),
        stopped_by=next((stand.stopped_by for stand in stands if stand.stopped_by), None),
        worst_late_days=max(stand.worst_late_days for stand in stands),
        targets=tuple(stand.identity for stand in stands),
        plan=oldest.plan if oldest else None,
        as_of=oldest.as_of if oldest else None,
        scanned_at=oldest.scanned_at if oldest else None,
        scanned_by=oldest.scanned_by if oldest else None,
        register_revision=oldest.register_revision if oldest else None,
        last_run=max(acted)[1] if acted else None,
        missed_nights=len(nights),
        gaps=gaps(nights)[:GAPS_TOLD],
    )


def _sum(parts: Iterable[Counts]) -> Counts:
    chosen = list(parts)
    return Counts(**{f.name: sum(getattr(part, f.name) for part in chosen) for f in fields(Counts)})


def adherence(
    source: Session | Engine,
    config: Config,
    targets: Sequence[Target],
    register: Register,
    *,
    today: date | None = None,
    documented: Collection[str] | None = None,
) -> list[Adherence]:
    """Return one row per activity, data category and dataset, in the register's order, then the configuration's.

    ``today``: the day to which lateness and missed nights are counted; None: the day that the plan reasoned about, and
    no night is called missed. ``documented``: names of locations that nothing enforces; None: those of the ``manual``
    connector. Categories come
    from the register and from the rules, so that neither can hide one from the other.
    """
    if documented is None:
        documented = documented_places(config)
    stands = standings(source, config, targets, today=today, documented=documented)
    nights = None if today is None else Nights.read(source, zone=config.timezone, today=today)
    cells = _Cells(config, targets, stands, frozenset(documented), nights)
    found: list[Adherence] = []
    for key, activity in register.activities.items():
        ruled = (category for rule in cells.by_activity.get(key, ()) for category in rule.data)
        categories = dict.fromkeys([*activity.data, *ruled])
        for category in categories:
            found += cells.of(key, category)
    return found


class _Cells:
    """Where each category of an activity is, by which rules, and how that stands."""

    def __init__(
        self,
        config: Config,
        targets: Sequence[Target],
        stands: Sequence[Standing],
        documented: frozenset[str],
        nights: Nights | None,
    ) -> None:
        self.nights = nights
        self.missed: dict[tuple[str, ...], frozenset[date]] = {}
        self.documented = documented
        rules = config.rules.values()
        self.by_activity = _grouped((rule.activity, rule) for rule in rules)
        self.by_dataset = _grouped((rule.dataset, rule) for rule in rules)
        self.targets = _grouped((target.full_dataset, target) for target in targets)
        self.stands = _grouped((stand.full_dataset, stand) for stand in stands)
        self.datasets = {
            f"{location.name}.{name}": spec
            for location in config.locations.values()
            for name, spec in location.datasets.items()
        }
        self.order = {place: n for n, place in enumerate(self.datasets)}
        self.holding = _grouped((category, place) for place, spec in self.datasets.items() for category in spec.data)

    def of(self, activity: str, category: str) -> list[Adherence]:
        places = self._places(activity, category)
        if not places:
            return [Adherence(activity=activity, category=category, location=None, dataset=None, state=State.NO_PLACE)]
        return [self._cell(activity, category, place) for place in places]

    def _places(self, activity: str, category: str) -> list[str]:
        """The datasets that hold it for this activity; where the rules do not say, those that map it."""
        known = {rule.dataset for rule in self.by_activity.get(activity, ())}
        mapping = set(self.holding.get(category, ()))
        candidates = (known & self.datasets.keys()) | mapping
        governed = {place for place in candidates if self._rules(activity, category, place)[0]}
        orphaned = {place for place in mapping if not self._is_covered(category, place)}
        chosen = governed | (orphaned if not governed else orphaned & known)
        if not chosen:
            chosen = (mapping & known) or mapping
        return sorted(chosen, key=self.order.__getitem__)

    def _rules(self, activity: str, category: str, place: str) -> tuple[list[Rule], str | None]:
        """The activity's rules for a category in a dataset, and the dataset it goes with if they are its parent's."""
        rules = self.by_activity.get(activity, [])
        own = [rule for rule in rules if rule.dataset == place and category in rule.data]
        if own or category not in self.datasets[place].data:
            return own, None
        for parent in self._ancestors(place):
            theirs = [rule for rule in rules if rule.dataset == parent]
            if theirs:
                return theirs, parent
        return [], None

    def _ancestors(self, place: str) -> list[str]:
        location, found = place.partition(".")[0], [place]
        while (parent := self.datasets[found[-1]].parent) is not None and parent.with_parent:
            full = f"{location}.{parent.dataset}"
            if full in found or full not in self.datasets:
                break
            found.append(full)
        return found[1:]

    def _is_covered(self, category: str, place: str) -> bool:
        return any(category in rule.data for rule in self.by_dataset.get(place, ())) or any(
            parent in self.by_dataset for parent in self._ancestors(place)
        )

    def _cell(self, activity: str, category: str, place: str) -> Adherence:
        location, _, dataset = place.partition(".")
        rules, goes_with = self._rules(activity, category, place)
        names = tuple(rule.name for rule in rules)
        stands = [stand for stand in self.stands.get(place, ()) if self._concerns(stand, category, names)]
        bare = Adherence(
            activity=activity, category=category, location=location, dataset=dataset, state=State.DOCUMENTED_ONLY
        )
        if not rules or (goes_with and not stands and location not in self.documented):
            # Children whose parents are only flagged or anonymised stay: nothing will ever make them go.
            every = self.by_dataset.get(place, ())
            others = tuple(rule.name for rule in every if rule.activity != activity and category in rule.data)
            return replace(bare, state=State.NO_RULE, also_needed_by=others)
        ruled = replace(
            bare, rules=names, goes_with=goes_with, also_needed_by=self._also_needed_by(activity, category, place)
        )
        is_enforced = location not in self.documented and any(
            rule.action is not Action.KEEP and not rule.period.is_sub_day for rule in rules
        )
        # Without a target nothing is ever due here: another purpose's `keep` covers the same data.
        return _measured(ruled, stands, self._missed(stands)) if is_enforced and stands else ruled

    def _missed(self, stands: Sequence[Standing]) -> frozenset[date]:
        """Nights that at least one of the targets missed."""
        identities = tuple(stand.identity for stand in stands)
        if self.nights is None:
            return frozenset()
        if identities not in self.missed:  # the categories of an activity have the same targets
            self.missed[identities] = frozenset[date]().union(*map(self.nights.missed, identities))
        return self.missed[identities]

    @staticmethod
    def _concerns(stand: Standing, category: str, rules: Sequence[str]) -> bool:
        is_here = "*" in stand.data or category in stand.data
        return is_here and any(rule in stand.rules for rule in rules)

    def _also_needed_by(self, activity: str, category: str, place: str) -> tuple[str, ...]:
        """Rules of other activities for the same datum that meet one of this activity's in a target, and every
        ``keep`` of another activity."""
        names: dict[str, None] = {}
        for target in self.targets.get(place, ()):
            if not any(rule.activity == activity for rule in target.rules):
                continue
            names |= {rule.name: None for rule in target.rules if rule.activity != activity and category in rule.data}
        for rule in self.by_dataset.get(place, ()):
            is_kept = rule.action is Action.KEEP and not rule.period.is_sub_day
            if is_kept and rule.activity != activity and category in rule.data:
                names[rule.name] = None
        return tuple(names)


def _grouped(pairs: Iterable[tuple[str, _Part]]) -> dict[str, list[_Part]]:
    found: dict[str, list[_Part]] = {}
    for key, part in pairs:
        found.setdefault(key, []).append(part)
    return found
