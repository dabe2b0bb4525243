"""The gates before the first record of a run: caps, clocks, halt.

Invariant: over a cap means zero records, not the first n; a doubtful clock means zero records; a gate never has a flag
that lifts it, only the reviewed configuration, a person's recorded word, or time does.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa import clock
from ropa.clock import timestamp
from ropa.connector import Action, Health
from ropa.errors import RefusedError
from ropa.ledger.store import Ledger
from ropa.sweep.site import Site
from ropa.sweep.state import get_state
from ropa.sweep.tables import BatchRow, TargetRow

FORWARD_GAP = timedelta(hours=72)
BACKWARD_TOLERANCE = timedelta(seconds=60)
SOURCE_SKEW = timedelta(minutes=5)
WALL_JUMP = timedelta(seconds=60)
DISPOSED = ("purged", "anonymised", "recoverable", "unverified")
"""Outcomes that count towards the rolling cap."""


def check_clock(site: Site, ledger: Ledger, now: datetime) -> dict[str, int | bool]:
    """Return what ``run_start`` says of the clock.

    Raises RefusedError when the system clock lies behind the ledger, or more than 72 hours ahead of it; a person
    accepts such a gap with ``ropa resume --accept-clock``, which is a line of its own.
    """
    last = ledger.last_at
    if now < last - BACKWARD_TOLERANCE:
        raise RefusedError(
            f"the system clock ({timestamp(now)}) is behind the ledger's last line ({timestamp(last)})",
            next_step="Set the clock right; nothing is planned or purged before.",
            code="clock-behind",
        )
    gap = now - last
    if gap > FORWARD_GAP:
        raise RefusedError(
            f"the system clock ({timestamp(now)}) is {gap.days} days ahead of the ledger's last line "
            f"({timestamp(last)})",
            next_step="If the clock is right (nothing ran for so long), say so: `ropa resume --accept-clock "
            f"{clock.calendar_day(now, site.config.timezone)} --by NAME --reason TEXT`.",
            code="clock-forward",
        )
    synced = clock.is_kernel_synchronised()
    if site.config.safety.require_synchronised_clock and synced is not True:
        raise RefusedError(
            "the kernel does not call its clock synchronised, and [safety] require_synchronised_clock asks for that",
            next_step="Start the time service (chrony, systemd-timesyncd) and run again.",
            code="clock-unsynchronised",
        )
    return {"synced": synced is True, "skew_s": 0, "gap_s": max(0, int(gap.total_seconds()))}


def source_clock_problem(health: Health, now: datetime) -> str | None:
    """Return ``source-clock`` when the source's own clock differs by more than 5 minutes from ours."""
    if health.now is not None and abs(health.now - now) > SOURCE_SKEW:
        return "source-clock"
    return None


def check_halt(site: Site) -> None:
    """Raise RefusedError while a halt is in force."""
    if get_state(site, "halt"):
        raise RefusedError(
            "runs are halted", next_step="`ropa resume --by NAME --reason TEXT` allows them again.", code="halt"
        )


def cap_problem(target: TargetRow, *, max_records: int, max_share: float) -> str | None:
    """Return the code of the cap that a target's records exceed, None when they stay below every one."""
    if target.action == Action.FLAG or target.records == 0:
        return None
    if target.records > max_records:
        return "cap-records"
    if not target.population:
        return "population-unknown"
    if target.records / target.population > max_share:
        return "cap-share"
    return None


def disposed_in_7_days(site: Site, now: datetime) -> int:
    """Return how many records went in the last 7 days, by this database's settled batches."""
    since = now - timedelta(days=7)
    with Session(site.engine) as session:
        rows = session.scalars(select(col(BatchRow.outcomes)).where(col(BatchRow.settled_at) > since)).all()
    return sum(count for outcomes in rows for word, count in outcomes.items() if word in DISPOSED)


class FrozenNow:
    """``now`` of whoever writes: taken once, and watched: a wall clock that jumps in mid-run stops it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.started = site.now()
        self._monotonic = clock.monotonic()

    def now(self) -> datetime:
        """Return the present instant; under a clock that has jumped, the instant that it would be without the jump.

        So nothing that is written after a jump carries its time: the next run would take the jump for accepted.
        """
        now, expected = self.site.now(), self._expected()
        return now if abs(now - expected) <= WALL_JUMP else expected

    def check(self) -> None:
        """Raise RefusedError when wall clock and monotonic clock have drifted apart by more than 60 seconds."""
        if abs(self.site.now() - self._expected()) > WALL_JUMP:
            raise RefusedError(
                "the system clock jumped during the run",
                next_step="Set the clock right, then run again; what was done stands in the ledger.",
                code="clock-jump",
            )

    def _expected(self) -> datetime:
        elapsed = timedelta(seconds=int(clock.monotonic() - self._monotonic))
        return self.started + elapsed
