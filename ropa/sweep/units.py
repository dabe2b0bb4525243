"""Units: the planned records that are acted on together, as they stand in the run database.

A portion is one intent's records; a unit is a batch of a target with the portions that ride with it. Invariant: a
record is in at most one batch of its plan; a batch can be read back exactly as it was written, also after a crash.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Select, bindparam, func, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import MAX_BATCH, Found, Key, Reference
from ropa.errors import LedgerError
from ropa.ledger.batches import format_batch
from ropa.ledger.leaf import leaves
from ropa.sweep.site import Site
from ropa.sweep.tables import BatchRow, PlannedRecord, PlannedReference, PlanRow, TargetRow


class Planned(NamedTuple):
    """One planned record as it is read for acting; a plain tuple, because a batch may hold 100,000."""

    seq: int
    key: str
    version: str


@dataclass
class Portion:
    """One intent's records: a batch row, its target, its planned records."""

    row: BatchRow
    target: TargetRow
    records: list[Planned]

    @property
    def keys(self) -> list[Key]:
        """Keys in leaf order."""
        return [tuple(json.loads(record.key)) for record in self.records]


def to_do(site: Site, plan: PlanRow, family: list[TargetRow], run_id: str) -> Iterator[list[Portion]]:
    """Yield the units still to do of one target and what rides with it: companions first, the deepest descendants
    before their parents, the main batch last. The next one is looked up when the one before has been written."""
    main = family[0]
    size = _batch_size(site, main.location)
    while True:
        with Session(site.engine, expire_on_commit=False) as session:
            last = session.scalar(select(func.max(col(BatchRow.last_seq))).where(col(BatchRow.target_id) == main.id))
            query = _planned(main).where(col(PlannedRecord.seq) > (-1 if last is None else last)).limit(size)
            records = _read(session, query)
            if not records:
                return
            unit, number = session.execute(
                select(func.max(col(BatchRow.unit)), func.max(col(BatchRow.number))).where(
                    col(BatchRow.plan_id) == plan.id
                )
            ).one()
            groups = [(main, records), *_companions(session, family, main, records)]
        portions: list[Portion] = []
        for target, group in reversed(groups):
            for i in range(0, len(group), MAX_BATCH):
                records = group[i : i + MAX_BATCH]
                row = BatchRow(
                    plan_id=plan.id or 0,
                    target_id=target.id or 0,
                    unit=(unit or 0) + 1,
                    number=(number or 0) + len(portions) + 1,
                    last_seq=records[-1].seq,
                    root="",
                    key=secrets.token_bytes(32),
                    location=target.location,
                    dataset=target.dataset,
                    leaves=len(records),
                    run_id=run_id,
                    created_at=site.now(),
                )
                portions.append(Portion(row, target, records))
        yield portions


def save(session: Session, portions: list[Portion]) -> None:
    """Put batches with their keys into the run database, and note which records each of them has."""
    for portion in portions:
        session.add(portion.row)
        session.execute(
            update(PlannedRecord),
            [
                {"target_id": portion.target.id, "seq": record.seq, "batch": portion.row.number}
                for record in portion.records
            ],
        )


def note_own_changes(session: Session, portion: Portion, versions: Mapping[str, str]) -> None:
    """Let the other field targets of the plan know how records read after our own change (key text to version)."""
    target = portion.target
    others = session.scalars(
        select(col(TargetRow.id)).where(
            col(TargetRow.plan_id) == target.plan_id,
            col(TargetRow.location) == target.location,
            col(TargetRow.dataset) == target.dataset,
            col(TargetRow.id) != target.id,
        )
    ).all()
    for other in others:
        statement = (
            update(PlannedRecord)
            .where(col(PlannedRecord.target_id) == other, col(PlannedRecord.key) == bindparam("of_key"))
            .values(own_version=bindparam("changed_to"))
        )
        session.connection().execute(
            statement, [{"of_key": key, "changed_to": version} for key, version in versions.items()]
        )


def forget(session: Session, row: BatchRow) -> None:
    """Take back a batch whose intent was never written; its records are free for another batch."""
    session.execute(
        update(PlannedRecord)
        .where(col(PlannedRecord.target_id) == row.target_id, col(PlannedRecord.batch) == row.number)
        .values(batch=None)
    )
    session.delete(row)


def read_back(site: Site, row: BatchRow) -> Portion:
    """Read an unsettled batch from the run database. Raises LedgerError when its records are not the ones that its
    intent covers."""
    with Session(site.engine, expire_on_commit=False) as session:
        target = session.get_one(TargetRow, row.target_id)
        records = _read(session, _planned(target).where(col(PlannedRecord.batch) == row.number))
    portion = Portion(row, target, records)
    if not records or row.key is None or _root(portion, row.key) != row.root:
        raise LedgerError(
            f"the records of batch {row.number} of plan {row.plan_id} are not the ones that its intent covers",
            next_step="The run database was changed by something else; restore its newest copy.",
            code="database-behind",
        )
    return portion


def _root(portion: Portion, key: bytes) -> str:
    return format_batch(leaves(key, portion.row.location, portion.row.dataset, portion.keys))[0]


def found(site: Site, portion: Portion) -> tuple[Found, ...]:
    """Return a portion's records as a connector takes them; those that ride name the record they go with."""
    references: dict[int, list[Reference]] = {}
    if portion.target.rides_with is not None:
        with Session(site.engine) as session:
            rows = session.execute(
                select(
                    col(PlannedReference.seq), col(PlannedReference.parent_dataset), col(PlannedReference.parent_key)
                )
                .join(PlannedRecord, _SAME_RECORD)
                .where(
                    col(PlannedRecord.target_id) == portion.target.id,
                    col(PlannedRecord.batch) == portion.row.number,
                )
            ).all()
        for seq, dataset, key in rows:
            references.setdefault(seq, []).append(Reference(dataset, tuple(json.loads(key))))
    return tuple(
        Found(key=key, version=record.version, refers_to=tuple(references.get(record.seq, ())))
        for key, record in zip(portion.keys, portion.records, strict=True)
    )


_SAME_RECORD = (col(PlannedReference.target_id) == col(PlannedRecord.target_id)) & (
    col(PlannedReference.seq) == col(PlannedRecord.seq)
)


def _planned(target: TargetRow) -> Select[int, str, str]:
    return (
        select(
            col(PlannedRecord.seq),
            col(PlannedRecord.key),
            func.coalesce(col(PlannedRecord.own_version), col(PlannedRecord.version)),
        )
        .where(col(PlannedRecord.target_id) == target.id, col(PlannedRecord.disposition) == "planned")
        .order_by(col(PlannedRecord.seq))
    )


def _read(session: Session, query: Select[int, str, str]) -> list[Planned]:
    return [Planned(*row) for row in session.execute(query)]


def _companions(
    session: Session, family: list[TargetRow], parent: TargetRow, records: list[Planned]
) -> list[tuple[TargetRow, list[Planned]]]:
    groups: list[tuple[TargetRow, list[Planned]]] = []
    keys = [record.key for record in records]
    for rider in family:
        if rider.rides_with != parent.id:
            continue
        children: dict[int, Planned] = {}
        for i in range(0, len(keys), 500):
            query = (
                _planned(rider)
                .join(PlannedReference, _SAME_RECORD)
                .where(
                    col(PlannedRecord.batch).is_(None),  # of two parents it goes with the first
                    col(PlannedReference.parent_dataset) == parent.dataset,
                    col(PlannedReference.parent_key).in_(keys[i : i + 500]),
                )
            )
            children |= {child.seq: child for child in _read(session, query)}
        if children:
            ordered = [children[seq] for seq in sorted(children)]
            groups += [(rider, ordered), *_companions(session, family, rider, ordered)]
    return groups


def _batch_size(site: Site, location: str) -> int:
    configured = site.config.locations[location].batch_size
    return min(configured or site.connector(location).capabilities.default_batch_size, MAX_BATCH)
