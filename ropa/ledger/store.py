"""The ledger as its one writer sees it: opened only when sound, appended durably, signed, exported.

Invariants: nothing is appended to a ledger that was not read and found sound from its first byte; what ``append``,
``write_batch`` and ``write_outcomes`` returned from is on the disk; after a failed write the object is dead; nothing is
written that the verifier would call broken; and nothing is signed that is smaller than, or does not begin with, what
was signed before. The caller holds the lock: there is exactly one writer. ``at`` comes from the caller, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ropa.clock import timestamp
from ropa.errors import CallError, LedgerError, RefusedError
from ropa.ledger import batches, signing
from ropa.ledger.appending import LOOK, EventFile, refusing
from ropa.ledger.canonical import MAX_LINE, parse_line
from ropa.ledger.chain import BATCHES, CHECKPOINTS, EVENTS, Chain, Scan, compose, rotation_text
from ropa.ledger.files import (
    is_content,
    make_private_folder,
    names_in,
    open_regular,
    read_bounded,
    sync_folder,
    write_durably,
)
from ropa.ledger.keys import FIRST_KEY, create_signing_key, encode_base64, load_signing_keys, public_pem
from ropa.ledger.note import MAX_NOTE, ORIGIN, Checkpoint
from ropa.ledger.rules import UNAPPROVED, Rules

Watch = Callable[[int, Mapping[str, Any]], None]
"""Called with each line and its number."""
SLACK = timedelta(seconds=60)
"""How far the clock may be behind the last line."""


class Ledger:
    """An open ledger. ``Ledger.create`` or ``Ledger.open`` makes one; use it with ``with``, or ``close`` it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recovered_bytes = 0
        """Bytes of a line that a crash cut short, found after the newest checkpoint and cut away when opened for
        writing. Where it is not 0 the caller appends ``recovered``."""
        self._chain = Chain()
        self._rules = Rules()
        self._end = 0
        self._newest: Checkpoint | None = None
        self._signer: signing.Signer | None = None
        self._file: EventFile | None = None

    # --- opening --------------------------------------------------------------------------------------------------

    @staticmethod
    def exists(folder: Path) -> bool:
        """Tell whether there is a ledger in the folder, sound or not."""
        return os.path.lexists(folder / EVENTS)

    @classmethod
    def create(
        cls,
        folder: Path,
        keys: Path,
        *,
        origin: str,
        at: datetime,
        run: str,
        tool: str,
        follows: Mapping[str, Any] | None = None,
    ) -> Ledger:
        """Begin a ledger: signing key, genesis line, first checkpoint. Safe to repeat after a crash within it.

        ``follows``: the last anchored checkpoint (``origin``, ``size``, ``root`` in hex) of a ledger whose signing key
        was lost. Raises CallError for an origin with white space or ``+``; LedgerError (``ledger-exists``,
        ``ledger-missing``) where there is a ledger already, or remains of one; RefusedError when writing fails.
        """
        if not ORIGIN.fullmatch(origin):
            raise CallError("the ledger's origin is a name without white space and `+`", code="ledger-origin")
        if cls.exists(folder):
            raise LedgerError(f"{folder} already holds a ledger", next_step="Open it.", code="ledger-exists")
        remains = names_in(folder / BATCHES) + names_in(folder / CHECKPOINTS)
        if remains or os.path.lexists(keys / signing.HIGH_WATER):
            raise LedgerError(
                f"{folder} has no {EVENTS}, but evidence or a signed checkpoint of an earlier ledger is there",
                next_step="Put the ledger back from a copy, or move what is left of it and its keys aside.",
                code="ledger-missing",
            )
        with refusing():
            loaded = load_signing_keys(keys).values()
            key = next((key for key in loaded if key.path.name == FIRST_KEY), None) or create_signing_key(keys)
            fields = {"origin": origin, "hash": "sha256", "public_key": encode_base64(key.public), "tool": tool}
            quoted = {"follows": dict(follows)} if follows else {}
            line = compose(Chain(), "genesis", run, timestamp(at), {**fields, **quoted})
            for part in (folder, folder / BATCHES, folder / CHECKPOINTS):
                make_private_folder(part)
            write_durably(folder / "public.pem", public_pem(key.public))
            write_durably(folder / EVENTS, line + b"\n")
            sync_folder(folder.parent)
        ledger = cls.open(folder, keys)
        ledger.checkpoint()
        return ledger

    @classmethod
    def open(
        cls, folder: Path, keys: Path | None, *, high_water: Path | None = None, watch: Watch | None = None
    ) -> Ledger:
        """Read the whole ledger, check form, chain, tree and every checkpoint, and stand ready to append.

        ``keys``: the folder of the signing keys; None opens for reading only. ``high_water``: a checkpoint that was
        exported, or the folder they were exported to (then its largest counts): the ledger must contain it. ``watch``
        is called with seq and event of every line, in order; what it was told counts once this has returned.
        Raises LedgerError for anything that is broken, missing, or smaller than what was signed; CallError for keys
        that are open to others.
        """
        ledger = cls(folder)
        if keys is not None:
            ledger._signer = signing.Signer(folder, keys)
        scan = Scan(folder, signing.marks(keys, high_water))
        for seq, event in scan.events():
            ledger._rules.record(seq, event)
            if watch is not None:
                watch(seq, event)
        ledger._take(scan)
        if ledger._signer is not None:
            ledger._open_for_writing(ledger._signer)
        return ledger

    def _take(self, scan: Scan) -> None:
        if scan.faults:
            fault = scan.faults[0]
            raise LedgerError(f"the ledger is broken: {fault}", next_step=LOOK, code=f"ledger-{fault.code}")
        newest = scan.newest
        # Only `create`, interrupted before its first checkpoint, leaves a ledger that nothing signs.
        if newest is None and scan.chain.size != 1:
            raise LedgerError("the ledger has no checkpoint", next_step=LOOK, code="ledger-checkpoint-missing")
        self._chain, self._end, self.recovered_bytes = scan.chain, scan.end, scan.partial
        if newest is not None:
            path = self.folder / CHECKPOINTS / f"{newest.size:012}"
            self._newest = Checkpoint(newest.size, newest.root, path, read_bounded(path, MAX_NOTE))

    def _open_for_writing(self, signer: signing.Signer) -> None:
        signer.current(self._chain)
        for name, pem in signing.public_key_files(self.origin, [key for _start, key in self._chain.keys]).items():
            path = self.folder / name
            if not os.path.lexists(path):
                with refusing():
                    write_durably(path, pem)
            elif not is_content(path, pem):
                raise LedgerError(f"{path} is not the key of this ledger", next_step=LOOK, code="ledger-public-key")
        with refusing():
            make_private_folder(self.folder / BATCHES)
            make_private_folder(self.folder / CHECKPOINTS)
            signer.retire(self._chain, self._newest.size if self._newest else 0)
        self._file = EventFile(self.folder / EVENTS, self._end, self.recovered_bytes)

    def close(self) -> None:
        """Let go of the file; nothing can be appended any more."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what is known --------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """The number of event lines."""
        return self._chain.size

    @property
    def origin(self) -> str:
        """The ledger's name in its checkpoints."""
        return self._chain.origin

    @property
    def last_at(self) -> datetime:
        """The instant of the last line, aware UTC."""
        return datetime.strptime(self._chain.last_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)

    @property
    def last_hash(self) -> str:
        """The hash of the last line: ``prev`` of the next one."""
        return self._chain.last_hash

    @property
    def newest(self) -> Checkpoint | None:
        """The newest signed checkpoint."""
        return self._newest

    @property
    def open_run(self) -> str | None:
        """The run that was started last and has no ``run_end``: still under way, or cut off."""
        return self._rules.run

    @property
    def active_holds(self) -> int:
        """How many holds are in force, as the ledger tells."""
        return self._rules.active_holds

    def root(self) -> str:
        """Return the root over all lines, 64 hex digits."""
        return self._chain.tree.root().hex()

    def open_intents(self) -> list[tuple[int, dict[str, Any]]]:
        """Return (seq, event) of every intent without a receipt, oldest first."""
        return [(seq, dict(event)) for seq, event in self._rules.open_intents.values()]

    def events(self, kind: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the events, or those of one type, in order, read from the file; ``seq`` stands in each."""
        left = self._end
        with open_regular(self.folder / EVENTS) as stream:
            while left > 0 and (line := stream.readline(MAX_LINE + 2)):
                left -= len(line)
                event = parse_line(line.removesuffix(b"\n"))
                if kind is None or event["type"] == kind:
                    yield event

    # --- appending ------------------------------------------------------------------------------------------------

    def append(self, kind: str, /, *, run: str, at: datetime, **fields: Any) -> int:
        """Write one event durably and return its ``seq``.

        ``run_start`` gets ``checkpoint`` (the newest signed one) and ``interrupted`` by itself where they are not
        given. Raises RefusedError ``clock-behind`` when ``at`` is more than 60 s before the last line,
        ``approval-missing`` and its like for an intent that nobody approved, ``ledger-write`` when the disk refuses
        (the object is dead then); LedgerError (``event-form``, ``event-rule``) for an event that the verifier would
        call broken, and when someone else wrote to the ledger. Nothing is written in any of these cases.
        """
        file = self._require_file()
        stamp = self._stamp(at)
        if kind == "run_start":
            newest = self._newest
            fields.setdefault("checkpoint", {"size": newest.size, "root": newest.root_hex} if newest else {})
            fields.setdefault("interrupted", [self.open_run] if self.open_run else [])
        line = compose(self._chain, kind, run, stamp, fields)
        event = parse_line(line)
        self._check_rules(event)
        file.write(line + b"\n")
        self._end += len(line) + 1
        seq = self.size
        self._chain.take(line)
        self._rules.record(seq, event)
        return seq

    def _require_file(self) -> EventFile:
        if self._file is None:
            raise RefusedError("this ledger is open for reading only", code="ledger-read-only")
        self._file.check()
        return self._file

    def _stamp(self, at: datetime) -> str:
        behind = self.last_at - at
        if behind > SLACK:
            raise RefusedError(
                f"the clock is {int(behind.total_seconds())} s behind the ledger's last line",
                next_step="Set the system clock right.",
                code="clock-behind",
            )
        return max(timestamp(at), self._chain.last_at)

    def _check_rules(self, event: dict[str, Any]) -> None:
        wrong = ["genesis"] if event["type"] == "genesis" else self._rules.wrong(event)
        if event["type"] == "run_start":
            newest = self._newest
            if newest is None or event["checkpoint"] != {"size": newest.size, "root": newest.root_hex}:
                wrong.append("checkpoint-quoted")
        if not wrong and event["type"] in {"intent", "receipt"}:
            intent = event if event["type"] == "intent" else self._rules.open_intents[event["root"]][1]
            wrong = batches.wrong_files(self.folder / BATCHES, event, intent["leaves"], is_quick=True)
        if wrong and event["type"] == "intent" and UNAPPROVED.issuperset(wrong):
            raise RefusedError(
                f"no intent may be written: {', '.join(wrong)}",
                next_step="Have a person approve the plan.",
                code=wrong[0],
            )
        if wrong:
            raise LedgerError(f"this {event['type']} would break the ledger: {', '.join(wrong)}", code="event-rule")

    # --- batches --------------------------------------------------------------------------------------------------

    def write_batch(self, leaves: Sequence[bytes]) -> str:
        """Put the leaves of a batch (1 to 100,000, each once) durably in place and return their root, in hex; before
        its intent. Raises ValueError for leaves that are no batch; RefusedError (``ledger-write``) when the disk
        refuses."""
        return self.put_batch(*batches.format_batch(leaves))

    def put_batch(self, name: str, content: bytes) -> str:
        """Put what ``batches.format_batch`` made durably in place; as ``write_batch``."""
        self._require_file().beside(lambda: write_durably(self.folder / BATCHES / name, content))
        return name

    def write_outcomes(self, root: str, outcomes: Sequence[str]) -> str:
        """Return what the receipt says in ``outcomes``; where they are not all the same, put their file durably in
        place first.

        ``outcomes``: one per leaf, in leaf order. Raises LedgerError where no intent is open for ``root`` or the number
        differs from its leaves; ValueError for an outcome that is none; RefusedError when the disk refuses.
        """
        if root not in self._rules.open_intents:
            raise LedgerError("outcomes of a batch that has no open intent", code="event-rule")
        if len(outcomes) != self._rules.open_intents[root][1]["leaves"]:
            raise LedgerError("not as many outcomes as leaves", code="event-rule")
        said, content = batches.format_outcomes(outcomes)
        if content is not None:
            path = self.folder / BATCHES / f"{root}.outcomes"
            self._require_file().beside(lambda: write_durably(path, content))
        return said

    # --- signing --------------------------------------------------------------------------------------------------

    def checkpoint(self) -> Checkpoint:
        """Sign the whole ledger and return the checkpoint; where nothing was appended since, the newest one.

        Every command that appended does so before it returns. Raises RefusedError (``ledger-write``) when the disk
        refuses; LedgerError where the file was changed, or a larger checkpoint was signed.
        """
        file = self._require_file()
        if self._signer is not None and (self._newest is None or self._newest.size < self.size):
            self._newest = self._signer.sign(self._chain, self._newest, file)
        if self._newest is None:
            raise LedgerError("the ledger has no checkpoint", next_step=LOOK, code="ledger-checkpoint-missing")
        return self._newest

    def rotate_key(self, *, run: str, at: datetime, actor: str) -> Checkpoint:
        """Let a new signing key follow the present one, and sign with both; the old one is then removed.

        Interrupted, it is finished by the next ``open`` and ``checkpoint``. Errors as ``append`` and ``checkpoint``.
        """
        file = self._require_file()
        if self._signer is None:
            raise RefusedError("this ledger is open for reading only", code="ledger-read-only")
        self._stamp(at)
        old = self._signer.current(self._chain)
        with refusing():
            new = self._signer.add_key(self.origin)
        text = rotation_text(self.origin, self.size, self.last_hash, old.public, new.public)
        fields = {
            "new_public_key": encode_base64(new.public),
            "old_signature": encode_base64(old.sign(text)),
            "new_signature": encode_base64(new.sign(text)),
        }
        self.append("key_rotate", run=run, at=at, actor=actor, **fields)
        name = list(signing.public_key_files(self.origin, [old.public, new.public]))[-1]
        file.beside(lambda: write_durably(self.folder / name, public_pem(new.public)))
        return self.checkpoint()

    def export_checkpoint(self, to: Path) -> Path:
        """Put the newest checkpoint into a folder outside, under its size in 12 digits, and return its path.

        The folder should be one that the operator cannot rewrite. Safe to repeat. Raises LedgerError (``fork``) where
        another checkpoint of that size is there already; LocationError (``checkpoint-export``) when the folder cannot
        be written.
        """
        if self._newest is None:
            raise LedgerError("the ledger has no checkpoint", next_step=LOOK, code="ledger-checkpoint-missing")
        return signing.export_checkpoint(self._newest, to)
