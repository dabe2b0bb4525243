"""Plans as documents: for ``--json``, for people, and for comparing two of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.connector import Key
from ropa.sweep import blocks, review
from ropa.sweep.packing import unpack_keys
from ropa.sweep.site import Site
from ropa.sweep.tables import ActorRow, PlanRow, TargetRow

_AT_ONCE = 250_000
"""Records of a plan that are compared at a time."""


def target_rows(site: Site, plan_id: int) -> list[TargetRow]:
    """Return the targets of a plan in the order of acting."""
    with Session(site.engine) as session:
        query = select(TargetRow).where(col(TargetRow.plan_id) == plan_id).order_by(col(TargetRow.position))
        return list(session.scalars(query).all())


def plan_document(site: Site, plan_id: int) -> dict[str, Any]:
    """Return ``ropa.plan/1`` for one plan. Raises CallError when there is none with this number."""
    plan = review.get_plan(site, plan_id)
    return {
        "schema": "ropa.plan/1",
        "plan": plan.id,
        "digest": f"sha256:{plan.digest}",
        "as_of": plan.as_of.isoformat(),
        "created_at": timestamp(plan.created_at),
        "policy": plan.policy,
        "register_revision": plan.register_revision,
        "complete": plan.is_complete,
        "forecast": plan.is_forecast,
        "state": plan.state,
        "targets": [_target(row) for row in target_rows(site, plan_id)],
        "findings": plan.findings,
        "approvals": _approvals(site, plan),
        "approvals_needed": plan.approvals_needed,
    }


def _target(row: TargetRow) -> dict[str, Any]:
    return {
        "dataset": f"{row.location}.{row.dataset}",
        "scope": row.scope,
        "data": row.data,
        "action": row.action,
        "rules": row.rules,
        "cutoffs": row.cutoffs,
        "population": row.population,
        "due": row.due,
        "held": row.held,
        "blocked": row.blocked,
        "unanchored": row.unanchored,
        "records": row.records,
        "share": round(row.records / row.population, 4) if row.population else None,
        "approval": row.approval,
        "stopped_by": row.stopped_by,
        "with_parent": row.rides_with is not None,
        "previous_records": row.previous_records,
        "already_flagged": row.already_flagged,
        "oldest_due_on": row.oldest_due_on.isoformat() if row.oldest_due_on else None,
        "ages": row.ages,
        "blockers": row.blockers,
        "outcomes": row.outcomes,
        "level": row.level,
    }


def _approvals(site: Site, plan: PlanRow) -> list[dict[str, Any]]:
    with Session(site.engine) as session:
        names = {row.id: row.name for row in session.scalars(select(ActorRow)).all()}
    return [
        {
            "by": names.get(a.actor_id, a.actor_id),
            "reason": a.reason,
            "at": timestamp(a.at),
            "expires_at": timestamp(a.expires_at),
        }
        for a in review.approvals(site, plan.id or 0)
    ]


def plan_list(site: Site) -> list[dict[str, Any]]:
    """Return every plan, newest first, with its sums."""
    with Session(site.engine) as session:
        plans = session.scalars(
            select(PlanRow).where(col(PlanRow.state) != "writing").order_by(col(PlanRow.id).desc())
        ).all()
    listed = []
    for plan in plans:
        rows = target_rows(site, plan.id or 0)
        listed.append(
            {
                "plan": plan.id,
                "digest": f"sha256:{plan.digest}",
                "as_of": plan.as_of.isoformat(),
                "created_at": timestamp(plan.created_at),
                "state": plan.state,
                "forecast": plan.is_forecast,
                "complete": plan.is_complete,
                "due": sum(row.due for row in rows),
                "records": sum(row.records for row in rows),
                "held": sum(row.held for row in rows),
                "blocked": sum(row.blocked for row in rows),
            }
        )
    return listed


def records(site: Site, plan_id: int) -> Iterator[dict[str, Any]]:
    """Stream the records of a plan; empty once it is spent, because then its keys have left."""
    for row in target_rows(site, plan_id):
        with Session(site.engine) as session:
            for record in blocks.walk(session, row.id or 0):
                yield {
                    "dataset": f"{row.location}.{row.dataset}",
                    "key": list(record.key),
                    "due_on": record.due_on.isoformat() if record.due_on else None,
                    "action": row.action,
                    "data": row.data,
                    "disposition": record.disposition,
                    "reason": record.reason,
                }


def plan_diff(site: Site, before: int, after: int) -> dict[str, Any]:
    """Compare two plans target by target; while both still have their keys, also how many records came and went."""
    review.get_plan(site, before)
    review.get_plan(site, after)
    old = {row.identity: row for row in target_rows(site, before)}
    new = {row.identity: row for row in target_rows(site, after)}
    changes = []
    for identity in dict.fromkeys([*old, *new]):
        a, b = old.get(identity), new.get(identity)
        row = b or a
        if row is None:
            continue
        changes.append(
            {
                "dataset": f"{row.location}.{row.dataset}",
                "scope": row.scope,
                "data": row.data,
                "rules": row.rules,
                "records_before": a.records if a else 0,
                "records_after": b.records if b else 0,
                "due_before": a.due if a else 0,
                "due_after": b.due if b else 0,
                **_moved(site, a, b),
            }
        )
    return {"schema": "ropa.plan-diff/1", "before": before, "after": after, "targets": changes}


def _moved(site: Site, before: TargetRow | None, after: TargetRow | None) -> dict[str, int | None]:
    """Records that only one of the two targets has; None where the keys of one have left."""
    with Session(site.engine) as session:
        if any(row is not None and row.due and not blocks.has_any(session, row.id) for row in (before, after)):
            return {"came": None, "went": None}
        came = went = 0
        rounds = 1 + max(row.due for row in (before, after) if row is not None) // _AT_ONCE if before or after else 0
        for part in range(rounds):  # a share of the keys at a time, so that memory stays flat
            old, new = (_share(session, row, part, rounds) for row in (before, after))
            came += len(new - old)
            went += len(old - new)
    return {"came": came, "went": went}


def _share(session: Session, row: TargetRow | None, part: int, rounds: int) -> set[Key]:
    if row is None:
        return set()
    keys = (key for block in blocks.blocks(session, row.id or 0) for key in unpack_keys(block.keys, block.count))
    return {key for key in keys if hash(key) % rounds == part}
