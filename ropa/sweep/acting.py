"""Accounting for one unit of a plan: nothing is erased but between what is written here before and after.

Design statement. Deleting cannot be undone, so nothing here decides *what* goes: a plan does, whose digest a named
person approved or a mandate covers, and this file only ever narrows it. For each unit, in this order and no other:

1. the leaves are durable in their files, and a fresh random key and the batch's row are committed in the run database;
2. the **intent** is durable in the ledger: from here on the batch can be accounted for, whatever happens;
3. **holds** are looked at again; holds that cannot be read stop everything;
4. the connector acts, with the whole selection (still due, unchanged, not spared, nothing refers to it) in the
   deletion;
5. a separate read, with the credentials that plan, looks what is still there: ``purged`` is only said of what is
   gone (3 to 5: ``Hand.act``, here or in a process that helps);
6. outcomes and the **receipt** are durable in the ledger, then the run database notes the batch as settled, in one
   step with the tombstones by which its records are recognised after a restore.

A crash between any two steps leaves an intent without a receipt, which ``reconcile`` finds at the next start. Children
that go with a parent are in the same unit: all their intents come before the one act, which removes all or nothing of a
parent's family.

Invariant: there is exactly one receipt per intent, ever, with one outcome per record of its batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Outcomes, OutcomeWord
from ropa.sweep import blocks, mandates, outcomes, own_changes
from ropa.sweep.hand import Hand, Told
from ropa.sweep.run import Run
from ropa.sweep.tables import BatchRow, FlaggedRecord, PlanRow, TargetRow
from ropa.sweep.tombstones import Mason, gone
from ropa.sweep.units import Portion

_GONE = (OutcomeWord.PURGED, OutcomeWord.ABSENT)


class Actor:
    """Writes intents and receipts, within one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.journal = run.journal
        self.site = run.journal.site
        self.hand = Hand(self.site, self.journal.lease.holding)
        self.mason = Mason(self.site)
        self._last: dict[int, tuple[int, int]] = {}
        """Plans that are known to have begun, each with its last unit and batch."""
        self._unflagged: set[str] = set()
        """Datasets of which no record is flagged; nobody else flags meanwhile."""

    # --- intents ---------------------------------------------------------------------------------------------------

    def write_intents(self, portions: Sequence[Portion]) -> None:
        """Steps 1 and 2 for one unit, which gets its number in the plan."""
        self.prepare(portions)
        for portion in portions:
            self.journal.ledger.put_batch(portion.row.root, portion.content)
        plan_id, now = portions[-1].row.plan_id, self.site.now()
        lease = self.journal.lease
        with lease.holding(), Session(self.site.engine, expire_on_commit=False) as session, session.begin():
            unit, number = self._last.get(plan_id) or self._begin(session, plan_id)
            unit += 1
            for portion in portions:
                number += 1
                portion.row.unit, portion.row.number, portion.row.created_at = unit, number, now
                session.add(portion.row)
        self._last[plan_id] = unit, number
        for portion in portions:
            self.append_intent(portion)

    def _begin(self, session: Session, plan_id: int) -> tuple[int, int]:
        plan = session.get_one(PlanRow, plan_id)
        plan.started_at = plan.started_at or self.site.now()
        last = select(func.max(col(BatchRow.unit)), func.max(col(BatchRow.number)))
        unit, number = session.execute(last.where(col(BatchRow.plan_id) == plan_id)).one()
        return unit or 0, number or 0

    def prepare(self, portions: Sequence[Portion]) -> None:
        """Have at hand what the records of a unit are recognised by after a restore."""
        for portion in portions:
            self.mason.prepare(portion.target)

    def append_intent(self, portion: Portion) -> None:
        """Step 2 for one portion."""
        target, row = portion.target, portion.row
        fields: dict[str, object] = {"data": target.data} if target.scope == "field" else {}
        if target.approval == "mandate" and target.mandate_id is not None:
            mandate = mandates.still_covers(self.site, target, self.journal.now())
            if mandate is not None:
                fields["mandate"] = mandate.digest
        self.journal.append(
            "intent",
            run=self.run.id,
            plan=self.hand.plan(row.plan_id).digest,
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

    # --- receipts --------------------------------------------------------------------------------------------------

    def write_receipts(self, portions: Sequence[Portion], told: Told) -> None:
        """Step 6 for one unit."""
        for portion, outcomes_of in zip(portions, told.outcomes, strict=True):
            self.write_receipt(portion, outcomes_of, told.level, is_reconciled=told.is_again)

    def write_receipt(self, portion: Portion, told: Outcomes, level: str, *, is_reconciled: bool) -> None:
        """Step 6 for one portion."""
        row, target = portion.row, portion.target
        counts = outcomes.counts(told)
        stones = self.mason.make(target, portion.columns, outcomes.positions(told, gone(self.site, row.location)))
        extra: dict[str, object] = {"reconciled": True} if is_reconciled else {}
        self.journal.append(
            "receipt",
            run=self.run.id,
            plan=self.hand.plan(row.plan_id).digest,
            batch=row.number,
            root=row.root,
            outcomes=self.journal.ledger.write_outcomes(row.root, outcomes.spelled(told)),
            counts=counts,
            level=level,
            proof="re-read",
            **extra,
        )
        with self.journal.lease.holding(), Session(self.site.engine) as session, session.begin():
            self.note_settled(session, row.id or 0, counts)
            self.mason.write(session, target, stones, self.hand.plan(row.plan_id).as_of)
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
            .values(settled_at=self.run.journal.now(), outcomes=dict(counts))
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
        erased = sorted(pos for word in gone(self.site, row.location) for pos in at.get(word, ()))
        stones = self.mason.make(portion.target, portion.columns, erased) if portion is not None else None
        with self.journal.lease.holding(), Session(self.site.engine) as session, session.begin():
            self.note_settled(session, row.id or 0, counts)
            if portion is not None:
                self.mason.write(session, portion.target, stones, self.hand.plan(row.plan_id).as_of)
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
