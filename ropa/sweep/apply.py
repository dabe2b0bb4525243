"""Applying a plan: which of its targets may be carried out now, and unit after unit of those.

What is written of a unit stands in ``acting``, what is done with it in ``hand``, what became of one that was cut off in
``reconcile``. Each place has a lane of its own (``crew``), in which its targets follow one another; while a place acts,
the next unit is prepared, which reads and reckons and writes nothing. Invariant: the outcomes of a target add up to its
planned records; between two units a signal, a halt, a clock that jumped and a lost lease are looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa import clock
from ropa.connector import Action
from ropa.errors import LocationError, RefusedError, RopaError
from ropa.sweep import items, mandates, review, safety, tracing, units
from ropa.sweep.acting import Actor
from ropa.sweep.crew import LOOK_SECONDS, Crew, GivenUpError, Lane, awaited, drive
from ropa.sweep.digest import digest_of
from ropa.sweep.hand import Told
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

    def __init__(
        self, run: Run, crew: Crew, interruption: Interruption | None = None, progress: Progress | None = None
    ) -> None:
        self.run = run
        self.crew = crew
        self.site = run.journal.site
        self.actor = Actor(run)
        self.interruption = interruption
        self.progress = progress or (lambda _dataset, _done, _of: None)
        self.is_unreachable = False
        """Whether a place went away meanwhile."""
        self.postponed: dict[int, int] = {}
        """How many records of a target, by its id, wait for a place that is away."""
        self._is_stopping = False
        self._gone_before: int | None = None
        self._in_hand: dict[int, list[TargetRow]] = {}
        """Targets that are being carried out, with what rides with them, by the main one's id."""

    def settle_open(self) -> None:
        """Settle every intent without a receipt; first thing of every run. Raises what ``Reconciler`` raises.

        A worker that was at work for the run before is waited for, as long as its lease lasts.
        """
        while items.is_busy(self.site, self.run.journal.lease.fencing):
            self.run.check(self.interruption)
            clock.pause(LOOK_SECONDS)
        reconciler = Reconciler(self.actor, self._may_act)
        reconciler.settle_open()
        self.is_unreachable |= reconciler.is_unreachable

    def _may_act(self, plan_id: int, main: Portion) -> bool:
        plan = review.get_plan(self.site, plan_id)
        if main.target.identity.partition(">")[0] not in self.site.by_identity or review.staleness(self.site, plan):
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
        mains = [row for row in rows if row.rides_with is None and only(row)]
        self._expect_credentials(plan, mains)
        places: dict[str, list[list[TargetRow]]] = {}
        for row in mains:
            places.setdefault(row.location, []).append(units.family_of(row, rows))
        lanes = (self._lane(plan, families) for families in places.values())
        return any(drive(lanes, self.crew, stop=self._stop, tick=self.run.journal.lease.check))

    def _stop(self) -> None:
        self._is_stopping = True

    def _check(self) -> None:
        """Look before anything new is begun. Raises as ``Run.check``, and GivenUpError where another lane failed."""
        if self._is_stopping:
            raise GivenUpError
        self.run.check(self.interruption)

    def _lane(self, plan: PlanRow, families: Sequence[list[TargetRow]]) -> Lane[bool]:
        """Carry out the targets of one place, one after the other, turn by turn. Returns whether one was refused."""
        refused = set[int | None]()
        for family, stop in _in_turns(families):
            row = family[0]
            if self._is_stopping:
                raise GivenUpError
            if row.id in refused:
                continue
            if self._is_spent(row):
                yield from self._follow_up(family)  # a run was cut off between the last receipt and this
                continue
            self._in_hand[row.id or 0] = family
            with _span(row):
                if (yield from self._carry_out_family(plan, family, stop)):
                    refused.add(row.id)
            del self._in_hand[row.id or 0]
        return bool(refused)

    def _expect_credentials(self, plan: PlanRow, mains: Sequence[TargetRow]) -> None:
        """Look up what ``[location.X.apply]`` names for every place that is about to be acted on, before the first is.

        Raises ConfigurationError where one is not there; a place that is away is left to its turn.
        """
        for row in mains:
            if self.site.config.locations[row.location].apply and self._is_due(plan, row):
                with suppress(LocationError):
                    self.actor.hand.place_of(row)

    def _is_due(self, plan: PlanRow, row: TargetRow) -> bool:
        return row.stopped_by is None and row.records > 0 and not self._is_spent(row) and self._is_allowed(plan, row)

    def _is_spent(self, row: TargetRow) -> bool:
        return sum(row.outcomes.values()) >= row.records and (row.records > 0 or bool(row.outcomes))

    def _carry_out_family(self, plan: PlanRow, family: list[TargetRow], stop: int | None) -> Lane[bool]:
        """Act on one target and what rides with it, up to the record with the number ``stop``. Returns whether it was
        refused."""
        code = yield from self._refusal(plan, family)
        if code == "unreachable":
            self._postpone(family)
            return True
        if code is not None:
            for row in family:
                self._refuse(row, code)
            yield from self._follow_up(family)  # of what went before it was refused
            self.is_unreachable |= code == "incomplete-listing"
            return code == "incomplete-listing" or any(row.records for row in family)
        try:
            yield from self._carry_out_units(plan, family, stop)
        except LocationError as error:
            say_why(error)
            self._postpone(family)
            return True
        if stop is None:
            yield from self._follow_up(family)
        return False

    def _carry_out_units(self, plan: PlanRow, family: list[TargetRow], stop: int | None) -> Lane[None]:
        """Write intents, let the units be acted on, write their receipts in the order of the intents."""
        width = self._width(family)
        waiting = units.to_do(self.site, plan, family, self.run.id, stop=stop)
        in_hand: deque[tuple[list[Portion], Future[Told]]] = deque()
        following = next(waiting, None)
        try:
            while following is not None or in_hand:
                while following is not None and len(in_hand) < width:
                    self._check()
                    self.actor.write_intents(following)
                    in_hand.append((following, self.crew.act(following)))
                    following = next(waiting, None)  # that unit is written: what comes next is known
                yield from self._settle(family, in_hand)
        except Exception:
            while in_hand:
                with suppress(RopaError):  # an intent that stays open is settled by the next run
                    yield from self._settle(family, in_hand)
            raise

    def _settle(self, family: list[TargetRow], in_hand: deque[tuple[list[Portion], Future[Told]]]) -> Lane[None]:
        """Wait for the unit whose intents are the oldest, and write its receipts."""
        portions, future = in_hand.popleft()
        told = yield from awaited(future)
        self.actor.write_receipts(portions, told)
        self.progress(f"{family[0].location}.{family[0].dataset}", portions[-1].row.last_seq + 1, family[0].records)

    def _width(self, family: list[TargetRow]) -> int:
        """Return how many units may be in hand at once. Where records go together, or one of a dataset refers to
        another, their order matters: one."""
        main = family[0]
        width = self.crew.width(main.location)
        if width > 1 and (len(family) > 1 or main.dataset in self._parents_of(main)):
            return 1
        return width

    def _parents_of(self, row: TargetRow) -> frozenset[str]:
        return self.site.parents_or_declared(row.location).get(row.dataset, frozenset())

    def _follow_up(self, family: list[TargetRow]) -> Lane[None]:
        """Let the place do what makes erased bytes go and is done once, and keep what is true then."""
        main = family[0]
        erased = [row for row in family if row.level is None and any(row.outcomes.get(word) for word in _ERASED)]
        if main.action == Action.FLAG or not erased:
            return
        self.run.journal.lease.renew()
        for row in erased:
            try:
                place, dataset = self.site.acting(row.location), row.dataset
                level = yield from awaited(self.crew.aside(partial(place.finish, dataset)))
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
                    self.postponed[row.id or 0] = left

    def _refusal(self, plan: PlanRow, family: list[TargetRow]) -> Lane[str | None]:
        """Return why a target may not be carried out now; None where nothing stands against it."""
        self.run.watch.check()  # under a clock that has jumped a refusal would be an untrue one, and end the night
        main, now = family[0], self.run.journal.now()
        if main.stopped_by is not None or main.records == 0:
            return main.stopped_by
        if not self._is_allowed(plan, main):
            return "not-approved"
        if main.action != Action.FLAG:
            begun = (row for targets in self._in_hand.values() for row in targets if row.action != Action.FLAG)
            records = sum(row.records - sum(row.outcomes.values()) for row in begun)  # this one's among them
            if self._disposed_in_7_days() + records > self.site.config.safety.max_records_7_days:
                return "cap-7-days"
        try:
            health = yield from awaited(self.crew.aside(self.actor.hand.place_of(main).check))
        except LocationError as error:
            say_why(error)
            return "unreachable"
        if not health.is_reachable:
            return "unreachable"
        return safety.source_clock_problem(health, now)

    def _disposed_in_7_days(self) -> int:
        """Return how many records went in the last 7 days: what went before is added up once, because a week may have
        a million batches. What leaves the 7 days while this run goes on still counts."""
        own = sum(self.run.totals[word] for word in safety.DISPOSED)
        if self._gone_before is None:
            self._gone_before = safety.disposed_in_7_days(self.site, self.site.now()) - own
        return self._gone_before + own

    def _is_allowed(self, plan: PlanRow, row: TargetRow) -> bool:
        if row.approval == "none":
            return True
        if row.approval == "mandate" and mandates.still_covers(self.site, row, self.run.journal.now()):
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


def _span(row: TargetRow) -> AbstractContextManager[object]:
    facts = {"scope": row.scope, "action": row.action}
    name = f"{row.location}.{row.dataset}"
    return tracing.span("ropa.target", is_current=False, dataset=name, records=row.records, **facts)


def _targets(session: Session, plan_id: int) -> list[TargetRow]:
    """Return a plan's targets in the order of acting."""
    query = select(TargetRow).where(col(TargetRow.plan_id) == plan_id).order_by(col(TargetRow.position))
    return list(session.scalars(query).all())


def _in_turns(families: Sequence[list[TargetRow]]) -> Iterator[tuple[list[TargetRow], int | None]]:
    """Yield targets, with what rides with each, in the order of acting, and the number that a turn of it stops before;
    None: the last turn of that target."""
    for turn in range(1 + max((len(family[0].turns) for family in families), default=0)):
        for family in families:
            stops = [*family[0].turns, None]
            if turn < len(stops):
                yield family, stops[turn]


def _digest_differs(session: Session, plan: PlanRow, rows: Sequence[TargetRow]) -> bool:
    return digest_of(session, plan, rows) != plan.digest
