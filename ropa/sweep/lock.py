"""One run at a time per database.

A lock on a file (freed by the kernel when its holder dies, however it dies) and a lease in the database (for two hosts
on one database) with a fencing number that only grows. Invariant: whoever holds both is the only writer of the ledger;
nobody takes the lease while its holder is within ``holding``, and a holder that lost it gets no further than there.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.database import UtcDateTime, insert_missing, is_server
from ropa.errors import BusyError, RopaError
from ropa.sweep.site import Site
from ropa.sweep.tables import LeaseRow

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_FILE = "run.lock"
_NAME = "run"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Tells one start of a machine from every other; not there on every system."""

LEASE = timedelta(minutes=10)
"""How long a host that vanished keeps another host out; renewed with every batch, and by ``_Heartbeat``."""
BEATS = 5
"""How often the lease is renewed within its length, whatever its holder is busy with."""


@dataclass
class Lease:
    """What the holder renews, and asks for before whatever cannot be taken back."""

    site: Site
    owner: str
    fencing: int
    _lost: threading.Event = field(default_factory=threading.Event)

    def renew(self) -> None:
        """Keep the lease for another ``LEASE``. Raises BusyError when another host has taken it."""
        with self.site.engine.begin() as connection:
            until = time_of(connection, self.site) + LEASE
            # Not the key of the row: who is within ``holding`` is not waited for.
            mine = update(LeaseRow).where(*self._is_mine())
            if not connection.execute(mine.values(until=until)).rowcount:
                raise self._overtaken()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keep every other host from taking over for the time of the block, which writes the ledger or acts.

        The row is locked as long as this process and its connection live, also when it is stopped in between and the
        lease runs out. Raises BusyError when another host has taken over.
        """
        with locked(self.site, *self._is_mine()) as is_ours:
            if not is_ours:
                raise self._overtaken()
            yield

    def check(self) -> None:
        """Raise BusyError when it is known that another host has taken over. Asks nobody."""
        if self._lost.is_set():
            raise self._overtaken()

    def _is_mine(self) -> list[ColumnElement[bool]]:
        mine = {LeaseRow.name: _NAME, LeaseRow.owner: self.owner, LeaseRow.fencing: self.fencing}
        return [col(column) == value for column, value in mine.items()]

    def _overtaken(self) -> BusyError:
        self._lost.set()
        return BusyError(
            "another host took over the run",
            next_step="This host was stopped or cut off for longer than its lease; the other one goes on.",
            code="lease-lost",
        )


class _Heartbeat:
    """Renews a lease while its holder plans, acts or waits for a place, which may take longer than the lease."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)

    def __enter__(self) -> None:
        site = self._lease.site
        # An SQLite file is not shared by hosts: the file lock says it all, but to the workers of a fleet.
        if is_server(site.engine) or site.open_fleet is not None:
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(BEATS)  # a server that has gone away is not waited for

    def _beat(self) -> None:
        while not self._ended.wait(LEASE.total_seconds() / BEATS):
            try:
                self._lease.renew()
            except BusyError as error:
                if error.code == "lease-lost":
                    return
            except (RopaError, SQLAlchemyError):
                continue  # the next beat tries again; whoever writes asks for himself


@contextmanager
def run_lock(site: Site) -> Iterator[Lease]:
    """Hold the lock for the time of the block. Raises BusyError at once when another run is under way."""
    site.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(site.state / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError("another run is under way on this database", next_step="Wait until it has ended.") from None
        lease = _take_lease(site, _holder(site, descriptor))
        try:
            with _Heartbeat(lease):
                yield lease
        finally:
            _give_back(lease)
    finally:
        os.close(descriptor)


@contextmanager
def at_rest(state: Path) -> Iterator[None]:
    """Keep the ledger of a state folder as it is for the time of the block: what copies it sees no half of a line.

    Takes nothing in the database, so that evidence can be copied whatever state that is in. Raises BusyError at once
    when a run is under way on this machine.
    """
    try:
        descriptor = os.open(state / _FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # nothing has ever been written here
        yield
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(
                "a run is under way, which writes the ledger", next_step="Wait until it has ended."
            ) from None
        yield
    finally:
        os.close(descriptor)


def _holder(site: Site, descriptor: int) -> str:
    """Say who holds the file lock: whoever says the same held the same lock, so he is dead.

    With a server that is one start of one kernel and one file: two hosts may have one name, and a lock on storage that
    they share may not count between them.
    """
    name = socket.gethostname()
    if not is_server(site.engine) or not BOOT_ID.is_file():
        return name
    file = os.fstat(descriptor)
    return f"{name}/{BOOT_ID.read_text().strip()}/{file.st_dev}:{file.st_ino}"


@contextmanager
def locked(site: Site, *conditions: ColumnElement[bool]) -> Iterator[bool]:
    """Give whether the lease is as some conditions say, and keep every other host from taking it meanwhile."""
    with site.engine.begin() as connection:
        found = select(col(LeaseRow.fencing)).where(col(LeaseRow.name) == _NAME, *conditions)
        yield connection.scalar(found.with_for_update(read=True, key_share=True)) is not None


def time_of(connection: Connection | Session, site: Site) -> datetime:
    """The instant by the one clock that all hosts share: the server's."""
    asked = select(func.clock_timestamp(type_=UtcDateTime))
    now: datetime | None = connection.scalar(asked) if is_server(site.engine) else None
    return now or site.now()


def _take_lease(site: Site, host: str) -> Lease:
    owner = secrets.token_hex(8)
    with Session(site.engine) as session, session.begin():
        connection = session.connection()
        now = time_of(connection, site)
        connection.execute(insert_missing(site.engine, LeaseRow), _free(now))
        _refuse_held(session.get_one(LeaseRow, _NAME), host, now)  # at once, without waiting for its holder
        row = session.get_one(LeaseRow, _NAME, with_for_update=True, populate_existing=True)
        _refuse_held(row, host, now)
        row.owner, row.host, row.fencing, row.until = owner, host, row.fencing + 1, now + LEASE
        fencing = row.fencing
    return Lease(site, owner, fencing)


def _free(now: datetime) -> dict[str, object]:
    return {"name": _NAME, "owner": "", "host": "", "fencing": 0, "until": now}


def _refuse_held(row: LeaseRow, host: str, now: datetime) -> None:
    if row.owner and row.host != host and row.until > now:
        raise BusyError("another host runs on this database", next_step="Wait until it has ended.", code="lease")


def _give_back(lease: Lease) -> None:
    # A database that cannot be written any more keeps the lease; why the run ended is what matters then. This host
    # takes it again at the next start, another one when it has run out.
    with suppress(RopaError, SQLAlchemyError), lease.site.engine.begin() as connection:
        mine = update(LeaseRow).where(col(LeaseRow.name) == _NAME, col(LeaseRow.owner) == lease.owner)
        connection.execute(mine.values(owner=""))
