"""Versions of ranges of lines: what tells whether lines are still those that were planned, and where they are now.

A version says where the lines stood in a file in one very state (device, inode, size, both times), so that nothing need
be read again while the file is in that state; and, for when lines further up have gone since, by what the lines are
recognised: their day, how many they are, the first of them, all of them. Where fields are to be masked it knows the
lines also without what masking may change. Invariant: no digest is plain; each open location draws its own salt.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from connectors.files.tree import identity_of

__all__ = ["Version", "digester", "draw_salt", "first_digest", "identity_of"]

_SALT_BYTES = 8
_DIGEST_BYTES = 12
_FIRST_BYTES = 6


def draw_salt() -> bytes:
    """Return a new salt."""
    return secrets.token_bytes(_SALT_BYTES)


def digester(salt: bytes) -> blake2b:
    """Return a digest to be fed with lines."""
    return blake2b(key=salt, digest_size=_DIGEST_BYTES)


def first_digest(salt: bytes, line: bytes) -> str:
    """Return the short digest of a first line."""
    return blake2b(line, key=salt, digest_size=_FIRST_BYTES).hexdigest()


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
        parts = (self.salt.hex(), self.identity, self.start, self.size, self.lines, day, self.first, self.digest)
        return ".".join(map(str, (*parts, self.blank)))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a version; None where it is not one of ours."""
        parts = text.split(".")
        if len(parts) != 9:
            return None
        salt, identity, start, size, lines, day, first, digest, blank = parts
        try:
            known = cls(
                bytes.fromhex(salt), identity, int(start), int(size), int(lines), int(day) if day else None,
                first, digest, blank
            )  # fmt: skip
        except ValueError:
            return None
        return known if known.start >= 0 and known.size > 0 and known.lines > 0 else None

    def is_in(self, status: os.stat_result) -> bool:
        """Tell whether a file is still in the state in which the lines were found."""
        return identity_of(status) == self.identity
