"""Versions of rows in PostgreSQL: the transaction that wrote a row is kept with it; nothing of its content is needed.

Invariant: a row that was changed by anybody has another version; one that was only moved has not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from struct import unpack
from typing import Any

from sqlalchemy import ColumnElement, FromClause, any_, column

from connectors.sql.backend import Row
from connectors.sql.catalogue import Table
from connectors.sql.postgres_catalogue import PostgresTable
from connectors.sql.postgres_keys import typed

_PLACE_BYTES = 6
"""Of a page four, of a line on it two."""
_PLACE_DIGITS = 2 * _PLACE_BYTES
_ENDS = re.compile(rf"(?:\.[0-9a-f]{{{_PLACE_DIGITS}}})*+", re.ASCII)


class TupleVersions:
    """``x<xmin>.<page and line>``: which transaction wrote a row, and where it lies. Only the first decides."""

    def __init__(self, table: Table) -> None:
        self._has_any = table.kind in {"table", "materialized view"}
        # One place is a row's in each of the partitions.
        self._has_places = self._has_any and not (isinstance(table, PostgresTable) and table.is_spread)

    def columns(self, own: FromClause) -> list[ColumnElement[Any]]:
        """See ``RowVersions.columns``."""
        return [system_column(own, "xmin"), system_column(own, "ctid")] if self._has_any else []

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """See ``RowVersions.texts``."""
        return [f"x{writer}.{place.hex()}" for writer, place in rows] if self._has_any else [""] * len(rows)

    def are_same(self, rows: Sequence[Row], planned: Sequence[str]) -> list[bool]:
        """See ``RowVersions.are_same``. A row that was only moved (VACUUM FULL, CLUSTER) is the same."""
        if not self._has_any:
            return [not version for version in planned]
        return [version.startswith(f"x{row[0]}.") or not version for row, version in zip(rows, planned, strict=True)]

    def whereabouts(self, own: FromClause, planned: Sequence[str]) -> ColumnElement[bool] | None:
        """See ``RowVersions.whereabouts``: the rows' places."""
        if not self._has_places:
            return None
        places = _places(planned)
        if places is None:
            return None
        literal = '{"' + '","'.join(places) + '"}' if places else "{}"
        found: ColumnElement[bool] = system_column(own, "ctid") == any_(typed(literal, "pg_catalog.tid[]"))
        return found


def texts_of(writers: Sequence[str], places: bytes) -> list[str]:
    """Return the versions of many rows, whose places stand one behind the other."""
    lines = places.hex("\n", _PLACE_BYTES)
    if len(set(writers)) == 1:
        prefix = f"x{writers[0]}."
        return (prefix + lines.replace("\n", f"\n{prefix}")).split("\n")
    return list(map("x{}.{}".format, writers, lines.split("\n")))


def _places(versions: Sequence[str]) -> list[str] | None:
    """Return the ``ctid`` of each version, None where there is none in one of them."""
    ends = "".join([version[-_PLACE_DIGITS - 1 :] for version in versions])
    if len(ends) != (_PLACE_DIGITS + 1) * len(versions) or _ENDS.fullmatch(ends) is None:
        return None
    numbers = iter(unpack(f">{'IH' * len(versions)}", bytes.fromhex(ends.replace(".", ""))))
    return list(map("({},{})".format, numbers, numbers))


def system_column(own: FromClause, name: str) -> ColumnElement[Any]:
    """Return a column that every table has and no catalogue lists."""
    return column(name, _selectable=own)
