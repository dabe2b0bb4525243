"""Review: a named person approves or rejects one plan digest, with a reason.

Invariant: an approval is of a digest, by a person (whatever spelling of the name), for a limited time; where two are
asked, the same person counts once and the plan's author is never the only one.
"""

from __future__ import annotations

from dateutil.relativedelta import relativedelta
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.errors import CallError, RefusedError
from ropa.sweep import blocks, own_changes
from ropa.sweep.journal import Journal
from ropa.sweep.site import TOOL, Site
from ropa.sweep.state import actor_id
from ropa.sweep.tables import ApprovalRow, BatchRow, PlannedBlock, PlanRow, TargetRow

SPENT = frozenset({"rejected", "applied", "partly-applied", "lapsed", "stale"})
"""States from which a plan never returns; its keys have left."""


def get_plan(site: Site, plan_id: int) -> PlanRow:
    """Return a plan. Raises CallError when there is none with this number."""
    with Session(site.engine) as session:
        plan = session.get(PlanRow, plan_id)
    if plan is None or plan.state == "writing":
        raise CallError(f"there is no plan {plan_id}", next_step="`ropa plan list` shows the plans there are.")
    return plan


def plain_digest(text: str) -> str:
    """Return a digest without its ``sha256:`` prefix, as typed by a person."""
    return text.strip().removeprefix("sha256:").lower()


def approve(journal: Journal, plan_id: int, *, by: str, reason: str, digest: str) -> PlanRow:
    """Record a person's yes to this very plan. Raises RefusedError for a spent or forecast plan, a wrong digest, or a
    person who has already approved it; CallError for a blank name or reason."""
    site = journal.site
    plan = get_plan(site, plan_id)
    _need_reason(reason)
    now = site.now()
    if plan.is_forecast:
        raise RefusedError(
            f"plan {plan_id} is a forecast (as of {plan.as_of}); a forecast is never approved or applied",
            next_step="Plan again without --as-of.",
            code="forecast",
        )
    if plan.state in SPENT:
        raise RefusedError(
            f"plan {plan_id} is {plan.state}", next_step="Make a new plan with `ropa plan`.", code="spent"
        )
    if stale := staleness(site, plan):
        raise RefusedError(
            f"plan {plan_id} is stale: {stale}", next_step="Make a new plan with `ropa plan`.", code="stale"
        )
    if plain_digest(digest) != plan.digest:
        raise RefusedError(
            f"this is not the digest of plan {plan_id}",
            next_step=f"Read the plan with `ropa plan show {plan_id}` and give the digest it prints.",
            code="wrong-digest",
        )
    actor = actor_id(site, by)
    if any(a.actor_id == actor and a.expires_at > now for a in approvals(site, plan_id)):
        raise RefusedError(
            f"this person has already approved plan {plan_id}",
            next_step="Another person must approve it.",
            code="same-person",
        )
    valid = site.config.safety.approval_valid
    expires = now + relativedelta(years=valid.years, months=valid.months, weeks=valid.weeks, days=valid.days)
    run = journal.issue_id()
    journal.append("approval", run=run, plan=plan.digest, actor=actor, role="approver", expires=timestamp(expires))
    with Session(site.engine) as session, session.begin():
        session.add(
            ApprovalRow(plan_id=plan_id, actor_id=actor, digest=plan.digest, reason=reason, at=now, expires_at=expires)
        )
    if is_approved(site, plan):
        set_plan_state(site, plan_id, "approved")
    return get_plan(site, plan_id)


def reject(journal: Journal, plan_id: int, *, by: str, reason: str) -> PlanRow:
    """Record a person's no: the plan is spent, its keys leave. Raises RefusedError when it is spent already."""
    site = journal.site
    plan = get_plan(site, plan_id)
    _need_reason(reason)
    if plan.state in SPENT:
        raise RefusedError(f"plan {plan_id} is {plan.state}", code="spent")
    if plan.state == "approved" and plan.started_at is not None:
        raise RefusedError(
            f"plan {plan_id} is being carried out",
            next_step="`ropa halt` stops a run; `ropa apply` finishes it.",
            code="started",
        )
    journal.append("plan_rejected", run=journal.issue_id(), plan=plan.digest, actor=actor_id(site, by))
    spend(site, plan_id, "rejected")
    return get_plan(site, plan_id)


def approvals(site: Site, plan_id: int) -> list[ApprovalRow]:
    """Return every approval of a plan, also lapsed ones."""
    with Session(site.engine) as session:
        return list(session.scalars(select(ApprovalRow).where(col(ApprovalRow.plan_id) == plan_id)).all())


def is_approved(site: Site, plan: PlanRow) -> bool:
    """Whether enough different persons approve this digest at this moment, never its author alone where two are
    asked."""
    now = site.now()
    actors = {a.actor_id for a in approvals(site, plan.id or 0) if a.digest == plan.digest and a.expires_at >= now}
    if len(actors) < plan.approvals_needed:
        return False
    return plan.approvals_needed < 2 or actors != {plan.author}


def staleness(site: Site, plan: PlanRow) -> str | None:
    """Return why a plan no longer fits the world it was made in, None when it still does."""
    if plan.policy != site.config.digest:
        return "config/retention.toml has changed since"
    if plan.register_revision != site.register_revision():
        return "the register has changed since"
    if plan.tool != TOOL:
        return f"it was made by {plan.tool}, this is {TOOL}"
    return None


def set_plan_state(site: Site, plan_id: int, state: str) -> None:
    """Write the state of a plan."""
    with Session(site.engine) as session, session.begin():
        session.get_one(PlanRow, plan_id).state = state


def spend(site: Site, plan_id: int, state: str) -> None:
    """Give a plan its last state and let its keys leave; while an intent of it is open they stay, to settle it by."""
    set_plan_state(site, plan_id, state)
    with Session(site.engine) as session:
        query = (
            select(col(BatchRow.id))
            .where(col(BatchRow.plan_id) == plan_id, col(BatchRow.settled_at).is_(None))
            .limit(1)
        )
        has_open = session.scalar(query) is not None
    if not has_open:
        drop_keys(site, plan_id)


def drop_keys(site: Site, plan_id: int) -> None:
    """Remove the keys of a spent plan from the run database; its totals stay."""
    with Session(site.engine) as session:
        # Blocks last: while there are any, a later run comes back to what was cut off here.
        own_changes.forget(session, plan_id)
        session.execute(update(BatchRow).where(col(BatchRow.plan_id) == plan_id).values(members=None))
        session.commit()
        for target_id in sorted(blocks.kept(session, plan_id)):
            blocks.forget(session, target_id)
    erase_freed_pages(site)


def erase_freed_pages(site: Site) -> None:
    """Move the write-ahead log into the database, so that no removed key is left in either (SQLite)."""
    if site.engine.dialect.name == "sqlite":
        with site.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def lapse_old_plans(site: Site) -> None:
    """Let plans lapse that nobody approved in time, or whose approvals have lapsed; clear away half-written ones, and
    the keys of spent plans whose last open intent has been settled since."""
    valid = site.config.safety.approval_valid
    span = relativedelta(years=valid.years, months=valid.months, weeks=valid.weeks, days=valid.days)
    now = site.now()
    with Session(site.engine) as session:
        plans = session.scalars(select(PlanRow).where(col(PlanRow.state).in_(("pending", "approved", "writing")))).all()
        with_keys = select(col(TargetRow.plan_id)).join(PlannedBlock, col(PlannedBlock.target_id) == col(TargetRow.id))
        spent = session.execute(
            select(col(PlanRow.id), col(PlanRow.state)).where(
                col(PlanRow.state).in_(SPENT), col(PlanRow.id).in_(with_keys)
            )
        ).all()
    for spent_id, state in spent:
        spend(site, spent_id or 0, state)
    for plan in plans:
        plan_id = plan.id or 0
        newest = max((a.expires_at for a in approvals(site, plan_id)), default=plan.created_at + span)
        if plan.state == "writing":
            spend(site, plan_id, "stale")
        elif newest < now:
            spend(site, plan_id, "partly-applied" if plan.started_at else "lapsed")


def _need_reason(reason: str) -> None:
    if not reason.strip():
        raise CallError("--reason needs a text", next_step="Say why: --reason 'checked against the policy'.")
