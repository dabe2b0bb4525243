"""Versions of ranges of lines: what tells whether lines are still those that were planned, and where they are now.

A version says where the lines stood in a file in one very state (device, inode, size, both times), so that nothing need
be read again while the file is in that state; and, for when lines further up have gone since, by what the lines are
recognised: their day, how many they are, the first of them, all of them. Where fields are to be masked it knows the
lines also without what masking may change.

Digests are the same whenever they are made: by them lines are recognised when a restore brings them back, whatever
their numbers and the name of their log are then. Invariant: none is written down plain. The text of a version has them
veiled (XOR) by what only its salt gives, and each open location draws its own.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Protocol, Self

from connectors.files.tree import identity_of
from ropa.connector import Key

__all__ = ["Digester", "Version", "digester", "draw_salt", "first_digest", "identity_of", "lasting_key"]

_SALT_BYTES = 8
_DIGEST_BYTES = 32
_FIRST_BYTES = 6


class Digester(Protocol):
    """What ``digester`` returns."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes."""


def draw_salt() -> bytes:
    """Return a new salt."""
    return secrets.token_bytes(_SALT_BYTES)


def digester() -> Digester:
    """Return a digest to be fed with lines; processors have instructions for this one."""
    return sha256()


def first_digest(line: bytes) -> str:
    """Return the short digest of a first line."""
    return blake2b(line, digest_size=_FIRST_BYTES).hexdigest()


def lasting_key(key: Key, version: str) -> Key:
    """Return what lines are recognised by when they come back (``ConnectorType.lasting_key``): their content."""
    found = Version.parse(version)
    return key if found is None else (found.digest,)


@dataclass(frozen=True, slots=True)
class Version:
    """See the module. ``start`` and ``size`` are bytes of the uncompressed log; ``day`` is an ordinal number."""

    salt: bytes
    identity: str
    start: int
    size: int
    lines: int
    day: int | None
    first: str
    digest: str
    blank: str = ""
    """The digest without the columns that can be masked; then ``first`` is of the first line without them too."""

    def __str__(self) -> str:
        day = "" if self.day is None else self.day
        veiled = _veiled(self.salt, self.first, self.digest, self.blank)
        parts = (self.salt.hex(), self.identity, self.start, self.size, self.lines, day, *veiled)
        return ".".join(map(str, parts))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a version; None where it is not one of ours."""
        parts = text.split(".")
        if len(parts) != 9:
            return None
        salt, identity, start, size, lines, day, *veiled = parts
        try:
            drawn = bytes.fromhex(salt)
            first, digest, blank = _veiled(drawn, *veiled)
            known = cls(
                drawn, identity, int(start), int(size), int(lines), int(day) if day else None, first, digest, blank
            )
        except ValueError:
            return None
        return known if known.start >= 0 and known.size > 0 and known.lines > 0 else None

    def is_in(self, status: os.stat_result) -> bool:
        """Tell whether a file is still in the state in which the lines were found."""
        return identity_of(status) == self.identity


def _veiled(salt: bytes, *digests: str) -> list[str]:
    """Veil digests, or unveil them: hexadecimal, of any length each."""
    found = []
    for number, digest in enumerate(map(bytes.fromhex, digests)):
        veil = blake2b(key=salt, digest_size=_DIGEST_BYTES, salt=bytes([number])).digest()
        found.append(bytes(a ^ b for a, b in zip(digest, veil, strict=False)).hex())
    return found
