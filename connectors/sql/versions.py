"""Versions of rows: short opaque texts that change whenever any column of the row changes.

Invariant: a version is no plain hash of content, and versions of two runs cannot be linked: each open location draws
its own salt. The salt travels in the version, because the process that acts is not the one that planned.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import blake2b

_SALT_BYTES = 8
_DIGEST_BYTES = 10


class Versioner:
    """Makes versions under one salt, drawn at random unless given."""

    def __init__(self, salt: bytes | None = None) -> None:
        self._salt = secrets.token_bytes(_SALT_BYTES) if salt is None else salt
        self._start = blake2b(key=self._salt, digest_size=_DIGEST_BYTES)
        self._prefix = f"{self._salt.hex()}."

    def version(self, row: Sequence[object]) -> str:
        """Return the version of a row: all its columns, in the order of the catalogue."""
        state = self._start.copy()
        state.update(repr(row).encode())
        return self._prefix + state.hexdigest()


class Comparer:
    """Compares rows with versions made earlier, whatever their salt."""

    def __init__(self) -> None:
        self._makers: dict[str, Versioner] = {}

    def is_same(self, row: Sequence[object], version: str) -> bool:
        """Tell whether a row still has that version; no version given means that none is asked for."""
        return not version or self.version(row, version) == version

    def version(self, row: Sequence[object], like: str) -> str | None:
        """Return the version of a row under the salt of another version; None where that is not one of ours."""
        salt = like.partition(".")[0]
        maker = self._makers.get(salt)
        if maker is None:
            try:
                maker = self._makers[salt] = Versioner(bytes.fromhex(salt))
            except ValueError:
                return None
        return maker.version(row)
