"""What the plans before had of each target: growth is told against that.

Invariant: of each target the newest plan counts that read it wholly: growth is not hidden by a night that saw nothing,
by a forecast, or by a plan of what came back.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.sweep.tables import PlanRow, TargetRow

_FEW = 500
"""So many are asked for by name; more are looked for among all of a plan."""


def previous_records(session: Session, plan_id: int, identities: Iterable[str]) -> dict[str, int | None]:
    """Return, by identity of a target, how many records the newest plan before this one had; None where none did.

    The plans are gone through from the newest on, which mostly ends with the first.
    """
    found: dict[str, int | None] = dict.fromkeys(identities)
    missing = set(found)
    plans = session.scalars(
        select(col(PlanRow.id))
        .where(
            col(PlanRow.id) < plan_id,
            col(PlanRow.digest) != "",
            ~col(PlanRow.is_forecast),
            col(PlanRow.reapplies).is_(None),
        )
        .order_by(col(PlanRow.id).desc())
    ).all()
    for plan in plans:
        if not missing:
            break
        query = select(col(TargetRow.identity), col(TargetRow.records)).where(
            col(TargetRow.plan_id) == plan, col(TargetRow.population).is_not(None)
        )
        if len(missing) <= _FEW:
            query = query.where(col(TargetRow.identity).in_(sorted(missing)))
        found |= {identity: records for identity, records in session.execute(query) if identity in missing}
        missing = {identity for identity in missing if found[identity] is None}
    return found
