"""Holds kept: given, listed, released; and what the active ones cover at this moment.

Invariant: a hold is in force the moment its row is committed, also in the middle of somebody else's run; its ledger
line follows at the next batch at the latest. Holds that cannot be read, or are fewer than the ledger says, stop
everything. A person on hold is kept as keyed digests: recognised at the source, not readable here.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, cast

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.connector import (
    Key,
    KeyedSubjects,
    SubjectSet,
    digest_identifier,
    normalise_identifier,
    squeeze_identifier,
)
from ropa.errors import CallError, Finding, LedgerError, Severity
from ropa.ledger.leaf import leaf
from ropa.retention import REASON_CODES, Coverage, Hold, covering, is_overdue_for_review
from ropa.retention.holds import HoldKind
from ropa.sweep.halting import record_soon
from ropa.sweep.review import erase_freed_pages
from ropa.sweep.site import Site
from ropa.sweep.state import actor_id, get_state, set_state
from ropa.sweep.tables import ActorRow, HoldRow

_SECRET_BYTES = 32


def active_holds(site: Site) -> list[Hold]:
    """Return the holds in force. Raises LedgerError (exit 6) when they cannot be read."""
    try:
        with Session(site.engine) as session:
            query = select(HoldRow).where(col(HoldRow.released_at).is_(None) | col(HoldRow.released_by).is_(None))
            return [_read(row) for row in session.scalars(query.order_by(col(HoldRow.id)))]
    except (SQLAlchemyError, ValueError, TypeError) as error:
        raise LedgerError(
            "the holds cannot be read; nothing is disposed of without them",
            next_step="Restore the newest copy of the run database.",
            code="holds-unreadable",
        ) from error


def _read(row: HoldRow) -> Hold:
    """Return a hold as its row has it. Raises ValueError for a row that is not the one that was placed."""
    key = tuple(json.loads(row.key)) if row.key else None
    if row.released_at is not None or _leaf(row.leaf_key, row.kind, row.target, key) != row.leaf:
        msg = "a hold was changed in the run database"
        raise ValueError(msg)
    return Hold(
        id=str(row.id),
        kind=cast("HoldKind", row.kind),
        reason=row.reason,
        by=row.actor_id,
        since=row.since,
        review_on=row.review_on,
        target=row.target,
        key=key,
    )


def _leaf(secret: bytes, kind: str, target: str, key: Key | None) -> str:
    """Return what the ledger holds about a hold: who has the row can show that it is the one in the ledger."""
    return leaf(secret, kind, target if kind == "record" else "", key or (target,)).hex()


def coverage(site: Site, location: str | None = None, held: Sequence[Hold] | None = None) -> Coverage:
    """Return what the holds in force cover, or those given; of one location, where only that is asked about, so that no
    other place has to answer for its references. Raises LedgerError when they cannot be read, and LocationError when
    that one location cannot: what descends from what is held is not known then."""
    held = active_holds(site) if held is None else held
    if not held:
        return cover(site, held, {})
    return cover(site, held, site.all_ancestors() if location is None else site.ancestors(location))


def cover(site: Site, held: Sequence[Hold], ancestors: Mapping[str, frozenset[str]]) -> Coverage:
    """Return what some holds cover; persons are recognised by keyed digests. Raises LedgerError when the key that
    makes them is not there."""
    covered = covering(held, site.config, ancestors)
    if not any(hold.kind == "subject" for hold in held):
        return covered
    secret = _subject_secret(site, is_new=False)
    spares = {
        location: replace(spare, subjects=KeyedSubjects(secret, _digests(spare.subjects)))
        for location, spare in covered.spares.items()
    }
    return replace(covered, spares=spares)


def _digests(targets: SubjectSet) -> set[str]:
    return {part for target in cast("frozenset[str]", targets) for part in (target[:64], target[64:])}


def _subject_target(secret: bytes, identifier: str) -> str:
    """Return what a hold on a person keeps instead of the identifier: two keyed digests."""
    forms = (normalise_identifier(identifier), squeeze_identifier(identifier))
    return "".join(digest_identifier(secret, form) for form in forms)


def _subject_secret(site: Site, *, is_new: bool) -> bytes:
    """Return the key by which persons on hold are recognised; it stands beside the signing key, not in the database,
    which knows it by its digest: with another key nobody would be recognised any more."""
    path, known = site.keys_folder / "holds.key", get_state(site, "holds_key")
    step = f"Put {path} back from its newest copy."
    try:
        if is_new and known is None:
            _write_secret(path)
        secret = path.read_bytes()
    except OSError as error:
        raise LedgerError(
            "the key of the holds on persons cannot be read; nothing is disposed of without it",
            next_step=step,
            code="holds-unreadable",
        ) from error
    digest = hashlib.sha256(secret).hexdigest()
    if is_new and known is None and len(secret) == _SECRET_BYTES:
        set_state(site, holds_key=digest)
    elif known != digest:
        raise LedgerError(
            "the key of the holds on persons is not the one they were placed with",
            next_step=step,
            code="holds-unreadable",
        )
    return secret


def _write_secret(path: Path) -> None:
    """Make the key, whole or not at all; one that is there stays."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(_SECRET_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


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
    check(site, kind=kind, target=target, key=key, reason=reason, review_on=review_on)
    secret = secrets.token_bytes(32)
    if kind == "subject":
        target = _subject_target(_subject_secret(site, is_new=True), target)
    row = HoldRow(
        kind=kind,
        target=target,
        key=json.dumps(list(key), ensure_ascii=False) if key else None,
        reason=reason,
        actor_id=actor_id(site, by),
        since=site.now(),
        review_on=review_on,
        leaf=_leaf(secret, kind, target, key),
        leaf_key=secret,
    )
    with Session(site.engine, expire_on_commit=False) as session, session.begin():
        session.add(row)
    record_soon(site)
    return row


def check(site: Site, *, kind: str, target: str, key: Key | None, reason: str, review_on: date | None) -> None:
    """Raise CallError where ``add`` would: an unknown reason, place or activity, a blank subject, a past review."""
    if reason not in REASON_CODES:
        raise CallError(f"unknown reason {reason!r}", next_step=f"One of: {' '.join(REASON_CODES)}.")
    if review_on is not None and review_on < site.today():
        raise CallError(f"--review {review_on} lies in the past")
    _check_target(site, kind, target, key)


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
    """End a hold; what it held needs a new plan, and what it named leaves the database. Raises CallError when it is
    unknown or released."""
    if get(site, hold_id).released_at is not None:
        raise CallError(f"hold {hold_id} is already released")
    if not reason.strip():
        raise CallError("--reason needs a text")
    actor = actor_id(site, by)
    with Session(site.engine, expire_on_commit=False) as session, session.begin():
        row = session.get_one(HoldRow, hold_id)
        row.released_at, row.released_by, row.release_reason = site.now(), actor, reason
        row.key = None
        row.target = "" if row.kind == "subject" else row.target
    record_soon(site)
    erase_freed_pages(site)
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
