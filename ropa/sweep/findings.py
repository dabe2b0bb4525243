"""Findings: what a person must look at, kept until it is gone or somebody has said what was done about it.

Invariant: a finding is opened once per matter (code and entry), counts the nights it has stood, and is closed either by
the check that raised it (no longer true) or by a named person with a reason; none is ever dropped in silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.errors import CallError, Finding
from ropa.sweep.site import Site
from ropa.sweep.tables import FindingRow


def record(site: Site, source: str, found: Iterable[Finding], *, clears: bool = True) -> int:
    """Open or renew the findings of one source and, with ``clears``, close those it no longer has. Returns how many
    it has."""
    now = site.now()
    current = _by_matter(found)
    with Session(site.engine) as session, session.begin():
        open_rows = session.scalars(
            select(FindingRow).where(col(FindingRow.source) == source, col(FindingRow.resolved_at).is_(None))
        ).all()
        for row in open_rows:
            finding = current.pop((row.code, row.entry), None)
            if finding is not None:
                row.message, row.fix, row.severity = finding.message, finding.fix, str(finding.severity)
                if row.last_seen_at.date() != now.date():
                    row.nights += 1
                row.last_seen_at = now
            elif clears:
                row.resolved_at, row.resolved_by, row.resolution = now, source, "no longer found"
        total = sum(1 for row in open_rows if row.resolved_at is None) + len(current)
        for finding in current.values():
            session.add(
                FindingRow(
                    code=finding.code,
                    severity=str(finding.severity),
                    entry=finding.entry,
                    message=finding.message,
                    fix=finding.fix,
                    source=source,
                    first_seen_at=now,
                    last_seen_at=now,
                )
            )
    return total


def _by_matter(found: Iterable[Finding]) -> dict[tuple[str, str], Finding]:
    """Map code and entry to the finding; several of a kind at one entry are told in one, none of them is lost."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in found:
        matter = (finding.code, finding.entry)
        before = kept.get(matter)
        if before is None:
            kept[matter] = finding
        elif finding.message not in before.message.split("; "):
            fix = before.fix if finding.fix in before.fix else f"{before.fix} {finding.fix}"
            kept[matter] = replace(before, message=f"{before.message}; {finding.message}", fix=fix)
    return kept


def open_findings(site: Site) -> list[FindingRow]:
    """Return what is open, errors first."""
    order = {"error": 0, "warning": 1, "note": 2}
    with Session(site.engine) as session:
        rows = session.scalars(select(FindingRow).where(col(FindingRow.resolved_at).is_(None))).all()
    return sorted(rows, key=lambda row: (order[row.severity], row.entry, row.code))


def get(site: Site, finding_id: int) -> FindingRow:
    """Return one finding, open or resolved. Raises CallError when there is none with this number."""
    with Session(site.engine) as session:
        row = session.get(FindingRow, finding_id)
    if row is None:
        raise CallError(f"there is no finding {finding_id}", next_step="`ropa finding list` shows the open ones.")
    return row


def resolve(site: Site, finding_id: int, *, by: str, reason: str) -> FindingRow:
    """Close a finding by a person's word. Raises CallError when it is unknown or already closed."""
    with Session(site.engine) as session, session.begin():
        row = session.get(FindingRow, finding_id)
        if row is None:
            raise CallError(f"there is no finding {finding_id}", next_step="`ropa finding list` shows the open ones.")
        if row.resolved_at is not None:
            raise CallError(f"finding {finding_id} is already resolved")
        row.resolved_at, row.resolved_by, row.resolution = site.now(), by, reason
    return get(site, finding_id)


def document(row: FindingRow) -> dict[str, Any]:
    """Return a finding for ``--json``."""
    return {
        "id": row.id,
        "severity": row.severity,
        "code": row.code,
        "entry": row.entry,
        "message": row.message,
        "fix": row.fix,
        "first_seen_at": timestamp(row.first_seen_at),
        "last_seen_at": timestamp(row.last_seen_at),
        "nights": row.nights,
        "resolved_at": timestamp(row.resolved_at) if row.resolved_at else None,
        "resolved_by": row.resolved_by,
        "resolution": row.resolution,
    }
