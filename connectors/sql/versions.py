"""Versions of rows: short opaque texts that change whenever any column of the row changes.

Invariant: a version is no plain hash of content, and versions of two runs cannot be linked: each open location draws
its own salt. The salt travels in the version, because the process that acts is not the one that planned.
"""

from __future__ import annotations

import marshal
import secrets
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from operator import eq
from typing import Any

from sqlalchemy import ColumnElement, FromClause

from connectors.sql.backend import Row
from connectors.sql.catalogue import Table, columns_of

SALT_BYTES = 8
_DIGEST_BYTES = 10
_PLAIN = 2
"""The format of ``marshal`` in which equal values have equal bytes: without references between objects."""


def new_salt() -> str:
    """Return a fresh salt as it stands in versions."""
    return secrets.token_hex(SALT_BYTES)


def salt_of(version: str) -> str | None:
    """Return the salt of a salted version, None where that is none of ours."""
    salt, dot, _ = version.partition(".")
    try:
        return salt if dot and len(bytes.fromhex(salt)) == SALT_BYTES else None
    except ValueError:
        return None


class ContentVersions:
    """Versions made here of all the columns of a row: for engines that have no version of their own."""

    def __init__(self, table: Table, salt: str) -> None:
        self._names = tuple(column.name for column in table.columns)
        self._salt = salt

    def columns(self, own: FromClause) -> list[ColumnElement[Any]]:
        """See ``RowVersions.columns``: all of them."""
        return columns_of(own, self._names)

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """See ``RowVersions.texts``."""
        return _texts(self._salt, rows)

    def are_same(self, rows: Sequence[Row], planned: Sequence[str]) -> list[bool]:
        """See ``RowVersions.are_same``."""
        return are_same(rows, planned, _texts)

    def whereabouts(self, own: FromClause, planned: Sequence[str]) -> ColumnElement[bool] | None:  # noqa: ARG002
        """See ``RowVersions.whereabouts``: content tells nothing of the place."""
        return None


def _texts(salt: str, rows: Sequence[Row]) -> list[str]:
    return hashed(salt, [marshal.dumps(row, _PLAIN) for row in rows])


def hashed(salt: str, contents: Iterable[bytes]) -> list[str]:
    """Return salted versions of rows, each given as bytes that no other content has."""
    start, prefix = blake2b(key=bytes.fromhex(salt), digest_size=_DIGEST_BYTES), f"{salt}."
    copy, found = start.copy, []
    for content in contents:
        state = copy()
        state.update(content)
        found.append(prefix + state.hexdigest())
    return found


def are_same(
    rows: Sequence[Row], planned: Sequence[str], texts: Callable[[str, Sequence[Row]], list[str]]
) -> list[bool]:
    """Compare rows with salted versions made earlier, nearly always all under one salt; ``texts``: makes versions."""
    salts = {version[: 2 * SALT_BYTES] for version in planned}
    if len(salts) == 1 and (salt := salt_of(planned[0])) is not None:
        found = texts(salt, rows)
        return [True] * len(found) if found == planned else list(map(eq, found, planned))
    return [
        not version or ((salt := salt_of(version)) is not None and texts(salt, [row])[0] == version)
        for row, version in zip(rows, planned, strict=True)
    ]
