"""What the ledger's lines tell a run, gathered in the one pass that opens it; and the batch files that they rely on.

A batch file never changes once it is written. So one that was read and found right is known again by size, times and
inode, and is not read at every start for as long as there is evidence; in turn some are all the same, because a disk
that forgets changes none of these. Invariant: what is new, or looks in any way touched, is read before a run begins;
``ropa ledger verify`` reads everything and trusts nothing that stands here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.errors import LedgerError
from ropa.ledger.appending import LOOK
from ropa.ledger.batches import wrong_files
from ropa.ledger.chain import BATCHES
from ropa.ledger.events import is_hash
from ropa.sweep.site import Site
from ropa.sweep.state import get_state, set_state
from ropa.sweep.tables import BatchRow

IN_TURN = 20_000
"""Leaves, about, that are read again at the start of a run though nothing has touched their files."""


@dataclass(slots=True)
class Batch:
    """A batch that has an intent."""

    intent: int
    """The line that names it."""
    leaves: int
    receipt: Mapping[str, Any] | None = None
    """The receipt, where it names an outcome file."""


@dataclass(slots=True)
class Told:
    """What stands in the lines; ``take`` is called with each, in order."""

    seen: int
    """How many lines the run database has seen."""
    seen_hash: str | None = None
    """What follows those: the hash of the last of them, where there is a line more."""
    beyond: dict[str, int] = field(default_factory=dict)
    """Runs of lines that the run database has not seen, with the first of each."""
    holds: set[str] = field(default_factory=set)
    """Leaves of the holds in force."""
    batches: dict[bytes, Batch] = field(default_factory=dict)
    """By root, in order."""

    def take(self, seq: int, event: Mapping[str, Any]) -> None:
        """Take in a line."""
        if seq == self.seen:
            self.seen_hash = event["prev"]
        if seq >= self.seen:
            self.beyond.setdefault(event["run"], seq)
        kind = event["type"]
        if kind == "intent":
            self.batches[bytes.fromhex(event["root"])] = Batch(seq, event["leaves"])
        elif kind == "receipt" and is_hash(event["outcomes"]):
            batch = self.batches.get(bytes.fromhex(event["root"]))
            if batch is not None:
                batch.receipt = event
        elif kind == "hold":
            self.holds.add(event["leaf"])
        elif kind == "hold_release":
            self.holds.discard(event["leaf"])


def check_batches(site: Site, batches: Mapping[bytes, Batch]) -> None:
    """Read the batch files that are new or look touched, and some of the others. Raises LedgerError for one that is
    not what was written."""
    folder = site.ledger_folder / BATCHES
    with Session(site.engine) as session:
        rows = session.execute(select(col(BatchRow.root), col(BatchRow.id), col(BatchRow.files_seen))).all()
    known = {bytes.fromhex(root): (row_id, seen) for root, row_id, seen in rows}
    fresh: list[dict[str, Any]] = []
    untouched: list[bytes] = []
    for root, batch in batches.items():
        row_id, seen = known.get(root, (None, None))
        looks = _looks(folder, root, batch)  # before it is read: what changes meanwhile is read again
        if looks is not None and looks == seen:
            untouched.append(root)
            continue
        _read(folder, root, batch)
        if row_id is not None:
            fresh.append({"id": row_id, "files_seen": looks})
    if fresh:
        with Session(site.engine) as session, session.begin():
            session.execute(update(BatchRow), fresh)
    if untouched:
        _read_in_turn(site, folder, untouched, batches)


def _read_in_turn(site: Site, folder: Path, untouched: Sequence[bytes], batches: Mapping[bytes, Batch]) -> None:
    """Read the next of the files that nothing has touched: where the last run stopped, and round again."""
    start, leaves, count = int(get_state(site, "files_in_turn") or 0), 0, 0
    while leaves < IN_TURN and count < len(untouched):
        root = untouched[(start + count) % len(untouched)]
        _read(folder, root, batches[root])
        leaves, count = leaves + batches[root].leaves, count + 1
    set_state(site, files_in_turn=str((start + count) % len(untouched)))


def _read(folder: Path, root: bytes, batch: Batch) -> None:
    for event in _events(root, batch):
        if wrong := wrong_files(folder, event, batch.leaves):
            raise LedgerError(
                f"the ledger is broken: {wrong[0]} of line {event['seq']}", next_step=LOOK, code=f"ledger-{wrong[0]}"
            )


def _events(root: bytes, batch: Batch) -> Iterator[Mapping[str, Any]]:
    yield {"type": "intent", "root": root.hex(), "seq": batch.intent}
    if batch.receipt is not None:
        yield batch.receipt


def _looks(folder: Path, root: bytes, batch: Batch) -> str | None:
    """Return what shows that files were touched: size, inode, and when content and inode last changed, which nobody
    can set back by ordinary means. None where one is missing."""
    names = [root.hex(), *([f"{root.hex()}.outcomes"] if batch.receipt is not None else [])]
    try:
        found = [os.lstat(folder / name) for name in names]
    except OSError:
        return None
    return " ".join(f"{one.st_mode:o}.{one.st_size}.{one.st_ino}.{one.st_mtime_ns}.{one.st_ctime_ns}" for one in found)
