"""Tombstones: what was erased is recognised when a restore brings it back, and is told to nobody (decision 0006).

For each record that is gone, 16 bytes of an HMAC-SHA-256 of its (location, dataset, key) are kept, sorted, a row for
each batch; where keys pass to other records when some go, of what its connector says it is recognised by instead
(``ConnectorType.lasting_key``). The key of the HMAC is fresh for each location and month and is a file of its own under
``keys/tombstones`` (0600), never in the database: whoever has a backup of the one without the other recognises nobody.
Both are destroyed when the oldest backup of the location has expired (``backups_kept``); after that nobody can know.

Invariant: the tombstones of a batch are committed with its settlement, after its receipt is durable, so that a batch is
settled with all of its tombstones or is settled again; they are apart from the ledger and from the batch keys, and
nothing is ever erased by them: they only say which of the records that a rule is due for came back.
"""

from __future__ import annotations

import calendar
import hashlib
import logging
import os
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from dateutil.relativedelta import relativedelta
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import Period
from ropa.config import Location
from ropa.connector import Action, Key, OutcomeWord
from ropa.errors import CallError
from ropa.ledger.files import make_private_folder, open_regular, write_durably
from ropa.ledger.leaf import KEY_BYTES, leaves
from ropa.sweep.blocks import Columns
from ropa.sweep.review import erase_freed_pages
from ropa.sweep.site import Site
from ropa.sweep.tables import TargetRow, TombstoneKey, TombstoneRow

log = logging.getLogger(__name__)

FOLDER = "tombstones"
GONE = (OutcomeWord.PURGED, OutcomeWord.RECOVERABLE, OutcomeWord.ABSENT)
"""Outcomes after which a record has a tombstone: what comes back from a recycle bin has come back as well."""
SIZE = 16
"""Bytes of a tombstone."""


def is_kept_for(target: TargetRow) -> bool:
    """Whether what a target erases has tombstones: whole records that are purged. Of fields that were cleared none are
    kept: a record whose fields came back is due by its rule, and the next plan clears them again."""
    return target.scope == "row" and target.action == Action.PURGE


def gone(site: Site, location: str) -> tuple[OutcomeWord, ...]:
    """Return the outcomes after which a record of a location has a tombstone. Where keys do not last what is ``absent``
    may stand under another key (a log that was renamed since the plan), and would be told as having come back."""
    return GONE if location not in site.lasting_keys else tuple(word for word in GONE if word != OutcomeWord.ABSENT)


# --- keys -----------------------------------------------------------------------------------------------------------


def key_path(site: Site, location: str, name: str) -> Path:
    """Return where the key of a location and month is."""
    return site.keys_folder / FOLDER / f"{location}.{name}.key"


def _read_key(path: Path) -> bytes | None:
    """Return a key, None where it is not there or is no key.

    Raises CallError (``key-permissions``) for one that others can read or that belongs to somebody else.
    """
    try:
        with open_regular(path) as stream:
            found = os.fstat(stream.fileno())
            content = stream.read(KEY_BYTES + 1)
    except OSError:
        return None
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise CallError(
            f"{path} must belong to the user who runs this and be closed to everyone else",
            next_step="Look who could read it, then chmod 600 it.",
            code="key-permissions",
        )
    return content if len(content) == KEY_BYTES else None


def lasting_keys(site: Site, location: str, keys: Sequence[Key], versions: Sequence[str]) -> Sequence[Key]:
    """Return what records are recognised by; ``versions`` as many as ``keys``, or none."""
    lasting_key = site.lasting_keys.get(location)
    if lasting_key is None or not versions:
        return keys
    return [lasting_key(key, version) for key, version in zip(keys, versions, strict=True)]


def check_keys(site: Site) -> None:
    """Raise CallError (``key-permissions``) where a key in use is open to others: at the start of a run, so that none
    stops in the middle."""
    with Session(site.engine) as session:
        rows = session.scalars(select(TombstoneKey).where(col(TombstoneKey.destroyed_at).is_(None))).all()
    for row in rows:
        _read_key(key_path(site, row.location, row.name))


def _secret(site: Site, row: TombstoneKey) -> bytes | None:
    """Return the key of a row, None where it is lost or another one stands in its place."""
    secret = _read_key(key_path(site, row.location, row.name))
    return secret if secret is not None and hashlib.sha256(secret).hexdigest() == row.digest else None


def keys_of(site: Site, location: str) -> list[tuple[TombstoneKey, bytes | None]]:
    """Return the keys of a location that are not destroyed, oldest first; None for one that is lost. Raises CallError
    for one that is open to others."""
    query = select(TombstoneKey).where(col(TombstoneKey.location) == location, col(TombstoneKey.destroyed_at).is_(None))
    with Session(site.engine, expire_on_commit=False) as session:
        rows = session.scalars(query.order_by(col(TombstoneKey.since), col(TombstoneKey.name))).all()
    return [(row, _secret(site, row)) for row in rows]


def _new_key(site: Site, location: str, today: date) -> tuple[str, bytes]:
    """Make the key of a month, its file first; one that stands there without its row is taken (a process was cut off
    in between)."""
    month = f"{today:%Y-%m}"
    with Session(site.engine) as session, session.begin():
        taken = session.scalar(
            select(func.count()).where(
                col(TombstoneKey.location) == location, col(TombstoneKey.name).startswith(month, autoescape=True)
            )
        )
        name = month if not taken else f"{month}.{taken + 1}"
        path = key_path(site, location, name)
        secret = _read_key(path)
        if secret is None:
            secret = secrets.token_bytes(KEY_BYTES)
            make_private_folder(path.parent)
            write_durably(path, secret)
        session.add(
            TombstoneKey(
                location=location,
                name=name,
                since=today,
                last_on=today.replace(day=calendar.monthrange(today.year, today.month)[1]),
                digest=hashlib.sha256(secret).hexdigest(),
            )
        )
    return name, secret


# --- writing --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stones:
    """The tombstones of one batch, made and not yet written."""

    key_name: str
    count: int
    marks: bytes


class Mason:
    """Makes and writes tombstones; one for each run that acts."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._keys: dict[str, tuple[str, bytes, date]] = {}

    def prepare(self, target: TargetRow) -> None:
        """Have the key ready before anything is erased: a disk without room for it stops here. Raises OSError;
        CallError for a key that is open to others."""
        if is_kept_for(target):
            self._key(target.location)

    def make(self, target: TargetRow, records: Columns, positions: Sequence[int]) -> Stones | None:
        """Return the tombstones of the records at some positions; None where none are kept."""
        if not positions or not is_kept_for(target):
            return None
        found = self._key(target.location)
        if found is None:
            return None
        name, secret, _ = found
        keys = lasting_keys(self.site, target.location, records.keys, records.versions)
        erased = keys if len(positions) == len(keys) else [keys[pos] for pos in positions]
        # Sorted: the order would tell which leaf of the batch is which tombstone.
        marks = sorted(mark[:SIZE] for mark in leaves(secret, target.location, target.dataset, erased))
        return Stones(name, len(marks), b"".join(marks))

    def write(self, session: Session, target: TargetRow, stones: Stones | None, due_as_of: date) -> None:
        """Write them in the transaction that settles their batch."""
        if stones is not None:
            session.execute(
                insert(TombstoneRow).values(
                    location=target.location,
                    dataset=target.dataset,
                    identity=target.identity,
                    key_name=stones.key_name,
                    due_as_of=due_as_of,
                    count=stones.count,
                    marks=stones.marks,
                )
            )

    def _key(self, location: str) -> tuple[str, bytes, date] | None:
        configured = self.site.config.locations.get(location)
        if configured is not None and configured.backups_kept is None:
            return None
        today = self.site.today()
        known = self._keys.get(location)
        if known is None or known[2] < today:
            known = self._keys[location] = (*self._find_key(location, today), _end_of_month(today))
        return known

    def _find_key(self, location: str, today: date) -> tuple[str, bytes]:
        lost = False
        for row, secret in reversed(keys_of(self.site, location)):
            if row.last_on == _end_of_month(today):
                if secret is not None:
                    return row.name, secret
                lost = True
        if lost:
            log.warning("a key of the tombstones of %s is lost: what it covers cannot be recognised any more", location)
        return _new_key(self.site, location, today)


def _end_of_month(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


# --- the end --------------------------------------------------------------------------------------------------------


def destroy_expired(site: Site) -> int:
    """Destroy the keys, and the tombstones under them, that no backup outlives. Returns how many keys.

    The file goes first: whatever is left of the rows, in this database or in a copy of it, opens to nobody. A process
    that is cut off in between comes back to it.
    """
    with Session(site.engine) as session:
        alive = session.scalars(select(TombstoneKey).where(col(TombstoneKey.destroyed_at).is_(None))).all()
    today, destroyed = site.today(), 0
    for row in alive:
        if not _is_over(row, site.config.locations.get(row.location), today):
            continue
        path = key_path(site, row.location, row.name)
        path.unlink(missing_ok=True)
        with Session(site.engine) as session, session.begin():
            of_key = col(TombstoneRow.location) == row.location, col(TombstoneRow.key_name) == row.name
            session.execute(delete(TombstoneRow).where(*of_key))
            named = col(TombstoneKey.location) == row.location, col(TombstoneKey.name) == row.name
            session.execute(update(TombstoneKey).where(*named).values(destroyed_at=site.now()))
        destroyed += 1
    if destroyed:
        erase_freed_pages(site)
    return destroyed


def _is_over(row: TombstoneKey, location: Location | None, today: date) -> bool:
    """Of a location that is no longer configured the default period counts."""
    kept = location.backups_kept if location is not None else Period(days=90)
    if kept is None:
        return True
    return row.last_on + relativedelta(years=kept.years, months=kept.months, weeks=kept.weeks, days=kept.days) < today
