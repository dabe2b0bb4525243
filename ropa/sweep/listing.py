"""Writing down what a place lists for one target of a plan, a block for each batch.

Invariant: a record is in one row target of its dataset, or in field targets; what is passed over lies elsewhere in the
plan, or was flagged before. Memory holds the batch in hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Action, Key, Note, references_of
from ropa.ledger.leaf import key_texts
from ropa.retention import Target, due_on_record
from ropa.sweep import blocks
from ropa.sweep.blocks import Stay
from ropa.sweep.digest import key_text
from ropa.sweep.tables import FlaggedRecord, PlannedKey, PlannedReference, PlannedReferring, TargetRow

_MOST_DAYS = 100_000
"""Combinations of anchors whose last day is remembered at most."""


class LastDays(dict[tuple[date | None, ...], int]):
    """Anchors of a record to its last day, as an ordinal; 0 where there is none. A night has few of them."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def __missing__(self, anchored: tuple[date | None, ...]) -> int:
        if len(self) >= _MOST_DAYS:
            self.clear()
        last = due_on_record(self._target, anchored)
        self[anchored] = found = last.toordinal() if last is not None else 0
        return found

    def of(self, anchored: Sequence[tuple[date | None, ...]], count: int) -> list[int]:
        """Return the last day of each of ``count`` records; none of them has one where no anchors are told."""
        return [self[days] for days in anchored] if anchored else [0] * count


@dataclass
class Plan:
    """The plan that is being written."""

    id: int
    now: datetime
    is_of_today: bool
    findable: set[int] = field(default_factory=set)
    """Targets of which every record can be found by key."""


class Listing:
    """The records of one target as they come; used from its first batch to its last."""

    def __init__(self, session: Session, plan: Plan, row: TargetRow, *, is_held: bool) -> None:
        self.session = session
        self.plan = plan
        self.row = row
        self.is_held = is_held
        """Whether a hold covers all of it."""
        self.days = Counter[int]()
        """Last day (an ordinal) to number of records."""
        self.written = 0
        self._id = row.id or 0
        self._is_rider = row.rides_with is not None
        if self._is_rider:
            plan.findable.add(self._id)
        self._is_flag = row.action == Action.FLAG
        self._has_begun = False
        self._passed: Select[str] | None = None

    def add(self, keys: Sequence[Key], versions: Sequence[str], days: Sequence[int], notes: Mapping[int, Note]) -> None:
        """Write records down but for those that lie elsewhere; ``notes`` by position, ``versions`` as many or none."""
        if not self._has_begun:  # of most targets nothing ever comes
            self._passed = self._flagged() if self._is_flag else self._rivals()
            self._has_begun = True
        passed = self._passed_over(keys) if self._passed is not None else ()
        if passed:
            kept = [pos for pos in range(len(keys)) if pos not in passed]
            keys, days = [keys[pos] for pos in kept], [days[pos] for pos in kept]
            versions = [versions[pos] for pos in kept] if versions else ()
            notes = {new: notes[old] for new, old in enumerate(kept) if old in notes}
        if not keys:
            return
        stays = self._stays(keys, notes)
        blocks.write(self.session, self._id, self.written, keys=keys, versions=versions, days=days, stays=stays)
        if self.row.scope == "row" and self.row.action == Action.PURGE:
            self._write_references(notes)
            named = range(len(keys)) if self._is_rider else [pos for pos, note in notes.items() if note.referred_by]
            texts = key_texts([keys[pos] for pos in named])
            numbers = [self.written + pos for pos in named]
            blocks.write_keys(self.session, self._id, dict(zip(numbers, texts, strict=True)))
        self.days.update(days)
        self.written += len(keys)

    def _stays(self, keys: Sequence[Key], notes: Mapping[int, Note]) -> dict[int, Stay]:
        if self.is_held:
            return dict.fromkeys(range(len(keys)), Stay("held", "hold"))
        found = {}
        for pos, note in notes.items():
            if note.is_spared:
                found[pos] = Stay("held", "hold")
            elif note.obstacle is not None:
                found[pos] = Stay("blocked", note.obstacle)
        return found

    def _write_references(self, notes: Mapping[int, Note]) -> None:
        references: dict[tuple[int, str, str], dict[str, Any]] = {}
        referring: list[dict[str, Any]] = []
        for pos, note in notes.items():
            seq = self.written + pos
            for reference in references_of(note.refers_to):
                parent = key_text(reference.key)
                references[seq, reference.dataset, parent] = {
                    "target_id": self._id,
                    "seq": seq,
                    "parent_dataset": reference.dataset,
                    "parent_key": parent,
                    "plan_id": self.plan.id,
                    "location": self.row.location,
                    "is_parent": reference.is_parent,
                }
            for place in note.referred_by:
                told = {"source": place.source, "is_declared": place.is_declared, "count": place.count}
                referring.append({"target_id": self._id, "seq": seq, **told})
        if references:
            self.session.execute(insert(PlannedReference), list(references.values()))
        if referring:
            self.session.execute(insert(PlannedReferring), referring)

    # --- what is passed over -------------------------------------------------------------------------------------

    def _flagged(self) -> Select[str] | None:
        query = select(col(FlaggedRecord.key)).where(col(FlaggedRecord.identity) == self.row.identity)
        return query if self.session.scalar(query.limit(1)) is not None else None

    def _rivals(self) -> Select[str] | None:
        """Records that are in the plan as whole rows that go, or must stay; of children also this target's own, because
        a child may belong to two records that go."""
        others = self.session.scalars(
            select(col(TargetRow.id)).where(
                col(TargetRow.plan_id) == self.plan.id,
                col(TargetRow.location) == self.row.location,
                col(TargetRow.dataset) == self.row.dataset,
                col(TargetRow.scope) == "row",
                col(TargetRow.action) != str(Action.FLAG),
                col(TargetRow.id) != self._id,
            )
        ).all()
        rivals = [other for other in others if other is not None and blocks.has_any(self.session, other)]
        for rival in rivals:
            if rival not in self.plan.findable:
                blocks.write_all_keys(self.session, rival)
                self.plan.findable.add(rival)
        if self._is_rider:
            rivals.append(self._id)
        return select(col(PlannedKey.key)).where(col(PlannedKey.target_id).in_(rivals)) if rivals else None

    def _passed_over(self, keys: Sequence[Key]) -> set[int]:
        """Return the positions of what is passed over."""
        if self._passed is None:
            return set()
        texts = key_texts(keys)
        column = FlaggedRecord.key if self._is_flag else PlannedKey.key
        found = blocks.among(self.session, self._passed, col(column), texts)
        if self._is_flag:
            self.row.already_flagged += len(found)
            if self.plan.is_of_today:
                self._keep_flags(sorted(found))
        return {pos for pos, text in enumerate(texts) if text in found} if found else set()

    def _keep_flags(self, texts: list[str]) -> None:
        flags = update(FlaggedRecord).where(col(FlaggedRecord.identity) == self.row.identity).values(at=self.plan.now)
        for i in range(0, len(texts), blocks.CHUNK):
            self.session.execute(flags.where(col(FlaggedRecord.key).in_(texts[i : i + blocks.CHUNK])))

    def forget_flags(self) -> None:
        """A whole listing has shown what is still due: the flags of the rest go."""
        is_over = (col(FlaggedRecord.identity) == self.row.identity) & (col(FlaggedRecord.at) < self.plan.now)
        self.session.execute(delete(FlaggedRecord).where(is_over))


def forget_flags_of_others(session: Session, present: Container[str]) -> None:
    """Let the flags of targets go that are no more: not in ``present``, identities."""
    flagged = session.scalars(select(col(FlaggedRecord.identity)).distinct()).all()
    for identity in flagged:
        if identity not in present:
            session.execute(delete(FlaggedRecord).where(col(FlaggedRecord.identity) == identity))
