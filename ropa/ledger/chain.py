"""Reading the ledger from its first byte: form, chain, tree and checkpoints, in one pass and little memory.

Invariant: nothing in the files is believed before it has been checked, and nothing in them can make reading fail: what
is wrong becomes a ``Fault``. The writer opens with this pass, and the verifier adds what events mean to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ropa.errors import LedgerError
from ropa.ledger import events as forms
from ropa.ledger.canonical import MAX_LINE, canonical, parse_line
from ropa.ledger.files import names_in, open_regular, read_bounded
from ropa.ledger.keys import decode_base64, encode_base64, is_signed
from ropa.ledger.merkle import EMPTY_ROOT, Tree
from ropa.ledger.note import MAX_NOTE, Note, is_note_signed, parse_checkpoint

EVENTS, CHECKPOINTS, BATCHES = "events.jsonl", "checkpoints", "batches"
MAX_FAULTS = 1000
"""After so many faults no more are kept: the ledger is broken, and memory is bounded."""
CHECKPOINT_NAME = re.compile(r"[0-9]{12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the evidence."""

    code: str
    """A stable word, e.g. ``chain``, ``checkpoint-root``, ``approval-missing``."""
    seq: int | None = None
    """The event line it shows at."""
    file: str | None = None
    """The evidence file it shows in, relative to the ledger's folder."""

    def __str__(self) -> str:
        line = f" at seq {self.seq}" if self.seq is not None else ""
        return f"{self.code}{line}" + (f" in {self.file}" if self.file else "")


def rotation_text(origin: str, seq: int, prev: str, old: bytes, new: bytes) -> bytes:
    """Return what the old and the new key sign when the one follows the other."""
    keys = f"{encode_base64(old)}\n{encode_base64(new)}"
    return f"ropa-key-rotate/1\n{origin}\n{seq}\n{prev}\n{keys}\n".encode()


class Chain:
    """What one knows of a ledger after so many lines; takes lines one by one."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.last_hash = forms.FIRST_PREV
        self.last_at = ""
        self.origin = ""
        self.keys: list[tuple[int, bytes]] = []
        """(size from which it signs, raw public key), oldest first."""

    @property
    def size(self) -> int:
        """The number of lines."""
        return self.tree.size

    def take(self, line: bytes) -> tuple[dict[str, Any] | None, list[str]]:
        """Take the next line, without its newline.

        Returns the event, or None where its form cannot be trusted, and the codes of what is wrong with it.
        """
        seq, prev, last_at = self.size, self.last_hash, self.last_at
        self.tree.append(line)
        self.last_hash = sha256(line).hexdigest()
        try:
            event = parse_line(line)
        except ValueError:
            return None, ["form"]
        if not self._has_common_form(event):
            return None, ["form"]
        wrong = []
        if event["seq"] != seq:
            wrong.append("seq")
        if event["prev"] != prev:
            wrong.append("chain")
        if event["at"] < last_at:
            wrong.append("time")
        self.last_at = max(event["at"], last_at)
        kind = event["type"]
        if (kind == "genesis") != (seq == 0):
            wrong.append("genesis")
        if kind in forms.TYPES and forms.wrong_fields(event):
            return None, [*wrong, "form"]
        if not wrong:
            wrong += self._take_key(seq, prev, event)
        return event, wrong

    def _has_common_form(self, event: dict[str, Any]) -> bool:
        return (
            type(event.get("v")) is int
            and event["v"] == forms.VERSION
            and forms.is_count(event.get("seq"))
            and forms.is_hash(event.get("prev"))
            # Comparing with the last instant spares reading it again, which costs more than all else on the line.
            and (event.get("at") == self.last_at or forms.is_stamp(event.get("at")))
            and forms.is_token(event.get("run"))
            and forms.is_code(event.get("type"))
        )

    def _take_key(self, seq: int, prev: str, event: dict[str, Any]) -> list[str]:
        if event["type"] == "genesis":
            self.origin = event["origin"]
            self.keys.append((0, decode_base64(event["public_key"], 32)))
        elif event["type"] == "key_rotate":
            old, new = self.keys[-1][1] if self.keys else b"", decode_base64(event["new_public_key"], 32)
            text = rotation_text(self.origin, seq, prev, old, new)
            pairs = ((old, event["old_signature"]), (new, event["new_signature"]))
            if not all(is_signed(key, text, decode_base64(signature, 64)) for key, signature in pairs):
                return ["rotation-signature"]
            self.keys.append((seq + 1, new))
        return []

    def signers(self, size: int, since: int) -> list[bytes]:
        """Return the keys that must sign the checkpoint of ``size`` lines when the one before had ``since`` lines.

        The newest first; keys that were followed in between sign once more beside it.
        """
        current = [key for start, key in self.keys if start <= size]
        followed = sum(1 for start, _key in self.keys if since < start <= size and start > 0)
        return current[::-1][: followed + 1]


def compose(chain: Chain, kind: str, run: str, stamp: str, fields: Mapping[str, Any]) -> bytes:
    """Return the next line of the chain, without its newline. Raises LedgerError (``event-form``) for fields that the
    type does not have, lacks, or that hold what they cannot."""
    common = {"v": forms.VERSION, "seq": chain.size, "prev": chain.last_hash, "at": stamp, "run": run, "type": kind}
    if kind not in forms.TYPES:
        raise LedgerError("an event of a type that is not in the ledger's format", code="event-form")
    try:
        line = canonical({**common, **fields})
        event = parse_line(line)
    except ValueError as error:
        raise LedgerError(f"a field of {kind} has no canonical form: {error}", code="event-form") from error
    wrong = sorted(fields.keys() & common.keys()) + forms.wrong_fields(event) + forms.unknown_fields(event)
    if not forms.is_token(run):
        wrong.append("run")
    if wrong:
        raise LedgerError(f"{kind} cannot be written with these fields: {', '.join(wrong)}", code="event-form")
    return line


@dataclass(slots=True)
class Scan:
    """One pass over a ledger folder: iterate ``events()`` to its end, then read the rest."""

    folder: Path
    outside: Sequence[bytes] = ()
    """Checkpoints from elsewhere that the ledger must agree with."""
    faults: list[Fault] = field(default_factory=list)
    chain: Chain = field(default_factory=Chain)
    notes: dict[int, Note] = field(default_factory=dict)
    """The stored checkpoints that can be read, by size."""
    partial: int = 0
    """Bytes after the last newline."""
    end: int = 0
    """Where the last whole line ends in the file."""
    debris: int = 0
    """Files among the checkpoints that are none."""
    _outside: list[Note] = field(default_factory=list)
    _previous: int = 0
    _quoted: int = 0

    def fault(self, code: str, seq: int | None = None, file: str | None = None) -> None:
        """Keep a fault."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(code, seq, file))

    def events(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (seq, event) of every line whose form can be trusted; faults gather on the way."""
        self._read_notes()
        try:
            with open_regular(self.folder / EVENTS) as stream:
                while line := stream.readline(MAX_LINE + 2):
                    if not line.endswith(b"\n"):
                        self._take_last(line)
                        break
                    self.end += len(line)
                    seq = self.chain.size
                    event, wrong = self.chain.take(line[:-1])
                    for code in wrong:
                        self.fault(code, seq)
                    if event is not None:
                        self._check_quoted(seq, event)
                        yield seq, event
                    self._check_notes()
        except OSError:
            self.fault("events-unreadable", file=EVENTS)
        self._finish()

    def _take_last(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            self.fault("form", self.chain.size)
        self.partial = len(line)

    def _read_notes(self) -> None:
        for name in names_in(self.folder / CHECKPOINTS):
            file = f"{CHECKPOINTS}/{name}"
            if not CHECKPOINT_NAME.fullmatch(name):
                self.debris += 1
                continue
            try:
                note = parse_checkpoint(read_bounded(self.folder / file, MAX_NOTE))
            except (OSError, ValueError):
                self.fault("checkpoint-form", file=file)
                continue
            if note.size != int(name):
                self.fault("checkpoint-size", file=file)
                continue
            self.notes[note.size] = note
        for data in self.outside:
            try:
                self._outside.append(parse_checkpoint(data))
            except ValueError:
                self.fault("outside-form")

    def _check_notes(self) -> None:
        size = self.chain.size
        note = self.notes.get(size)
        if note is not None:
            for code in self._wrong_with(note, "checkpoint"):
                self.fault(code, file=f"{CHECKPOINTS}/{size:012}")
            self._previous = size
        for note in self._outside:
            if note.size == size:
                for code in self._wrong_with(note, "outside"):
                    self.fault(code)

    def _wrong_with(self, note: Note, prefix: str) -> list[str]:
        wrong = []
        if note.origin != self.chain.origin:
            wrong.append(f"{prefix}-origin")
        if note.root != self.chain.tree.root():
            wrong.append(f"{prefix}-root")
        # A checkpoint from elsewhere may be one that was replaced here, so only the newest key is asked of it.
        keys = self.chain.signers(note.size, self._previous if prefix == "checkpoint" else note.size)
        if not keys or not all(is_note_signed(note, self.chain.origin, key) for key in keys):
            wrong.append(f"{prefix}-signature")
        return wrong

    def _check_quoted(self, seq: int, event: dict[str, Any]) -> None:
        if event["type"] != "run_start":
            return
        quoted = event["checkpoint"]
        size, root = quoted["size"], bytes.fromhex(quoted["root"])
        note = self.notes.get(size)
        if size == 0:
            is_right = root == EMPTY_ROOT and self._quoted == 0
        else:
            is_right = note is not None and note.root == root and self._quoted <= size <= seq
        if not is_right:
            self.fault("checkpoint-quoted", seq)
        self._quoted = max(self._quoted, size)

    def _finish(self) -> None:
        size = self.chain.size
        if 0 in self.notes:
            self.fault("checkpoint-size", file=f"{CHECKPOINTS}/{0:012}")
        for beyond in sorted(other for other in self.notes if other > size):
            self.fault("checkpoint-beyond", file=f"{CHECKPOINTS}/{beyond:012}")
        for note in self._outside:
            if note.size > size:
                self.fault("outside-beyond")
            elif note.size == 0:
                self.fault("outside-form")

    @property
    def newest(self) -> Note | None:
        """The stored checkpoint with the largest size."""
        return self.notes[max(self.notes)] if self.notes else None
