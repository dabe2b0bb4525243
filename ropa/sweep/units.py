"""Units: the planned records that are acted on together, as they stand in the run database.

A portion is one intent's records; a unit is a batch of a target with the portions that ride with it. Invariant: a
record is in at most one batch of its plan; a batch can be read back exactly as it was written, also after a crash.
Preparing a unit writes nothing.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import MAX_BATCH, Batch, Key, Note, Reference
from ropa.errors import LedgerError
from ropa.ledger.batches import format_batch
from ropa.ledger.leaf import key_texts, leaves
from ropa.sweep import own_changes
from ropa.sweep.blocks import CHUNK, Columns, Reader
from ropa.sweep.packing import pack_seqs, unpack_seqs
from ropa.sweep.site import Site
from ropa.sweep.tables import BatchRow, PlannedReference, PlanRow, TargetRow


@dataclass
class Portion:
    """One intent's records: a batch row, its target, its planned records in leaf order."""

    row: BatchRow
    target: TargetRow
    columns: Columns
    notes: dict[int, Note]
    """Of those that ride, by position: the record they go with."""
    content: bytes
    """The batch file."""

    @property
    def keys(self) -> list[Key]:
        """Keys in leaf order."""
        return self.columns.keys

    @cached_property
    def key_texts(self) -> list[str]:
        """Keys as the run database spells them, in leaf order."""
        return key_texts(self.columns.keys)

    def batch(self, companions: tuple[Batch, ...] = ()) -> Batch:
        """Return the records as a connector takes them."""
        columns = self.columns
        return Batch(self.row.dataset, columns.keys, columns.versions, notes=self.notes, companions=companions)


def family_of(main: TargetRow, rows: Iterable[TargetRow]) -> list[TargetRow]:
    """Return a target and what rides with it, at any depth, out of the targets of a plan."""
    found = [main]
    for member in found:
        found += [row for row in rows if row.rides_with == member.id]
    return found


def to_do(
    site: Site, plan: PlanRow, family: list[TargetRow], run_id: str, *, stop: int | None = None
) -> Iterator[list[Portion]]:
    """Yield the units still to do of one target and what rides with it: companions first, the deepest descendants
    before their parents, the main batch last. The next one is looked up when the one before has been written.

    ``stop``: the number before which the target's turn ends."""
    main = family[0]
    size = _batch_size(site, main.location)
    reader = Reader(main.id or 0)
    start = _next_seq(site, main)
    while True:
        with Session(site.engine, expire_on_commit=False) as session:
            records = reader.take(session, start, size, stop=stop)
            if not records:
                return
            start = records.seqs[-1] + 1
            records = own_changes.applied_to(session, main, records)
            groups = [(main, records), *_companions(session, family, main, records)]
            portions: list[Portion] = []
            for target, group in reversed(groups):
                for i in range(0, len(group), MAX_BATCH):
                    part = group.part(i, i + MAX_BATCH)
                    row = BatchRow(
                        plan_id=plan.id or 0,
                        target_id=target.id or 0,
                        unit=0,
                        number=0,
                        first_seq=part.seqs[0],
                        last_seq=part.seqs[-1],
                        members=None if target is main else pack_seqs(part.seqs),
                        root="",
                        key=secrets.token_bytes(32),
                        location=target.location,
                        dataset=target.dataset,
                        leaves=len(part),
                        run_id=run_id,
                        created_at=site.now(),
                    )
                    portions.append(_portion(session, row, target, part))
        for portion in portions:
            portion.row.root, portion.content = _formatted(portion.row, portion.columns)
        yield portions


def _next_seq(site: Site, main: TargetRow) -> int:
    """Return the first record of a target that no batch has yet."""
    with Session(site.engine) as session:
        last = session.scalar(select(func.max(col(BatchRow.last_seq))).where(col(BatchRow.target_id) == main.id))
    return 0 if last is None else last + 1


def read_back(site: Site, row: BatchRow) -> Portion:
    """Read an unsettled batch from the run database. Raises LedgerError when its records are not the ones that its
    intent covers."""
    with Session(site.engine, expire_on_commit=False) as session:
        target = session.get_one(TargetRow, row.target_id)
        reader = Reader(row.target_id)
        if row.members is None:
            records = reader.take(session, row.first_seq, row.leaves)
        else:
            records = reader.pick(session, unpack_seqs(row.members))
        portion = _portion(session, row, target, own_changes.applied_to(session, target, records))
    root = "" if not records or row.key is None else _formatted(row, records)[0]
    if root != row.root:
        raise LedgerError(
            f"the records of batch {row.number} of plan {row.plan_id} are not the ones that its intent covers",
            next_step="The run database was changed by something else; restore its newest copy.",
            code="database-behind",
        )
    return portion


def _portion(session: Session, row: BatchRow, target: TargetRow, records: Columns) -> Portion:
    notes = {} if target.rides_with is None else _references(session, target, records.seqs)
    return Portion(row, target, records, notes, b"")


def _formatted(row: BatchRow, records: Columns) -> tuple[str, bytes]:
    return format_batch(leaves(row.key or b"", row.location, row.dataset, records.keys))


def _references(session: Session, rider: TargetRow, seqs: Sequence[int]) -> dict[int, Note]:
    """Return, by position, with what records some children go."""
    found: dict[int, list[Reference]] = {}
    for i in range(0, len(seqs), CHUNK):
        query = select(
            col(PlannedReference.seq), col(PlannedReference.parent_dataset), col(PlannedReference.parent_key)
        ).where(
            col(PlannedReference.target_id) == rider.id,
            col(PlannedReference.seq).in_(seqs[i : i + CHUNK]),
            col(PlannedReference.is_parent),
        )
        for seq, dataset, key in session.execute(query):
            found.setdefault(seq, []).append(Reference(dataset, tuple(json.loads(key))))
    return {pos: Note(refers_to=tuple(found[seq])) for pos, seq in enumerate(seqs) if seq in found}


def _companions(
    session: Session, family: list[TargetRow], parent: TargetRow, records: Columns
) -> list[tuple[TargetRow, Columns]]:
    groups: list[tuple[TargetRow, Columns]] = []
    riders = [rider for rider in family if rider.rides_with == parent.id]
    texts = key_texts(records.keys) if riders else []
    for rider in riders:
        children: set[int] = set()
        for i in range(0, len(texts), CHUNK):
            query = select(col(PlannedReference.seq)).where(
                col(PlannedReference.target_id) == rider.id,
                col(PlannedReference.plan_id) == rider.plan_id,
                col(PlannedReference.location) == rider.location,
                col(PlannedReference.parent_dataset) == parent.dataset,
                col(PlannedReference.parent_key).in_(texts[i : i + CHUNK]),
                col(PlannedReference.is_parent),
            )
            children |= set(session.scalars(query))
        children = _without_taken(session, rider, children)  # of two parents it goes with the first
        ordered = Reader(rider.id or 0).pick(session, sorted(children))
        if ordered:
            groups += [(rider, ordered), *_companions(session, family, rider, ordered)]
    return groups


def _without_taken(session: Session, rider: TargetRow, seqs: set[int]) -> set[int]:
    """Return those of some children that no batch has yet."""
    if not seqs:
        return seqs
    earlier = select(col(BatchRow.members)).where(
        col(BatchRow.target_id) == rider.id,
        col(BatchRow.first_seq) <= max(seqs),
        col(BatchRow.last_seq) >= min(seqs),
        col(BatchRow.members).is_not(None),
    )
    for members in session.scalars(earlier.execution_options(yield_per=10)):
        seqs = seqs.difference(unpack_seqs(members or "[]"))
    return seqs


def _batch_size(site: Site, location: str) -> int:
    configured = site.config.locations[location].batch_size
    return min(configured or site.connector(location).capabilities.default_batch_size, MAX_BATCH)
