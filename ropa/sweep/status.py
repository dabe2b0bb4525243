"""One screen: is it adhered to at this moment, and did the nightly job run? A dead man's switch.

Invariant: this tells, it never repairs; it works with a broken source, and what it cannot know it calls unhealthy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.sweep import findings
from ropa.sweep.channels import channels, failing
from ropa.sweep.nights import SUCCEEDED, SWEEP, outlived, recent_gaps
from ropa.sweep.safety import BACKWARD_TOLERANCE
from ropa.sweep.site import Site
from ropa.sweep.state import get_state
from ropa.sweep.stops import INCOMPLETE
from ropa.sweep.tables import PlanRow, RunRow, TargetRow

DEAD_MAN = timedelta(hours=26)
SETTLED = ("purged", "anonymised", "flagged", "recoverable", "absent", "held", "changed")
"""Outcomes after which a record is no longer waiting: gone, looked at, or to be planned afresh."""


def newest_targets(site: Site) -> list[TargetRow]:
    """Return each target of the present policy as the newest plan that looked at it has it: the one of the latest day,
    of those the last; forecasts and plans of what came back do not count."""
    newest_first = col(PlanRow.as_of).desc(), col(TargetRow.id).desc()
    ranked = (
        select(
            col(TargetRow.id).label("id"),
            func.row_number().over(partition_by=col(TargetRow.identity), order_by=newest_first).label("place"),
        )
        .join(PlanRow, col(PlanRow.id) == col(TargetRow.plan_id))
        .where(col(PlanRow.is_forecast).is_(False), col(PlanRow.state) != "writing", col(PlanRow.reapplies).is_(None))
        .subquery()
    )
    with Session(site.engine) as session:
        newest = select(ranked.c.id).where(ranked.c.place == 1)
        rows = session.scalars(select(TargetRow).where(col(TargetRow.id).in_(newest))).all()
    present = {target.identity for target in site.targets}
    return [row for row in rows if row.identity.partition(">")[0] in present]


def overdue_of(row: TargetRow) -> int:
    """Return how many records of a target are past their limit and still there, blocked and held ones apart."""
    return max(row.records - sum(row.outcomes.get(word, 0) for word in SETTLED), 0)


def status(site: Site) -> dict[str, Any]:
    """Return ``ropa.status/1``."""
    now = site.now()
    rows = newest_targets(site)
    overdue = sum(overdue_of(row) for row in rows)
    open_rows = findings.open_findings(site)
    counts = {level: sum(1 for row in open_rows if row.severity == level) for level in ("error", "warning")}
    with Session(site.engine) as session:
        last = session.scalar(
            select(func.max(col(RunRow.ended_at))).where(col(RunRow.mode) == SWEEP, col(RunRow.state) == SUCCEEDED)
        )
        waiting = session.scalar(
            select(func.count()).where(col(PlanRow.state) == "pending", col(PlanRow.is_forecast).is_(False))
        )
    reasons = []
    if overdue:
        reasons.append(f"{overdue} records are past their limit and still there")
    if any(row.stopped_by in INCOMPLETE for row in rows):
        reasons.append("a place could not be read wholly: what is due there is not known")
    if last is None:
        reasons.append("no sweep has succeeded yet")
    elif now - last > DEAD_MAN:
        reasons.append(f"no sweep has succeeded since {timestamp(last)}")
    elif last - now > BACKWARD_TOLERANCE:
        reasons.append(f"this machine's clock ({timestamp(now)}) is behind the last sweep ({timestamp(last)})")
    if get_state(site, "halt"):
        reasons.append("runs are halted")
    stopped = [row for row in rows if row.stopped_by and row.records]
    if stopped:
        codes = ", ".join(sorted({str(row.stopped_by) for row in stopped}))
        reasons.append(f"{len(stopped)} targets are stopped by a safety rule: {codes}")
    reasons += [f"run {run.id} has been open for more than 24 hours" for run in outlived(site.engine, now)]
    told_by = channels(site)
    if mute := failing(told_by):
        reasons.append(f"people cannot be told by {', '.join(mute)}")
    missed = recent_gaps(site.engine, zone=site.config.timezone, today=site.today())
    return {
        "schema": "ropa.status/1",
        "overdue": overdue,
        "blocked": sum(row.blocked for row in rows),
        "held": sum(row.held for row in rows),
        "findings": counts,
        "plans_waiting": waiting or 0,
        "last_sweep_at": timestamp(last) if last else None,
        "next_sweep_at": get_state(site, "next_sweep_at"),
        "not_enforced": [
            {"from_on": gap.from_on.isoformat(), "to_on": gap.to_on.isoformat(), "nights": gap.nights} for gap in missed
        ],
        "channels": told_by,
        "healthy": not reasons,
        "reasons": reasons,
    }
