"""Planning: ask every place what is past its limit, and write down the very records.

Planning reads only, with credentials that need not delete. For each target the keys are streamed in key order, in
batches, into the run database; what must stay (held, blocked by references) is decided there, from counts; caps are
looked at last. The digest covers every record, so that what a person approves is what will be acted on.

Invariant: ``due = held + blocked + records`` for every target; a place that cannot be read wholly makes its targets
``stopped_by`` and the plan incomplete, never "nothing due". Memory is flat in the number of records.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.connector import Action, Batch, Found, Selection
from ropa.errors import IncompleteListingError, LocationError
from ropa.retention import Target, cutoffs, due_on_record
from ropa.retention import select as select_due
from ropa.sweep import blocking, findings, holds, mandates, safety
from ropa.sweep.digest import digest_of, key_text, ledger_fields
from ropa.sweep.journal import Journal
from ropa.sweep.scope import Scope, check_register, check_sources, choose_targets
from ropa.sweep.site import TOOL, Site
from ropa.sweep.stops import INCOMPLETE, plan_findings
from ropa.sweep.tables import (
    FlaggedRecord,
    PlannedRecord,
    PlannedReference,
    PlannedReferring,
    PlanRow,
    TargetRow,
)

Progress = Callable[[str, int], None]
"""Called with what is being read and how many records so far."""

CHUNK = 1000
"""Keys per question: parents whose children are listed, keys that are looked up."""


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
        self.coverage = holds.coverage(site)
        self.is_of_today = scope.as_of == site.today()

        # Everything that makes the call or the configuration wrong (exit 2) is found here, before a byte is written.
        self.revision = check_register(site)
        self.targets = choose_targets(site, scope)
        self.unreachable = check_sources(site, self.targets, scope, self.now)

    def write(self, run: str) -> int:
        """Plan everything in scope and record it in the ledger under ``run``. Returns the plan's number."""
        targets, unreachable = self.targets, self.unreachable
        self._open_plan(self.revision)
        # Committed batch by batch, so that a hold can be placed meanwhile; until its end the plan is only "writing".
        with Session(self.site.engine, expire_on_commit=False) as session:
            for target in targets:
                if target.scope == "row":
                    self._plan_rows(session, target, unreachable.get(target.location))
            blocking.settle(session, self.plan_id)
            for target in targets:
                if target.scope == "field":
                    self._plan_target(session, target, unreachable.get(target.location))
            self._total(session)
            session.commit()
        self._close_plan(run)
        return self.plan_id

    def _open_plan(self, revision: int) -> None:
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
                approvals_needed=site.config.safety.approvals,
            )
            session.add(plan)
            session.flush()
            self.plan_id = plan.id or 0

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
        try:
            row.population = connector.count(target.dataset)
            written = 0
            for batch in connector.find(selection):
                written = self._write_batch(session, target, row, batch, written)
                session.commit()
                self.progress(target.full_dataset, written)
            row.unanchored = sum(len(b.records) for b in connector.find(replace(selection, before=(), undated=True)))
            if row.action == Action.FLAG and self.is_of_today:
                self._forget_flags(session, row)
        except IncompleteListingError:
            self._discard(session, row, "incomplete-listing")
        except LocationError:
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

    def _discard(self, session: Session, row: TargetRow, stopped_by: str) -> None:
        for table in (PlannedRecord, PlannedReference, PlannedReferring):
            session.execute(delete(table).where(col(table.target_id) == row.id))
        row.stopped_by, row.population, row.unanchored = stopped_by, None, 0

    def _write_batch(self, session: Session, target: Target, row: TargetRow, batch: Batch, start: int) -> int:
        texts = [key_text(found.key) for found in batch.records]
        skipped = self._elsewhere(session, row, texts)
        pairs = [(found, text) for found, text in zip(batch.records, texts, strict=True) if text not in skipped]
        is_held = bool(self.coverage.holders(target))
        rows = [
            self._record(row, start + i, found, text, due_on_record(target, found.anchored), is_held=is_held)
            for i, (found, text) in enumerate(pairs)
        ]
        if rows:
            session.execute(insert(PlannedRecord), rows)
        if row.scope == "row" and row.action == Action.PURGE:
            self._write_references(session, row, [(start + i, found) for i, (found, _) in enumerate(pairs)])
        return start + len(rows)

    def _elsewhere(self, session: Session, row: TargetRow, texts: list[str]) -> set[str]:
        """Keys that this target passes over: flagged before, or in the plan as whole rows that go (or must stay)."""
        if row.action == Action.FLAG:
            query = select(col(FlaggedRecord.key)).where(col(FlaggedRecord.identity) == row.identity)
            flagged = _among(session, query, col(FlaggedRecord.key), texts)
            row.already_flagged += len(flagged)
            if self.is_of_today:
                self._keep_flags(session, row, sorted(flagged))
            return flagged
        rivals = session.scalars(
            select(col(TargetRow.id)).where(
                col(TargetRow.plan_id) == self.plan_id,
                col(TargetRow.location) == row.location,
                col(TargetRow.dataset) == row.dataset,
                col(TargetRow.scope) == "row",
                col(TargetRow.action) != str(Action.FLAG),
                col(TargetRow.id) != row.id,
            )
        ).all()
        if not rivals:
            return set()
        query = select(col(PlannedRecord.key)).where(col(PlannedRecord.target_id).in_(rivals))
        return _among(session, query, col(PlannedRecord.key), texts)

    def _keep_flags(self, session: Session, row: TargetRow, texts: list[str]) -> None:
        flags = update(FlaggedRecord).where(col(FlaggedRecord.identity) == row.identity).values(at=self.now)
        for i in range(0, len(texts), CHUNK):
            session.execute(flags.where(col(FlaggedRecord.key).in_(texts[i : i + CHUNK])))

    def _forget_flags(self, session: Session, row: TargetRow) -> None:
        """A whole listing has shown what is still due: the flags of the rest, and of targets that are no more, go."""
        present = [target.identity for target in self.site.targets]
        is_over = (col(FlaggedRecord.identity) == row.identity) & (col(FlaggedRecord.at) < self.now)
        session.execute(delete(FlaggedRecord).where(is_over | col(FlaggedRecord.identity).not_in(present)))

    def _record(
        self, row: TargetRow, seq: int, found: Found, text: str, due_on: date | None, *, is_held: bool
    ) -> dict[str, Any]:
        disposition, reason = "planned", None
        if is_held or found.is_spared:
            disposition, reason = "held", "hold"
        elif found.obstacle is not None:
            disposition, reason = "blocked", found.obstacle
        return {
            "target_id": row.id,
            "seq": seq,
            "key": text,
            "version": found.version,
            "due_on": due_on,
            "disposition": disposition,
            "reason": reason,
            "rank": 0,
            "batch": None,
            "own_version": None,
        }

    def _write_references(self, session: Session, row: TargetRow, pairs: list[tuple[int, Found]]) -> None:
        references = {
            (seq, ref.dataset, key_text(ref.key)): {
                "target_id": row.id,
                "seq": seq,
                "parent_dataset": ref.dataset,
                "parent_key": key_text(ref.key),
                "plan_id": self.plan_id,
                "location": row.location,
            }
            for seq, found in pairs
            for ref in found.refers_to
        }
        if references:
            session.execute(insert(PlannedReference), list(references.values()))
        referring = [
            {
                "target_id": row.id,
                "seq": seq,
                "source": place.source,
                "is_declared": place.is_declared,
                "count": place.count,
            }
            for seq, found in pairs
            for place in found.referred_by
        ]
        if referring:
            session.execute(insert(PlannedReferring), referring)

    # --- children that go with their parents ---------------------------------------------------------------------

    def _plan_riders(self, session: Session, target: Target, parent: TargetRow, dataset: str, seen: set[str]) -> None:
        datasets = self.site.config.locations[target.location].datasets
        for name, spec in datasets.items():
            if spec.parent is None or not spec.parent.with_parent or spec.parent.dataset != dataset or name in seen:
                continue
            rider = self._add_target(session, target, name, "row", ["*"])
            rider.rides_with = parent.id
            try:
                rider.population = self.site.connector(target.location).count(name)
                self._list_riders(session, target, parent, rider, dataset)
            except (IncompleteListingError, LocationError):
                self._discard(session, rider, "incomplete-listing")
                parent.stopped_by = "incomplete-listing"
                return
            self._plan_riders(session, target, rider, name, seen | {name})

    def _list_riders(
        self, session: Session, target: Target, parent: TargetRow, rider: TargetRow, parent_dataset: str
    ) -> None:
        spare = self.coverage.spare(target.location)
        is_held = bool(self.coverage.companion_holders(f"{rider.location}.{rider.dataset}"))
        connector, seq, after = self.site.connector(target.location), 0, -1
        while True:
            parents = session.execute(
                select(col(PlannedRecord.seq), col(PlannedRecord.key), col(PlannedRecord.due_on))
                .where(col(PlannedRecord.target_id) == parent.id, col(PlannedRecord.seq) > after)
                .order_by(col(PlannedRecord.seq))
                .limit(CHUNK)
            ).all()
            if not parents:
                return
            after = parents[-1].seq
            order = {row.key: (row.seq, row.due_on) for row in parents}
            selection = Selection(
                dataset=rider.dataset,
                zone=self.site.config.timezone,
                now=self.now,
                spare=spare,
                parents=(parent_dataset, tuple(tuple(json.loads(row.key)) for row in parents)),
                check_anchors=False,
            )
            found: list[tuple[int, date | None, Found, str]] = []
            for batch in connector.find(selection):
                for child in batch.records:
                    of = [order[k] for ref in child.refers_to if (k := key_text(ref.key)) in order]
                    found += [(of[0][0], of[0][1], child, key_text(child.key))] if of else []
            texts = [text for *_, text in found]
            taken = self._elsewhere(session, rider, texts) | self._listed(session, rider, texts)
            found = sorted((f for f in found if f[3] not in taken), key=lambda f: f[0])
            rows = [
                self._record(rider, seq + i, child, text, due_on, is_held=is_held)
                for i, (_, due_on, child, text) in enumerate(found)
            ]
            if rows:
                session.execute(insert(PlannedRecord), rows)
                self._write_references(session, rider, [(seq + i, child) for i, (*_, child, _t) in enumerate(found)])
            seq += len(rows)
            session.commit()
            self.progress(f"{rider.location}.{rider.dataset}", seq)

    def _listed(self, session: Session, rider: TargetRow, texts: list[str]) -> set[str]:
        """Keys that are among the riders already: a child may belong to two records that go."""
        query = select(col(PlannedRecord.key)).where(col(PlannedRecord.target_id) == rider.id)
        return _among(session, query, col(PlannedRecord.key), texts)

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
        counts = dict(
            session.execute(
                select(col(PlannedRecord.disposition), func.count())
                .where(col(PlannedRecord.target_id) == row.id)
                .group_by(col(PlannedRecord.disposition))
            ).all()
        )
        row.records, row.held, row.blocked = (counts.get(word, 0) for word in ("planned", "held", "blocked"))
        row.due = row.records + row.held + row.blocked
        row.oldest_due_on = session.scalar(
            select(func.min(col(PlannedRecord.due_on))).where(col(PlannedRecord.target_id) == row.id)
        )
        reasons = session.execute(
            select(col(PlannedRecord.reason), func.count())
            .where(col(PlannedRecord.target_id) == row.id, col(PlannedRecord.disposition) == "blocked")
            .group_by(col(PlannedRecord.reason))
        ).all()
        row.blockers = {reason or "": count for reason, count in reasons}
        by_day = session.execute(
            select(col(PlannedRecord.due_on), func.count())
            .where(col(PlannedRecord.target_id) == row.id)
            .group_by(col(PlannedRecord.due_on))
        ).all()
        ages = {"<=30": 0, "<=365": 0, ">365": 0}
        for due_on, count in by_day:
            late = (self.scope.as_of - due_on).days if due_on else 0
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
            found = [*holds.hold_findings(self.site), *plan_findings(rows)]
            event = ledger_fields(self.site, plan, rows, len(holds.active_holds(self.site)))
        count = len(found)
        if self.is_of_today:  # a look at another day says nothing about what a person must do today
            count = findings.record(self.site, "plan", found, clears=self.scope.is_full)
        self.journal.append("plan", run=run, **event)
        with Session(self.site.engine) as session, session.begin():
            plan = session.get_one(PlanRow, self.plan_id)
            plan.findings = count
            plan.state = "pending"


def _among(session: Session, query: Select[str], key: Any, texts: list[str]) -> set[str]:
    """Return which of some keys a query has; asked in pieces, because databases bound the number of values."""
    pieces = (texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK))
    return {found for piece in pieces for found in session.scalars(query.where(key.in_(piece)))}


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
        )
        .order_by(col(TargetRow.plan_id).desc())
        .limit(1)
    )
