"""The nights on which nothing was enforced: days without a sweep that succeeded.

A night is a calendar day in the controller's zone, the one on which its sweep began; today is not over and never
missed. Invariant: what a sweep that succeeded is, is said here once, and holds for the report and for ``ropa status``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import calendar_day
from ropa.sweep.standing import NOT_APPROVED, reading
from ropa.sweep.tables import PlanRow, RunRow, TargetRow

SWEEP = "sweep"
SUCCEEDED = "complete"
"""A sweep with this state read every place and left out nothing that it was allowed to do."""

ENDED = (SUCCEEDED, "partial")
"""States of a sweep that ran to its end: what it could not do is planned again the next night."""

LONGEST_RUN = timedelta(hours=24)
"""A run that is open for longer is an alarm: it never ended, or the next night is already here."""
RECENT = timedelta(days=30)
"""So long a gap is still told of."""

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Nights in a row on which nothing was enforced."""

    from_on: date
    to_on: date
    """The last of them."""
    nights: int


class Swept(Protocol):
    """What is asked about a run: its row, or its summary."""

    @property
    def mode(self) -> str:
        """``sweep`` and others."""
        ...

    @property
    def state(self) -> str:
        """``complete``, ``partial``, ``aborted`` or ``open``."""
        ...

    @property
    def started_at(self) -> datetime:
        """When it began."""
        ...

    @property
    def swept_on(self) -> date | None:
        """The night of a sweep."""
        ...


def nights_swept(runs: Iterable[Swept], zone: ZoneInfo, *, succeeded: bool = True) -> frozenset[date]:
    """Return the nights that had a sweep that succeeded; with ``succeeded=False``, any sweep."""
    return frozenset(
        night_of(run, zone) for run in runs if run.mode == SWEEP and (run.state == SUCCEEDED or not succeeded)
    )


def nights_done(source: Session | Engine, zone: ZoneInfo) -> frozenset[date]:
    """Return the nights that need no sweep any more: one ran to its end, though it may have fallen short."""
    with reading(source) as session:
        runs = select(RunRow).where(col(RunRow.mode) == SWEEP, col(RunRow.state).in_(ENDED))
        return frozenset(night_of(run, zone) for run in session.scalars(runs))


def night_of(run: Swept, zone: ZoneInfo) -> date:
    """Return the night to which a sweep belongs."""
    return run.swept_on or calendar_day(run.started_at, zone)


def missed(swept: Collection[date], *, first: date | None, today: date) -> frozenset[date]:
    """Return the days from ``first`` to yesterday that are not in ``swept``; none where there is no first."""
    if first is None:
        return frozenset()
    return frozenset(first + n * _ONE_DAY for n in range((today - first).days)) - frozenset(swept)


def gaps(days: Iterable[date]) -> tuple[Gap, ...]:
    """Return days as runs of consecutive ones, the newest first."""
    found: list[Gap] = []
    for day in sorted(set(days)):
        if found and found[-1].to_on + _ONE_DAY == day:
            before = found.pop()
            found.append(Gap(from_on=before.from_on, to_on=day, nights=before.nights + 1))
        else:
            found.append(Gap(from_on=day, to_on=day, nights=1))
    return tuple(reversed(found))


def recent_gaps(source: Session | Engine, *, zone: ZoneInfo, today: date) -> tuple[Gap, ...]:
    """Return the nights in a row without a sweep that ran to its end, the newest first; one that ended longer ago than
    ``RECENT`` is left out, and so is what was before the first sweep."""
    with reading(source) as session:
        runs = session.scalars(select(RunRow).where(col(RunRow.mode) == SWEEP)).all()
    done = {night_of(run, zone) for run in runs if run.state in ENDED}
    first = min((night_of(run, zone) for run in runs), default=None)
    return tuple(gap for gap in gaps(missed(done, first=first, today=today)) if gap.to_on >= today - RECENT)


def outlived(source: Session | Engine, now: datetime) -> list[RunRow]:
    """Return the runs that have been open for longer than ``LONGEST_RUN``."""
    with reading(source) as session:
        open_runs = session.scalars(select(RunRow).where(col(RunRow.state) == "open")).all()
    return [run for run in open_runs if now - run.started_at > LONGEST_RUN]


@dataclass(frozen=True, slots=True)
class Nights:
    """Which nights each target was enforced."""

    today: date
    whole: frozenset[date]
    """Nights with a sweep that succeeded: it left no target out."""
    first: Mapping[str, date]
    """By target: the first night on which a sweep planned it."""
    partly: Mapping[str, frozenset[date]]
    """By target: nights of sweeps that fell short elsewhere, and not here."""

    @classmethod
    def read(cls, source: Session | Engine, *, zone: ZoneInfo, today: date) -> Nights:
        """Return what the run tables know; ``today`` in ``zone``."""
        with reading(source) as session:
            sweeps = session.scalars(select(RunRow).where(col(RunRow.mode) == SWEEP)).all()
            found = session.execute(
                select(col(TargetRow.identity), func.min(col(PlanRow.as_of)))
                .join(PlanRow, col(PlanRow.id) == col(TargetRow.plan_id))
                .where(col(PlanRow.is_nightly), col(PlanRow.is_forecast).is_(False), col(PlanRow.state) != "writing")
                .group_by(col(TargetRow.identity))
            ).all()
            first: dict[str, date] = {identity: day for identity, day in found}  # noqa: C416 - rows are no pairs to mypy
            by_plan = {run.plan_id: night_of(run, zone) for run in sweeps if run.plan_id and run.state == "partial"}
            partly: dict[str, set[date]] = {}
            for row in session.scalars(select(TargetRow).where(col(TargetRow.plan_id).in_(by_plan))):
                if _was_enforced(row):
                    partly.setdefault(row.identity, set()).add(by_plan[row.plan_id])
        return cls(
            today, nights_swept(sweeps, zone), first, {identity: frozenset(days) for identity, days in partly.items()}
        )

    def missed(self, identity: str) -> frozenset[date]:
        """Return the nights, since a sweep first planned it, on which a target was not enforced."""
        swept = self.whole | self.partly.get(identity, frozenset())
        return missed(swept, first=self.first.get(identity), today=self.today)


def _was_enforced(row: TargetRow) -> bool:
    """Whether a sweep did here all that it was allowed to do: what waits for a person is not the sweep's to do."""
    if row.stopped_by is not None or row.approval == "needed":
        return row.stopped_by is None
    return row.refused_by in {None, NOT_APPROVED} and sum(row.outcomes.values()) >= row.records
