"""The ledger and the run database, kept in step.

The order that everything rests on: an id, a batch key or a hold is committed in the database *before* the ledger line
that names it. So after a crash the database may know something that the ledger does not (harmless), but a ledger line
that the database does not know means that the database is older than the evidence: then everything stops.

Invariant: the ledger never shrinks below what this database has seen, and every line beyond that carries an id this
database issued.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.database import is_server
from ropa.errors import LedgerError
from ropa.ledger.chain import CHECKPOINT_NAME
from ropa.ledger.note import Checkpoint
from ropa.ledger.store import Ledger
from ropa.sweep.lock import Lease, run_lock
from ropa.sweep.safety import FrozenNow, check_clock
from ropa.sweep.site import TOOL, Site
from ropa.sweep.state import get_state, set_state
from ropa.sweep.tables import HoldRow, IssuedId, RunRow
from ropa.sweep.told import Batch, Told, check_batches

_SHARE = (
    "Let all hosts of this database share one state folder (ROPA_STATE); where there is only this host, put the folder "
    "back from its newest copy."
)
_HOLD_LINES = frozenset({"hold", "hold_release"})


class Journal:
    """The open ledger of a site, for the one writer."""

    def __init__(
        self, site: Site, ledger: Ledger, lease: Lease, batches: Mapping[bytes, Batch], watch: FrozenNow
    ) -> None:
        self.site = site
        self.ledger = ledger
        self.lease = lease
        self.now = watch.now
        """The instant that lines carry: also after the wall clock jumped, that of the clock that opened the ledger."""
        self._batches = batches
        """What had an intent when the ledger was opened."""

    def issue_id(self) -> str:
        """Return a fresh id for ledger lines, known to the database before any line carries it."""
        fresh = secrets.token_hex(8)
        with Session(self.site.engine) as session, session.begin():
            session.add(IssuedId(id=fresh, at=self.now()))
        return fresh

    def append(self, type_: str, *, run: str, **fields: Any) -> int:
        """Append one durable line, with the present instant. Returns its ``seq``. Raises RefusedError when it cannot
        be written (full or read-only disk) or the clock is behind the ledger; BusyError when another host has taken
        over."""
        with self.lease.holding():
            return self.ledger.append(type_, run=run, at=self.now(), **fields)

    def checkpoint(self) -> Checkpoint:
        """Sign the whole ledger, remember its size, and put the checkpoint where the configuration says. Raises as
        ``append``."""
        with self.lease.holding():
            signed = self.ledger.checkpoint()
            self.remember()
            folders = [self.site.exports_folder]
            if self.site.config.checkpoint_export:
                folders.append(self.site.config.checkpoint_export)
            for folder in folders:
                self.ledger.export_checkpoint(folder)
            return signed

    def newest_checkpoint(self) -> dict[str, int | str]:
        """The newest signed checkpoint as ``run_start`` quotes it: size and root, 64 hex digits."""
        newest = self.ledger.newest
        return {"size": newest.size, "root": newest.root_hex} if newest else {"size": 0, "root": ""}

    def remember(self) -> None:
        """Write down how far the ledger is, so that an older copy of either is noticed."""
        set_state(self.site, ledger_size=str(self.ledger.size), ledger_hash=self.ledger.last_hash)

    def check_batches(self) -> None:
        """Read the batch files that lines rely on, as ``told`` says which. Raises LedgerError for one that is not what
        was written."""
        check_batches(self.site, self._batches)

    def settle_holds(self) -> None:
        """Append the lines of holds and releases that were given while another process was writing.

        What the ledger already tells (a process was cut off between the line and its mark) is marked, never told twice.
        """
        with Session(self.site.engine) as session:
            holds = session.scalars(
                select(HoldRow)
                .where(
                    ~col(HoldRow.is_recorded)
                    | col(HoldRow.released_by).is_not(None) & ~col(HoldRow.is_release_recorded)
                )
                .order_by(col(HoldRow.id))
            ).all()
        if not holds:
            return
        told = {(event["type"], event["leaf"]) for event in self.ledger.events() if event["type"] in _HOLD_LINES}
        for hold in holds:
            if not hold.is_recorded:
                self._record_hold(hold, "hold", hold.actor_id, told)
        for hold in holds:
            if hold.released_by is not None and not hold.is_release_recorded:
                self._record_hold(hold, "hold_release", hold.released_by, told)

    def settle_ends(self) -> None:
        """Note the end of a run that the ledger tells of, and whose process was cut off before it had: that night had
        its sweep."""
        with Session(self.site.engine) as session, session.begin():
            rows = {row.id: row for row in session.scalars(select(RunRow).where(col(RunRow.state) == "open"))}
            for event in self.ledger.events("run_end") if rows.keys() - {self.ledger.open_run} else ():
                if event["run"] in rows:
                    row = rows[event["run"]]
                    row.state, row.code, row.totals = event["state"], event["code"], event["totals"]
                    row.ended_at = datetime.fromisoformat(event["at"])

    def settle_halt(self) -> None:
        """Append the line of a halt that was given while another process was writing."""
        actor = get_state(self.site, "halt_unrecorded")
        if actor is not None:
            self.append("halt", run=self.issue_id(), actor=actor)
            set_state(self.site, halt_unrecorded=None)

    def _record_hold(self, hold: HoldRow, type_: str, actor: str, told: AbstractSet[tuple[str, str]]) -> None:
        if (type_, hold.leaf) not in told:
            run, active = self.issue_id(), self.ledger.active_holds + (1 if type_ == "hold" else -1)
            self.append(type_, run=run, leaf=hold.leaf, actors=[actor], reason=hold.reason, active=active)
        with Session(self.site.engine) as session, session.begin():
            row = session.get_one(HoldRow, hold.id)
            if type_ == "hold":
                row.is_recorded = True
            else:
                row.is_release_recorded = True


@contextmanager
def writing(site: Site, *, accepts_gap: bool = False) -> Iterator[Journal]:
    """Hold the run lock and the verified ledger for the time of the block.

    Raises BusyError, LedgerError (broken, or not in step with the database) and RefusedError: no line is written under
    a clock that jumped, because that line would make the jump look accepted; ``accepts_gap`` is for a person's word.
    """
    with run_lock(site) as lease:
        ledger, batches = open_ledger(site)
        with ledger:
            watch = FrozenNow(site)
            if not accepts_gap:
                check_clock(site, ledger, watch.started)
            journal = Journal(site, ledger, lease, batches, watch)
            if ledger.newest is None:
                journal.checkpoint()  # its making was cut off before the first one
            if ledger.recovered_bytes:
                journal.append("recovered", run=journal.issue_id(), bytes=ledger.recovered_bytes)
            journal.settle_ends()
            journal.settle_holds()
            journal.settle_halt()
            yield journal


def open_ledger(site: Site) -> tuple[Ledger, Mapping[bytes, Batch]]:
    """Open and verify the ledger, and compare it with what this database has seen. Returns it with the batches that it
    tells of. Raises LedgerError."""
    refuse_missing_ledger(site)
    told = Told(int(get_state(site, "ledger_size") or 0))
    ledger = Ledger.open(site.ledger_folder, site.keys_folder, high_water=_largest_exported(site), watch=told.take)
    try:
        _expect_seen(site, ledger, told)
    except BaseException:
        ledger.close()
        raise
    return ledger, told.batches


def _expect_seen(site: Site, ledger: Ledger, told: Told) -> None:
    """Raise LedgerError where the ledger is not the one, or not as long as, that this database has seen."""
    if ledger.size < told.seen:
        raise LedgerError(
            f"the ledger has {ledger.size} lines, but this database has seen {told.seen}",
            next_step="Put the newest copy of the ledger folder back; never sign a shorter one.",
            code="ledger-behind",
        )
    if told.beyond:
        with Session(site.engine) as session:
            known = set(session.scalars(select(col(IssuedId.id)))) | set(session.scalars(select(col(RunRow.id))))
        for run, seq in told.beyond.items():
            if run not in known:
                raise LedgerError(
                    f"ledger line {seq} was written by a run that this database does not know",
                    next_step="This database is older than the ledger: put the newest copy of the database back.",
                    code="database-behind",
                )
    seen_hash = ledger.last_hash if ledger.size == told.seen else told.seen_hash
    if told.seen and seen_hash != get_state(site, "ledger_hash"):
        raise LedgerError("the ledger is not the one this database has seen", code="ledger-forked")
    _refuse_lost_holds(site, told.holds)


def _largest_exported(site: Site) -> Path | None:
    """The largest checkpoint that was ever exported: in our own folder, or outside, where a restore does not reach."""
    folders = [folder for folder in (site.exports_folder, site.config.checkpoint_export) if folder is not None]
    found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return max((path for path in found if CHECKPOINT_NAME.fullmatch(path.name)), key=_name, default=None)


def _name(path: Path) -> str:
    return path.name


def _refuse_lost_holds(site: Site, recorded: AbstractSet[str]) -> None:
    """``recorded``: the leaves of the holds in force, as the ledger tells. The database may know of more: a line may be
    durable while its mark is not yet."""
    try:
        with Session(site.engine) as session:
            kept = set(session.scalars(select(col(HoldRow.leaf)).where(~col(HoldRow.is_release_recorded))))
    except SQLAlchemyError as error:
        raise LedgerError(
            "the holds cannot be read; nothing is disposed of without them",
            next_step="Restore the newest copy of the run database.",
            code="holds-unreadable",
        ) from error
    if lost := recorded - kept:
        raise LedgerError(
            f"{len(lost)} of the {len(recorded)} holds in force that the ledger tells of are not in this database",
            next_step="Restore the newest copy of the run database; nothing is disposed of without its holds.",
            code="holds-lost",
        )


def refuse_missing_ledger(site: Site) -> None:
    """Raise LedgerError where this database has a ledger that is not there."""
    if get_state(site, "ledger_size") is not None and not (site.ledger_folder / "events.jsonl").is_file():
        raise LedgerError(
            "the ledger is missing beside its run database",
            next_step=_SHARE if is_server(site.engine) else "Put the ledger folder back from its newest copy.",
            code="ledger-missing",
        )


def create(site: Site, *, origin: str) -> None:
    """Make a new ledger with its key, and let the database know of it; finish one whose making was cut off.

    Raises BusyError while another process does the same, and what ``writing`` raises.
    """
    if (site.ledger_folder / "events.jsonl").exists():
        with writing(site) as journal:
            journal.checkpoint()
        return
    with run_lock(site):
        if get_state(site, "ledger_size") is not None:
            return  # somebody else made it a moment ago
        run = secrets.token_hex(8)
        with Session(site.engine) as session, session.begin():
            session.add(IssuedId(id=run, at=site.now()))
        ledger = Ledger.create(site.ledger_folder, site.keys_folder, origin=origin, at=site.now(), run=run, tool=TOOL)
        set_state(site, ledger_size=str(ledger.size), ledger_hash=ledger.last_hash)
        ledger.close()
