"""What was told by which channel: the memory of whoever tells.

Invariant: a matter is noted as told after it was told, never before: whoever is killed in between tells it twice, and
nobody is left in the dark. One process tells at a time, whatever their number.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.database import insert_missing
from ropa.sweep.matters import Look, Matter
from ropa.sweep.nights import SUCCEEDED, SWEEP
from ropa.sweep.site import Site
from ropa.sweep.state import get_state, set_state
from ropa.sweep.tables import LeaseRow, NoticeRow, RunRow

FORGOTTEN = timedelta(days=90)
"""What has been over for so long leaves the table."""
FRESH = timedelta(hours=26)
"""A sweep that ended longer ago is not reported to the healthcheck any more: its silence is right."""
_LEASE = "notify"
_LEASE_FOR = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class News:
    """What a channel has not told yet."""

    new: tuple[Matter, ...]
    over: tuple[str, ...]
    """Keys of what was told and is gone."""
    passed: tuple[Matter, ...]
    """Of what is over, the matters that can still be told in full."""

    def __bool__(self) -> bool:
        return bool(self.new or self.over)


@contextmanager
def telling(site: Site) -> Iterator[bool]:
    """Give whether this process is the one that may tell, for the time of the block."""
    owner, now = secrets.token_hex(8), site.now()
    with Session(site.engine) as session, session.begin():
        if session.get(LeaseRow, _LEASE) is None:
            free = {"name": _LEASE, "owner": "", "host": "", "fencing": 0, "until": now}
            session.connection().execute(insert_missing(site.engine, LeaseRow), free)
    # A lease that ends later than any could was taken under another clock.
    is_free = or_(col(LeaseRow.until) <= now, col(LeaseRow.until) > now + _LEASE_FOR, col(LeaseRow.owner) == "")
    with Session(site.engine) as session, session.begin():
        taken: Any = session.execute(
            update(LeaseRow)
            .where(col(LeaseRow.name) == _LEASE, is_free)
            .values(owner=owner, until=now + _LEASE_FOR, fencing=col(LeaseRow.fencing) + 1)
        )
        is_ours = taken.rowcount == 1
    try:
        yield is_ours
    finally:
        if is_ours:
            mine = update(LeaseRow).where(col(LeaseRow.name) == _LEASE, col(LeaseRow.owner) == owner)
            with Session(site.engine) as session, session.begin():
                session.execute(mine.values(owner=""))


def untold(site: Site, channel: str, found: Look) -> News:
    """Return what a channel has to tell of a look."""
    current = {matter.key: matter for matter in found.matters}
    with Session(site.engine) as session:
        rows = {row.key: row for row in session.scalars(select(NoticeRow).where(col(NoticeRow.channel) == channel))}
    told = {key for key, row in rows.items() if row.cleared_at is None}
    new = tuple(matter for key, matter in current.items() if key not in told and not (matter.is_over and key in rows))
    over = tuple(
        key
        for key in sorted(told)
        if key.partition(":")[0] in found.kinds and (key not in current or current[key].is_over)
    )
    return News(new, over, tuple(current[key] for key in over if key in current))


def note_told(site: Site, channel: str, news: News, found: Look) -> None:
    """Note that a channel has told its news, and that what it told before still stands."""
    now, lasting = site.now(), {matter.key for matter in found.matters}
    with Session(site.engine) as session, session.begin():
        for matter in news.new:
            row = session.get(NoticeRow, (channel, matter.key))
            if row is None:
                row = NoticeRow(channel=channel, key=matter.key, first_told_at=now, last_seen_at=now)
                session.add(row)
            row.first_told_at, row.last_seen_at, row.cleared_at = now, now, now if matter.is_over else None
        rows = session.scalars(select(NoticeRow).where(col(NoticeRow.channel) == channel)).all()
        for row in rows:
            if row.key in news.over:
                row.cleared_at = now
            elif row.cleared_at is None and row.key in lasting and row.last_seen_at.date() != now.date():
                row.last_seen_at = now
        long_over = col(NoticeRow.cleared_at) < now - FORGOTTEN
        session.execute(delete(NoticeRow).where(col(NoticeRow.channel) == channel, long_over))


def unreported_sweep(site: Site) -> str | None:
    """Return the newest sweep that succeeded where the healthcheck has not heard of it yet and still should."""
    with Session(site.engine) as session:
        run = session.scalar(
            select(RunRow)
            .where(col(RunRow.mode) == SWEEP, col(RunRow.state) == SUCCEEDED)
            .order_by(col(RunRow.ended_at).desc())
            .limit(1)
        )
    if run is None or run.ended_at is None or not timedelta() <= site.now() - run.ended_at <= FRESH:
        return None
    return run.id if get_state(site, _REPORTED) != run.id else None


def note_reported(site: Site, run: str) -> None:
    """Note that the healthcheck has heard of a sweep."""
    set_state(site, **{_REPORTED: run})


_REPORTED = "healthcheck_reported"
