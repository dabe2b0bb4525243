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

from ropa.sweep.standing import ACTING_MODES, DONE, reading
from ropa.sweep.tables import BatchRow, RunRow, TargetRow


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
    """Return every run, oldest first, with the totals of each target of its plan.

    A run's outcomes are those of its own batches; where it is the only one that acted on its plan, also what was
    counted without a batch (a target that was refused before any intent).
    """
    with reading(source) as session:
        rows = session.scalars(select(RunRow).order_by(col(RunRow.started_at), col(RunRow.id))).all()
        by_plan: dict[int, list[TargetRow]] = {}
        for target in session.scalars(select(TargetRow).order_by(col(TargetRow.plan_id), col(TargetRow.position))):
            by_plan.setdefault(target.plan_id, []).append(target)
        batches: dict[tuple[str, int], Counter[str]] = {}
        columns = col(BatchRow.run_id), col(BatchRow.target_id), col(BatchRow.outcomes)
        for run_id, target_id, outcomes in session.execute(select(*columns)):
            batches.setdefault((run_id, target_id), Counter()).update(outcomes)
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
