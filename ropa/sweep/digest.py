"""What a person approves: the digest over a plan's header and every one of its records, and the plan's ledger line.

Invariant: nothing that decides what is acted on lies outside the digest; nothing in the ledger line is a record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.ledger.canonical import MAX_LINE, canonical
from ropa.ledger.events import ALL
from ropa.sweep import blocks
from ropa.sweep.site import Site
from ropa.sweep.tables import PlannedReference, PlannedStay, PlanRow, TargetRow

_DECIDING = (
    "identity",
    "location",
    "dataset",
    "scope",
    "data",
    "action",
    "rules",
    "revisions",
    "cutoffs",
    "population",
    "due",
    "held",
    "blocked",
    "unanchored",
    "records",
    "previous_records",
    "approval",
    "mandate_id",
    "stopped_by",
    "rides_with",
)
"""What a target is, what was found, and who may let it happen; not what became of it."""


def key_text(key: Sequence[str]) -> str:
    """Return a key as the run database and the plan's digest spell it: a JSON array of text."""
    return json.dumps(list(key), ensure_ascii=False, separators=(",", ":"))


def digest_of(session: Session, plan: PlanRow, rows: Sequence[TargetRow]) -> str:
    """Return the plan's digest, 64 hex digits: SHA-256 over its canonical header and, target by target, each block as
    it is packed, what stays and why, and with which records children go."""
    header = {
        "plan": plan.id,
        "as_of": plan.as_of.isoformat(),
        "created_at": timestamp(plan.created_at),
        "author": plan.author,
        "policy": plan.policy,
        "register_revision": plan.register_revision,
        "tool": plan.tool,
        "approvals": plan.approvals_needed,
        "forecast": plan.is_forecast,
        "targets": [_header_of(row) for row in rows],
    }
    state = hashlib.sha256(canonical(header) + b"\n")
    kept = blocks.kept(session, plan.id or 0)
    for row in rows:
        if row.id not in kept:
            continue
        for block in blocks.blocks(session, row.id or 0):
            parts = block.keys.encode(), block.versions.encode(), block.due_on
            # How long each part is stands before it: no two plans make the same stream.
            sizes = [row.position, block.first_seq, block.count, *map(len, parts)]
            state.update(canonical(["block", *sizes]) + b"\n")
            for part in parts:
                state.update(part)
        stays = (
            select(col(PlannedStay.seq), col(PlannedStay.disposition), col(PlannedStay.reason))
            .where(col(PlannedStay.target_id) == row.id)
            .order_by(col(PlannedStay.seq))
            .execution_options(yield_per=5000)
        )
        for stay in session.execute(stays):
            state.update(canonical(["stay", row.position, *stay]) + b"\n")
        if row.rides_with is not None:
            _add_references(state, session, row)
    return state.hexdigest()


def _header_of(row: TargetRow) -> dict[str, Any]:
    said = {name: _said(getattr(row, name)) for name in _DECIDING}
    return said | {"turns": row.turns} if row.turns else said  # most have none, as those of plans before there were any


def _said(value: Any) -> Any:
    """The canonical form knows no null; none of these is ever a dash."""
    return "-" if value is None else value


def _add_references(state: hashlib._Hash, session: Session, row: TargetRow) -> None:
    """With which record each child goes decides what happens to it."""
    query = (
        select(col(PlannedReference.seq), col(PlannedReference.parent_dataset), col(PlannedReference.parent_key))
        .where(col(PlannedReference.target_id) == row.id, col(PlannedReference.is_parent))
        .order_by(col(PlannedReference.seq))
        .execution_options(yield_per=5000)
    )
    # Of one record's parents in the order of their characters: how a server sorts text is its own affair.
    for _seq, references in groupby(session.execute(query), key=itemgetter(0)):
        for reference in sorted(map(tuple, references)):
            state.update(canonical(["with", row.position, *reference]) + b"\n")


def ledger_fields(site: Site, plan: PlanRow, rows: Sequence[TargetRow], active_holds: int) -> dict[str, Any]:
    """Return the fields of the ledger's ``plan`` line: totals only."""
    before = sum(row.previous_records or 0 for row in rows)
    records = sum(row.records for row in rows)
    return {
        "plan": plan.digest,
        "author": plan.author,
        "approvals": plan.approvals_needed,
        "records": records,
        "targets": _told(rows),
        "caps": {
            "max_records": site.config.safety.max_records,
            "share_pct": round(site.config.safety.max_share * 100),
            "max_records_7_days": site.config.safety.max_records_7_days,
        },
        "growth_pct": round(100 * (records - before) / before) if before else 0,
        "holds": active_holds,
    }


_SUMMED = ("due", "held", "blocked", "unanchored", "records")
_ROOM = MAX_LINE - 700
"""Bytes of a ledger line that targets may take; the other fields of a plan's line take fewer than the rest."""


def _told(rows: Sequence[TargetRow]) -> list[dict[str, Any]]:
    """Return what the ledger line tells of each target. Where they are too many for one line, those of which there is
    nothing to tell are summed up, and where that is not enough, all of them: by scope and action, under ``*``. The
    plan's digest covers each of them either way."""
    targets = [
        {
            "dataset": f"{row.location}.{row.dataset}",
            "scope": row.scope,
            "action": row.action,
            "rules": row.rules,
            **{name: getattr(row, name) for name in _SUMMED},
        }
        for row in rows
    ]
    if len(canonical(targets)) <= _ROOM:
        return targets
    quiet = [target for target in targets if not (target["due"] or target["unanchored"])]
    told = [target for target in targets if target["due"] or target["unanchored"]] + _sums(quiet)
    return told if len(canonical(told)) <= _ROOM else _sums(targets)


def _sums(targets: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for target in targets:
        kind = target["scope"], target["action"]
        one = {"dataset": ALL, "scope": kind[0], "action": kind[1], "rules": [ALL], **dict.fromkeys(_SUMMED, 0)}
        into = sums.setdefault(kind, one)
        for name in _SUMMED:
            into[name] += target[name]
    return list(sums.values())
