"""Planning: ask every place what is past its limit, and write down the very records.

Planning reads only, with credentials that need not delete. For each target the keys are streamed in key order, in
batches, into the run database; what must stay (held, blocked by references) is decided there, from counts; caps are
looked at last. The digest covers every record, so that what a person approves is what will be acted on.

Invariant: ``due = held + blocked + records`` for every target; a place that cannot be read wholly makes its targets
``stopped_by`` and the plan incomplete, never "nothing due". Memory is flat in the number of records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.connector import Action, Batch, Key, Note, Selection, Tally
from ropa.errors import IncompleteListingError, LocationError
from ropa.ledger.leaf import key_texts
from ropa.retention import Target, cutoffs
from ropa.retention import select as select_due
from ropa.sweep import blocking, blocks, findings, holds, mandates, safety, tracing
from ropa.sweep.digest import digest_of, key_text, ledger_fields
from ropa.sweep.journal import Journal
from ropa.sweep.listing import LastDays, Listing, Plan
from ropa.sweep.packing import unpack_days, unpack_keys
from ropa.sweep.recognising import Watch, seen_findings
from ropa.sweep.scope import Scope, check_register, check_sources, choose_targets
from ropa.sweep.site import TOOL, Site
from ropa.sweep.stops import INCOMPLETE, plan_findings, say_why
from ropa.sweep.tables import PlannedStay, PlanRow, RunRow, TargetRow
from ropa.sweep.tombstones import is_kept_for

Progress = Callable[[str, int], None]
"""Called with what is being read and how many records so far."""

CHUNK = 1000
"""Parents whose children are listed with one question."""


class Planner:
    """Writes one plan; used once."""

    def __init__(self, site: Site, journal: Journal, scope: Scope, *, author: str, progress: Progress | None) -> None:
        self.site = site
        self.journal = journal
        self.scope = scope
        self.author = author
        self.progress = progress or (lambda _what, _count: None)
        self.now = site.now()
        self.plan_id = 0
        self.returned: Counter[str] = Counter()
        """Full dataset to records that had been erased before; looked for by whole plans of today."""
        self.days: dict[int, Counter[int]] = {}
        """Of each target, last day (an ordinal) to number of records."""
        self.coverage = holds.coverage(site)
        self.is_of_today = scope.as_of == site.today()
        self.watches = self.is_of_today and scope.is_full

        # Everything that makes the call or the configuration wrong (exit 2) is found here, before a byte is written.
        self.revision = check_register(site)
        self.targets = choose_targets(site, scope)
        self.unreachable = check_sources(site, self.targets, scope, self.now, say_why)

    def write(self, run: str) -> int:
        """Plan everything in scope and record it in the ledger under ``run``. Returns the plan's number."""
        targets, unreachable = self.targets, self.unreachable
        self._open_plan(self.revision, run)
        self.plan = Plan(self.plan_id, self.now, self.is_of_today)
        # Committed batch by batch, so that a hold can be placed meanwhile; until its end the plan is only "writing".
        with Session(self.site.engine, expire_on_commit=False) as session:
            for target in targets:
                if target.scope == "row":
                    with _span(target):
                        self._plan_rows(session, target, unreachable.get(target.location))
            blocking.settle(session, self.plan_id)
            for target in targets:
                if target.scope == "field":
                    with _span(target):
                        self._plan_target(session, target, unreachable.get(target.location))
            self._total(session)
            session.commit()
        self._close_plan(run)
        return self.plan_id

    def _open_plan(self, revision: int, run: str) -> None:
        site = self.site
        with Session(site.engine) as session, session.begin():
            plan = PlanRow(
                as_of=self.scope.as_of,
                created_at=self.now,
                author=self.author,
                policy=site.config.digest,
                register_revision=revision,
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

    # --- one target ----------------------------------------------------------------------------------------------

    def _plan_rows(self, session: Session, target: Target, stopped_by: str | None) -> None:
        row = self._plan_target(session, target, stopped_by)
        if target.action is Action.PURGE and row.stopped_by is None:
            self._plan_riders(session, target, row, target.dataset, {target.dataset})

    def _plan_target(self, session: Session, target: Target, stopped_by: str | None) -> TargetRow:
        row = self._add_target(session, target, target.dataset, target.scope, list(target.data))
        row.stopped_by = stopped_by
        if stopped_by is not None:
            return row
        spare = self.coverage.spare(target.location)
        selection = select_due(
            target, as_of=self.scope.as_of, now=self.now, zone=self.site.config.timezone, spare=spare
        )
        connector = self.site.connector(target.location)
        listing = Listing(session, self.plan, row, is_held=bool(self.coverage.holders(target)))
        session.commit()  # nothing is locked while the place looks for its first batch
        try:
            watch = self._watch(session, row)
            tally = self._list(listing, target, iter(connector.find(selection)), watch)
            self._note_returned(watch)
            if tally is None:  # counted last, because the listing might have done so on its way
                population = connector.count(target.dataset)
                undated = replace(selection, before=(), undated=True)
                tally = Tally(population, sum(len(batch) for batch in connector.find(undated)))
            row.population, row.unanchored = tally.population, tally.undated
            if row.action == Action.FLAG and self.is_of_today:
                listing.forget_flags([known.identity for known in self.site.targets])
        except IncompleteListingError as error:
            say_why(error)
            self._discard(session, row, "incomplete-listing")
        except LocationError as error:
            say_why(error)
            self._discard(session, row, "unreachable")
        return row

    def _add_target(self, session: Session, target: Target, dataset: str, scope: str, data: list[str]) -> TargetRow:
        site = self.site
        row = TargetRow(
            plan_id=self.plan_id,
            position=session.scalar(select(func.count()).where(col(TargetRow.plan_id) == self.plan_id)) or 0,
            identity=target.identity if dataset == target.dataset else f"{target.identity}>{dataset}",
            location=target.location,
            dataset=dataset,
            scope=scope,
            data=data,
            action=str(target.action),
            rules=[rule.name for rule in target.rules],
            revisions=[mandates.revision_of(site.config, rule) for rule in target.rules],
            cutoffs={
                anchor: timestamp(instant)
                for anchor, instant in cutoffs(target, self.scope.as_of, site.config.timezone).items()
            },
        )
        session.add(row)
        session.flush()
        return row

    def _watch(self, session: Session, row: TargetRow) -> Watch | None:
        return Watch(self.site, session, row) if self.watches and is_kept_for(row) else None

    def _list(
        self, listing: Listing, target: Target, batches: Iterator[Batch], watch: Watch | None = None
    ) -> Tally | None:
        """Write down a listing, batch by batch. Returns what it tells of the whole, None where it tells nothing."""
        last_days = LastDays(target)
        self.days[listing.row.id or 0] = listing.days
        while True:
            try:
                batch = next(batches)
            except StopIteration as end:
                return end.value if isinstance(end.value, Tally) else None
            days = last_days.of(batch.anchored, len(batch))
            listing.add(batch.keys, batch.versions, days, batch.notes)
            if watch is not None:
                watch.look(batch.keys, days)
            listing.session.commit()
            self.progress(target.full_dataset, listing.written)

    def _note_returned(self, watch: Watch | None) -> None:
        if watch is not None and (count := watch.finish()):
            self.returned[f"{watch.target.location}.{watch.target.dataset}"] += count

    def _discard(self, session: Session, row: TargetRow, stopped_by: str) -> None:
        blocks.discard(session, row.id or 0)
        self.days.pop(row.id or 0, None)
        row.stopped_by, row.population, row.unanchored = stopped_by, None, 0

    # --- children that go with their parents ---------------------------------------------------------------------

    def _plan_riders(self, session: Session, target: Target, parent: TargetRow, dataset: str, seen: set[str]) -> None:
        datasets = self.site.config.locations[target.location].datasets
        for name, spec in datasets.items():
            if spec.parent is None or not spec.parent.with_parent or spec.parent.dataset != dataset or name in seen:
                continue
            rider = self._add_target(session, target, name, "row", ["*"])
            rider.rides_with = parent.id
            session.commit()
            try:
                rider.population = self.site.connector(target.location).count(name)
                self._list_riders(session, target, parent, rider, dataset)
            except LocationError as error:
                say_why(error)
                self._discard(session, rider, "incomplete-listing")
                parent.stopped_by = "incomplete-listing"
                return
            self._plan_riders(session, target, rider, name, seen | {name})

    def _list_riders(
        self, session: Session, target: Target, parent: TargetRow, rider: TargetRow, parent_dataset: str
    ) -> None:
        spare = self.coverage.spare(target.location)
        is_held = bool(self.coverage.companion_holders(f"{rider.location}.{rider.dataset}"))
        listing = Listing(session, self.plan, rider, is_held=is_held)
        self.days[rider.id or 0] = listing.days
        watch = self._watch(session, rider)
        parent_id = parent.id or 0
        for block in blocks.blocks(session, parent_id):
            keys = unpack_keys(block.keys, block.count)
            days = unpack_days(block.due_on, block.count)
            for i in range(0, block.count, CHUNK):
                selection = Selection(
                    dataset=rider.dataset,
                    zone=self.site.config.timezone,
                    now=self.now,
                    spare=spare,
                    parents=(parent_dataset, tuple(keys[i : i + CHUNK])),
                    check_anchors=False,
                )
                family = _Family(parent_dataset, block.first_seq + i, keys[i : i + CHUNK], days[i : i + CHUNK])
                for batch in self.site.connector(target.location).find(selection):
                    family.add(batch)
                # Who stays is asked by key of those who have children.
                blocks.write_keys(session, parent_id, family.parents)
                children = family.columns()
                listing.add(*children)
                if watch is not None:
                    watch.look(children[0], children[2])
                session.commit()
                self.progress(f"{rider.location}.{rider.dataset}", listing.written)
        self._note_returned(watch)

    # --- totals, caps, digest ------------------------------------------------------------------------------------

    def _total(self, session: Session) -> None:
        site, gone = self.site, safety.disposed_in_7_days(self.site, self.now)
        compiled = {target.identity: target for target in site.targets}
        rows = session.scalars(
            select(TargetRow).where(col(TargetRow.plan_id) == self.plan_id).order_by(col(TargetRow.position))
        ).all()
        for row in rows:
            self._count(session, row)
            target = compiled[row.identity.partition(">")[0]]
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
        for row in rows:
            row.previous_records = _previous_records(session, row)
        mandates.assign(session, site, self.plan_id, self.now, is_nightly=self.scope.is_nightly)

    def _count(self, session: Session, row: TargetRow) -> None:
        days = self.days.get(row.id or 0, Counter[int]())
        stays = session.execute(
            select(col(PlannedStay.disposition), col(PlannedStay.reason), func.count())
            .where(col(PlannedStay.target_id) == row.id)
            .group_by(col(PlannedStay.disposition), col(PlannedStay.reason))
        ).all()
        row.due = blocks.count(session, row.id or 0)
        row.held = sum(count for disposition, _, count in stays if disposition == "held")
        row.blockers = {reason: count for disposition, reason, count in stays if disposition == "blocked"}
        row.blocked = sum(row.blockers.values())
        row.records = row.due - row.held - row.blocked
        dated = [day for day in days if day]
        row.oldest_due_on = date.fromordinal(min(dated)) if dated else None
        ages = {"<=30": 0, "<=365": 0, ">365": 0}
        for day, count in days.items():
            late = self.scope.as_of.toordinal() - day if day else 0
            ages["<=30" if late <= 30 else "<=365" if late <= 365 else ">365"] += count
        row.ages = ages

    def _close_plan(self, run: str) -> None:
        with Session(self.site.engine) as session, session.begin():
            plan = session.get_one(PlanRow, self.plan_id)
            rows = session.scalars(
                select(TargetRow).where(col(TargetRow.plan_id) == self.plan_id).order_by(col(TargetRow.position))
            ).all()
            plan.is_complete = not any(row.stopped_by in INCOMPLETE for row in rows)
            plan.digest = digest_of(session, plan, rows)
            found = [*holds.hold_findings(self.site), *plan_findings(rows), *seen_findings(self.returned)]
            event = ledger_fields(self.site, plan, rows, len(holds.active_holds(self.site)))
        count = len(found)
        if self.is_of_today:  # a look at another day says nothing about what a person must do today
            count = findings.record(self.site, "plan", found, clears=self.scope.is_full)
        self.journal.append("plan", run=run, **event)
        with Session(self.site.engine) as session, session.begin():
            plan = session.get_one(PlanRow, self.plan_id)
            plan.findings = count
            plan.state = "pending"


class _Family:
    """Some parents, and the children that were found with them."""

    def __init__(self, dataset: str, first_seq: int, keys: list[Key], days: tuple[int, ...]) -> None:
        self._dataset = dataset
        self._order = {text: (first_seq + pos, days[pos], text) for pos, text in enumerate(key_texts(keys))}
        self.parents: dict[int, str] = {}
        """Number to key text of those who have children."""
        self._children: list[tuple[int, int, Key, str, Note]] = []

    def add(self, batch: Batch) -> None:
        """Take in children; what names none of the parents does not go with one."""
        for pos in sorted(batch.notes):
            note, found = batch.notes[pos], []
            for reference in note.refers_to:
                text = key_text(reference.key)
                if reference.dataset == self._dataset and text in self._order:
                    found.append(self._order[text])
            self.parents |= {seq: text for seq, _, text in found}
            if found:
                version = batch.versions[pos] if batch.versions else ""
                self._children.append((*found[0][:2], batch.keys[pos], version, note))

    def columns(self) -> tuple[list[Key], list[str], list[int], dict[int, Note]]:
        """Return keys, versions, last days (the parent's) and notes of the children, in the order of their parents."""
        ordered = sorted(self._children, key=lambda child: child[0])
        notes = {pos: child[4] for pos, child in enumerate(ordered)}
        return [child[2] for child in ordered], [child[3] for child in ordered], [child[1] for child in ordered], notes


def _span(target: Target) -> AbstractContextManager[object]:
    return tracing.span("ropa.plan-target", dataset=target.full_dataset, scope=target.scope, action=str(target.action))


def _previous_records(session: Session, row: TargetRow) -> int | None:
    """How many the last plan had that read this target wholly: growth is not hidden by a night that saw nothing."""
    return session.scalar(
        select(col(TargetRow.records))
        .join(PlanRow, col(PlanRow.id) == col(TargetRow.plan_id))
        .where(
            col(TargetRow.identity) == row.identity,
            col(TargetRow.plan_id) < row.plan_id,
            col(TargetRow.population).is_not(None),
            col(PlanRow.digest) != "",
            ~col(PlanRow.is_forecast),
            col(PlanRow.reapplies).is_(None),
        )
        .order_by(col(TargetRow.plan_id).desc())
        .limit(1)
    )
