"""How each target stands: what its newest plan found, what became of it, and what the plans before it did.

Answered from the run tables alone. Invariant: ``due`` is the sum of done, flagged, waiting, held, blocked, changed,
refused, failed and unverified; a target that no plan has looked at is ``never-scanned``, never "nothing due".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.config.models import Config
from ropa.connector import Action
from ropa.retention import Target
from ropa.sweep.settled import settled
from ropa.sweep.tables import PlanRow, RunRow, TargetRow

PATIENCE_DAYS = 7
"""How long what is due may wait for a person before it is called overdue: as long as an approval is valid by
default."""

DONE = ("purged", "anonymised", "recoverable", "absent")
"""Outcomes after which the datum is gone; ``absent``: it was gone already. ``recoverable`` is told apart as well."""

FELL_SHORT = ("refused", "failed", "unverified")
"""Outcomes of an attempt that did not succeed."""

ACTING_MODES = ("apply", "sweep")
PLANNING_MODES = ("plan", "sweep")

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


NONE_COUNTED = Counts()


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
    counts: Counts = NONE_COUNTED
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
    scanned_by: str | None = None
    """The run that made ``plan``."""
    policy: str | None = None
    register_revision: int | None = None
    last_run: str | None = None
    """The last run that carried anything out here."""
    last_run_at: datetime | None = None

    @property
    def full_dataset(self) -> str:
        """``location.dataset``."""
        return f"{self.location}.{self.dataset}"


@contextmanager
def reading(source: Session | Engine) -> Iterator[Session]:
    """Give the session, or one of one's own on an engine."""
    if isinstance(source, Session):
        yield source
    else:
        with Session(source) as session:
            yield session


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
    with reading(source) as session:
        tables = _Tables.read(session, today)
    return [
        _standing(tables, target, identity, dataset)
        for target in targets
        if target.location not in documented
        for identity, dataset in [(target.identity, target.dataset), *_riders(config, target)]
    ]


@dataclass(frozen=True, slots=True)
class _Tables:
    """The run tables, read once."""

    plans: Mapping[int, PlanRow]
    targets: Mapping[str, list[TargetRow]]
    """By identity; the last is the one that speaks: never a plan of what came back, which looks at nothing else."""
    runs: Mapping[int, RunRow]
    """By plan, the last run that could act on it."""
    actors: Mapping[int, RunRow]
    """By target of a plan, the last run that settled a batch of it."""
    makers: Mapping[int, str]
    """By plan, the run that made it."""
    today: date | None

    @classmethod
    def read(cls, session: Session, today: date | None) -> _Tables:
        plans = {
            plan.id: plan
            for plan in session.scalars(select(PlanRow))
            if plan.id is not None and not plan.is_forecast and plan.state != "writing"
        }
        targets: dict[str, list[TargetRow]] = {}
        for row in session.scalars(select(TargetRow)):
            if row.plan_id in plans:
                targets.setdefault(row.identity, []).append(row)
        for rows in targets.values():
            rows.sort(key=lambda row: (plans[row.plan_id].reapplies is None, plans[row.plan_id].as_of, row.plan_id))
        ran = session.scalars(select(RunRow).order_by(col(RunRow.started_at))).all()
        runs = {run.plan_id: run for run in ran if run.mode in ACTING_MODES and run.plan_id is not None}
        makers = {run.plan_id: run.id for run in ran if run.mode in PLANNING_MODES and run.plan_id is not None}
        by_id = {run.id: run for run in ran}
        actors = {target_id: by_id[list(did)[-1]] for target_id, did in settled(session, ran).items()}
        return cls(plans, targets, runs, actors, makers, today)


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


def _standing(tables: _Tables, target: Target, identity: str, dataset: str) -> Standing:
    never = Standing(
        identity=identity,
        location=target.location,
        dataset=dataset,
        scope=target.scope,
        data=tuple(target.data) if dataset == target.dataset else ("*",),
        action=str(target.action),
        rules=tuple(rule.name for rule in target.rules),
        state=State.NEVER_SCANNED,
    )
    history = tables.targets.get(identity, [])
    if not history:
        return never
    row, plan = history[-1], tables.plans[history[-1].plan_id]
    acted = sorted(
        (past for past in history if past.outcomes), key=lambda past: (tables.plans[past.plan_id].as_of, past.plan_id)
    )
    counts = _counts(row, acted)
    late = 0
    if counts.outstanding and row.oldest_due_on is not None:
        late = max(0, ((tables.today or plan.as_of) - row.oldest_due_on).days)
    # A run also finishes what is left of older plans; a target that was refused whole has no batch.
    run = (tables.actors.get(acted[-1].id or 0) or tables.runs.get(acted[-1].plan_id)) if acted else None
    return replace(
        never,
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
        scanned_by=tables.makers.get(plan.id or 0),
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
