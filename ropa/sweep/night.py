"""What the commands ``plan``, ``apply`` and ``sweep`` do, each one run of the ledger.

Invariant: whatever happens in between, a run that has begun leaves its end, a signed checkpoint and the exit code that
the outcomes deserve; one that was refused at the door leaves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.errors import Finding, LocationError, RefusedError, RopaError, Severity
from ropa.sweep import findings, mandates, review, safety, tombstones, tracing
from ropa.sweep.apply import Applier
from ropa.sweep.apply import Progress as ApplyProgress
from ropa.sweep.check import offline_findings
from ropa.sweep.crew import Crew, Threads
from ropa.sweep.journal import Journal, writing
from ropa.sweep.lock import Lease
from ropa.sweep.nights import nights_done
from ropa.sweep.place import Progress as PlanProgress
from ropa.sweep.plan import Planner
from ropa.sweep.run import Interruption, Run, exit_code
from ropa.sweep.scope import Scope, check_call
from ropa.sweep.site import Site
from ropa.sweep.state import actor_id
from ropa.sweep.stops import INCOMPLETE
from ropa.sweep.tables import PlanRow, TargetRow

NIGHT_DONE = "night-done"


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    document: dict[str, Any]
    """``ropa.run/1``."""
    exit_code: int


def make_plan(
    site: Site, scope: Scope, *, by: str, reason: str | None = None, progress: PlanProgress | None = None
) -> int:
    """Write a plan and return its number. Raises what ``Planner`` and the gates raise; then nothing was written."""
    looked = check_call(site, scope)
    with writing(site) as journal, _crew(journal, _listening(journal.lease, None, progress)) as crew:
        review.lapse_old_plans(site)
        planner = Planner(site, journal, scope, author=actor_id(site, by), looked=looked)
        run = Run.start(journal, "plan", actor=planner.author, reason=reason)
        with ending(run):
            return planner.write(run.id, crew)


def apply_plan(
    site: Site,
    plan_id: int,
    *,
    by: str | None = None,
    reason: str | None = None,
    interruption: Interruption | None = None,
    progress: ApplyProgress | None = None,
) -> Result:
    """Carry out an approved plan; go on with one that was interrupted.

    Raises RefusedError (forecast, unapproved, spent, lapsed, stale, a closed gate), with nothing done.
    """
    review.get_plan(site, plan_id)
    tombstones.check_keys(site)
    with writing(site) as journal, _crew(journal) as crew:
        safety.check_halt(site)
        review.lapse_old_plans(site)
        review.get_plan(site, plan_id)
        has_open = any(True for _ in journal.ledger.open_intents())
        if not has_open:
            checked_plan(site, plan_id)
        actor = actor_id(site, by) if by is not None else None
        run = Run.start(journal, "apply", plan_id=plan_id, actor=actor, reason=reason)
        with ending(run) as outcome:
            applier = Applier(run, crew, interruption, progress)
            outcome.postponed = applier.postponed
            applier.settle_open()
            plan = checked_plan(site, plan_id)
            was_refused = applier.carry_out(plan)
            _finish_plan(site, plan)
            outcome.was_refused, outcome.is_unreachable = was_refused, applier.is_unreachable
            outcome.state = "partial" if was_refused or applier.is_unreachable else "complete"
        return _result(site, journal, run, plan_id, outcome)


def sweep(
    site: Site,
    *,
    by: str,
    reason: str | None = None,
    interruption: Interruption | None = None,
    progress: PlanProgress | None = None,
    is_once_a_night: bool = False,
) -> Result:
    """One nightly pass: reconcile, finish what was interrupted, plan, apply what needs no person, refresh findings.

    ``is_once_a_night``: refused (``NIGHT_DONE``) where this date has had its sweep, asked while nobody else can run.
    """
    check_call(site, Scope(as_of=site.today(), is_nightly=True))
    with writing(site) as journal, _crew(journal, _listening(journal.lease, interruption, progress)) as crew:
        if is_once_a_night and site.today() in nights_done(site.engine, site.config.timezone):
            raise RefusedError("this night has had its sweep", code=NIGHT_DONE)
        safety.check_halt(site)
        review.lapse_old_plans(site)
        planner_scope = Scope(as_of=site.today(), is_nightly=True)
        author = actor_id(site, by)
        run = Run.start(journal, "sweep", actor=author, reason=reason)
        with ending(run) as outcome:
            applier = Applier(run, crew, interruption)
            outcome.postponed = applier.postponed
            applier.settle_open()
            tombstones.destroy_expired(site)
            for plan in _begun_plans(site):
                outcome.was_refused |= applier.carry_out(plan)
                _finish_plan(site, plan)
            plan_id = Planner(site, journal, planner_scope, author=author).write(run.id, crew)
            run.watch.check()  # what a mandate covers was asked at a time that has to be the right one
            plan = review.get_plan(site, plan_id)
            outcome.was_refused |= applier.carry_out(plan, lambda row: row.approval in {"none", "mandate"})
            is_complete = plan.is_complete
            _finish_plan(site, plan)
            findings.record(site, "check", offline_findings(site))
            outcome.is_unreachable = applier.is_unreachable or not is_complete
            outcome.state = "partial" if outcome.was_refused or outcome.is_unreachable else "complete"
        return _result(site, journal, run, plan_id, outcome)


def checked_plan(site: Site, plan_id: int) -> PlanRow:
    """Return a plan that may be carried out at this moment. Raises RefusedError otherwise, and says what to do."""
    plan = review.get_plan(site, plan_id)
    again = "Make a new plan with `ropa plan`."
    if plan.is_forecast:
        raise RefusedError(f"plan {plan_id} is a forecast and is never applied", next_step=again, code="forecast")
    if plan.state in review.SPENT:
        raise RefusedError(f"plan {plan_id} is {plan.state}; nothing was done", next_step=again, code="spent")
    if stale := review.staleness(site, plan):
        review.spend(site, plan_id, "partly-applied" if plan.started_at else "stale")
        raise RefusedError(f"plan {plan_id} is stale: {stale}", next_step=again, code="stale")
    if not review.is_approved(site, plan):
        had = len({a.actor_id for a in review.approvals(site, plan_id)})
        raise RefusedError(
            f"plan {plan_id} needs the approval of {plan.approvals_needed} person(s) and has {had} that count "
            f"or lapsed",
            next_step=f"`ropa approve {plan_id} --by NAME --reason TEXT`.",
            code="not-approved",
        )
    if plan.state == "pending":  # the process that took the last approval was cut off before it had noted this
        review.set_plan_state(site, plan_id, "approved")
        return review.get_plan(site, plan_id)
    return plan


@contextmanager
def _crew(journal: Journal, progress: PlanProgress | None = None) -> Iterator[Crew]:
    """Have somebody who works at the places for the time of the block: a fleet where one is named, else threads."""
    site, open_fleet = journal.site, journal.site.open_fleet
    crew = (
        open_fleet(site, journal.lease, progress) if open_fleet is not None else Threads(site, journal.lease, progress)
    )
    try:
        yield crew
    finally:
        crew.close()


def _listening(lease: Lease, interruption: Interruption | None, progress: PlanProgress | None) -> PlanProgress:
    """Return a progress that also looks for a signal and a lost lease: a plan of a million records is not waited
    for."""

    def note(what: str, count: int) -> None:
        lease.check()
        if interruption is not None:
            interruption.check()
        if progress is not None:
            progress(what, count)

    return note


@dataclass
class Outcome:
    """What the end of a run is told of."""

    state: str = "complete"
    was_refused: bool = False
    is_unreachable: bool = False
    postponed: Mapping[int, int] = field(default_factory=dict)
    """See ``Applier.postponed``."""


@contextmanager
def ending(run: Run) -> Iterator[Outcome]:
    """Write the end of a run and a checkpoint, however the block is left; a dead ledger gets neither."""
    outcome = Outcome()
    try:
        with tracing.span(f"ropa.{run.mode}", run=run.id) as span:
            yield outcome
            if span is not None:
                span.set_attributes({"ropa.state": outcome.state} | {f"ropa.{k}": n for k, n in run.totals.items()})
    except RopaError as error:
        with suppress(RopaError):  # a ledger that cannot be written gets no end: the next run names this one as cut off
            run.end("aborted", error.code or type(error).__name__.removesuffix("Error").lower())
            run.journal.checkpoint()
        raise
    else:
        run.end(outcome.state, "ok" if outcome.state == "complete" else "refused")
        run.journal.checkpoint()
    finally:
        tracing.run_closed()


def _begun_plans(site: Site) -> list[PlanRow]:
    """Approved plans whose first intent was written and whose last was not: a person said yes, the work is not done."""
    with Session(site.engine, expire_on_commit=False) as session:
        plans = session.scalars(
            select(PlanRow).where(col(PlanRow.state) == "approved", col(PlanRow.started_at).is_not(None))
        ).all()
    fit = []
    for plan in plans:
        try:
            fit.append(checked_plan(site, plan.id or 0))
        except RefusedError:
            continue
    return fit


def _finish_plan(site: Site, plan: PlanRow) -> None:
    """Spend a plan when nothing of it is left to do: its keys leave, its proven rules are remembered. What waits for a
    person, or for a place that could not be reached, keeps the plan alive until its approval lapses."""
    plan_id = plan.id or 0
    with Session(site.engine, expire_on_commit=False) as session:
        rows = list(session.scalars(select(TargetRow).where(col(TargetRow.plan_id) == plan_id)).all())
    if plan.state == "approved" and plan.reapplies is None:  # a few that came back show nothing of a changed rule
        by_person = [row for row in rows if row.approval == "needed" and _disposed(row)]
        mandates.prove_rules(site, plan, by_person)
    if any(sum(row.outcomes.values()) < row.records for row in rows):
        return
    left_out = (row.stopped_by in INCOMPLETE or (row.records and (row.refused_by or row.stopped_by)) for row in rows)
    review.spend(site, plan_id, "partly-applied" if any(left_out) else "applied")


def _disposed(row: TargetRow) -> bool:
    return any(row.outcomes.get(word) for word in ("purged", "anonymised", "recoverable"))


def _result(site: Site, journal: Journal, run: Run, plan_id: int, outcome: Outcome) -> Result:
    with Session(site.engine, expire_on_commit=False) as session:
        rows = session.scalars(
            select(TargetRow).where(col(TargetRow.plan_id) == plan_id).order_by(col(TargetRow.position))
        ).all()
    totals = {word: count for word, count in sorted(run.totals.items()) if count}
    newest = journal.newest_checkpoint()
    document = {
        "schema": "ropa.run/1",
        "run": run.id,
        "plan": plan_id,
        "state": outcome.state,
        "outcomes": totals,
        "targets": [
            {
                "dataset": f"{row.location}.{row.dataset}",
                "scope": row.scope,
                "data": row.data,
                "action": row.action,
                "rules": row.rules,
                "outcomes": _told(row, outcome.postponed.get(row.id or 0, 0)),
                "level": row.level,
                "refused_by": row.refused_by
                or row.stopped_by
                or ("unreachable" if row.id in outcome.postponed else None),
            }
            for row in rows
        ],
        "checkpoint": newest,
    }
    _note_failures(site, rows, Counter(totals))
    code = exit_code(totals, was_refused=outcome.was_refused)
    if outcome.is_unreachable and code in {0, RefusedError.exit_code}:
        code = LocationError.exit_code
    return Result(document, code)


def _told(row: TargetRow, postponed: int) -> dict[str, int]:
    """The outcomes of a target, with what waits for a place that is away: this run counts it as refused, the plan as
    not yet done."""
    return row.outcomes | ({"refused": row.outcomes.get("refused", 0) + postponed} if postponed else {})


def _note_failures(site: Site, rows: Any, totals: Counter[str]) -> None:
    found = [
        Finding(
            f"outcome-{word}",
            Severity.ERROR,
            f"{row.location}.{row.dataset} ({', '.join(row.rules)})",
            f"{row.outcomes[word]} records: {message}",
            fix,
        )
        for row in rows
        for word, (message, fix) in _FALLEN_SHORT.items()
        if row.outcomes.get(word) and totals
    ]
    findings.record(site, "apply", found)


_FALLEN_SHORT = {
    "failed": ("the place refused the change.", "Look at the place; they are planned again with the next plan."),
    "unverified": ("said to be gone, but still there when read again.", "Find out at the place why it keeps them."),
    "refused": ("a safety rule left them out.", "See `ropa plan show` for the reason, then plan again."),
    "blocked": ("other records came to refer to them.", "They are planned again with the next plan."),
}
