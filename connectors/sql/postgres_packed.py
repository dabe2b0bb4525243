"""Dates of many rows in one value: the bytes the server keeps, one row's behind the other's, read in one go.

Invariants: the numbers are those that ``postgres_dates`` gives for each date by itself; the n-th is the n-th row's,
because every row has as many bytes, also one without a date (``_NONE``, which lies outside what the types can hold).
"""

from __future__ import annotations

import sys
from array import array
from typing import Protocol

from sqlalchemy import ColumnElement, func, literal_column

from connectors.sql.anchors import FUTURE, NO_DATE, UNREADABLE
from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind, TableColumn
from connectors.sql.postgres_moments import MomentReader
from connectors.sql.postgres_zones import DAY, EPOCH_DAY
from ropa.clock import calendar_day

_FIRST, _LAST = 1, 3_652_059
"""The days that ``datetime.date`` has, as ordinals."""
_NONE_OF_8 = -(2**63) + 1
_NONE_OF_4 = -(2**31) + 1
_UPPER = 1 if sys.byteorder == "little" else 0
"""Which half of eight bytes is the upper one."""


class Packed(Protocol):
    """The dates of one column, under one ``Dating``."""

    def value(self, column: ColumnElement[object]) -> ColumnElement[bytes]:
        """Return the bytes of a row's date, never NULL."""

    def numbers(self, raw: bytes) -> list[int]:
        """Return the numbers (``connectors.sql.anchors``) of the bytes of many rows."""

    def extremes(self, raw: bytes) -> list[int]:
        """Return some of the numbers, among them those by which any that is not in time is known."""


def packed_of(column: TableColumn, dating: Dating) -> Packed | None:
    """Return how the dates of a column come packed, None where they do not."""
    if column.kind is Kind.DATE:
        return PackedDays(dating)
    if column.kind is Kind.INSTANT or column.kind is Kind.NAIVE:
        return PackedMoments(column, dating)
    return None


class PackedMoments:
    """``timestamptz``, and ``timestamp`` in the dataset's zone: microseconds since 2000 in eight bytes."""

    def __init__(self, column: TableColumn, dating: Dating) -> None:
        is_instant = column.kind is Kind.INSTANT
        self._reader = MomentReader(dating, None if is_instant else dating.zone)
        self._send = "timestamptz_send" if is_instant else "timestamp_send"

    def value(self, column: ColumnElement[object]) -> ColumnElement[bytes]:
        """See ``Packed.value``."""
        return _sent(self._send, column, "8000000000000001")

    def numbers(self, raw: bytes) -> list[int]:
        """See ``Packed.numbers``. The upper half of a moment tells it to within 72 minutes, which nearly always all
        lie on one day."""
        moments, known = _integers("q", raw), self._reader.by_hour
        hours = memoryview(moments).cast("B").cast("i")[_UPPER::2].tolist()
        self._reader.learn(set(hours).difference(known))
        numbers = list(map(known.get, hours))
        return [self._read(moments[at]) if number is None else number for at, number in enumerate(numbers)]

    def extremes(self, raw: bytes) -> list[int]:
        """See ``Packed.extremes``: the first, one without a date, and those of the last two days. Offsets of one zone
        lie at most 26 hours apart, so no earlier moment has a later day."""
        moments = _integers("q", raw)
        late = max(moments) - 2 * DAY
        found = [min(moments), *(moment for moment in moments if moment >= late)]
        return [self._read(moment) for moment in found] + [NO_DATE] * (_NONE_OF_8 in moments)

    def _read(self, moment: int) -> int:
        return NO_DATE if moment == _NONE_OF_8 else self._reader.read(moment)


class PackedDays:
    """``date``: days since 2000 in four bytes."""

    def __init__(self, dating: Dating) -> None:
        self._today = calendar_day(dating.now, dating.local).toordinal()

    def value(self, column: ColumnElement[object]) -> ColumnElement[bytes]:
        """See ``Packed.value``."""
        return _sent("date_send", column, "80000001")

    def numbers(self, raw: bytes) -> list[int]:
        """See ``Packed.numbers``."""
        return [self._number(day) for day in _integers("i", raw)]

    def extremes(self, raw: bytes) -> list[int]:
        """See ``Packed.extremes``: the first, the last, and one without a date."""
        days = _integers("i", raw)
        return [self._number(min(days)), self._number(max(days))] + [NO_DATE] * (_NONE_OF_4 in days)

    def _number(self, since_2000: int) -> int:
        day = EPOCH_DAY + since_2000
        if _FIRST <= day <= _LAST:
            return day + FUTURE if day > self._today else day
        return NO_DATE if since_2000 == _NONE_OF_4 else UNREADABLE


def _sent(name: str, column: ColumnElement[object], none: str) -> ColumnElement[bytes]:
    sent = getattr(func.pg_catalog, name)(column)
    found: ColumnElement[bytes] = func.coalesce(sent, literal_column(f"'\\x{none}'::pg_catalog.bytea"))
    return found


def _integers(code: str, raw: bytes) -> array[int]:
    """Return the numbers that stand one behind the other, as the server writes them, in the order of the network."""
    found = array(code, raw)
    if sys.byteorder == "little":
        found.byteswap()
    return found
