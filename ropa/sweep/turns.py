"""Turns: how often the targets of a place are gone through before each record can go.

Targets follow one another, children before parents. Two rules for one table that refers to itself, and tables that
refer to each other, have no such order: a record may wait for one of a later target. Then the targets are gone through
again, and it goes in the turn after that one. Nearly every plan has one turn, which one small question tells.

Invariant: after ``arrange`` a planned record is referred to by planned ones of its own target and turn, of a target
before its own in the same turn, or of an earlier turn. What has no such turn, because it is in a circle through several
targets or is referred to by one that is, is ``blocked``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.orm import Session

from ropa.sweep.tables import TargetRow

_STAYS = "SELECT 1 FROM planned_stay s WHERE s.target_id = {0}.target_id AND s.seq = {0}.seq"

# A record without a row in planned_key is referred to by none: it goes in the first turn.
_PUT_OFF = text(f"""
    UPDATE planned_key SET turn = :turn
    WHERE target_id = :parent AND turn < :turn AND NOT EXISTS ({_STAYS.format("planned_key")}) AND key IN (
        SELECT r.parent_key FROM planned_reference r
        LEFT JOIN planned_key c ON c.target_id = r.target_id AND c.seq = r.seq
        WHERE r.plan_id = :plan AND r.location = :location AND r.target_id = :child AND r.parent_dataset = :dataset
          AND coalesce(c.turn, 0) >= :referring AND NOT EXISTS ({_STAYS.format("r")}))
""")  # noqa: S608 - all parts stand above
"""Records of one target that are referred to by records of another, which go in a given turn or later: one that was put
off a moment ago has to count as before, or a turn could put off as many as the one before it."""

_PUT_OFF_RIDERS = text(f"""
    UPDATE planned_key SET turn = :turn
    WHERE target_id = :child AND turn < :turn AND NOT EXISTS ({_STAYS.format("planned_key")}) AND NOT EXISTS (
        SELECT 1 FROM planned_reference r
        JOIN planned_key p ON p.target_id = :parent AND p.key = r.parent_key
        WHERE r.target_id = planned_key.target_id AND r.seq = planned_key.seq AND r.parent_dataset = :dataset
          AND r.is_parent AND p.turn < :turn AND NOT EXISTS ({_STAYS.format("p")}))
""")  # noqa: S608 - all parts stand above
"""What rides goes with the first of its parents, mostly its only one: it is late when all of them are."""

_IN_TURN = text("""
    SELECT count(*) FROM planned_key k JOIN plan_target t ON t.id = k.target_id
    WHERE t.plan_id = :plan AND t.location = :location AND k.turn = :turn
""")
_BLOCK = text(f"""
    INSERT INTO planned_stay (target_id, seq, disposition, reason)
    SELECT k.target_id, k.seq, 'blocked', min('referred-to-by:' || ct.dataset)
    FROM planned_key k
    JOIN plan_target pt ON pt.id = k.target_id
    JOIN planned_reference r ON r.plan_id = pt.plan_id AND r.location = pt.location
      AND r.parent_dataset = pt.dataset AND r.parent_key = k.key
    JOIN plan_target ct ON ct.id = r.target_id
    JOIN planned_key c ON c.target_id = r.target_id AND c.seq = r.seq AND c.turn = :turn
    WHERE pt.plan_id = :plan AND pt.location = :location AND k.turn = :turn AND NOT EXISTS ({_STAYS.format("k")})
    GROUP BY k.target_id, k.seq
""")  # noqa: S608 - all parts stand above
_FORGET = text("""
    UPDATE planned_key SET turn = 0 WHERE turn = :turn
      AND target_id IN (SELECT id FROM plan_target WHERE plan_id = :plan AND location = :location)
""")
_COUNTS = text("SELECT turn, count(*) FROM planned_key WHERE target_id = :target GROUP BY turn")


@dataclass(frozen=True, slots=True)
class _Bond:
    """Records of one target refer to records of another, or of the same."""

    child: int
    parent: int
    dataset: str
    """Of the parent."""
    is_backward: bool
    """Whether the parent's target comes first."""
    rides: bool
    """Whether the child goes with the parent."""


def arrange(
    session: Session,
    here: Mapping[str, object],
    families: Sequence[Sequence[TargetRow]],
    referring: Iterable[tuple[int, str]],
) -> set[int]:
    """Give each record of one place of a plan its turn (``planned_key.turn``), and block what can have none.

    ``here``: number of the plan, name of the location; ``families``: the targets that purge whole records, in the order
    of acting, each with what rides with it; ``referring``: targets, each with a dataset that its records refer to.
    Returns the targets that may have records in later turns; none where all go in one.
    """
    bonds = _bonds(families, referring)
    backward = [bond for bond in bonds if bond.is_backward]
    turn, late = 0, -1
    while sum(_put_off(session, here, bond, turn + 1, referring=turn) for bond in backward):
        turn += 1
        while sum(_follow(session, here, bond, turn) for bond in bonds):
            pass
        before, late = late, int(session.execute(_IN_TURN, {**here, "turn": turn}).scalar_one())
        if late == before:
            # Each turn puts off fewer than the one before, unless some wait for one another.
            session.execute(_BLOCK, {**here, "turn": turn})
            session.execute(_FORGET, {**here, "turn": turn})
            break
    return {bond.parent for bond in bonds} if turn else set()


def begins(session: Session, target_id: int) -> list[int]:
    """Return how many records of a target go before each turn but the first; of a target with later turns every record
    must be findable by key."""
    counts = {row[0]: row[1] for row in session.execute(_COUNTS, {"target": target_id})}
    return list(accumulate(counts.get(turn, 0) for turn in range(max(counts, default=0))))


def _bonds(families: Sequence[Sequence[TargetRow]], referring: Iterable[tuple[int, str]]) -> list[_Bond]:
    """Return what refers to what."""
    places = {row.id: (place, row) for place, family in enumerate(families) for row in family}
    bonds = []
    for child, dataset in referring:
        for parent, (place, row) in places.items():
            if row.dataset == dataset and child in places and parent is not None:
                own, referrer = places[child]
                rides = referrer.rides_with == parent
                bonds.append(_Bond(child, parent, dataset, is_backward=place < own, rides=rides))
    return bonds


def _put_off(session: Session, here: Mapping[str, object], bond: _Bond, turn: int, *, referring: int) -> int:
    """Put off to a turn what records of the turn ``referring`` or a later one refer to. Returns how many there were."""
    values = {**here, "child": bond.child, "parent": bond.parent, "dataset": bond.dataset}
    return changed(session, _PUT_OFF, {**values, "turn": turn, "referring": referring})


def _follow(session: Session, here: Mapping[str, object], bond: _Bond, turn: int) -> int:
    """Put off to a turn what goes after, or with, records of this turn. Returns how many there were."""
    found = 0 if bond.is_backward else _put_off(session, here, bond, turn, referring=turn)
    if bond.rides:
        values = {"child": bond.child, "parent": bond.parent, "dataset": bond.dataset, "turn": turn}
        found += changed(session, _PUT_OFF_RIDERS, values)
    return found


def changed(session: Session, statement: TextClause, values: Mapping[str, object]) -> int:
    """Carry out a statement; return how many rows it touched."""
    result = session.execute(statement, values)
    return result.rowcount if isinstance(result, CursorResult) else 0
