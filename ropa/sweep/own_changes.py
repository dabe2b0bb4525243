"""Versions after our own changes: where two field targets of a plan change a record, the second must not take the
change by the first for somebody else's.

Invariant: written only where there is another field target of the dataset; what was approved stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.ledger.leaf import key_texts
from ropa.sweep.blocks import CHUNK, Columns
from ropa.sweep.tables import PlannedVersion, TargetRow


def _of(target: TargetRow) -> tuple[Any, ...]:
    return (
        col(PlannedVersion.plan_id) == target.plan_id,
        col(PlannedVersion.location) == target.location,
        col(PlannedVersion.dataset) == target.dataset,
    )


def is_followed(session: Session, target: TargetRow) -> bool:
    """Tell whether another field target of the plan may have records of this one."""
    others = select(col(TargetRow.id)).where(
        col(TargetRow.plan_id) == target.plan_id,
        col(TargetRow.location) == target.location,
        col(TargetRow.dataset) == target.dataset,
        col(TargetRow.scope) == "field",
        col(TargetRow.id) != target.id,
        col(TargetRow.records) > 0,
    )
    return session.scalar(others.limit(1)) is not None


def note(session: Session, target: TargetRow, versions: Mapping[str, str]) -> None:
    """Let the other field targets of the plan know how records read after our own change (key text to version)."""
    if not versions or not is_followed(session, target):
        return
    texts = list(versions)
    for i in range(0, len(texts), CHUNK):
        piece = texts[i : i + CHUNK]
        session.execute(delete(PlannedVersion).where(*_of(target), col(PlannedVersion.key).in_(piece)))
    named = {"plan_id": target.plan_id, "location": target.location, "dataset": target.dataset}
    session.execute(insert(PlannedVersion), [{**named, "key": key, "version": versions[key]} for key in texts])


def applied_to(session: Session, target: TargetRow, columns: Columns) -> Columns:
    """Return records with the versions that they have since another field target of the plan changed them."""
    if target.scope != "field":
        return columns
    own = select(col(PlannedVersion.key), col(PlannedVersion.version)).where(*_of(target))
    if session.execute(own.limit(1)).first() is None:
        return columns
    texts = key_texts(columns.keys)
    changed: dict[str, str] = {}
    for i in range(0, len(texts), CHUNK):
        changed |= dict(session.execute(own.where(col(PlannedVersion.key).in_(texts[i : i + CHUNK]))).all())
    versions = [changed.get(key, version) for key, version in zip(texts, columns.versions, strict=True)]
    return Columns(columns.seqs, columns.keys, versions)


def forget(session: Session, plan_id: int) -> None:
    """Remove what ``note`` wrote for a plan."""
    session.execute(delete(PlannedVersion).where(col(PlannedVersion.plan_id) == plan_id))
