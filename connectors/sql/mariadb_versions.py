"""Versions of rows in MariaDB and MySQL: InnoDB has none to show, so the server hashes the content.

Invariant: whatever changes in a stored column, the hash changes: NULL is not the empty text, ``("a", "b")`` is not
``("ab", "")``, bytes count and not what a collation takes for equal. The hash is hashed once more with the salt
(``connectors.sql.versions``), by the server or here, with the same outcome: so a version is no plain hash of content.
SHA-1, cut to 80 bits, meets no accident in a table of any size; it is not meant to withstand somebody who looks for
two rows of one version. (CRC32 takes as long: putting the row together is what costs.)
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from sqlalchemy import ColumnElement, FromClause, func, literal_column

from connectors.sql.backend import Row
from connectors.sql.catalogue import Kind, Table, TableColumn, bound
from connectors.sql.mariadb_catalogue import MariadbColumn
from connectors.sql.mariadb_text import WHOLE, converted
from connectors.sql.versions import ContentVersions, are_same, salt_of

_BREAK: ColumnElement[Any] = literal_column("X'2C'")
"""A comma as bytes: with it the whole is bytes, and no character set is converted into another."""
_NULL: ColumnElement[Any] = literal_column("'n'")
_DIGITS = 20
_LONG = 60_000
"""Bytes: a value that may be longer is hashed by itself, because what is put together must not pass
``max_allowed_packet``."""
_WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})
"""Character sets without ASCII in them."""
_GEOMETRY = frozenset(
    [
        "geometry",
        "point",
        "linestring",
        "polygon",
        "multipoint",
        "multilinestring",
        "multipolygon",
        "geometrycollection",
        "geomcollection",
    ]
)


class HashVersions(ContentVersions):
    """See ``connectors.sql.backend.RowVersions``: one hash, of all the columns that are not computed from others."""

    def __init__(self, table: Table, salt: str) -> None:
        super().__init__(table, salt)
        self._columns = tuple(column for column in table.columns if not column.is_computed)

    def columns(self, own: FromClause) -> list[ColumnElement[Any]]:
        """See ``RowVersions.columns``: the hash without a salt. A row too long for the server to hash is never the
        same."""
        heads: list[ColumnElement[Any]] = []
        tails: list[ColumnElement[Any]] = []
        for column in self._columns:
            value = own.c[column.name]
            if _is_short(column):
                plain = value.op("*")(literal_column("1e0")) if _type(column) == "float" else value
                heads.append(func.ifnull(plain, _NULL) if column.is_nullable else plain)
            elif isinstance(column, MariadbColumn) and column.octets > _LONG:
                heads.append(func.ifnull(func.sha1(value), _NULL))
            else:
                # Its length first: so it is clear where each of the values ends.
                written = _written(column, value)
                heads.append(func.ifnull(func.length(written), _NULL) if column.is_nullable else func.length(written))
                tails.append(written)
        return [func.sha1(func.concat_ws(_BREAK, *heads, *tails))]

    def salted(self, own: FromClause, planned: Sequence[str] = ()) -> tuple[str, ColumnElement[Any]]:
        """Return a salt, that of planned versions where there are such, and what a row's version has behind it and the
        dot; NULL of a row that is never the same."""
        salt = (salt_of(planned[0]) if planned else None) or self._salt
        return salt, func.left(func.sha1(func.concat(bound(salt), *self.columns(own))), literal_column(str(_DIGITS)))

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """See ``RowVersions.texts``."""
        return _texts(self._salt, _never_the_same(rows))

    def are_same(self, rows: Sequence[Row], planned: Sequence[str]) -> list[bool]:
        """See ``RowVersions.are_same``."""
        return are_same(_never_the_same(rows), planned, _texts)


def _texts(salt: str, rows: Sequence[Row]) -> list[str]:
    """Return what the server makes of ``HashVersions.salted``."""
    start = sha1(salt.encode(), usedforsecurity=False).copy
    found = []
    for (plain,) in rows:
        state = start()
        state.update(plain.encode())
        found.append(f"{salt}.{state.hexdigest()[:_DIGITS]}")
    return found


def unlike() -> str:
    """Return what stands in the place of a hash that the server could not make: it is never the same."""
    return secrets.token_hex(_DIGITS // 2)


def _never_the_same(rows: Sequence[Row]) -> Sequence[Row]:
    """Put something random in the place of a hash that the server could not make."""
    return [row if row[0] is not None else (unlike(),) for row in rows] if (None,) in rows else rows


def _type(column: TableColumn) -> str:
    return column.data_type if isinstance(column, MariadbColumn) else ""


def _is_short(column: TableColumn) -> bool:
    """Tell whether the column's text has no comma and is not empty: numbers and dates."""
    return (column.kind is Kind.NUMBER and _type(column) != "bit") or (
        column.kind in {Kind.DATE, Kind.NAIVE, Kind.INSTANT} or _type(column) == "time"
    )


def _written(column: TableColumn, value: ColumnElement[Any]) -> ColumnElement[Any]:
    word = _type(column)
    if word in _GEOMETRY or word in {"bit", "vector"}:
        return func.hex(value)
    if isinstance(column, MariadbColumn) and column.charset in _WIDE:
        return converted(value, "binary")  # else it goes together with no other text
    if column.kind in {Kind.UUID, Kind.ADDRESS}:
        return converted(value, WHOLE)
    return value
