"""The leaf of a record: all that the evidence ever holds about it.

Invariant: a leaf is HMAC-SHA256 under a random key per batch, never a plain hash (national numbers, telephone numbers
and addresses can be guessed) and never under one lasting key; once the batch key is destroyed, it opens to nobody.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Sequence
from hashlib import sha256

from ropa.ledger.canonical import canonical, encode_text

KEY_BYTES = 32
_BLOCK = 64
_ARRAY = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def new_batch_key() -> bytes:
    """Return 32 fresh random bytes; the caller keeps them in the run database and destroys them in time."""
    return secrets.token_bytes(KEY_BYTES)


def leaf(batch_key: bytes, location: str, dataset: str, key: Sequence[str]) -> bytes:
    """Return the 32 bytes of a record's leaf.

    ``dataset`` is the part after the dot; ``key`` one text per key column, as ``ropa plan show --records`` prints it.
    Raises ValueError for a batch key that is not 32 bytes, an empty key, a part that is not text, a lone surrogate.
    """
    _check_batch_key(batch_key)
    _check_key(key)
    return hmac.digest(batch_key, canonical([location, dataset, list(key)]), "sha256")


def leaves(batch_key: bytes, location: str, dataset: str, keys: Sequence[Sequence[str]]) -> list[bytes]:
    """Return the leaves of many records, in their order; the same values as ``leaf``, some times faster."""
    _check_batch_key(batch_key)
    padded = batch_key.ljust(_BLOCK, b"\0")
    prefix = canonical([location, dataset])[:-1] + b","
    inner = sha256(bytes(byte ^ 0x36 for byte in padded) + prefix).copy
    outer = sha256(bytes(byte ^ 0x5C for byte in padded)).copy
    found: list[bytes] = []
    add = found.append
    for spelled in _spelled(keys):
        inside, outside = inner(), outer()
        inside.update(spelled)
        outside.update(inside.digest())
        add(outside.digest())
    return found


def key_texts(keys: Sequence[Sequence[str]]) -> list[str]:
    """Return each of many keys as a JSON array of text, the way it stands in the canonical form.

    Raises ValueError for an empty key or a part that is not text.
    """
    joined = _joined(keys, '"]\n["')
    if joined is not None:
        return f'["{joined}"]'.split("\n")
    for key in keys:
        _check_key(key)
    return [_ARRAY(list(key)) for key in keys]


def _spelled(keys: Sequence[Sequence[str]]) -> list[bytes]:
    """Return what follows the dataset in the canonical form of each record."""
    joined = _joined(keys, '"]]\n["')
    if joined is not None:
        return f'["{joined}"]]'.encode("ascii").split(b"\n")
    return [encode_text(text) + b"]" for text in key_texts(keys)]


def _joined(keys: Sequence[Sequence[str]], between: str) -> str | None:
    """Return the keys in one text where nothing in any of them needs an escape: plain ASCII without controls, quotes
    and backslashes. None where that is not so, or there are none; then each is spelled by itself."""
    if not keys or not all(keys) or not set(map(type, keys)) <= {tuple, list}:
        return None
    try:
        together = "".join(map("".join, keys))
    except TypeError:  # a part that is not text is told by the slow way
        return None
    if not (together.isascii() and together.isprintable()) or '"' in together or "\\" in together:
        return None
    return between.join(map('","'.join, keys))


def _check_batch_key(batch_key: bytes) -> None:
    if len(batch_key) != KEY_BYTES:
        raise ValueError(f"a batch key is {KEY_BYTES} bytes")


def _check_key(key: Sequence[str]) -> None:
    if isinstance(key, str) or not key:
        raise ValueError("a key is one text per key column")
    for part in key:
        if not isinstance(part, str):
            raise ValueError("a key is one text per key column")  # noqa: TRY004 - one kind of error for every wrong key
