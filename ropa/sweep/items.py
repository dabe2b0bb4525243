"""Work items: what a process that helps is asked to do, as a row that is leased, fenced and counted.

A row names a plan and a place, or a unit of it; the keys stay in the plan's own rows. Invariant: an item is held by one
worker at a time, and only for a run that still holds the run lock; a worker that lost it commits nothing any more
(``guard``) and begins no act. Everything an item asks for may be done again.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.errors import RopaError
from ropa.sweep import lock, safety
from ropa.sweep.site import Site
from ropa.sweep.tables import LeaseRow, WorkItemRow

LEASE = timedelta(seconds=60)
"""How long a worker that vanished keeps its item from the others; renewed while it works."""
RENEW_SECONDS = 10.0
LIST, ACT = "list", "act"


class StaleItemError(RopaError):
    """The item is of another run, another worker or another configuration; nothing may be done for it."""


class HeldItemError(RopaError):
    """Another worker holds the item; it may be taken when that one's lease has run out."""


@dataclass(frozen=True, slots=True)
class Item:
    """A claimed item."""

    id: str
    kind: str
    """``list``: plan a place; ``act``: act on a unit."""
    plan_id: int
    location: str
    unit: int | None
    watches: bool
    run_fencing: int
    """Of the run that offered it."""
    owner: str
    fencing: int
    attempts: int

    @property
    def is_again(self) -> bool:
        """Whether another worker may have begun it before."""
        return self.attempts > 1


def offer(
    site: Site,
    lease: lock.Lease,
    *,
    kind: str,
    plan_id: int,
    location: str,
    unit: int | None = None,
    watches: bool = False,
) -> str:
    """Write an item down, and return its name, which no other project knows."""
    name = secrets.token_hex(16)
    with Session(site.engine) as session, session.begin():
        session.add(
            WorkItemRow(
                id=name,
                kind=kind,
                plan_id=plan_id,
                location=location,
                unit=unit,
                watches=watches,
                policy=site.config.digest,
                run_fencing=lease.fencing,
                offered_at=site.now(),
            )
        )
    return name


def run_of(site: Site, name: str) -> int | None:
    """Return the fencing number of the run that offered an item; None where it is not known here."""
    with Session(site.engine) as session:
        return session.scalar(select(col(WorkItemRow.run_fencing)).where(col(WorkItemRow.id) == name))


def claim(site: Site, name: str) -> Item:
    """Take an item for this process. Raises HeldItemError, StaleItemError."""
    owner = _me()
    with Session(site.engine) as session, session.begin():
        row = session.get(WorkItemRow, name, with_for_update=True)
        if row is None:
            raise StaleItemError("this item is not of this project", code="item-unknown")
        if row.done_at is not None or not _holds_lock(session, row.run_fencing, site.now()):
            raise StaleItemError("the run that offered this item is over", code="item-stale")
        if row.policy != site.config.digest:
            raise StaleItemError("this worker has another configuration than the run", code="item-policy")
        now = lock.time_of(session, site)
        if _is_held(row, now):
            raise HeldItemError("another worker holds this item", code="item-held")
        fencing, attempts = row.fencing + 1, row.attempts + 1
        # Asked again in the statement itself: SQLite locks no row that is read.
        _change(
            session,
            (col(WorkItemRow.id) == name, col(WorkItemRow.fencing) == row.fencing),
            owner=owner,
            fencing=fencing,
            attempts=attempts,
            leased_until=now + LEASE,
        )
        return Item(
            name, row.kind, row.plan_id, row.location, row.unit, row.watches, row.run_fencing, owner, fencing, attempts
        )


def guard(site: Site, item: Item, session: Session) -> None:
    """Keep an item, as part of what a session is about to commit. Raises StaleItemError when it is no longer ours, or
    the run that offered it is over: then nothing of it may be committed, and no act begun."""
    _change(session, _mine(item), leased_until=lock.time_of(session, site) + LEASE)
    offered = select(col(WorkItemRow.run_fencing)).where(
        col(WorkItemRow.id) == item.id, col(WorkItemRow.done_at).is_(None)
    )
    if not _holds_lock(session, session.scalar(offered), site.now()):
        raise StaleItemError("the run that offered this item is over", code="item-stale")


@contextmanager
def holding(site: Site, item: Item) -> Iterator[None]:
    """Look, right before an act, whether it may still be begun, and keep every other host from taking over the run for
    the time of the block (``Lease.holding``). Raises StaleItemError as ``guard``."""
    with Session(site.engine) as session, session.begin():
        guard(site, item, session)
    with lock.locked(site, col(LeaseRow.fencing) == item.run_fencing) as is_its_run:
        if not is_its_run:
            raise StaleItemError("the run that offered this item is over", code="item-stale")
        yield


def keep(site: Site, item: Item) -> None:
    """Renew the lease of an item that is being worked on, also where its run is over meanwhile: whoever comes after
    waits for it. Raises StaleItemError when it is no longer ours."""
    with Session(site.engine) as session, session.begin():
        _change(session, _mine(item), leased_until=lock.time_of(session, site) + LEASE)


def finish(site: Site, name: str) -> None:
    """Note, in the run, that what became of an item was told: nobody begins or commits anything for it any more. A
    worker's answer that was lost on its way is asked for anew, of another one."""
    with Session(site.engine) as session, session.begin():
        session.execute(update(WorkItemRow).where(col(WorkItemRow.id) == name).values(done_at=site.now()))


def let_go(site: Site, item: Item) -> None:
    """Give an item back, done or not. Raises StaleItemError when it is no longer ours: what was found is then told to
    nobody."""
    with Session(site.engine) as session, session.begin():
        _change(session, _mine(item), owner="", leased_until=None)


def withdraw(site: Site, names: Sequence[str]) -> None:
    """Take items back: nobody begins or commits anything for them any more. Who is at work on one stays known."""
    with Session(site.engine) as session, session.begin():
        for name in names:
            session.execute(update(WorkItemRow).where(col(WorkItemRow.id) == name).values(run_fencing=0))


def is_busy(site: Site, fencing: int) -> bool:
    """Return whether a worker may still be at work for a run before the one with this number.

    What is over, or was never begun, is forgotten.
    """
    is_held = False
    earlier = col(WorkItemRow.run_fencing) < fencing
    is_over = col(WorkItemRow.owner) == ""
    with Session(site.engine) as session, session.begin():
        now = lock.time_of(session, site)
        session.execute(delete(WorkItemRow).where(earlier, is_over).execution_options(synchronize_session=False))
        for row in session.scalars(select(WorkItemRow).where(earlier)).all():  # no more than there were workers
            if _is_held(row, now):
                is_held = True
            else:
                session.delete(row)
    return is_held


def _change(session: Session, which: Sequence[Any], **values: Any) -> None:
    changed = session.execute(
        update(WorkItemRow).where(*which).values(**values).execution_options(synchronize_session=False)
    )
    if not isinstance(changed, CursorResult) or changed.rowcount != 1:
        raise StaleItemError("another worker took this item over", code="item-lost")


def _mine(item: Item) -> tuple[Any, ...]:
    return (
        col(WorkItemRow.id) == item.id,
        col(WorkItemRow.owner) == item.owner,
        col(WorkItemRow.fencing) == item.fencing,
    )


def _is_held(row: WorkItemRow, now: datetime) -> bool:
    is_leased = row.owner != "" and row.leased_until is not None and row.leased_until > now
    return is_leased and not _is_dead(row.owner)


def _holds_lock(session: Session, fencing: int | None, now: datetime) -> bool:
    """Whether the run with this number holds the run lock, by our clock, which must not differ much from its."""
    lease = session.get(LeaseRow, "run", populate_existing=True)
    if lease is None or not lease.owner or lease.fencing != fencing:
        return False
    return lease.until - lock.LEASE - safety.SOURCE_SKEW <= now < lease.until


# --- who we are -----------------------------------------------------------------------------------------------------


def _me() -> str:
    """Who we are, so that a process that sees the same processes can tell whether we are still there."""
    return f"{_surroundings()}/{os.getpid()}/{_begun(os.getpid())}"


def _is_dead(owner: str) -> bool:
    """Whether a worker is known to be dead; what runs elsewhere, or where processes cannot be looked at, is not."""
    where, _, process = owner.rpartition("/")[0].rpartition("/")
    if not where or where != _surroundings() or not process.isdecimal():
        return False
    return _begun(int(process)) != owner.rpartition("/")[2]


def _surroundings() -> str:
    """The machine since it was started, and the view of its processes that we have; nothing where there is no /proc."""
    try:
        boot = lock.BOOT_ID.read_text(encoding="ascii").strip()
        return f"{boot}.{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _begun(process: int) -> str:
    """When a process was started, in ticks; nothing where there is none with this number."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return told.rpartition(")")[2].split()[19]
