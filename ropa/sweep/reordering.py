"""Records of a target that refer to one another, or in turns to those of other targets, numbered anew in the order in
which they can go.

Invariant: each record keeps its version, its last day, its references and its reason to stay; only its number changes.
"""

from __future__ import annotations

from bisect import bisect_right

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Key
from ropa.sweep.blocks import PIECE, block_at, write
from ropa.sweep.packing import changed, unpack_days, unpack_keys, unpack_versions
from ropa.sweep.tables import PlannedBlock, PlannedKey

_NUMBERED = ("planned_reference", "planned_referring", "planned_key", "planned_stay")
_PLACES = text("""
    UPDATE planned_key SET place = n.place
    FROM (
        SELECT seq, row_number() OVER (ORDER BY turn, rank, seq) - 1 AS place
        FROM planned_key WHERE target_id = :target
    ) n
    WHERE planned_key.target_id = :target AND planned_key.seq = n.seq
""")


def put_in_order(session: Session, target_id: int) -> None:
    """Number the records of a target anew, by ``planned_key.turn`` and ``rank``, and write its blocks in that order.
    Every record must be findable by key."""
    session.execute(_PLACES, {"target": target_id})
    # First as negatives, so that no two rows meet on the way.
    for name in ("planned_reference", "planned_referring", "planned_stay"):
        renumber = f"""
            UPDATE {name} SET seq = -1 - (SELECT k.place FROM planned_key k
                WHERE k.target_id = {name}.target_id AND k.seq = {name}.seq) WHERE target_id = :target"""  # noqa: S608 - names stand above
        session.execute(text(renumber), {"target": target_id})
    hand = _Hand(session, target_id)
    order = select(col(PlannedKey.seq)).where(col(PlannedKey.target_id) == target_id)
    written = 0
    while seqs := session.scalars(
        order.where(col(PlannedKey.place) >= written).order_by(col(PlannedKey.place)).limit(PIECE)
    ).all():
        records = [hand.record(seq) for seq in seqs]
        keys, versions, days = zip(*records, strict=True)
        write(session, target_id, -1 - written, keys=keys, versions=versions, days=days)
        written += len(seqs)
    session.execute(
        delete(PlannedBlock).where(col(PlannedBlock.target_id) == target_id, col(PlannedBlock.first_seq) >= 0)
    )
    session.execute(text("UPDATE planned_key SET seq = -1 - place WHERE target_id = :target"), {"target": target_id})
    for name, number in (*((table, "seq") for table in _NUMBERED), ("planned_block", "first_seq")):
        turn = f"UPDATE {name} SET {number} = -1 - {number} WHERE target_id = :target"  # noqa: S608 - names stand here
        session.execute(text(turn), {"target": target_id})


class _Hand:
    """Some blocks of a target at hand: a record after the other is asked for, mostly in rising order."""

    _MOST = 4

    def __init__(self, session: Session, target_id: int) -> None:
        self._session, self._target_id = session, target_id
        self._starts = list(
            session.scalars(
                select(col(PlannedBlock.first_seq))
                .where(col(PlannedBlock.target_id) == target_id)
                .order_by(col(PlannedBlock.first_seq))
            )
        )
        self._open: dict[int, list[tuple[Key, str, int]]] = {}

    def record(self, seq: int) -> tuple[Key, str, int]:
        """Return key, version and last day."""
        first = self._starts[bisect_right(self._starts, seq) - 1]
        if first not in self._open:
            if len(self._open) >= self._MOST:
                del self._open[next(iter(self._open))]
            self._open[first] = self._read(first)
        return self._open[first][seq - first]

    def _read(self, first: int) -> list[tuple[Key, str, int]]:
        block = block_at(self._session, self._target_id, first)
        if block is None:
            raise changed()
        columns = (
            unpack_keys(block.keys, block.count),
            unpack_versions(block.versions, block.count),
            unpack_days(block.due_on, block.count),
        )
        return list(zip(*columns, strict=True))
