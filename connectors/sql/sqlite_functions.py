"""Functions that SQLite calls back for what its own language cannot decide: dates, identifiers, masks.

Invariant: a date is read by ``ropa.clock.read_moment`` and a mask is ``connectors.masks``: the same everywhere. None of
these functions raises, whatever a column holds. Text comes in as bytes, because text in an SQLite file need not be
UTF-8 and one such row must not stop a whole listing; a blob comes in as the empty byte string, which is no date.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, LargeBinary, case, cast, func, literal_column

from connectors.masks import is_masked, mask_value
from connectors.sql.anchors import FUTURE, UNREADABLE
from connectors.sql.catalogue import Kind
from ropa.clock import calendar_day, read_moment
from ropa.connector import Mask, Scalar, normalise_identifier

_REMEMBERED = 1 << 16
"""Values whose reading is remembered: a condition is asked of the same row up to three times in one batch."""

_READERS = 256
"""Readers of dates kept for connections yet to be opened."""


def as_bytes(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return text as bytes, a blob as no bytes at all, a number as it is."""
    return case(
        (func.typeof(column) == literal_column("'text'"), cast(column, LargeBinary)),
        (func.typeof(column) == literal_column("'blob'"), literal_column("x''")),
        else_=column,
    )


def _text(value: object) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def read_identifier(value: object) -> bytes | None:
    """Return a column's content as identifiers are compared; as bytes, because it need not be UTF-8."""
    text = _text(value)
    return None if text is None else spell_identifier(normalise_identifier(str(text)))


def spell_identifier(identifier: str) -> bytes:
    """Return an identifier as ``read_identifier`` gives it."""
    return identifier.encode("utf-8", "surrogatepass")


def _mask(mask: Mask) -> Callable[[object], Scalar]:
    def masked(value: object) -> Scalar:
        return None if value == b"" else mask_value(mask, _text(value))

    return masked


def _is_masked(mask: Mask) -> Callable[[object], int]:
    def masked(value: object) -> int:
        return 0 if value == b"" else int(is_masked(mask, _text(value)))

    return masked


def day_reader(
    *, zone: ZoneInfo, form: str | None, local: ZoneInfo, now: datetime, is_number: bool
) -> Callable[[object], int | None]:
    """Return the function that reads dates of one kind; see ``Backend.day_number``.

    ``is_number``: the column is one of numbers, so that text in it is what SQLite could not read as a number; with an
    epoch form such text is no date.
    """
    today = calendar_day(now, local).toordinal()
    is_epoch = form in {"epoch", "epoch-ms"}
    remembered: dict[object, int] = {}

    def read(value: object) -> int:
        if is_epoch and is_number and isinstance(value, bytes):
            return UNREADABLE
        moment = read_moment(_text(value), zone=zone, form=form)
        if moment is None:
            return UNREADABLE
        try:
            day = calendar_day(moment, local).toordinal()
        except OverflowError:
            return UNREADABLE
        is_future = moment > now if isinstance(moment, datetime) else day > today
        return day + FUTURE if is_future else day

    def remember(value: object) -> int | None:
        if value is None:
            return None
        found = remembered.get(value)
        if found is None:
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            found = remembered[value] = read(value)
        return found

    return remember


class SqliteFunctions:
    """The functions of one location, registered on every connection that needs them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._readers: dict[tuple[object, ...], tuple[str, Callable[[object], int | None]]] = {}
        self._fixed: list[tuple[str, Callable[[object], object]]] = [("ropa_identifier", read_identifier)]
        for mask in Mask:
            word = mask.value.replace("-", "_")
            self._fixed += [(f"ropa_mask_{word}", _mask(mask)), (f"ropa_is_{word}", _is_masked(mask))]

    def register(self, raw: Any) -> None:
        """Register every function on a driver's connection."""
        for name, function in self._fixed:
            is_constant = name != "ropa_mask_random"
            raw.create_function(name, 1, function, deterministic=is_constant)
        self._register_readers(raw)

    def refresh(self, connection: Connection) -> None:
        """Register on a connection what has been asked for since it was opened."""
        self._register_readers(connection.connection.dbapi_connection)

    def _register_readers(self, raw: Any) -> None:
        with self._lock:
            readers = list(self._readers.values())
        for name, reader in readers:
            raw.create_function(name, 1, reader, deterministic=True)

    def day_number(
        self,
        column: ColumnElement[Any],
        kind: Kind,
        *,
        zone: ZoneInfo,
        form: str | None,
        local: ZoneInfo,
        now: datetime,
    ) -> ColumnElement[int]:
        """See ``Backend.day_number``."""
        is_number = kind is Kind.NUMBER
        wanted = (zone.key, form, local.key, now, is_number)
        with self._lock:
            if wanted not in self._readers:
                reader = day_reader(zone=zone, form=form, local=local, now=now, is_number=is_number)
                # The oldest make room: a location that stays open for weeks is asked with ever new instants. A name
                # is never used again, so that a statement under way cannot meet another's reader.
                if len(self._readers) >= _READERS:
                    del self._readers[next(iter(self._readers))]
                self._readers[wanted] = (f"ropa_day_{next(self._numbers)}", reader)
            name = self._readers[wanted][0]
        element: ColumnElement[int] = getattr(func, name)(as_bytes(column))
        return element
