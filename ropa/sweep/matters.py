"""What somebody must hear: overdue, blocked, failed, missed, waiting for approval, too long, halted, found wrong.

Invariant: a matter has a key that stays the same for as long as it lasts, whatever night it is and however its numbers
move, so that it can be told once; it carries counts, codes, numbers and names of the configuration, and nothing else:
no record, no person, no path, no text that somebody wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from dateutil.relativedelta import relativedelta
from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.errors import RopaError, Severity
from ropa.sweep import findings
from ropa.sweep.nights import LONGEST_RUN, SWEEP, nights_done, outlived, recent_gaps
from ropa.sweep.site import Site
from ropa.sweep.standing import PATIENCE_DAYS
from ropa.sweep.state import get_state, set_state
from ropa.sweep.status import newest_targets, overdue_of
from ropa.sweep.tables import PlanRow, RunRow, TargetRow

_FAILED = "sweep_failed"
"""The small fact that notes why the last night did not come about."""
_TOLD_OTHERWISE = frozenset({"halt", "interruptedrun", "interrupted"})
"""Failures that are a matter of their own, or none: a service that is stopped goes on when it starts."""
_UNSAFE = re.compile(r"[^a-z0-9-]+", re.ASCII)


class Kind(StrEnum):
    """What kind of matter it is; the first word of its key."""

    OVERDUE = "overdue"
    """Records are past their limit and still there, and it is not just that a person is being waited for."""
    BLOCKED = "blocked"
    FAILED = "failed"
    """The last sweep did not come to its end, or could not begin."""
    MISSED = "missed"
    """Nights in a row without a sweep: nothing was enforced."""
    WAITING = "waiting"
    """A plan needs a person's approval."""
    LONG_RUN = "long-run"
    HALTED = "halted"
    FINDING = "finding"
    """An open finding of severity error."""


_SEVERITIES: Mapping[Kind, Severity] = {Kind.BLOCKED: Severity.WARNING, Kind.WAITING: Severity.WARNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One thing that somebody must hear."""

    kind: Kind
    about: tuple[str, ...] = ()
    """What it is about, in names of the configuration, codes and numbers."""
    counts: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    """Dates, codes and numbers of plans and runs."""
    is_over: bool = False
    """Whether it has passed already; it is told all the same where nobody has heard of it."""

    @property
    def key(self) -> str:
        """The text that it is known by for as long as it lasts."""
        return ":".join((self.kind, *self.about))

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return _SEVERITIES.get(self.kind, Severity.ERROR)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found."""

    matters: tuple[Matter, ...]
    kinds: frozenset[Kind]
    """The kinds that were looked for; while a run is under way what it is about to mend is not."""


def look(site: Site) -> Look:
    """Return what somebody must hear at this moment, errors first."""
    now = site.now()
    with Session(site.engine) as session:
        open_since = session.scalars(select(col(RunRow.started_at)).where(col(RunRow.state) == "open")).all()
    found = [*_halted(site), *_long_runs(site, now), *_missed(site)]
    kinds = {Kind.HALTED, Kind.LONG_RUN, Kind.MISSED}
    if not any(timedelta() <= now - since <= LONGEST_RUN for since in open_since):
        found += [*_failed(site), *_of_targets(site), *_findings(site)]
        kinds = set(Kind)
    return Look(
        tuple(sorted(found, key=lambda matter: (matter.severity != Severity.ERROR, matter.key))), frozenset(kinds)
    )


def code_of(error: Exception) -> str:
    """Return the stable word for a failure, never a part of its text."""
    named = error.code if isinstance(error, RopaError) else "unexpected"
    return _safe(named or type(error).__name__.removesuffix("Error"))


def note_failure(site: Site, error: Exception | None) -> None:
    """Note why tonight's sweep did not come about; None: it did. What stood there before is replaced."""
    before, code = get_state(site, _FAILED), None if error is None else code_of(error)
    if code in _TOLD_OTHERWISE:
        code = None
    if code is None and before is not None:
        set_state(site, **{_FAILED: None})
    elif code is not None and (before or "").partition(" ")[0] != code:
        set_state(site, **{_FAILED: f"{code} {timestamp(site.now())}"})


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text.lower()).strip("-")[:64] or "unknown"


def _halted(site: Site) -> Iterable[Matter]:
    if get_state(site, "halt"):
        yield Matter(kind=Kind.HALTED)


def _long_runs(site: Site, now: datetime) -> Iterable[Matter]:
    for run in outlived(site.engine, now):
        facts = {"mode": run.mode, "started_at": timestamp(run.started_at)}
        yield Matter(kind=Kind.LONG_RUN, about=(run.id,), facts=facts)


def _missed(site: Site) -> Iterable[Matter]:
    today = site.today()
    is_done = today in nights_done(site.engine, site.config.timezone)
    for gap in recent_gaps(site.engine, zone=site.config.timezone, today=today):
        is_over = is_done or gap.to_on < today - timedelta(days=1)
        facts = {"from_on": gap.from_on.isoformat(), "to_on": gap.to_on.isoformat()}
        about = (gap.from_on.isoformat(),)
        yield Matter(kind=Kind.MISSED, about=about, counts={"nights": gap.nights}, facts=facts, is_over=is_over)


def _failed(site: Site) -> Iterable[Matter]:
    noted, _, since = (get_state(site, _FAILED) or "").partition(" ")
    if noted:
        yield Matter(kind=Kind.FAILED, about=(noted,), facts={"since": since})
        return
    with Session(site.engine) as session:
        newest = select(RunRow).where(col(RunRow.mode) == SWEEP).order_by(col(RunRow.started_at).desc()).limit(1)
        run = session.scalar(newest)
    code = _safe(run.code or "unknown") if run is not None and run.state == "aborted" else None
    if run is not None and code is not None and code not in _TOLD_OTHERWISE:
        yield Matter(kind=Kind.FAILED, about=(code,), facts={"run": run.id, "since": timestamp(run.started_at)})


def _findings(site: Site) -> Iterable[Matter]:
    for row in findings.open_findings(site):
        if row.severity == Severity.ERROR:
            facts = {"code": _safe(row.code), "finding": str(row.id)}
            yield Matter(kind=Kind.FINDING, about=(facts["code"], facts["finding"]), facts=facts)


def _of_targets(site: Site) -> Iterable[Matter]:
    """What the newest plans say of each target: overdue, blocked, waiting."""
    rows = newest_targets(site)
    with Session(site.engine, expire_on_commit=False) as session:
        plan_ids = {row.plan_id for row in rows}
        plans = {plan.id: plan for plan in session.scalars(select(PlanRow).where(col(PlanRow.id).in_(plan_ids)))}
    by_id = {row.id: row for row in rows}
    mains = {row.id: _main(row, by_id) for row in rows}
    overdue: dict[str, int] = {}
    blocked: dict[str, int] = {}
    for row in rows:
        name, plan = f"{row.location}.{row.dataset}", plans[row.plan_id]
        blocked[name] = blocked.get(name, 0) + row.blocked + row.outcomes.get("blocked", 0)
        if not _is_in_a_persons_hands(site, mains[row.id], plan):
            overdue[name] = overdue.get(name, 0) + overdue_of(row)
        if _waits(row, plan):
            yield _waiting(site, row, plan, [one for one in rows if one is not row and mains[one.id] is row])
    for kind, counted in ((Kind.OVERDUE, overdue), (Kind.BLOCKED, blocked)):
        yield from (Matter(kind=kind, about=(name,), counts={"records": n}) for name, n in counted.items() if n)


def _main(row: TargetRow, by_id: Mapping[int | None, TargetRow]) -> TargetRow:
    """Return the target that a target's records go with, itself where they go by themselves."""
    while row.rides_with is not None and row.rides_with in by_id:
        row = by_id[row.rides_with]
    return row


def _waits(row: TargetRow, plan: PlanRow) -> bool:
    is_open = plan.state == "pending" and row.approval == "needed" and row.stopped_by is None
    return is_open and row.rides_with is None and row.records > sum(row.outcomes.values())


def _is_in_a_persons_hands(site: Site, row: TargetRow, plan: PlanRow) -> bool:
    """Whether what is due waits for a person's word, or for its being carried out, and not longer than it may."""
    if plan.state not in {"pending", "approved"} or row.approval != "needed" or row.stopped_by is not None:
        return False
    return row.oldest_due_on is not None and (site.today() - row.oldest_due_on).days <= PATIENCE_DAYS


def _waiting(site: Site, row: TargetRow, plan: PlanRow, riders: Iterable[TargetRow]) -> Matter:
    """A changed rule waits anew, because no approval of before is one of it; the next night's plan is no new matter."""
    name = f"{row.location}.{row.dataset}"
    mark = sha256("\n".join((row.identity, *row.revisions)).encode()).hexdigest()[:12]
    valid = site.config.safety.approval_valid
    lapses = plan.created_at + relativedelta(years=valid.years, months=valid.months, weeks=valid.weeks, days=valid.days)
    counts = {
        "records": row.records,
        "with_them": sum(rider.records for rider in riders),
        "population": row.population or 0,
        "held": row.held,
        "blocked": row.blocked,
        "approvals_needed": plan.approvals_needed,
    }
    facts = {
        "plan": str(plan.id),
        "dataset": name,
        "action": row.action,
        "scope": row.scope,
        "as_of": plan.as_of.isoformat(),
        "lapses_at": timestamp(lapses),
    }
    return Matter(kind=Kind.WAITING, about=(name, row.action, mark), counts=counts, facts=facts)
