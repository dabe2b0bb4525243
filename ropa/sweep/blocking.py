"""References: which due records cannot go, and in which order the others do (design 4.5).

The source has told, for each due record, how many rows refer to it and from where. The plan knows which of those go
too. Where fewer go than exist, the record stays, and with it whatever it refers to that way: that is repeated until
nothing changes, so chains, self-references and cycles need no case of their own.

Invariant: after ``settle`` every record still ``planned`` in a row target that purges has only referring rows that are
planned themselves: in an earlier batch, in the same one, riding with it, or in a circle with it. Members of a circle
that one batch does not hold stay, because the source refuses them one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.orm import Session

from ropa.sweep import blocks, reordering
from ropa.sweep.site import Site

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
        WHERE r.target_id = c.target_id AND r.seq = c.seq
          AND NOT EXISTS (SELECT 1 FROM planned_stay s WHERE s.target_id = p.target_id AND s.seq = p.seq))
""")
"""A child that goes with its parent, when the parent stays; each child in the plan refers to one."""

_GOES = "NOT EXISTS (SELECT 1 FROM planned_stay s WHERE s.target_id = {0}.target_id AND s.seq = {0}.seq)"
_OF_OWN = f"""
        FROM planned_reference r JOIN planned_key c ON c.target_id = r.target_id AND c.seq = r.seq
        WHERE r.plan_id = :plan AND r.location = :location AND r.target_id = :target AND r.parent_dataset = :dataset
          AND r.parent_key = planned_key.key AND r.seq <> planned_key.seq AND {_GOES.format("c")}"""
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


def settle(session: Session, plan_id: int, location: str) -> None:
    """Mark what cannot go at one location as blocked, until nothing changes, and put self-referring records in an order
    that works. No record refers to one of another location."""
    here = {"plan": plan_id, "location": location}
    changed = 1
    while changed:
        changed = sum(_changed(session, statement, here) for statement in (_STUCK_ROWS, _LEFT_BEHIND))
        session.commit()
    own = session.execute(
        text("""SELECT DISTINCT t.id, t.dataset FROM plan_target t JOIN planned_reference r ON r.target_id = t.id
                WHERE t.plan_id = :plan AND t.location = :location AND t.rides_with IS NULL
                  AND r.parent_dataset = t.dataset"""),
        here,
    ).all()
    for target_id, dataset in own:
        _order(session, {"target": target_id, "dataset": dataset, **here})
    session.commit()


def _changed(session: Session, statement: TextClause, values: Mapping[str, object]) -> int:
    result = session.execute(statement, values)
    return result.rowcount if isinstance(result, CursorResult) else 0


def _order(session: Session, values: Mapping[str, Any]) -> None:
    target_id = values["target"]
    blocks.write_all_keys(session, target_id)
    if not _changed(session, _FIND_LEAVES, values):
        return
    rank = 1
    while _changed(session, _RAISE_RANK, {**values, "rank": rank}):
        rank += 1
    # A circle, and what it refers to: its members can only go together, in one batch, where the source allows it.
    session.execute(_RANK_LAST, {"target": target_id, "rank": rank})
    reordering.put_in_order(session, target_id)


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
