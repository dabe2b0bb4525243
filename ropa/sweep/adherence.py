"""Adherence: for each activity, data category and place, what was due, what was done, and what stands in the way.

Answered from the run tables alone: what plans found and what became of it. An intention is never counted as a deed: a
rule that no plan has looked at is ``never-scanned``, a period that nothing enforces is ``documented-only``.

Invariant: for every standing, ``due`` is the sum of done, flagged, waiting, held, blocked, changed, refused, failed and
unverified; every category that an activity declares, and every one that its rules name, has at least one row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from ropa.config.models import Config, Rule
from ropa.connector import Action
from ropa.sweep.tables import BatchRow, PlanRow, RunRow, TargetRow

if TYPE_CHECKING:
    from ropa.register import Register
    from ropa.retention import Target

PATIENCE_DAYS = 7
"""How long what is due may wait for a person before it is called overdue: as long as an approval is valid by
default."""

DONE = ("purged", "anonymised", "recoverable", "absent")
"""Outcomes after which the datum is gone; ``absent``: it was gone already. ``recoverable`` is told apart as well."""

FELL_SHORT = ("refused", "failed", "unverified")
"""Outcomes of an attempt that did not succeed."""

ACTING_MODES = ("apply", "sweep")

NOT_APPROVED = "not-approved"
"""``TargetRow.refused_by`` of what a run passed over because nobody had approved it."""


class State(StrEnum):
    """Whether a rule is adhered to in one place, worst first."""

    STOPPED = "stopped"
    """A safety rule (a cap, a clock, a place that cannot be read) stopped it."""
    OVERDUE = "overdue"
    """Past its period and still there: it failed, was refused, could not be verified, or waited too long."""
    BLOCKED = "blocked"
    """Other records refer to what is due; it cannot go."""
    NO_RULE = "no-rule"
    """Stored, and no rule says how long."""
    NO_PLACE = "no-place"
    """Declared in the register, and no dataset holds it."""
    NEVER_SCANNED = "never-scanned"
    """No plan has looked at it."""
    WAITING = "waiting"
    """Due, planned, and not yet carried out; or flagged, and for a person to decide."""
    HELD = "held"
    """Due, and kept by a legal hold."""
    DOCUMENTED_ONLY = "documented-only"
    """The period is written down; nothing enforces it (``keep``, a period under a day, a place without enforcement)."""
    ENFORCED = "enforced"
    """Everything that was due is gone."""


_RANK = {state: rank for rank, state in enumerate(State)}
_CLOSED = frozenset({"rejected", "lapsed", "stale"})
"""Plans that will not be carried out any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Numbers of records. All but the totals are those of the newest plan that looked."""

    due: int = 0
    done: int = 0
    """Gone: purged, anonymised, recoverable for a while, or absent already."""
    waiting: int = 0
    """Planned, not yet carried out."""
    held: int = 0
    blocked: int = 0
    refused: int = 0
    failed: int = 0
    unverified: int = 0
    changed: int = 0
    """Changed between plan and act; looked at again by the next plan."""
    flagged: int = 0
    """Flagged for a person, now or before; still there."""
    recoverable: int = 0
    """Of ``done``: in a recycle bin for a while."""
    absent: int = 0
    """Of ``done``: gone before we came."""
    unanchored: int = 0
    """Not due because no date can be read; never part of ``due``."""
    done_total: int = 0
    """Gone over all plans."""
    done_last: int = 0
    """Gone in the last run that carried anything out."""

    @property
    def outstanding(self) -> int:
        """How many that are due are still there."""
        return self.due - self.done


def _sum(parts: Iterable[Counts]) -> Counts:
    chosen = list(parts)
    return Counts(**{f.name: sum(getattr(part, f.name) for part in chosen) for f in fields(Counts)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One target as its newest plan left it."""

    identity: str
    """``Target.identity``; of children that go with their parent, with ``>`` and the child's dataset behind it."""
    location: str
    dataset: str
    """The part after the dot."""
    scope: str
    data: tuple[str, ...]
    action: str
    rules: tuple[str, ...]
    state: State
    counts: Counts = Counts()
    population: int | None = None
    stopped_by: str | None = None
    blockers: tuple[tuple[str, int], ...] = ()
    """Reason and number of records."""
    worst_late_days: int = 0
    """At most so many days past its period is anything that is still there."""
    plan: int | None = None
    plan_state: str | None = None
    as_of: date | None = None
    scanned_at: datetime | None = None
    policy: str | None = None
    register_revision: int | None = None
    last_run: str | None = None
    """The last run that carried anything out here."""
    last_run_at: datetime | None = None

    @property
    def full_dataset(self) -> str:
        """``location.dataset``."""
        return f"{self.location}.{self.dataset}"


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
    counts: Counts = Counts()
    stopped_by: str | None = None
    worst_late_days: int = 0
    targets: tuple[str, ...] = ()
    """``Standing.identity`` of what the numbers come from."""
    plan: int | None = None
    as_of: date | None = None
    """Of several scans the one longest ago, as are ``plan``, ``scanned_at`` and ``register_revision``."""
    scanned_at: datetime | None = None
    register_revision: int | None = None
    last_run: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTarget:
    """What one run did in one target."""

    location: str
    dataset: str
    scope: str
    data: tuple[str, ...]
    action: str
    rules: tuple[str, ...]
    due: int = 0
    held: int = 0
    blocked: int = 0
    unanchored: int = 0
    planned: int = 0
    stopped_by: str | None = None
    outcomes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run with its totals."""

    id: str
    mode: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    policy: str
    register_revision: int
    plan: int | None = None
    code: str | None = None
    swept_on: date | None = None
    outcomes: tuple[tuple[str, int], ...] = ()
    targets: tuple[RunTarget, ...] = field(default=())

    @property
    def done(self) -> int:
        """How many records went."""
        return sum(count for word, count in self.outcomes if word in DONE)


@contextmanager
def _session(source: Session | Engine) -> Iterator[Session]:
    if isinstance(source, Session):
        yield source
    else:
        with Session(source) as session:
            yield session


# --- targets ------------------------------------------------------------------------------------------------------


def documented_places(config: Config) -> frozenset[str]:
    """Return the names of the locations where a person does the work: those of the ``manual`` connector."""
    return frozenset(name for name, location in config.locations.items() if location.connector == "manual")


def standings(
    source: Session | Engine,
    config: Config,
    targets: Sequence[Target],
    *,
    today: date | None = None,
    documented: Collection[str] | None = None,
) -> list[Standing]:
    """Return how each target stands, children that go with their parents after it, in the order of ``targets``.

    ``today``: the day to which lateness is counted; None: the day that the plan reasoned about. Forecasts and plans
    still being written do not count; of the others the one with the latest ``as_of`` speaks. ``documented``: names of
    locations that nothing enforces, left out here; None: those of the ``manual`` connector.
    """
    if documented is None:
        documented = documented_places(config)
    with _session(source) as session:
        plans = {
            plan.id: plan
            for plan in session.scalars(select(PlanRow))
            if plan.id is not None and not plan.is_forecast and plan.state != "writing"
        }
        rows: dict[str, list[TargetRow]] = {}
        for row in session.scalars(select(TargetRow).order_by(TargetRow.id)):  # type: ignore[arg-type]
            if row.plan_id in plans:
                rows.setdefault(row.identity, []).append(row)
        runs = {
            run.plan_id: run
            for run in session.scalars(select(RunRow).order_by(RunRow.started_at))  # type: ignore[arg-type]
            if run.mode in ACTING_MODES and run.plan_id is not None
        }
        found: list[Standing] = []
        for target in targets:
            if target.location in documented:
                continue
            for identity, dataset in [(target.identity, target.dataset), *_riders(config, target)]:
                history = sorted(rows.get(identity, []), key=lambda r: (plans[r.plan_id].as_of, r.plan_id))
                found.append(_standing(target, identity, dataset, history, plans, runs, today))
        return found


def _riders(config: Config, target: Target) -> list[tuple[str, str]]:
    if target.scope != "row" or target.action is not Action.PURGE:
        return []
    datasets = config.locations[target.location].datasets
    found: list[str] = []
    waiting = [target.dataset]
    while waiting:
        parent = waiting.pop(0)
        for name, spec in datasets.items():
            is_rider = spec.parent is not None and spec.parent.with_parent and spec.parent.dataset == parent
            if is_rider and name not in found and name != target.dataset:
                found.append(name)
                waiting.append(name)
    return [(f"{target.identity}>{name}", name) for name in found]


def _standing(
    target: Target,
    identity: str,
    dataset: str,
    history: Sequence[TargetRow],
    plans: Mapping[int, PlanRow],
    runs: Mapping[int | None, RunRow],
    today: date | None,
) -> Standing:
    rules = tuple(rule.name for rule in target.rules)
    data = tuple(target.data) if dataset == target.dataset else ("*",)
    common = {"identity": identity, "location": target.location, "dataset": dataset, "rules": rules, "data": data}
    if not history:
        return Standing(**common, scope=target.scope, action=str(target.action), state=State.NEVER_SCANNED)  # type: ignore[arg-type]
    row, plan = history[-1], plans[history[-1].plan_id]
    acted = [past for past in history if past.outcomes]
    counts = _counts(row, acted)
    late = 0
    if counts.outstanding and row.oldest_due_on is not None:
        late = max(0, ((today or plan.as_of) - row.oldest_due_on).days)
    run = runs.get(acted[-1].plan_id) if acted else None
    return Standing(
        **common,  # type: ignore[arg-type]
        scope=row.scope,
        action=row.action,
        state=_state(row, plan, counts, late),
        counts=counts,
        population=row.population,
        stopped_by=_stopped_by(row),
        blockers=tuple(sorted(row.blockers.items())),
        worst_late_days=late,
        plan=plan.id,
        plan_state=plan.state,
        as_of=plan.as_of,
        scanned_at=plan.created_at,
        policy=plan.policy,
        register_revision=plan.register_revision,
        last_run=run.id if run else None,
        last_run_at=(run.ended_at or run.started_at) if run else None,
    )


def _done(outcomes: Mapping[str, int]) -> int:
    return sum(outcomes.get(word, 0) for word in DONE)


def _counts(row: TargetRow, acted: Sequence[TargetRow]) -> Counts:
    became = row.outcomes
    return Counts(
        due=row.due + row.already_flagged,
        done=_done(became),
        waiting=max(0, row.records - sum(became.values())),
        held=row.held + became.get("held", 0),
        blocked=row.blocked + became.get("blocked", 0),
        refused=became.get("refused", 0),
        failed=became.get("failed", 0),
        unverified=became.get("unverified", 0),
        changed=became.get("changed", 0),
        flagged=became.get("flagged", 0) + row.already_flagged,
        recoverable=became.get("recoverable", 0),
        absent=became.get("absent", 0),
        unanchored=row.unanchored,
        done_total=sum(_done(past.outcomes) for past in acted),
        done_last=_done(acted[-1].outcomes) if acted else 0,
    )


def _stopped_by(row: TargetRow) -> str | None:
    """The safety rule that stopped it, in the plan or in the run; a missing approval is no safety rule but a wait."""
    refusal = row.refused_by if row.outcomes.get("refused") else None
    return row.stopped_by or (refusal if refusal != NOT_APPROVED else None)


def _state(row: TargetRow, plan: PlanRow, counts: Counts, late: int) -> State:
    if _stopped_by(row) is not None:
        return State.STOPPED
    if counts.failed or counts.unverified:
        return State.OVERDUE
    to_do = counts.waiting or counts.refused or counts.changed
    if to_do and (plan.state in _CLOSED or late > PATIENCE_DAYS):
        return State.OVERDUE
    if counts.blocked:
        return State.BLOCKED
    if to_do or counts.flagged:
        return State.WAITING
    return State.HELD if counts.held else State.ENFORCED


# --- cells --------------------------------------------------------------------------------------------------------


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

    ``documented``: names of locations that nothing enforces; None: those of the ``manual`` connector. Categories come
    from the register and from the rules, so that neither can hide one from the other.
    """
    if documented is None:
        documented = documented_places(config)
    stands = standings(source, config, targets, today=today, documented=documented)
    cells = _Cells(config, targets, stands, frozenset(documented))
    found: list[Adherence] = []
    for key, activity in register.activities.items():
        own = [rule for rule in config.rules.values() if rule.activity == key]
        categories = dict.fromkeys([*activity.data, *(category for rule in own for category in rule.data)])
        for category in categories:
            found += cells.of(key, category)
    return found


class _Cells:
    """Where each category of an activity is, by which rules, and how that stands."""

    def __init__(
        self, config: Config, targets: Sequence[Target], stands: Sequence[Standing], documented: frozenset[str]
    ) -> None:
        self.config = config
        self.targets = targets
        self.stands = stands
        self.documented = documented
        self.datasets = {
            f"{location.name}.{name}": spec
            for location in config.locations.values()
            for name, spec in location.datasets.items()
        }

    def of(self, activity: str, category: str) -> list[Adherence]:
        places = self._places(activity, category)
        if not places:
            return [Adherence(activity=activity, category=category, location=None, dataset=None, state=State.NO_PLACE)]
        return [self._cell(activity, category, place) for place in places]

    def _places(self, activity: str, category: str) -> list[str]:
        """The datasets that hold it for this activity; where the rules do not say, those that map it."""
        governed = {place for place in self.datasets if self._rules(activity, category, place)[0]}
        known = {rule.dataset for rule in self.config.rules.values() if rule.activity == activity}
        mapping = {place for place, spec in self.datasets.items() if category in spec.data}
        orphaned = {place for place in mapping if not self._is_covered(category, place)}
        chosen = governed | (orphaned if not governed else orphaned & known)
        if not chosen:
            chosen = (mapping & known) or mapping
        return [place for place in self.datasets if place in chosen]

    def _rules(self, activity: str, category: str, place: str) -> tuple[list[Rule], str | None]:
        """The activity's rules for a category in a dataset, and the dataset it goes with if they are its parent's."""
        rules = self.config.rules.values()
        own = [rule for rule in rules if rule.activity == activity and rule.dataset == place and category in rule.data]
        if own or category not in self.datasets[place].data:
            return own, None
        for parent in self._ancestors(place):
            theirs = [rule for rule in rules if rule.activity == activity and rule.dataset == parent]
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
        rules = self.config.rules.values()
        return any(rule.dataset == place and category in rule.data for rule in rules) or any(
            rule.dataset == parent for parent in self._ancestors(place) for rule in rules
        )

    def _cell(self, activity: str, category: str, place: str) -> Adherence:
        location, _, dataset = place.partition(".")
        rules, goes_with = self._rules(activity, category, place)
        names = tuple(rule.name for rule in rules)
        common = {"activity": activity, "category": category, "location": location, "dataset": dataset}
        stands = [stand for stand in self.stands if self._concerns(stand, category, place, names)]
        if not rules or (goes_with and not stands and location not in self.documented):
            # Children whose parents are only flagged or anonymised stay: nothing will ever make them go.
            others = tuple(
                rule.name for rule in self.config.rules.values() if self._is_other(rule, activity, category, place)
            )
            return Adherence(**common, state=State.NO_RULE, also_needed_by=others)  # type: ignore[arg-type]
        common |= {
            "rules": names,
            "also_needed_by": self._also_needed_by(activity, category, place),
            "goes_with": goes_with,
        }
        is_enforced = location not in self.documented and any(
            rule.action is not Action.KEEP and not rule.period.is_sub_day for rule in rules
        )
        if not is_enforced or not stands:
            # Without a target nothing is ever due here: another purpose's `keep` covers the same data.
            return Adherence(**common, state=State.DOCUMENTED_ONLY)  # type: ignore[arg-type]
        scanned = [stand for stand in stands if stand.scanned_at is not None]
        oldest = min(scanned, key=lambda s: (s.as_of, s.plan), default=None)  # type: ignore[arg-type, return-value]
        acted = [stand for stand in stands if stand.last_run_at is not None]
        newest = max(acted, key=lambda s: s.last_run_at, default=None)  # type: ignore[arg-type, return-value]
        return Adherence(
            **common,  # type: ignore[arg-type]
            state=min((stand.state for stand in stands), key=_RANK.__getitem__),
            counts=_sum(stand.counts for stand in stands),
            stopped_by=next((stand.stopped_by for stand in stands if stand.stopped_by), None),
            worst_late_days=max(stand.worst_late_days for stand in stands),
            targets=tuple(stand.identity for stand in stands),
            plan=oldest.plan if oldest else None,
            as_of=oldest.as_of if oldest else None,
            scanned_at=oldest.scanned_at if oldest else None,
            register_revision=oldest.register_revision if oldest else None,
            last_run=newest.last_run if newest else None,
        )

    @staticmethod
    def _concerns(stand: Standing, category: str, place: str, rules: Sequence[str]) -> bool:
        is_here = stand.full_dataset == place and ("*" in stand.data or category in stand.data)
        return is_here and any(rule in stand.rules for rule in rules)

    def _also_needed_by(self, activity: str, category: str, place: str) -> tuple[str, ...]:
        """Rules of other activities for the same datum that meet one of this activity's in a target, and every
        ``keep`` of another activity."""
        names: dict[str, None] = {}
        for target in self.targets:
            if target.full_dataset != place or not any(rule.activity == activity for rule in target.rules):
                continue
            names |= {rule.name: None for rule in target.rules if rule.activity != activity and category in rule.data}
        for rule in self.config.rules.values():
            is_kept = rule.action is Action.KEEP and not rule.period.is_sub_day
            if is_kept and self._is_other(rule, activity, category, place):
                names[rule.name] = None
        return tuple(names)

    @staticmethod
    def _is_other(rule: Rule, activity: str, category: str, place: str) -> bool:
        """Whether another purpose's rule covers the same datum."""
        return rule.activity != activity and rule.dataset == place and category in rule.data


# --- runs ---------------------------------------------------------------------------------------------------------


def runs(source: Session | Engine) -> list[RunSummary]:
    """Return every run, oldest first, with the totals of each target of its plan.

    A run's outcomes are those of its own batches; where it is the only one that acted on its plan, also what was
    counted without a batch (a target that was refused before any intent).
    """
    with _session(source) as session:
        rows = session.scalars(select(RunRow).order_by(RunRow.started_at, RunRow.id)).all()  # type: ignore[arg-type]
        by_plan: dict[int, list[TargetRow]] = {}
        for target in session.scalars(select(TargetRow).order_by(TargetRow.plan_id, TargetRow.position)):  # type: ignore[arg-type]
            by_plan.setdefault(target.plan_id, []).append(target)
        batches: dict[tuple[str, int], Counter[str]] = {}
        for batch in session.scalars(select(BatchRow)):
            batches.setdefault((batch.run_id, batch.target_id), Counter()).update(batch.outcomes)
        acting = Counter(run.plan_id for run in rows if run.mode in ACTING_MODES)
        return [
            _run(run, by_plan.get(run.plan_id or 0, []), batches, is_alone=acting[run.plan_id] == 1) for run in rows
        ]


def _run(
    run: RunRow, rows: Sequence[TargetRow], batches: Mapping[tuple[str, int], Counter[str]], *, is_alone: bool
) -> RunSummary:
    targets: list[RunTarget] = []
    for row in rows:
        became: Mapping[str, int] = batches.get((run.id, row.id or 0), {})
        if is_alone and run.mode in ACTING_MODES:
            became = row.outcomes
        targets.append(
            RunTarget(
                location=row.location,
                dataset=row.dataset,
                scope=row.scope,
                data=tuple(row.data),
                action=row.action,
                rules=tuple(row.rules),
                due=row.due,
                held=row.held,
                blocked=row.blocked,
                unanchored=row.unanchored,
                planned=row.records,
                stopped_by=row.stopped_by,
                outcomes=_words(became),
            )
        )
    totals = {word: count for word, count in run.totals.items() if isinstance(count, int)}
    if not totals:
        summed: Counter[str] = Counter()
        for target in targets:
            summed.update(dict(target.outcomes))
        totals = dict(summed)
    return RunSummary(
        id=run.id,
        mode=run.mode,
        state=run.state,
        started_at=run.started_at,
        ended_at=run.ended_at,
        policy=run.policy,
        register_revision=run.register_revision,
        plan=run.plan_id,
        code=run.code,
        swept_on=run.swept_on,
        outcomes=_words(totals),
        targets=tuple(targets),
    )


def _words(outcomes: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((word, count) for word, count in outcomes.items() if count))
