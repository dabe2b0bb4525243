"""Planning: ask every place what is past its limit, and write down the very records.

Planning reads only, with credentials that need not delete. Each place is planned by itself (``place``), several at
once (``crew``): its keys are streamed in key order, in batches, into the run database; what must stay (held, blocked by
references) is decided there, from counts; caps are looked at last, over all places. The digest covers every record, so
that what a person approves is what will be acted on.

Invariant: ``due = held + blocked + records`` for every target; a place that cannot be read wholly makes its targets
``stopped_by`` and the plan incomplete, never "nothing due".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import calendar_day
from ropa.connector import Action
from ropa.errors import Finding
from ropa.retention import Target
from ropa.sweep import findings, holds, mandates, safety
from ropa.sweep.crew import Crew, Lane, awaited, drive
from ropa.sweep.digest import digest_of, ledger_fields
from ropa.sweep.journal import Journal
from ropa.sweep.listing import forget_flags_of_others
from ropa.sweep.place import Listed, target_values
from ropa.sweep.previous import previous_records
from ropa.sweep.recognising import seen_findings
from ropa.sweep.scope import Looked, Scope, is_erasing, look, riders
from ropa.sweep.site import TOOL, Site
from ropa.sweep.stops import INCOMPLETE, plan_findings, say_why
from ropa.sweep.tables import PlanRow, RunRow, TargetRow


class Planner:
    """Writes one plan; used once."""

    def __init__(
        self, site: Site, journal: Journal, scope: Scope, *, author: str, looked: Looked | None = None
    ) -> None:
        """``looked``: what ``scope.look`` told a moment ago; without it everything is looked at now."""
        self.site = site
        self.journal = journal
        self.scope = scope
        self.author = author
        self.now = site.now()
        self.plan_id = 0
        self.returned: Counter[str] = Counter()
        """Full dataset to records that had been erased before; looked for by whole plans of today."""
        self._previous: dict[str, int | None] = {}
        """Identity to the records of the plan before, of targets that it was looked up for."""
        self.is_of_today = scope.as_of == calendar_day(self.now, site.config.timezone)

        # Everything that makes the call or the configuration wrong (exit 2) is found here, before a byte is written.
        self.looked = looked or look(site, scope, self.now)
        self.targets = self.looked.targets
        self.unreachable = self.looked.unreachable
        for error in self.looked.why:
            say_why(error)

    def write(self, run: str, crew: Crew) -> int:
        """Plan everything in scope and record it in the ledger under ``run``. Returns the plan's number.

        Raises what ``crew`` raises of a place beyond LocationError, once every place in hand has ended.
        """
        self._add_targets(self.open(run))
        places = dict.fromkeys(target.location for target in self.targets)
        lanes = (self._lane(crew, location) for location in places)
        drive(lanes, crew, stop=crew.give_up, tick=self.journal.lease.check)
        self.close(run)
        return self.plan_id

    def _lane(self, crew: Crew, location: str) -> Lane[None]:
        """Plan one place, and take in what it tells."""
        watches = self.is_of_today and self.scope.is_full
        told: Listed = yield from awaited(crew.list_place(self.plan_id, location, watches=watches))
        self.returned.update(told.returned)
        for error in told.why:
            say_why(error)

    def _add_targets(self, plan: PlanRow) -> None:
        """Give every target its row, in the order of acting."""
        position, rows = 0, []
        for target in self.targets:
            values = target_values(self.site, plan, target, target.dataset, position)
            values["stopped_by"] = self.unreachable.get(target.location)
            rows.append(values)
            position = self.position_after(target, position)
        if not rows:
            return
        with Session(self.site.engine) as session, session.begin():
            self._previous = previous_records(session, self.plan_id, [values["identity"] for values in rows])
            for values in rows:
                values["previous_records"] = self._previous[values["identity"]]
            session.execute(insert(TargetRow), rows)

    def position_after(self, target: Target, position: int) -> int:
        """Return the position of the next target: what goes with the records of one stands behind it."""
        datasets = self.site.config.locations[target.location].datasets
        return position + 1 + (len(riders(datasets, target.dataset)) if is_erasing(target) else 0)

    def open(self, run: str) -> PlanRow:
        """Make the plan's row, which is ``writing`` until the plan is closed."""
        site = self.site
        with Session(site.engine, expire_on_commit=False) as session, session.begin():
            plan = PlanRow(
                as_of=self.scope.as_of,
                created_at=self.now,
                author=self.author,
                policy=site.config.digest,
                register_revision=self.looked.revision,
                tool=TOOL,
                is_forecast=self.scope.as_of > site.today(),
                is_nightly=self.scope.is_nightly,
                reapplies=self.scope.reapplies,
                approvals_needed=site.config.safety.approvals,
            )
            session.add(plan)
            session.flush()
            self.plan_id = plan.id or 0
            session.get_one(RunRow, run).plan_id = self.plan_id
            return plan

    # --- totals, caps, digest --------------------------------------------------------------------------------------

    def close(self, run: str) -> None:
        """Look at the caps, over all places, and record the plan in the ledger."""
        with Session(self.site.engine, expire_on_commit=False) as session:
            rows = self._total(session)
            session.commit()
            event, found = self._digested(session, rows)
        self._record(run, event, found)

    def _total(self, session: Session) -> Sequence[TargetRow]:
        site, gone = self.site, safety.disposed_in_7_days(self.site, self.now)
        rows = session.scalars(
            select(TargetRow).where(col(TargetRow.plan_id) == self.plan_id).order_by(col(TargetRow.position))
        ).all()
        for row in rows:
            target = site.by_identity[row.identity.partition(">")[0]]
            row.approval = "none" if target.action is Action.FLAG else "needed"
            cap = safety.cap_problem(row, max_records=target.max_records, max_share=target.max_share)
            row.stopped_by = row.stopped_by or cap
            if row.stopped_by is None and target.action is not Action.FLAG:
                if gone + row.records > site.config.safety.max_records_7_days:
                    row.stopped_by = "cap-7-days"
                else:
                    gone += row.records
        by_id = {row.id: row for row in rows}
        for row in rows:  # a parent and the children that go with it stop together
            if row.rides_with is not None:
                parent = by_id[row.rides_with]
                while parent.rides_with is not None:
                    parent = by_id[parent.rides_with]
                parent.stopped_by = parent.stopped_by or row.stopped_by
        for row in rows:
            if row.rides_with is not None:
                row.stopped_by = row.stopped_by or by_id[row.rides_with].stopped_by
        self._note_previous(session, rows)
        mandates.assign(session, site, rows, self.now, is_nightly=self.scope.is_nightly)
        return rows

    def _note_previous(self, session: Session, rows: Iterable[TargetRow]) -> None:
        """Put what the plan before had into rows that nothing is known of yet."""
        unknown = [row for row in rows if row.identity not in self._previous]
        self._previous |= previous_records(session, self.plan_id, [row.identity for row in unknown])
        for row in unknown:
            row.previous_records = self._previous[row.identity]

    def _digested(self, session: Session, rows: Sequence[TargetRow]) -> tuple[dict[str, Any], list[Finding]]:
        """Give the plan its digest. Returns its ledger line and its findings."""
        plan = session.get_one(PlanRow, self.plan_id)
        plan.is_complete = not any(row.stopped_by in INCOMPLETE for row in rows)
        plan.digest = digest_of(session, plan, rows)
        found = [*holds.hold_findings(self.site), *plan_findings(rows), *seen_findings(self.returned)]
        event = ledger_fields(self.site, plan, rows, len(holds.active_holds(self.site)))
        if self.is_of_today and any(row.action == Action.FLAG for row in rows):
            forget_flags_of_others(session, self.site.by_identity)
        session.commit()
        return event, found

    def _record(self, run: str, event: dict[str, Any], found: list[Finding]) -> None:
        count = len(found)
        if self.is_of_today:  # a look at another day says nothing about what a person must do today
            count = findings.record(self.site, "plan", found, clears=self.scope.is_full)
        self.journal.append("plan", run=run, **event)
        with Session(self.site.engine) as session, session.begin():
            plan = session.get_one(PlanRow, self.plan_id)
            plan.findings = count
            plan.state = "pending"
