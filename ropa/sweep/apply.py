"""Applying a plan: which of its targets may be carried out now, and unit after unit of those.

What is done with a unit stands in ``acting``, what became of one that was cut off in ``reconcile``. While a place acts,
one thread prepares the next unit: it reads and reckons, and writes nothing. Invariant: the outcomes of a target add up
to its planned records; between two units a signal, a halt, a clock that jumped and a lost lease are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Action
from ropa.errors import LocationError, RefusedError
from ropa.sweep import mandates, review, safety, tracing, units
from ropa.sweep.acting import Actor
from ropa.sweep.digest import digest_of
from ropa.sweep.reconcile import Reconciler
from ropa.sweep.run import Interruption, Run
from ropa.sweep.stops import say_why
from ropa.sweep.tables import BatchRow, PlanRow, TargetRow
from ropa.sweep.units import Portion

Progress = Callable[[str, int, int], None]
"""Called with the dataset, how many records are settled and how many there are."""

_ERASED = ("purged", "anonymised", "recoverable", "unverified")
"""Outcomes after which something may be left to follow up at the place."""


class Applier:
    """Carries out plans within one run."""

    def __init__(self, run: Run, interruption: Interruption | None = None, progress: Progress | None = None) -> None:
        self.run = run
        self.site = run.journal.site
        self.actor = Actor(run)
        self.interruption = interruption
        self.progress = progress or (lambda _dataset, _done, _of: None)
        self.is_unreachable = False
        """Whether a place went away meanwhile."""

    def settle_open(self) -> None:
        """Settle every intent without a receipt; first thing of every run. Raises what ``Reconciler`` raises."""
        reconciler = Reconciler(self.actor, self._may_act)
        reconciler.settle_open()
        self.is_unreachable |= reconciler.is_unreachable

    def _may_act(self, plan_id: int, main: Portion) -> bool:
        plan = review.get_plan(self.site, plan_id)
        if main.target.identity.partition(">")[0] not in self.actor.compiled or review.staleness(self.site, plan):
            return False
        with Session(self.site.engine, expire_on_commit=False) as session:
            if _digest_differs(session, plan, _targets(session, plan_id)):
                return False
        return self._is_allowed(plan, main.target)

    def carry_out(self, plan: PlanRow, only: Callable[[TargetRow], bool] = lambda _target: True) -> bool:
        """Act on the targets of a plan, or the ones that ``only`` picks. Returns whether a target was refused.

        Raises RefusedError when the plan's records are not the ones its digest covers.
        """
        plan_id = plan.id or 0
        with Session(self.site.engine, expire_on_commit=False) as session:
            rows = _targets(session, plan_id)
            if _digest_differs(session, plan, rows):
                raise RefusedError(
                    f"the records of plan {plan_id} are not the ones its digest covers",
                    next_step="Make a new plan with `ropa plan`, and find out who changed the run database.",
                    code="digest",
                )
        was_refused = False
        mains = [row for row in rows if row.rides_with is None and only(row)]
        self._expect_credentials(plan, mains)
        for row in mains:
            family = [row, *_riders(rows, row)]
            if not self._is_spent(row):
                name = f"{row.location}.{row.dataset}"
                with tracing.span("ropa.target", dataset=name, scope=row.scope, action=row.action, records=row.records):
                    was_refused |= self._carry_out_family(plan, family)
            else:
                self._follow_up(family)  # a run was cut off between the last receipt and this
        return was_refused

    def _expect_credentials(self, plan: PlanRow, mains: Sequence[TargetRow]) -> None:
        """Look up what ``[location.X.apply]`` names for every place that is about to be acted on, before the first is.

        Raises ConfigurationError where one is not there; a place that is away is left to its turn.
        """
        for row in mains:
            if self.site.config.locations[row.location].apply and self._is_due(plan, row):
                with suppress(LocationError):
                    self.actor.place_of(row)

    def _is_due(self, plan: PlanRow, row: TargetRow) -> bool:
        return row.stopped_by is None and row.records > 0 and not self._is_spent(row) and self._is_allowed(plan, row)

    def _is_spent(self, row: TargetRow) -> bool:
        return sum(row.outcomes.values()) >= row.records and (row.records > 0 or bool(row.outcomes))

    def _carry_out_family(self, plan: PlanRow, family: list[TargetRow]) -> bool:
        """Act on one target and what rides with it. Returns whether it was refused."""
        code = self._refusal(plan, family)
        if code == "unreachable":
            self._postpone(family)
            return True
        if code is not None:
            for row in family:
                self._refuse(row, code)
            self._follow_up(family)  # of what went before it was refused
            self.is_unreachable |= code == "incomplete-listing"
            return code == "incomplete-listing" or any(row.records for row in family)
        try:
            self._carry_out_units(plan, family)
        except LocationError as error:
            say_why(error)
            self._postpone(family)
            return True
        self._follow_up(family)
        return False

    def _carry_out_units(self, plan: PlanRow, family: list[TargetRow]) -> None:
        main = family[0]
        waiting = units.to_do(self.site, plan, family, self.run.id)
        portions = next(waiting, None)
        with ThreadPoolExecutor(1, thread_name_prefix="next-unit") as executor:
            while portions is not None:
                self.run.check(self.interruption)
                self.actor.write_intents(portions)
                following = executor.submit(next, waiting, None)  # this unit is written: what comes next is known
                self.actor.act_on(portions)
                self.progress(f"{main.location}.{main.dataset}", portions[-1].row.last_seq + 1, main.records)
                portions = following.result()

    def _follow_up(self, family: list[TargetRow]) -> None:
        """Let the place do what makes erased bytes go and is done once, and keep what is true then."""
        main = family[0]
        erased = [row for row in family if row.level is None and any(row.outcomes.get(word) for word in _ERASED)]
        if main.action == Action.FLAG or not erased:
            return
        self.run.journal.lease.renew()
        for row in erased:
            try:
                level = self.site.acting(row.location).finish(row.dataset)
            except LocationError as error:
                say_why(error)
                self.is_unreachable = True  # what the receipts say of each batch stands
                return
            row.level = level
            with Session(self.site.engine) as session, session.begin():
                session.get_one(TargetRow, row.id).level = level

    def _postpone(self, family: list[TargetRow]) -> None:
        """A place went away: what has no intent yet is counted as refused in this run only; the plan stays alive, and
        open intents stay open until the place answers."""
        self.is_unreachable = True
        with Session(self.site.engine) as session:
            for row in family:
                open_leaves = session.scalar(
                    select(func.sum(col(BatchRow.leaves))).where(
                        col(BatchRow.target_id) == row.id, col(BatchRow.settled_at).is_(None)
                    )
                )
                left = row.records - sum(row.outcomes.values()) - (open_leaves or 0)
                if left > 0:
                    self.run.count(row.rules, {"refused": left})

    def _refusal(self, plan: PlanRow, family: list[TargetRow]) -> str | None:
        main, now = family[0], self.site.now()
        if main.stopped_by is not None or main.records == 0:
            return main.stopped_by
        if not self._is_allowed(plan, main):
            return "not-approved"
        if main.action != Action.FLAG:
            records = sum(row.records - sum(row.outcomes.values()) for row in family)
            if safety.disposed_in_7_days(self.site, now) + records > self.site.config.safety.max_records_7_days:
                return "cap-7-days"
        try:
            health = self.actor.place_of(main).check()
        except LocationError as error:
            say_why(error)
            return "unreachable"
        if not health.is_reachable:
            return "unreachable"
        return safety.source_clock_problem(health, now)

    def _is_allowed(self, plan: PlanRow, row: TargetRow) -> bool:
        if row.approval == "none":
            return True
        if row.approval == "mandate" and mandates.still_covers(self.site, row, self.site.now()):
            return True
        return plan.state == "approved" and review.is_approved(self.site, plan)

    def _refuse(self, row: TargetRow, code: str) -> None:
        left = row.records - sum(row.outcomes.values())
        if left > 0:
            self.run.count(row.rules, {"refused": left})
        with Session(self.site.engine) as session, session.begin():
            stored = session.get_one(TargetRow, row.id)
            stored.refused_by = code
            if left > 0:
                stored.outcomes = {**stored.outcomes, "refused": stored.outcomes.get("refused", 0) + left}
        row.outcomes = {**row.outcomes, "refused": row.outcomes.get("refused", 0) + max(left, 0)}


def _targets(session: Session, plan_id: int) -> list[TargetRow]:
    """Return a plan's targets in the order of acting."""
    query = select(TargetRow).where(col(TargetRow.plan_id) == plan_id).order_by(col(TargetRow.position))
    return list(session.scalars(query).all())


def _riders(rows: Sequence[TargetRow], parent: TargetRow) -> list[TargetRow]:
    found: list[TargetRow] = []
    for row in rows:
        if row.rides_with == parent.id:
            found += [row, *_riders(rows, row)]
    return found


def _digest_differs(session: Session, plan: PlanRow, rows: Sequence[TargetRow]) -> bool:
    return digest_of(session, plan, rows) != plan.digest
