"""One run at a time per database.

A lock on a file (freed by the kernel when its holder dies, however it dies) and a lease in the database (for two hosts
on one database) with a fencing number that only grows. Invariant: whoever holds both is the only writer of the ledger.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from ropa import clock
from ropa.errors import BusyError, RopaError
from ropa.sweep.site import Site
from ropa.sweep.tables import LeaseRow

_FILE = "run.lock"

LEASE = timedelta(minutes=10)
"""How long a host that vanished keeps another host out; renewed with every batch."""


@dataclass
class Lease:
    """What the holder renews."""

    site: Site
    owner: str
    fencing: int
    _renewed: float = field(default_factory=clock.monotonic)

    def keep(self) -> None:
        """Renew where that is a while ago: called again and again while a long piece of work is waited for."""
        if clock.monotonic() - self._renewed > LEASE.total_seconds() / 10:
            self.renew()

    def renew(self) -> None:
        """Keep the lease for another ``LEASE``. Raises BusyError when another host has taken it."""
        with Session(self.site.engine) as session, session.begin():
            row = session.get(LeaseRow, "run")
            if row is None or row.owner != self.owner or row.fencing != self.fencing:
                raise BusyError("another host took over the run", code="lease-lost")
            row.until = self.site.now() + LEASE
        self._renewed = clock.monotonic()


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
        lease = _take_lease(site)
        try:
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


def _take_lease(site: Site) -> Lease:
    host, owner, now = socket.gethostname(), secrets.token_hex(8), site.now()
    with Session(site.engine) as session, session.begin():
        row = session.get(LeaseRow, "run", with_for_update=True)
        if row is None:
            row = LeaseRow(name="run", owner="", host="", fencing=0, until=now)
            session.add(row)
        # The same host holds the file lock now, so its former holder is dead, whatever the lease says.
        elif row.owner and row.host != host and row.until > now:
            raise BusyError("another host runs on this database", next_step="Wait until it has ended.", code="lease")
        row.owner, row.host, row.fencing, row.until = owner, host, row.fencing + 1, now + LEASE
        fencing = row.fencing
    return Lease(site, owner, fencing)


def _give_back(lease: Lease) -> None:
    # A database that cannot be written any more keeps the lease; why the run ended is what matters then. This host
    # takes it again at the next start, another one when it has run out.
    with suppress(RopaError), Session(lease.site.engine) as session, session.begin():
        row = session.get(LeaseRow, "run")
        if row is not None and row.owner == lease.owner:
            row.owner = ""
