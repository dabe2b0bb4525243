"""Halt and resume: a person stops every run within one batch, and allows runs again.

Invariant: a halt works while another process holds the run lock; it is a fact in the database that every batch looks
at. Its ledger line is written by whoever may write at that moment, or by the next that may.
"""

from __future__ import annotations

from datetime import date

from ropa.errors import BusyError, CallError, RefusedError
from ropa.sweep.journal import writing
from ropa.sweep.site import Site
from ropa.sweep.state import actor_id, get_state, set_state


def halt(site: Site, *, by: str, reason: str) -> None:
    """Stop runs. In force at once, also in the middle of a run."""
    actor = actor_id(site, by)
    set_state(site, halt=actor, halt_reason=reason or None, halt_unrecorded=actor)
    record_soon(site)


def record_soon(site: Site) -> None:
    """Let the ledger know of a hold or halt now, where this process may write; else the next writer does it."""
    try:
        with writing(site) as journal:
            journal.checkpoint()
    except (BusyError, RefusedError):
        return  # in force all the same: every batch reads it in the database


def resume(site: Site, *, by: str, reason: str, accepted_day: date | None = None) -> None:
    """Allow runs again and, with ``accepted_day``, take the clock as right after a gap.

    Raises CallError for a blank reason; RefusedError when there is nothing to resume, or the accepted day is not today.
    """
    if not reason.strip():
        raise CallError("--reason needs a text")
    if accepted_day is not None and accepted_day != site.today():
        raise RefusedError(
            f"--accept-clock says {accepted_day}, this machine's clock says {site.today()}",
            next_step="Set the clock right first.",
            code="clock",
        )
    if accepted_day is None and get_state(site, "halt") is None:
        raise RefusedError("runs are not halted", code="not-halted")
    actor = actor_id(site, by)
    with writing(site, accepts_gap=accepted_day is not None) as journal:
        gap = int((site.now() - journal.ledger.last_at).total_seconds())
        if accepted_day is not None:
            journal.append("clock_accept", run=journal.issue_id(), actor=actor, gap_s=max(gap, 0))
        if get_state(site, "halt") is not None:
            journal.append("resume", run=journal.issue_id(), actor=actor)
            set_state(site, halt=None, halt_reason=None)
        journal.checkpoint()
