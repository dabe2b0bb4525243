"""Planned records as they are kept: columns packed in blocks, and rows only for what is not like the rest.

A block holds the records of one batch of the listing, numbered from ``first_seq``. What stays (held, blocked) has a
row; what something else of the plan looks up by key has one. Everything that is done with each record is done here, and
by the C of the standard library. Invariant: what is read back is exactly what was written, in the same order, or
LedgerError; memory holds a block or two, however many there are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import Select, delete, exists, func, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Key
from ropa.ledger.leaf import key_texts
from ropa.sweep.packing import pack_days, pack_keys, pack_versions, unpack_days, unpack_keys, unpack_versions
from ropa.sweep.tables import (
    PlannedBlock,
    PlannedKey,
    PlannedReference,
    PlannedReferring,
    PlannedStay,
    TargetRow,
)

CHUNK = 1000
"""Keys per question: databases bound the number of values."""
PIECE = 10_000
"""Records, at least, that are forgotten in one transaction."""
_BEFORE_ALL = -(2**31)
"""The smallest number that a column of whole numbers takes."""
_BESIDE = (PlannedReference, PlannedReferring, PlannedKey, PlannedStay)
"""What has rows for some of the records of a block."""


class Stay(NamedTuple):
    """Why a record stays."""

    disposition: str
    reason: str


@dataclass(frozen=True, slots=True)
class Columns:
    """Some records of a target, in their order."""

    seqs: Sequence[int]
    keys: list[Key]
    versions: list[str]

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, start: int, stop: int) -> Columns:
        """Return the records between two positions."""
        if start <= 0 and stop >= len(self.keys):
            return self
        return Columns(self.seqs[start:stop], self.keys[start:stop], self.versions[start:stop])


@dataclass(frozen=True, slots=True)
class Block:
    """A row of ``planned_block``, still packed."""

    first_seq: int
    count: int
    keys: str
    versions: str
    due_on: bytes


class Planned(NamedTuple):
    """One record as ``walk`` gives it."""

    key: Key
    due_on: date | None
    disposition: str
    reason: str | None


# --- writing --------------------------------------------------------------------------------------------------------


def write(
    session: Session,
    target_id: int,
    first_seq: int,
    *,
    keys: Sequence[Key],
    versions: Sequence[str],
    days: Sequence[int],
    stays: Mapping[int, Stay] | None = None,
) -> None:
    """Write one block; ``stays`` by position in ``keys``."""
    session.execute(
        insert(PlannedBlock).values(
            target_id=target_id,
            first_seq=first_seq,
            count=len(keys),
            keys=pack_keys(keys),
            versions=pack_versions(versions),
            due_on=pack_days(days),
        )
    )
    if stays:
        rows = [
            {"target_id": target_id, "seq": first_seq + pos, "disposition": stay.disposition, "reason": stay.reason}
            for pos, stay in stays.items()
        ]
        session.execute(insert(PlannedStay), rows)


def write_keys(session: Session, target_id: int, keys: Mapping[int, str]) -> None:
    """Make records findable by key (number to key text); those that are already are left alone."""
    if not keys:
        return
    query = select(col(PlannedKey.seq)).where(
        col(PlannedKey.target_id) == target_id, col(PlannedKey.seq).between(min(keys), max(keys))
    )
    known = set(session.scalars(query))
    first = {"target_id": target_id, "rank": 0, "turn": 0, "place": 0}
    rows = [{**first, "seq": seq, "key": key} for seq, key in keys.items() if seq not in known]
    if rows:
        session.execute(insert(PlannedKey), rows)


def write_all_keys(session: Session, target_id: int) -> None:
    """Make every record of a target findable by key."""
    for block in blocks(session, target_id):
        texts = key_texts(unpack_keys(block.keys, block.count))
        write_keys(session, target_id, dict(enumerate(texts, start=block.first_seq)))


def discard(session: Session, target_id: int) -> None:
    """Remove every record of a target."""
    for table in (*_BESIDE, PlannedBlock):
        session.execute(delete(table).where(col(table.target_id) == target_id))


def forget(session: Session, target_id: int) -> None:
    """Remove every record of a target in pieces, each in a transaction of its own, so that memory stays flat."""
    last = col(PlannedBlock.first_seq) + col(PlannedBlock.count)
    while True:
        query = (
            select(last)
            .where(col(PlannedBlock.target_id) == target_id)
            .order_by(col(PlannedBlock.first_seq))
            .limit(CHUNK)
        )
        ends = session.scalars(query).all()
        if not ends:
            break
        stop = next((end for end in ends if end - ends[0] >= PIECE), ends[-1])
        for table in _BESIDE:
            session.execute(delete(table).where(col(table.target_id) == target_id, col(table.seq) < stop))
        piece = col(PlannedBlock.target_id) == target_id, col(PlannedBlock.first_seq) < stop
        session.execute(delete(PlannedBlock).where(*piece))
        session.commit()
    discard(session, target_id)
    session.commit()


# --- reading --------------------------------------------------------------------------------------------------------


def blocks(session: Session, target_id: int) -> Iterator[Block]:
    """Yield the blocks of a target in order, one in memory; the session may be used and committed in between."""
    start = _BEFORE_ALL
    while (block := block_at(session, target_id, start)) is not None:
        start = block.first_seq + 1  # also one that begins within another: every row is under the digest
        yield block


def block_at(session: Session, target_id: int, start: int) -> Block | None:
    """Return the first block that begins at a number or later."""
    query = select(
        col(PlannedBlock.first_seq),
        col(PlannedBlock.count),
        col(PlannedBlock.keys),
        col(PlannedBlock.versions),
        col(PlannedBlock.due_on),
    ).where(col(PlannedBlock.target_id) == target_id, col(PlannedBlock.first_seq) >= start)
    row = session.execute(query.order_by(col(PlannedBlock.first_seq)).limit(1)).first()
    return None if row is None else Block(*row)


def stays(session: Session, target_id: int, first: int, last: int) -> dict[int, Stay]:
    """Return the records between two numbers, both included, that stay, by number."""
    query = select(col(PlannedStay.seq), col(PlannedStay.disposition), col(PlannedStay.reason)).where(
        col(PlannedStay.target_id) == target_id, col(PlannedStay.seq).between(first, last)
    )
    return {seq: Stay(disposition, reason) for seq, disposition, reason in session.execute(query)}


class Reader:
    """Reads the planned records of one target, forward or from place to place; has one block in hand."""

    def __init__(self, target_id: int) -> None:
        self.target_id = target_id
        self._first = self._stop = -1
        self._has_stays: bool | None = None
        self._columns = Columns((), [], [])

    def take(self, session: Session, start: int, limit: int, *, stop: int | None = None) -> Columns:
        """Return up to ``limit`` planned records from a number on, and before another."""
        parts: list[Columns] = []
        missing = limit
        while missing > 0 and (stop is None or start < stop) and self._load(session, start):
            seqs = self._columns.seqs
            at, end = bisect_left(seqs, start), len(seqs) if stop is None else bisect_left(seqs, stop)
            part = self._columns.part(at, min(at + missing, end))
            if len(part):
                parts.append(part)
            missing -= len(part)
            start = self._stop
        return _together(parts)

    def pick(self, session: Session, seqs: Sequence[int]) -> Columns:
        """Return the records with these numbers, in rising order; those that are not planned are left out."""
        parts: list[Columns] = []
        waiting = sorted(seqs)
        while waiting and self._load(session, waiting[0]):
            here = bisect_left(waiting, self._stop)
            own = self._columns.seqs
            places = [at for seq in waiting[:here] if (at := bisect_left(own, seq)) < len(own) and own[at] == seq]
            keys, versions = self._columns.keys, self._columns.versions
            parts.append(
                Columns([own[at] for at in places], [keys[at] for at in places], [versions[at] for at in places])
            )
            waiting = waiting[here:]
        return _together(parts)

    def _load(self, session: Session, seq: int) -> bool:
        """Take the block with this number, or the next one, in hand. Returns whether there is one."""
        if self._first <= seq < self._stop:
            return True
        start = seq
        if seq != self._stop:  # else the next one is meant
            query = select(func.max(col(PlannedBlock.first_seq))).where(
                col(PlannedBlock.target_id) == self.target_id, col(PlannedBlock.first_seq) <= seq
            )
            start = session.scalar(query) or 0
        block = block_at(session, self.target_id, start)
        if block is not None and block.first_seq + block.count <= seq:
            block = block_at(session, self.target_id, seq)
        if block is None:
            return False
        first, stop = block.first_seq, block.first_seq + block.count
        keys, versions = unpack_keys(block.keys, block.count), unpack_versions(block.versions, block.count)
        if self._has_stays is None:
            any_stay = select(col(PlannedStay.seq)).where(col(PlannedStay.target_id) == self.target_id).limit(1)
            self._has_stays = session.scalar(any_stay) is not None
        staying = stays(session, self.target_id, first, stop - 1) if self._has_stays else {}
        seqs: Sequence[int] = range(first, stop)
        if staying:
            seqs = [seq for seq in seqs if seq not in staying]
            keys, versions = [keys[seq - first] for seq in seqs], [versions[seq - first] for seq in seqs]
        self._first, self._stop, self._columns = first, stop, Columns(seqs, keys, versions)
        return True


def _together(parts: Sequence[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    return Columns(
        list(chain.from_iterable(part.seqs for part in parts)),
        list(chain.from_iterable(part.keys for part in parts)),
        list(chain.from_iterable(part.versions for part in parts)),
    )


def walk(session: Session, target_id: int) -> Iterator[Planned]:
    """Yield every record of a target in order, also those that stay."""
    days: dict[int, date | None] = {0: None}
    for block in blocks(session, target_id):
        staying = stays(session, target_id, block.first_seq, block.first_seq + block.count - 1)
        ordinals = unpack_days(block.due_on, block.count)
        days |= {day: date.fromordinal(day) for day in set(ordinals) - days.keys()}
        for pos, (key, day) in enumerate(zip(unpack_keys(block.keys, block.count), ordinals, strict=True)):
            disposition, reason = staying.get(block.first_seq + pos, ("planned", None))
            yield Planned(key, days[day], disposition, reason)


def has_any(session: Session, target_id: int | None) -> bool:
    """Tell whether a target has records; none once its plan is spent."""
    query = select(col(PlannedBlock.first_seq)).where(col(PlannedBlock.target_id) == target_id).limit(1)
    return session.scalar(query) is not None


def kept(session: Session, plan_id: int) -> set[int]:
    """Return the targets of a plan of which there is anything here: those with records, or with traces of some."""
    found: set[int] = set()
    for table in (PlannedBlock, *_BESIDE):
        # Looked up target by target in the index: a large plan has millions of rows of some.
        has_rows = exists().where(col(table.target_id) == col(TargetRow.id))
        ids = session.scalars(select(col(TargetRow.id)).where(col(TargetRow.plan_id) == plan_id, has_rows))
        found.update(target_id for target_id in ids if target_id is not None)
    return found


def count(session: Session, target_id: int) -> int:
    """Return how many records a target has, also those that stay."""
    query = select(func.sum(col(PlannedBlock.count))).where(col(PlannedBlock.target_id) == target_id)
    return session.scalar(query) or 0


def among(session: Session, query: Select[str], column: Any, texts: Sequence[str]) -> set[str]:
    """Return which of some keys a query has; asked in pieces."""
    pieces = (texts[i : i + CHUNK] for i in range(0, len(texts), CHUNK))
    return {found for piece in pieces for found in session.scalars(query.where(column.in_(piece)))}
