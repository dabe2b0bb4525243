"""Acting on one unit of a plan: the only place from which anything is erased.

Design statement. Deleting cannot be undone, so nothing here decides *what* goes: a plan does, whose digest a named
person approved or a mandate covers, and this file only ever narrows it. For each unit, in this order and no other:

1. the leaves are durable in their files, and a fresh random key and the batch's row are committed in the run database;
2. the **intent** is durable in the ledger: from here on the batch can be accounted for, whatever happens;
3. **holds** are looked at again; holds that cannot be read stop everything;
4. the connector acts, with the whole selection (still due, unchanged, not spared, nothing refers to it) in the
   deletion;
5. a separate read, with the credentials that plan, looks what is still there: ``purged`` is only said of what is
   gone;
6. outcomes and the **receipt** are durable in the ledger, then the run database notes the batch as settled, in one
   step with the tombstones by which its records are recognised after a restore.

A crash between any two steps leaves an intent without a receipt, which ``reconcile`` finds at the next start. Children
that go with a parent are in the same unit: all their intents come before the one act, which removes all or nothing of a
parent's family.

Invariant: there is exactly one receipt per intent, ever, with one outcome per record of its batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Action, Connector, Key, Outcome, Outcomes, OutcomeWord, Selection
from ropa.errors import LocationError
from ropa.retention import Target
from ropa.retention import select as select_due
from ropa.sweep import blocks, holds, mandates, outcomes, own_changes, review
from ropa.sweep.run import Run
from ropa.sweep.tables import BatchRow, FlaggedRecord, PlanRow, TargetRow
from ropa.sweep.tombstones import GONE, Mason
from ropa.sweep.units import Portion

Observe = Callable[[Connector, Portion, Outcomes], Outcomes]
"""What reconcile makes of the outcomes of a batch that a run which was cut off may have reached."""

_CLAIMED = (OutcomeWord.PURGED, OutcomeWord.ANONYMISED, OutcomeWord.ABSENT)
_GONE = (OutcomeWord.PURGED, OutcomeWord.ABSENT)


class Actor:
    """Writes intents, acts, reads back and writes receipts, within one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.journal = run.journal
        self.site = run.journal.site
        self.compiled = {target.identity: target for target in self.site.targets}
        self.mason = Mason(self.site)
        self._plans: dict[int, PlanRow] = {}
        self._begun: set[int] = set()
        """Plans that are known to have begun."""
        self._unflagged: set[str] = set()
        """Datasets of which no record is flagged; nobody else flags meanwhile."""

    # --- intents ---------------------------------------------------------------------------------------------------

    def write_intents(self, portions: Sequence[Portion]) -> None:
        """Steps 1 and 2 for one unit."""
        for portion in portions:
            self.mason.prepare(portion.target)
            self.journal.ledger.put_batch(portion.row.root, portion.content)
        plan_id, now = portions[-1].row.plan_id, self.site.now()
        with Session(self.site.engine, expire_on_commit=False) as session, session.begin():
            if plan_id not in self._begun:
                plan = session.get_one(PlanRow, plan_id)
                plan.started_at = plan.started_at or now
            for portion in portions:
                portion.row.created_at = now
                session.add(portion.row)
        self._begun.add(plan_id)
        for portion in portions:
            self.append_intent(portion)

    def append_intent(self, portion: Portion) -> None:
        """Step 2 for one portion."""
        target, row = portion.target, portion.row
        fields: dict[str, object] = {"data": target.data} if target.scope == "field" else {}
        if target.approval == "mandate" and target.mandate_id is not None:
            mandate = mandates.still_covers(self.site, target, self.site.now())
            if mandate is not None:
                fields["mandate"] = mandate.digest
        self.journal.append(
            "intent",
            run=self.run.id,
            plan=self._plan(row.plan_id).digest,
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

    def _plan(self, plan_id: int) -> PlanRow:
        """Return a plan, for what never changes of it: its digest and its day."""
        if plan_id not in self._plans:
            self._plans[plan_id] = review.get_plan(self.site, plan_id)
        return self._plans[plan_id]

    # --- act, read back, receipt -----------------------------------------------------------------------------------

    def act_on(self, portions: Sequence[Portion], observe: Observe | None = None) -> None:
        """Steps 3 to 6 for one unit; the main batch is the last portion. ``observe`` is given by reconcile."""
        main = portions[-1]
        for portion in portions:  # also of a unit whose intents another run wrote
            self.mason.prepare(portion.target)
        coverage = holds.coverage(self.site)
        connector = self.place_of(main.target)
        selection = replace(self._selection(main.target), spare=coverage.spare(main.row.location))
        is_held = coverage.holders(self._target(main.target)) or any(
            coverage.companion_holders(f"{p.row.location}.{p.row.dataset}") for p in portions[:-1]
        )
        if is_held:
            results = [Outcomes(portion.keys, OutcomeWord.HELD) for portion in portions]
        elif main.target.action == Action.FLAG and Action.FLAG not in connector.capabilities.actions:
            results = [_flag(connector, selection, main)]
        else:
            results = self._act(connector, selection, portions)
        level = connector.settle(main.row.dataset)
        for portion, told in zip(portions, results, strict=True):
            seen = self._read_back(connector, selection, portion, told, is_main=portion is main)
            if observe is not None:
                seen = observe(connector, portion, seen)
            self.write_receipt(portion, seen, level, is_reconciled=observe is not None)

    def _act(self, connector: Connector, selection: Selection, portions: Sequence[Portion]) -> list[Outcomes]:
        main = portions[-1]
        batch = main.batch(tuple(portion.batch() for portion in portions[:-1]))
        told = connector.act(selection, batch, self._target(main.target).connector_action)
        if not isinstance(told, Outcomes):  # a connector of somebody else may tell them one by one
            told = Outcomes.of(told)
        results, start = [], len(main.keys)
        for portion in portions[:-1]:
            results.append(outcomes.part(told, start, start + len(portion.keys)))
            start += len(portion.keys)
        results.append(outcomes.part(told, 0, len(main.keys)))
        is_whole = len(told) == start and all(0 <= pos < start for pos in told.odd)
        pairs = zip(results, portions, strict=True)
        if not is_whole or not all(outcomes.accounts_for(result, portion.keys) for result, portion in pairs):
            raise LocationError(f"the connector of {main.row.location} did not account for every record it was given")
        return results

    def _read_back(
        self, connector: Connector, selection: Selection, portion: Portion, told: Outcomes, *, is_main: bool
    ) -> Outcomes:
        claimed = outcomes.positions(told, _CLAIMED)
        if not claimed:
            return told
        asked = selection if is_main else self.bare_selection(portion.target)
        there = connector.remaining(asked, portion.batch())
        if not there:
            return told
        keys = portion.keys
        unverified = {pos: Outcome(keys[pos], OutcomeWord.UNVERIFIED) for pos in claimed if keys[pos] in there}
        return outcomes.changed(told, unverified)

    def write_receipt(self, portion: Portion, told: Outcomes, level: str, *, is_reconciled: bool) -> None:
        """Step 6 for one portion."""
        row, target = portion.row, portion.target
        counts = outcomes.counts(told)
        stones = self.mason.make(target, portion.keys, outcomes.positions(told, GONE))
        extra: dict[str, object] = {"reconciled": True} if is_reconciled else {}
        self.journal.append(
            "receipt",
            run=self.run.id,
            plan=self._plan(row.plan_id).digest,
            batch=row.number,
            root=row.root,
            outcomes=self.journal.ledger.write_outcomes(row.root, outcomes.spelled(told)),
            counts=counts,
            level=level,
            proof="re-read",
            **extra,
        )
        with Session(self.site.engine) as session, session.begin():
            self.note_settled(session, row.id or 0, counts)
            self.mason.write(session, target, stones, self._plan(row.plan_id).as_of)
            if versions := outcomes.versions(told):
                own_changes.note(session, target, {portion.key_texts[pos]: v for pos, v in versions.items()})
            self._forget_flags(session, portion, outcomes.positions(told, _GONE))
            self.note_flagged(session, portion, outcomes.positions(told, (OutcomeWord.FLAGGED,)))
        self.run.count(target.rules, counts)
        target.outcomes = dict(Counter(target.outcomes) + Counter(counts))

    def note_settled(self, session: Session, batch_id: int, counts: Mapping[str, int]) -> None:
        """Write down what the receipt of a batch says."""
        found = select(col(BatchRow.target_id), col(TargetRow.outcomes)).join(
            TargetRow, col(TargetRow.id) == col(BatchRow.target_id)
        )
        target_id, before = session.execute(found.where(col(BatchRow.id) == batch_id)).one()
        session.execute(
            update(BatchRow)
            .where(col(BatchRow.id) == batch_id)
            .values(settled_at=self.site.now(), outcomes=dict(counts))
            .execution_options(synchronize_session=False)
        )
        after = dict(Counter(before) + Counter(counts))
        session.execute(
            update(TargetRow)
            .where(col(TargetRow.id) == target_id)
            .values(outcomes=after)
            .execution_options(synchronize_session=False)
        )

    def settle_told(
        self, row: BatchRow, counts: Mapping[str, int], portion: Portion | None, told: Sequence[str]
    ) -> None:
        """Settle a batch whose receipt is durable, for a run that was cut off before it had.

        ``told``: the outcomes of ``portion`` as the ledger spells them; None where nothing is to be remembered of it.
        """
        at: dict[str, list[int]] = {}
        for pos, word in enumerate(told):
            at.setdefault(word.partition(":")[0], []).append(pos)
        gone = sorted(pos for word in GONE for pos in at.get(word, ()))
        stones = self.mason.make(portion.target, portion.keys, gone) if portion is not None else None
        with Session(self.site.engine) as session, session.begin():
            self.note_settled(session, row.id or 0, counts)
            if portion is not None:
                self.mason.write(session, portion.target, stones, self._plan(row.plan_id).as_of)
                self.note_flagged(session, portion, at.get(OutcomeWord.FLAGGED, ()))

    def note_flagged(self, session: Session, portion: Portion, positions: Sequence[int]) -> None:
        """Remember which records of a portion were flagged."""
        if not positions:
            return
        self._unflagged.clear()
        texts = [portion.key_texts[pos] for pos in positions]
        identity, now = portion.target.identity, self.site.now()
        for i in range(0, len(texts), blocks.CHUNK):
            piece = texts[i : i + blocks.CHUNK]
            session.execute(
                delete(FlaggedRecord).where(col(FlaggedRecord.identity) == identity, col(FlaggedRecord.key).in_(piece))
            )
            session.execute(insert(FlaggedRecord), [{"identity": identity, "key": key, "at": now} for key in piece])

    def _forget_flags(self, session: Session, portion: Portion, positions: Sequence[int]) -> None:
        """Let go of the keys of flagged records that are gone: a list of what was erased would undo the erasure."""
        dataset = f"{portion.row.location}.{portion.row.dataset}/"
        if not positions or dataset in self._unflagged:
            return
        is_there = col(FlaggedRecord.identity).startswith(dataset, autoescape=True)
        if session.scalar(select(col(FlaggedRecord.key)).where(is_there).limit(1)) is None:
            self._unflagged.add(dataset)
            return
        texts = [portion.key_texts[pos] for pos in positions]
        for i in range(0, len(texts), blocks.CHUNK):
            piece = texts[i : i + blocks.CHUNK]
            session.execute(delete(FlaggedRecord).where(is_there, col(FlaggedRecord.key).in_(piece)))

    # --- questions -------------------------------------------------------------------------------------------------

    def place_of(self, row: TargetRow) -> Connector:
        """Return the place that a target is acted on at; with the credentials that plan, where it is only flagged on
        our own side. Raises what ``Site.acting`` raises."""
        looking = self.site.connector(row.location)
        is_ours = row.action == Action.FLAG and Action.FLAG not in looking.capabilities.actions
        return looking if is_ours else self.site.acting(row.location)

    def _target(self, row: TargetRow) -> Target:
        return self.compiled[row.identity.partition(">")[0]]

    def _selection(self, row: TargetRow) -> Selection:
        as_of, zone = self._plan(row.plan_id).as_of, self.site.config.timezone
        return select_due(self._target(row), as_of=as_of, now=self.site.now(), zone=zone)

    def bare_selection(self, row: TargetRow) -> Selection:
        """Return a selection that names a dataset and, for field targets, its columns: enough to look what is still
        there."""
        target = self.compiled.get(row.identity.partition(">")[0])
        fields = target.fields if target is not None and row.dataset == target.dataset else ()
        return Selection(
            dataset=row.dataset,
            zone=self.site.config.timezone,
            now=self.site.now(),
            fields=fields,
            check_anchors=False,
        )


def _flag(connector: Connector, selection: Selection, portion: Portion) -> Outcomes:
    """Flag on our side alone: the source, which has no mark for it, is asked whether the record is still due."""
    there, spared = set[Key](), set[Key]()
    for batch in connector.find(replace(selection, keys=tuple(portion.keys))):
        there.update(batch.keys)
        spared.update(batch.keys[pos] for pos, note in batch.notes.items() if note.is_spared)
    odd = {
        pos: Outcome(key, OutcomeWord.HELD if key in there else OutcomeWord.CHANGED)
        for pos, key in enumerate(portion.keys)
        if key in spared or key not in there
    }
    return Outcomes(portion.keys, OutcomeWord.FLAGGED, odd)
