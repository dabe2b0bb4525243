"""Applying a plan: the only place from which anything is erased.

Design statement. Deleting cannot be undone, so nothing here decides *what* goes: a plan does, whose digest a named
person
approved or a mandate covers, and this file only ever narrows it. For each batch, in this order and no other:

1. a fresh random key and the batch's rows are committed in the run database;
2. the leaves and the **intent** are durable in the ledger: from here on the batch can be accounted for, whatever
happens;
3. halt, clock, lease and **holds** are looked at again; holds that cannot be read stop everything;
4. the connector acts, with the whole selection (still due, unchanged, not spared, nothing refers to it) in the
deletion;
5. a separate read looks what is still there: ``purged`` is only said of what is gone;
6. outcomes and the **receipt** are durable in the ledger, then the run database notes the batch as settled.

A crash between any two steps leaves an intent without a receipt; ``settle_open`` finds it at the next start, before
anything else, and asks the source. Children that go with a parent are in the same unit: all their intents come before
the
one act, which removes all or nothing of a parent's family.

Invariant: the outcomes of a target add up to its planned records; there is exactly one receipt per intent, ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import (
    Action,
    Batch,
    Connector,
    Outcome,
    OutcomeWord,
    Selection,
)
from ropa.errors import Finding, LedgerError, LocationError, RefusedError, Severity
from ropa.ledger.batches import read_outcomes
from ropa.ledger.chain import BATCHES
from ropa.ledger.events import is_hash
from ropa.ledger.leaf import leaves as batch_leaves
from ropa.retention import Target
from ropa.retention import select as select_due
from ropa.sweep import findings, holds, mandates, review, safety, units
from ropa.sweep.digest import digest_of
from ropa.sweep.journal import Journal
from ropa.sweep.run import Interruption, Run
from ropa.sweep.tables import BatchRow, FlaggedRecord, PlanRow, TargetRow
from ropa.sweep.units import Portion

Progress = Callable[[str, int, int], None]
"""Called with the dataset, how many records are settled and how many there are."""


class Applier:
    """Carries out plans within one run."""

    def __init__(self, run: Run, interruption: Interruption | None = None, progress: Progress | None = None) -> None:
        self.run = run
        self.journal: Journal = run.journal
        self.site = run.journal.site
        self.interruption = interruption
        self.progress = progress or (lambda _dataset, _done, _of: None)
        self.compiled = {target.identity: target for target in self.site.targets}
        self.is_unreachable = False
        """Whether a place went away meanwhile."""

    # --- what was left open ----------------------------------------------------------------------------------------

    def settle_open(self) -> None:
        """Settle every intent without a receipt by asking its source (design 5.3); first thing of every run.

        Where the plan may still be carried out the batch is acted on again, which is safe to repeat; otherwise only
        looked at. A place that cannot be reached keeps its intents open. Raises LedgerError for an intent whose batch
        this database does not know.
        """
        intents = {event["root"]: event for _seq, event in self.journal.ledger.open_intents()}
        with Session(self.site.engine, expire_on_commit=False) as session, session.begin():
            query = select(BatchRow).where(col(BatchRow.settled_at).is_(None)).order_by(col(BatchRow.number))
            unsettled = session.scalars(query).all()
            known = {row.root for row in unsettled}
            if missing := set(intents) - known:
                raise LedgerError(
                    f"{len(missing)} open intents of the ledger are not in this database",
                    next_step="This database is older than the ledger: put its newest copy back.",
                    code="database-behind",
                )
            receipts = self._receipts({row.root for row in unsettled} - set(intents)) if unsettled else {}
            unfinished: dict[tuple[int, int], list[BatchRow]] = {}
            for row in unsettled:
                if row.root in receipts:
                    self._note_settled(session, row, receipts[row.root]["counts"])
                    self._note_flagged(session, row, receipts[row.root])
                else:
                    unfinished.setdefault((row.plan_id, row.unit), []).append(row)
            for key, rows in list(unfinished.items()):
                if not any(row.root in intents for row in rows):
                    for row in rows:
                        units.forget(session, row)  # no intent was written: nothing was touched
                    del unfinished[key]
        for (plan_id, _unit), rows in unfinished.items():
            self._settle_unit(plan_id, rows, intents)
        findings.record(self.site, "reconcile", self._still_open())

    def _still_open(self) -> list[Finding]:
        batches = Counter(f"{e['location']}.{e['dataset']}" for _seq, e in self.journal.ledger.open_intents())
        return [
            Finding(
                "intent-open",
                Severity.ERROR,
                dataset,
                f"{count} batches were begun, and what became of them is not known: the place could not be asked.",
                "Make the place reachable, or put it back into config/retention.toml; then `ropa sweep`.",
            )
            for dataset, count in batches.items()
        ]

    def _receipts(self, roots: set[str]) -> dict[str, Mapping[str, Any]]:
        return {e["root"]: e for e in self.journal.ledger.events("receipt") if e["root"] in roots}

    def _note_flagged(self, session: Session, row: BatchRow, receipt: Mapping[str, Any]) -> None:
        """Remember what a receipt says was flagged, where the run was cut off before it had done so itself."""
        if OutcomeWord.FLAGGED not in receipt["counts"]:
            return
        portion = units.read_back(self.site, row)
        said, file = receipt["outcomes"], self.site.ledger_folder / BATCHES / f"{row.root}.outcomes"
        told = read_outcomes(file, row.leaves, said) if is_hash(said) else [said] * row.leaves
        for word, record in zip(told, portion.records, strict=True):
            if word == OutcomeWord.FLAGGED:
                session.merge(FlaggedRecord(identity=portion.target.identity, key=record.key, at=self.site.now()))

    def _note_settled(self, session: Session, row: BatchRow, counts: Mapping[str, int]) -> None:
        row.settled_at, row.outcomes = self.site.now(), dict(counts)
        target = session.get_one(TargetRow, row.target_id)
        target.outcomes = dict(Counter(target.outcomes) + Counter(counts))

    def _settle_unit(self, plan_id: int, rows: list[BatchRow], intents: Mapping[str, Mapping[str, object]]) -> None:
        if not all(self._is_configured(row) for row in rows):
            return  # stays open: what is no longer in the configuration cannot be asked
        portions = [units.read_back(self.site, row) for row in rows]
        main = portions[-1]
        may_act = self._may_act(plan_id, main)
        if not may_act:
            portions = [portion for portion in portions if portion.row.root in intents]
            with Session(self.site.engine) as session, session.begin():
                for row in rows:
                    if row.root not in intents:
                        units.forget(session, session.get_one(BatchRow, row.id))
        else:
            for portion in portions:
                if portion.row.root not in intents:
                    self._append_intent(plan_id, portion)
        try:
            if may_act:
                self._act_on(portions, is_reconciled=True)
            else:
                self._look_at(portions)
        except LocationError:
            self.is_unreachable = True  # stays open: the next run asks again

    def _is_configured(self, row: BatchRow) -> bool:
        location = self.site.config.locations.get(row.location)
        return location is not None and row.dataset in location.datasets

    def _may_act(self, plan_id: int, main: Portion) -> bool:
        plan = review.get_plan(self.site, plan_id)
        if main.target.identity.partition(">")[0] not in self.compiled or review.staleness(self.site, plan):
            return False
        with Session(self.site.engine, expire_on_commit=False) as session:
            if _digest_differs(session, plan, _targets(session, plan_id)):
                return False
        return self._is_allowed(plan, main.target)

    def _look_at(self, portions: Sequence[Portion]) -> None:
        for portion in portions:
            connector = self.site.connector(portion.row.location)
            outcomes = [Outcome(key, OutcomeWord.FAILED, "interrupted") for key in portion.keys]
            seen = self._observed(connector, portion, outcomes)
            self._write_receipt(portion, seen, connector.settle(portion.row.dataset), is_reconciled=True)

    def _observed(self, connector: Connector, portion: Portion, outcomes: list[Outcome]) -> list[Outcome]:
        """Say of records that a run which was cut off may have reached what is seen of them now, where "left alone"
        would be untrue: gone is ``absent``; there, but without what a field target takes away, is ``anonymised``;
        where the configuration no longer tells which fields those were, ``unverified``."""
        left_alone = (OutcomeWord.HELD, OutcomeWord.CHANGED, OutcomeWord.FAILED)
        if not any(outcome.word in left_alone for outcome in outcomes):
            return outcomes
        selection = self._bare_selection(portion.target)
        batch = Batch(portion.row.dataset, units.found(self.site, portion))
        untouched = connector.remaining(selection, batch)
        present = connector.remaining(replace(selection, fields=()), batch) if selection.fields else untouched
        is_change = portion.target.scope == "field" or portion.target.action == Action.ANONYMISE
        is_unclear = is_change and not selection.fields

        def word(outcome: Outcome) -> Outcome:
            if outcome.word not in left_alone or (outcome.key in untouched and not is_unclear):
                return outcome
            if outcome.key not in present:
                return Outcome(outcome.key, OutcomeWord.ABSENT)
            return Outcome(outcome.key, OutcomeWord.UNVERIFIED if is_unclear else OutcomeWord.ANONYMISED)

        return [word(outcome) for outcome in outcomes]

    # --- a plan ----------------------------------------------------------------------------------------------------

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
        for row in rows:
            if row.rides_with is None and only(row) and not self._is_spent(row):
                family = [row, *_riders(rows, row)]
                was_refused |= self._carry_out_family(plan, family)
        return was_refused

    def _is_spent(self, row: TargetRow) -> bool:
        return sum(row.outcomes.values()) >= row.records and (row.records > 0 or bool(row.outcomes))

    def _carry_out_family(self, plan: PlanRow, family: list[TargetRow]) -> bool:
        """Act on one target and what rides with it. Returns whether it was refused."""
        main = family[0]
        code = self._refusal(plan, family)
        if code == "unreachable":
            self._postpone(family)
            return True
        if code is not None:
            for row in family:
                self._refuse(row, code)
            self.is_unreachable |= code == "incomplete-listing"
            return code == "incomplete-listing" or any(row.records for row in family)
        try:
            for portions in units.to_do(self.site, plan, family, self.run.id):
                self.run.check(self.interruption)
                self._write_intents(plan.id or 0, portions)
                self._act_on(portions, is_reconciled=False)
                self.progress(f"{main.location}.{main.dataset}", portions[-1].row.last_seq + 1, main.records)
        except LocationError:
            self._postpone(family)
            return True
        return False

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
            health = self.site.connector(main.location).check()
        except LocationError:
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

    # --- intent, act, read back, receipt ---------------------------------------------------------------------------

    def _write_intents(self, plan_id: int, portions: list[Portion]) -> None:
        for portion in portions:
            leaves = batch_leaves(portion.row.key or b"", portion.row.location, portion.row.dataset, portion.keys)
            portion.row.root = self.journal.ledger.write_batch(leaves)
        with Session(self.site.engine, expire_on_commit=False) as session, session.begin():
            plan = session.get_one(PlanRow, plan_id)
            plan.started_at = plan.started_at or self.site.now()
            units.save(session, portions)
        for portion in portions:
            self._append_intent(plan_id, portion)

    def _append_intent(self, plan_id: int, portion: Portion) -> None:
        target, row = portion.target, portion.row
        fields: dict[str, object] = {"data": target.data} if target.scope == "field" else {}
        if target.approval == "mandate" and target.mandate_id is not None:
            mandate = mandates.still_covers(self.site, target, self.site.now())
            if mandate is not None:
                fields["mandate"] = mandate.digest
        self.journal.append(
            "intent",
            run=self.run.id,
            plan=review.get_plan(self.site, plan_id).digest,
            batch=row.number,
            rules=target.rules,
            location=row.location,
            dataset=row.dataset,
            scope=target.scope,
            action=target.action,
            root=row.root,
            leaves=row.leaves,
            **fields,
        )

    def _act_on(self, portions: list[Portion], *, is_reconciled: bool) -> None:
        """Steps 3 to 6 for one unit; the main batch is the last portion."""
        main = portions[-1]
        coverage = holds.coverage(self.site)
        connector = self.site.connector(main.row.location)
        selection = replace(self._selection(main.target), spare=coverage.spare(main.row.location))
        is_held = coverage.holders(self._target(main.target)) or any(
            coverage.companion_holders(f"{p.row.location}.{p.row.dataset}") for p in portions[:-1]
        )
        if is_held:
            results = [[Outcome(key, OutcomeWord.HELD) for key in portion.keys] for portion in portions]
        elif main.target.action == Action.FLAG:
            results = [_flag(connector, selection, main)]
        else:
            results = self._act(connector, selection, portions)
        level = connector.settle(main.row.dataset)
        for portion, outcomes in zip(portions, results, strict=True):
            seen = self._read_back(connector, selection, portion, outcomes, is_main=portion is main)
            if is_reconciled:
                seen = self._observed(connector, portion, seen)
            self._write_receipt(portion, seen, level, is_reconciled=is_reconciled)

    def _act(self, connector: Connector, selection: Selection, portions: list[Portion]) -> list[list[Outcome]]:
        main = portions[-1]
        companions = tuple(Batch(p.row.dataset, units.found(self.site, p)) for p in portions[:-1])
        batch = Batch(main.row.dataset, units.found(self.site, main), companions)
        target = self._target(main.target)
        outcomes = connector.act(selection, batch, target.connector_action)
        own, rest = outcomes[: len(main.records)], outcomes[len(main.records) :]
        results: list[list[Outcome]] = []
        for portion in portions[:-1]:
            results.append(rest[: len(portion.records)])
            rest = rest[len(portion.records) :]
        results.append(own)
        for portion, result in zip(portions, results, strict=True):
            if [outcome.key for outcome in result] != portion.keys:
                raise LocationError(
                    f"the connector of {portion.row.location} did not account for every record it was given"
                )
        return results

    def _read_back(
        self, connector: Connector, selection: Selection, portion: Portion, outcomes: list[Outcome], *, is_main: bool
    ) -> list[Outcome]:
        claimed = (OutcomeWord.PURGED, OutcomeWord.ANONYMISED, OutcomeWord.ABSENT)
        if not any(outcome.word in claimed for outcome in outcomes):
            return outcomes
        asked = selection if is_main else self._bare_selection(portion.target)
        there = connector.remaining(asked, Batch(portion.row.dataset, units.found(self.site, portion)))
        return [Outcome(o.key, OutcomeWord.UNVERIFIED) if o.word in claimed and o.key in there else o for o in outcomes]

    def _write_receipt(self, portion: Portion, outcomes: list[Outcome], level: str, *, is_reconciled: bool) -> None:
        row = portion.row
        words = [_spelled(outcome) for outcome in outcomes]
        counts = dict(Counter(str(outcome.word) for outcome in outcomes))
        extra: dict[str, object] = {"reconciled": True} if is_reconciled else {}
        self.journal.append(
            "receipt",
            run=self.run.id,
            plan=review.get_plan(self.site, row.plan_id).digest,
            batch=row.number,
            root=row.root,
            outcomes=self.journal.ledger.write_outcomes(row.root, words),
            counts=counts,
            level=level,
            proof="re-read",
            **extra,
        )
        with Session(self.site.engine) as session, session.begin():
            self._note_settled(session, session.get_one(BatchRow, row.id), counts)
            pairs = list(zip(outcomes, portion.records, strict=True))
            if versions := {record.key: o.version for o, record in pairs if o.version is not None}:
                units.note_own_changes(session, portion, versions)
            gone = [record.key for o, record in pairs if o.word in (OutcomeWord.PURGED, OutcomeWord.ABSENT)]
            _forget_flags(session, row, gone)
            for outcome, record in pairs:
                if outcome.word is OutcomeWord.FLAGGED:
                    session.merge(FlaggedRecord(identity=portion.target.identity, key=record.key, at=self.site.now()))
        self.run.count(portion.target.rules, counts)
        portion.target.outcomes = dict(Counter(portion.target.outcomes) + Counter(counts))

    # --- questions -------------------------------------------------------------------------------------------------

    def _target(self, row: TargetRow) -> Target:
        return self.compiled[row.identity.partition(">")[0]]

    def _selection(self, row: TargetRow) -> Selection:
        with Session(self.site.engine) as session:
            as_of = session.get_one(PlanRow, row.plan_id).as_of
        return select_due(self._target(row), as_of=as_of, now=self.site.now(), zone=self.site.config.timezone)

    def _bare_selection(self, row: TargetRow) -> Selection:
        """A selection that names a dataset and, for field targets, its columns: enough to look what is still there."""
        target = self.compiled.get(row.identity.partition(">")[0])
        fields = target.fields if target is not None and row.dataset == target.dataset else ()
        return Selection(
            dataset=row.dataset,
            zone=self.site.config.timezone,
            now=self.site.now(),
            fields=fields,
            check_anchors=False,
        )


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


def _forget_flags(session: Session, row: BatchRow, keys: Sequence[str]) -> None:
    """Let go of the keys of flagged records that are gone: a list of what was erased would undo the erasure."""
    is_there = col(FlaggedRecord.identity).startswith(f"{row.location}.{row.dataset}/", autoescape=True)
    if not keys or session.scalar(select(col(FlaggedRecord.key)).where(is_there).limit(1)) is None:
        return
    for i in range(0, len(keys), 500):
        session.execute(delete(FlaggedRecord).where(is_there, col(FlaggedRecord.key).in_(keys[i : i + 500])))


def _flag(connector: Connector, selection: Selection, portion: Portion) -> list[Outcome]:
    """Flagging happens on our side; the source is only asked whether the record is still due."""
    now_there = {
        found.key: found
        for batch in connector.find(replace(selection, keys=tuple(portion.keys)))
        for found in batch.records
    }
    outcomes = []
    for key in portion.keys:
        found = now_there.get(key)
        if found is None:
            outcomes.append(Outcome(key, OutcomeWord.CHANGED))
        else:
            outcomes.append(Outcome(key, OutcomeWord.HELD if found.is_spared else OutcomeWord.FLAGGED))
    return outcomes


def _spelled(outcome: Outcome) -> str:
    if outcome.word is OutcomeWord.FAILED:
        return f"failed:{outcome.code or 'unknown'}"
    if outcome.word is OutcomeWord.RECOVERABLE and outcome.until is not None:
        return f"recoverable:{outcome.until.isoformat()}"
    return str(outcome.word)


def _digest_differs(session: Session, plan: PlanRow, rows: Sequence[TargetRow]) -> bool:
    return digest_of(session, plan, rows) != plan.digest
