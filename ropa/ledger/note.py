"""Checkpoints: the signed size and root of the ledger (C2SP tlog-checkpoint in a C2SP signed-note).

Invariant: what is signed is exactly three lines (origin, size, root in base64) and reads back to the same three values;
a note that could be written in another way is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from pathlib import Path

from ropa.ledger.keys import SigningKey, decode_base64, encode_base64, is_signed, key_id

MAX_NOTE = 65_536
"""The most bytes of a note, witnesses' signatures included."""
ORIGIN = re.compile(r"[^\s+\x00-\x1f\x7f]{1,255}")
"""What may name a ledger: no white space and no ``+``."""
_SIZE = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
_SIGNATURE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_ID = 4


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A checkpoint as read."""

    origin: str
    size: int
    root: bytes
    text: bytes
    """What is signed: up to and including the newline before the blank line."""
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint of this ledger, and where it stands."""

    size: int
    root: bytes
    path: Path
    note: bytes
    """The whole signed note."""

    @property
    def text(self) -> str:
        """The whole signed note, as text."""
        return self.note.decode("utf-8")

    @property
    def root_base64(self) -> str:
        """The root as the note spells it."""
        return encode_base64(self.root)

    @property
    def root_hex(self) -> str:
        """The root as events spell it."""
        return self.root.hex()


def checkpoint_text(origin: str, size: int, root: bytes) -> bytes:
    """Return the three lines that are signed."""
    return f"{origin}\n{size}\n{encode_base64(root)}\n".encode()


def format_checkpoint(origin: str, size: int, root: bytes, *signing_keys: SigningKey) -> bytes:
    """Return a checkpoint signed by each of the keys, one line each, in their order."""
    text = checkpoint_text(origin, size, root)
    lines = [
        f"— {origin} {encode_base64(key_id(origin, key.public) + key.sign(text))}\n".encode() for key in signing_keys
    ]
    return text + b"\n" + b"".join(lines)


def parse_checkpoint(data: bytes) -> Note:
    """Read a checkpoint. Raises ValueError unless it is written as ``format_checkpoint`` would, with at least one
    signature line; it does not check any signature."""
    if len(data) > MAX_NOTE:
        raise ValueError("longer than a checkpoint can be")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    lines = text.split("\n")
    if len(lines) < 6 or lines[3] != "" or lines[-1] != "":
        raise ValueError("not three lines, a blank one and signatures")
    origin, size, root = lines[:3]
    if not ORIGIN.fullmatch(origin) or not _SIZE.fullmatch(size):
        raise ValueError("no origin or no size")
    signatures = tuple(_parse_signature(line) for line in lines[4:-1])
    digest = decode_base64(root, 32)
    return Note(origin, int(size), digest, checkpoint_text(origin, int(size), digest), signatures)


def _parse_signature(line: str) -> NoteSignature:
    found = _SIGNATURE.fullmatch(line)
    if found is None:
        raise ValueError("a signature line that cannot be read")
    try:
        raw = base64.b64decode(found[2], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if len(raw) <= _ID or encode_base64(raw) != found[2]:
        raise ValueError("not base64 as it is written here")
    return NoteSignature(found[1], raw[:_ID], raw[_ID:])


def is_note_signed(note: Note, origin: str, public: bytes) -> bool:
    """Tell whether the note carries the ledger's own line by this key, and every such line holds.

    Lines of other names or other keys (witnesses) are passed over.
    """
    own = [line for line in note.signatures if line.name == origin and line.key_id == key_id(origin, public)]
    return bool(own) and all(is_signed(public, note.text, line.signature) for line in own)
