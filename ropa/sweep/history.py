"""The runs and what each did: for the report and for whoever asks what happened last night.

Invariant: a run's outcomes are its own; what another run did for the same plan is not counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.sweep.settled import settled
from ropa.sweep.standing import ACTING_MODES, DONE, reading
from ropa.sweep.tables import RunRow, TargetRow


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
    targets: tuple[RunTarget, ...] = ()

    @property
    def done(self) -> int:
        """How many records went."""
        return sum(count for word, count in self.outcomes if word in DONE)


def runs(source: Session | Engine) -> list[RunSummary]:
    """Return every run, oldest first, with what it did in each target: those of its plan, and those of older plans of
    which it did what was left.

    Per target these are the outcomes of its batches, and of what was refused before any intent. A run's totals are its
    own, the sums over the receipts that carry its id; they also tell of what a place that went away left undone.
    """
    with reading(source) as session:
        rows = list(session.scalars(select(RunRow).order_by(col(RunRow.started_at), col(RunRow.id))))
        targets = session.scalars(select(TargetRow).order_by(col(TargetRow.plan_id), col(TargetRow.position))).all()
        batches = settled(session, rows)
    refusing: dict[int, str] = {}
    """By plan, the run that refused what has no batch: the first that could act and refused, else the last."""
    for run in reversed(rows):
        if run.mode in ACTING_MODES and run.plan_id and (run.plan_id not in refusing or run.totals.get("refused")):
            refusing[run.plan_id] = run.id
    by_run: dict[str, list[RunTarget]] = {run.id: [] for run in rows}
    planned: dict[int, list[str]] = {}
    for run in rows:
        if run.plan_id is not None:
            planned.setdefault(run.plan_id, []).append(run.id)
    for row in targets:
        of_target = batches.get(row.id or 0, {})
        unbatched = Counter(row.outcomes) - sum(of_target.values(), Counter())
        for run_id in dict.fromkeys([*planned.get(row.plan_id, ()), *of_target]):
            became = of_target.get(run_id, Counter()) + (
                unbatched if refusing.get(row.plan_id) == run_id else Counter()
            )
            by_run[run_id].append(_target(row, became))
    return [_run(run, by_run[run.id]) for run in rows]


def _target(row: TargetRow, became: Mapping[str, int]) -> RunTarget:
    return RunTarget(
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


def _run(run: RunRow, targets: Sequence[RunTarget]) -> RunSummary:
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
        outcomes=_words({word: count for word, count in run.totals.items() if isinstance(count, int)}),
        targets=tuple(targets),
    )


def _words(outcomes: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((word, count) for word, count in outcomes.items() if count))
