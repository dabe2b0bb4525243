"""Holds kept: given, listed, released; and what the active ones cover at this moment.

Invariant: a hold is in force the moment its row is committed, also in the middle of somebody else's run; its ledger
line follows at the next batch at the latest. Holds that cannot be read, or are fewer than the ledger says, stop
everything.
"""

from __future__ import annotations

import json
import secrets
from datetime import date
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.connector import Key, normalise_identifier
from ropa.errors import CallError, Finding, LedgerError, Severity
from ropa.ledger.leaf import leaf
from ropa.retention import REASON_CODES, Coverage, Hold, covering, is_overdue_for_review
from ropa.retention.holds import HoldKind
from ropa.sweep.halting import record_soon
from ropa.sweep.site import Site
from ropa.sweep.state import actor_id
from ropa.sweep.tables import ActorRow, HoldRow


def active_holds(site: Site) -> list[Hold]:
    """Return the holds in force. Raises LedgerError (exit 6) when they cannot be read."""
    try:
        with Session(site.engine) as session:
            rows = session.scalars(
                select(HoldRow).where(col(HoldRow.released_at).is_(None)).order_by(col(HoldRow.id))
            ).all()
        return [
            Hold(
                id=str(row.id),
                kind=cast("HoldKind", row.kind),
                reason=row.reason,
                by=row.actor_id,
                since=row.since,
                review_on=row.review_on,
                target=row.target,
                key=tuple(json.loads(row.key)) if row.key else None,
            )
            for row in rows
        ]
    except (SQLAlchemyError, ValueError, TypeError) as error:
        raise LedgerError(
            "the holds cannot be read; nothing is disposed of without them",
            next_step="Restore the newest copy of the run database.",
            code="holds-unreadable",
        ) from error


def coverage(site: Site) -> Coverage:
    """Return what the holds in force cover. Raises LedgerError when they cannot be read."""
    held = active_holds(site)
    return covering(held, site.config, site.all_parents() if held else {})


def hold_findings(site: Site) -> list[Finding]:
    """Return holds past their review date (they stay in force) and holds on something that is not configured."""
    held = active_holds(site)
    unresolved = coverage(site).unresolved
    found = [
        Finding(
            "hold-review-overdue",
            Severity.WARNING,
            f"hold.{hold.id}",
            f"Hold {hold.id} ({hold.reason}) should have been reviewed on {hold.review_on}; it stays in force.",
            f"Look whether it is still needed; `ropa hold release {hold.id}` ends it.",
        )
        for hold in held
        if is_overdue_for_review(hold, site.today())
    ]
    found += [
        Finding(
            "hold-unresolved",
            Severity.ERROR,
            f"hold.{hold_id}",
            f"Hold {hold_id} names a place or activity that config/retention.toml does not know.",
            "Release it and place it again on what it should hold now.",
        )
        for hold_id in unresolved
    ]
    return found


def add(
    site: Site,
    *,
    kind: str,
    target: str,
    key: Key | None,
    reason: str,
    by: str,
    review_on: date | None = None,
) -> HoldRow:
    """Place a hold, in force at once. Raises CallError for an unknown reason, place or activity, or a blank subject."""
    if reason not in REASON_CODES:
        raise CallError(f"unknown reason {reason!r}", next_step=f"One of: {' '.join(REASON_CODES)}.")
    if review_on is not None and review_on < site.today():
        raise CallError(f"--review {review_on} lies in the past")
    _check_target(site, kind, target, key)
    secret = secrets.token_bytes(32)
    named = key or (normalise_identifier(target) if kind == "subject" else target,)
    row = HoldRow(
        kind=kind,
        target=normalise_identifier(target) if kind == "subject" else target,
        key=json.dumps(list(key), ensure_ascii=False) if key else None,
        reason=reason,
        actor_id=actor_id(site, by),
        since=site.now(),
        review_on=review_on,
        leaf=leaf(secret, kind, target if kind == "record" else "", tuple(named)).hex(),
        leaf_key=secret,
    )
    with Session(site.engine, expire_on_commit=False) as session, session.begin():
        session.add(row)
    record_soon(site)
    return row


def _check_target(site: Site, kind: str, target: str, key: Key | None) -> None:
    config = site.config
    if kind == "subject":
        if not normalise_identifier(target):
            raise CallError("--subject needs an identifier")
    elif kind in {"record", "dataset"}:
        try:
            spec = config.dataset(target)
        except KeyError:
            raise CallError(f"there is no dataset {target!r} in config/retention.toml") from None
        if kind == "record" and (not key or (spec.key and len(key) != len(spec.key))):
            raise CallError(
                f"a key of {target} has {len(spec.key) or 1} parts", next_step="Give them in the key's order."
            )
    elif kind == "location" and target not in config.locations:
        raise CallError(f"there is no location {target!r} in config/retention.toml")
    elif kind == "activity" and not any(rule.activity == target for rule in config.rules.values()):
        raise CallError(f"no rule belongs to an activity {target!r}; such a hold would hold nothing")


def get(site: Site, hold_id: int) -> HoldRow:
    """Return a hold. Raises CallError when there is none with this number."""
    with Session(site.engine) as session:
        row = session.get(HoldRow, hold_id)
    if row is None:
        raise CallError(f"there is no hold {hold_id}", next_step="`ropa hold list` shows them.")
    return row


def release(site: Site, hold_id: int, *, by: str, reason: str) -> HoldRow:
    """End a hold; what it held needs a new plan. Raises CallError when it is unknown or released."""
    if get(site, hold_id).released_at is not None:
        raise CallError(f"hold {hold_id} is already released")
    if not reason.strip():
        raise CallError("--reason needs a text")
    actor = actor_id(site, by)
    with Session(site.engine, expire_on_commit=False) as session, session.begin():
        row = session.get_one(HoldRow, hold_id)
        row.released_at, row.released_by, row.release_reason = site.now(), actor, reason
    record_soon(site)
    return row


def listing(site: Site) -> list[dict[str, Any]]:
    """Return every hold for ``ropa.holds/1``. What a hold names is not told: it may identify a person."""
    with Session(site.engine) as session:
        names = {row.id: row.name for row in session.scalars(select(ActorRow)).all()}
        rows = session.scalars(select(HoldRow).order_by(col(HoldRow.id))).all()
    today = site.today()
    return [
        {
            "id": row.id,
            "kind": row.kind,
            "scope": None if row.kind == "subject" else row.target,
            "reason": row.reason,
            "by": names.get(row.actor_id, row.actor_id),
            "since": timestamp(row.since),
            "review_on": row.review_on.isoformat() if row.review_on else None,
            "state": _state(row, today),
        }
        for row in rows
    ]


def _state(row: HoldRow, today: date) -> str:
    if row.released_at is not None:
        return "released"
    return "review-overdue" if row.review_on is not None and row.review_on < today else "active"
