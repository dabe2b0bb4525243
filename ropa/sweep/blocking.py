"""References: which due records cannot go, and in which order the others do (design 4.5).

The source has told, for each due record, how many rows refer to it and from where. The plan knows which of those go
too. Where fewer go than exist, the record stays, and with it whatever it refers to that way: that is repeated until
nothing changes, so chains, self-references and cycles need no case of their own.

Invariant: after ``settle`` every record still ``planned`` in a row target that purges has only referring rows that are
planned themselves: in an earlier batch, in the same one, riding with it, or in a circle with it within its target.
Members of such a circle that one batch does not hold stay, because the source refuses them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import select, text
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.connector import Action
from ropa.sweep import blocks, reordering, turns
from ropa.sweep.site import Site
from ropa.sweep.tables import TargetRow
from ropa.sweep.units import family_of

_STUCK_ROWS = text("""
    INSERT INTO planned_stay (target_id, seq, disposition, reason)
    SELECT f.target_id, f.seq, 'blocked', min('referred-to-by:' || f.source)
    FROM planned_referring f
    JOIN plan_target pt ON pt.id = f.target_id
    JOIN planned_key k ON k.target_id = f.target_id AND k.seq = f.seq
    WHERE pt.plan_id = :plan AND pt.location = :location AND pt.scope = 'row' AND pt.action = 'purge'
      AND NOT EXISTS (SELECT 1 FROM planned_stay s WHERE s.target_id = f.target_id AND s.seq = f.seq)
      AND f.count > (
        SELECT count(*) FROM planned_reference r
        JOIN plan_target ct ON ct.id = r.target_id
        WHERE r.plan_id = :plan AND r.location = pt.location AND r.parent_dataset = pt.dataset
          AND r.parent_key = k.key AND ct.dataset = f.source AND f.is_declared
          AND NOT EXISTS (SELECT 1 FROM planned_stay s WHERE s.target_id = r.target_id AND s.seq = r.seq))
    GROUP BY f.target_id, f.seq
""")
"""A record that more rows refer to than go with or before it."""

_LEFT_BEHIND = text("""
    INSERT INTO planned_stay (target_id, seq, disposition, reason)
    SELECT DISTINCT c.target_id, c.seq, 'blocked', 'parent-stays'
    FROM planned_reference c
    JOIN plan_target ct ON ct.id = c.target_id
    WHERE ct.plan_id = :plan AND ct.location = :location AND ct.rides_with IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM planned_stay s WHERE s.target_id = c.target_id AND s.seq = c.seq)
      AND NOT EXISTS (
        SELECT 1 FROM planned_reference r
        JOIN plan_target pt ON pt.id = ct.rides_with AND pt.dataset = r.parent_dataset
        JOIN planned_key p ON p.target_id = pt.id AND p.key = r.parent_key
        WHERE r.target_id = c.target_id AND r.seq = c.seq AND r.is_parent
          AND NOT EXISTS (SELECT 1 FROM planned_stay s WHERE s.target_id = p.target_id AND s.seq = p.seq))
""")
"""A child that goes with its parent, when the parent stays; each child in the plan refers to one."""

_GOES = "NOT EXISTS (SELECT 1 FROM planned_stay s WHERE s.target_id = {0}.target_id AND s.seq = {0}.seq)"
_OF_OWN = f"""
        FROM planned_reference r JOIN planned_key c ON c.target_id = r.target_id AND c.seq = r.seq
        WHERE r.plan_id = :plan AND r.location IN (:location, :carried) AND r.target_id = :target
          AND r.parent_dataset = :dataset AND r.parent_key = planned_key.key AND r.seq <> planned_key.seq
          AND {_GOES.format("c")}"""
_FIND_LEAVES = text(f"""
    UPDATE planned_key SET rank = -1
    WHERE target_id = :target AND {_GOES.format("planned_key")} AND EXISTS (SELECT 1 {_OF_OWN})
""")  # noqa: S608 - all parts stand above
"""What has rows of its own dataset below it waits; the rest has rank 0."""

# SQLite shows a statement its own changes: what this one has ranked just now counts as not ranked yet.
_RAISE_RANK = text(f"""
    UPDATE planned_key SET rank = :rank
    WHERE target_id = :target AND rank = -1 AND key IN (
        SELECT r.parent_key FROM planned_key c
        JOIN planned_reference r ON r.target_id = c.target_id AND r.seq = c.seq
        WHERE c.target_id = :target AND {_GOES.format("c")} AND c.rank = :rank - 1
          AND r.parent_dataset = :dataset)
      AND NOT EXISTS (SELECT 1 {_OF_OWN} AND c.rank IN (-1, :rank))
""")  # noqa: S608 - all parts stand above
_RANK_LAST = text("UPDATE planned_key SET rank = :rank WHERE target_id = :target AND rank = -1")

_CARRIED = "*"
"""Where a reference stands that a record has through what goes with it, while records are ranked; no location."""
_CARRY = text(f"""
    WITH RECURSIVE member (target_id, seq, main) AS (
        SELECT k.target_id, k.seq, k.seq FROM planned_key k WHERE k.target_id = :target AND {_GOES.format("k")}
        UNION
        SELECT r.target_id, r.seq, m.main FROM member m
        JOIN planned_key k ON k.target_id = m.target_id AND k.seq = m.seq
        JOIN plan_target pt ON pt.id = m.target_id
        JOIN plan_target ct ON ct.rides_with = m.target_id
        JOIN planned_reference r ON r.plan_id = :plan AND r.location = :location AND r.parent_dataset = pt.dataset
          AND r.parent_key = k.key AND r.target_id = ct.id AND r.is_parent
    )
    INSERT INTO planned_reference (target_id, seq, parent_dataset, parent_key, plan_id, location, is_parent)
    SELECT DISTINCT :target, c.main, :dataset, above.key, :plan, :carried, false
    FROM member c
    JOIN planned_reference r ON r.target_id = c.target_id AND r.seq = c.seq
    JOIN plan_target t ON t.id IN (SELECT target_id FROM member) AND t.dataset = r.parent_dataset
    JOIN planned_key k ON k.target_id = t.id AND k.key = r.parent_key
    JOIN member p ON p.target_id = k.target_id AND p.seq = k.seq
    JOIN planned_key above ON above.target_id = :target AND above.seq = p.main
    WHERE c.main <> p.main AND NOT EXISTS (
        SELECT 1 FROM planned_reference d WHERE d.target_id = :target AND d.seq = c.main
          AND d.parent_dataset = :dataset AND d.parent_key = above.key)
""")  # noqa: S608 - all parts stand above
"""A record before another where something that goes with the one refers to the other, or to what goes with it."""
_FORGET_CARRIED = text("DELETE FROM planned_reference WHERE target_id = :target AND location = :carried")


_REFERRING = text("""
    SELECT DISTINCT r.target_id, r.parent_dataset, r.is_parent
    FROM planned_reference r JOIN plan_target t ON t.id = r.target_id
    WHERE t.plan_id = :plan AND t.location = :location
""")
"""Which target's records refer to which dataset, and whether as to what they belong to."""


def settle(session: Session, plan_id: int, location: str) -> None:
    """Mark what cannot go at one location as blocked, until nothing changes, and put what refers to one another in an
    order that works. No record refers to one of another location."""
    here = {"plan": plan_id, "location": location}
    _block(session, here)
    found = session.execute(_REFERRING, here).all()
    referring, loosely = {(row[0], row[1]) for row in found}, {(row[0], row[1]) for row in found if not row[2]}
    if not referring:
        return
    rows = session.scalars(
        select(TargetRow)
        .where(col(TargetRow.plan_id) == plan_id, col(TargetRow.location) == location)
        .where(col(TargetRow.scope) == "row", col(TargetRow.action) == str(Action.PURGE))
        .order_by(col(TargetRow.position))
    ).all()
    families = [family_of(row, rows) for row in rows if row.rides_with is None]
    late = turns.arrange(session, here, families, referring)
    if late:
        _block(session, here)
    for family in families:
        _order(session, family, referring, loosely, is_late=family[0].id in late)
    session.commit()


def _block(session: Session, here: Mapping[str, object]) -> None:
    changed = 1
    while changed:
        changed = sum(turns.changed(session, statement, here) for statement in (_STUCK_ROWS, _LEFT_BEHIND))
        session.commit()


def _order(
    session: Session,
    family: list[TargetRow],
    referring: set[tuple[int, str]],
    loosely: set[tuple[int, str]],
    *,
    is_late: bool,
) -> None:
    """Number the records of a target anew where the order in which they were listed is not one in which they can go.

    ``referring``: targets, each with a dataset that its records refer to; ``loosely``: those of them of which some do
    not belong to what they refer to; ``is_late``: some may go in a later turn.
    """
    main = family[0]
    target_id = main.id or 0
    is_own = (target_id, main.dataset) in referring
    rides = {(row.id, parent.dataset) for row in family for parent in family if row.rides_with == parent.id}
    within = {(row.id, other.dataset) for row in family for other in family} & referring
    carries = bool(within - (rides - loosely) - {(target_id, main.dataset)})
    if not (is_own or carries or is_late):
        return
    blocks.write_all_keys(session, target_id)
    main.turns = turns.begins(session, target_id) if is_late else []
    has_ranks = (is_own or carries) and _rank(session, main, carries=carries)
    if has_ranks or main.turns:
        reordering.put_in_order(session, target_id)


def _rank(session: Session, row: TargetRow, *, carries: bool) -> bool:
    """Put records that are referred to after those that refer to them. Returns whether there are any."""
    values = {"target": row.id, "dataset": row.dataset, "plan": row.plan_id, "location": row.location}
    values["carried"] = _CARRIED
    if carries:
        session.execute(_CARRY, values)
    has_any = turns.changed(session, _FIND_LEAVES, values) > 0
    if has_any:
        rank = 1
        while turns.changed(session, _RAISE_RANK, {**values, "rank": rank}):
            rank += 1
        # A circle, and what it refers to: its members can only go together, in one batch, where the source allows it.
        session.execute(_RANK_LAST, {"target": row.id, "rank": rank})
    if carries:
        session.execute(_FORGET_CARRIED, values)
    return has_any


def depths(site: Site, locations: Iterable[str]) -> dict[str, int]:
    """Return, for each declared dataset of these locations, how many declared ancestors it has above it at most:
    the deeper, the earlier it goes. A cycle counts once."""
    found: dict[str, int] = {}
    for location in locations:
        parents = site.parents_or_declared(location)

        def depth(name: str, above: frozenset[str], parents: Mapping[str, frozenset[str]] = parents) -> int:
            higher = [parent for parent in parents.get(name, ()) if parent not in above]
            return max((1 + depth(parent, above | {parent}) for parent in higher), default=0)

        for name in parents:
            found[f"{location}.{name}"] = depth(name, frozenset({name}))
    return found
