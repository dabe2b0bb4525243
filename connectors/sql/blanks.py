"""What stands in a column in the place of what was cleared, where that cannot be NULL: the documented constants by
kind, and random values for what has to differ from row to row.

Invariant: every filler is recognised when it is read back, however the engine writes it, so that a second run finds
nothing to change; and none of them holds anything of the value it takes the place of.
"""

from __future__ import annotations

import re
import secrets
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import count as counting
from math import gcd

from connectors.masks import RANDOM_PREFIX, REDACTED
from connectors.sql.catalogue import Kind, TableColumn

TEMPORAL = frozenset({Kind.DATE, Kind.NAIVE, Kind.INSTANT})
TEXTUAL = frozenset({Kind.TEXT, Kind.ANY})

_TEXTS = ("", "-", REDACTED, "x", "X", "0", "unknown", "anon@example.invalid", "1900-01-01", "+00000000000", "{}", "[]")
_LONGEST_REPEATED = 36
_NUMBERS = (0, 1, -1, 1900)
_DAYS = ("1900-01-01", "1970-01-01", "2000-01-01")
_FIRST_STAMP = "1970-01-02 00:00:00"
"""TIMESTAMP of MariaDB begins in 1970; in no zone is this before."""
_BASE32 = string.ascii_lowercase + "234567"
_SHORTEST = 8
"""Characters or bytes: in fewer there is no room for a value that surely differs."""
_FEWEST = 1 << 16
"""Numbers to draw from; among fewer, those of a table's rows would be the same too often."""
_STEPS = (1_000_003, 10_007)
"""A drawn number leaves ``_REST`` when divided by one of these primes: what is really in a column does so by chance, in
one case of so many, however it is spread."""
_REST = 4_711
_UUID_START = "616e6f6e"
"""``anon`` in hexadecimal; together with version 8, a UUID of one's own making (RFC 9562, section 5.8)."""
_UUID = re.compile(rf"{_UUID_START}-[0-9a-f]{{4}}-8[0-9a-f]{{3}}-[89ab][0-9a-f]{{3}}-[0-9a-f]{{12}}", re.ASCII)
_BYTES_START = b"anon"
_ZERO_TIME = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ]00:00:00(?:\.0+)?)?(?:Z|\+00(?::00)?)?", re.ASCII)
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.0+)?(?:Z|\+00(?::00)?)?", re.ASCII)
_DIGITS = re.compile(r"\((\d+)(?:\s*,\s*(\d+))?\)")


@dataclass(frozen=True, slots=True)
class Filler:
    """One value, or one way to draw values that differ."""

    kind: Kind
    value: object
    """The constant; None is NULL. Of random values an example."""
    draw: Callable[[], object] | None = None
    """Draws another; None: the constant for every row."""
    is_drawn: Callable[[object], bool] | None = None

    @property
    def is_random(self) -> bool:
        """Whether it differs from row to row."""
        return self.draw is not None

    def make(self) -> object:
        """Return the value for one row."""
        return self.value if self.draw is None else self.draw()

    def is_own(self, value: object) -> bool:
        """Tell whether a value read back is one that was put there."""
        if self.is_drawn is not None:
            return self.is_drawn(value.rstrip(" ") if isinstance(value, str) else value)
        return self.value is not None and comparable(value, self.kind) == comparable(self.value, self.kind)


def comparable(value: object, kind: Kind) -> object:
    """Return a value in the form in which it is compared, whatever way the engine or its collation wrote it."""
    if isinstance(value, bytes):
        return value.rstrip(b"\0")
    if not isinstance(value, str):
        return value
    text = value.rstrip(" ")
    if kind is Kind.NUMBER:
        try:
            return Decimal(text)
        except InvalidOperation:
            pass
    if kind is Kind.NUMBER or kind in TEMPORAL:
        if found := _ZERO_TIME.fullmatch(text):
            return found[1]
        if found := _STAMP.fullmatch(text):
            return f"{found[1]} {found[2]}"
    if kind is Kind.ADDRESS:
        return text.partition("/")[0].casefold()
    return text.casefold()


def fits(column: TableColumn, value: object) -> bool:
    """Tell whether a value is within the length and the bounds of a column."""
    if isinstance(value, str | bytes):
        if column.length is not None:
            return len(value) <= column.length
        return not column.octets or len(value.encode() if isinstance(value, str) else value) <= column.octets
    if isinstance(value, int) and not isinstance(value, bool) and column.bounds is not None:
        return column.bounds[0] <= value <= column.bounds[1]
    return True


def constants(column: TableColumn) -> Iterator[Filler]:
    """Yield what a cleared column can hold besides NULL, what is to be preferred first."""
    for value in _constants(column):
        if fits(column, value):
            yield Filler(column.kind, value)


def redactions(column: TableColumn) -> Iterator[Filler]:
    """Yield what a redacted text column can hold."""
    yield from (Filler(column.kind, text) for text in (REDACTED, *_of_text()) if text and fits(column, text))


def _of_text() -> Iterator[str]:
    yield from _TEXTS
    for count in range(2, _LONGEST_REPEATED + 1):
        yield from (letter * count for letter in "x0X")


def _constants(column: TableColumn) -> Iterator[object]:
    declared = column.type.lower()
    if column.kind in TEXTUAL:
        yield from _of_text()
    elif column.kind is Kind.NUMBER:
        # Without a type of its own (SQLite) a date is whatever its column's name says.
        if re.search("date|time", declared):
            yield from _DAYS
        yield from _NUMBERS
    elif column.kind is Kind.DATE:
        yield from _DAYS
    elif column.kind is Kind.NAIVE:
        yield from (f"{day} 00:00:00" for day in _DAYS)
    elif column.kind is Kind.INSTANT:
        if "zone" in declared:
            yield f"{_DAYS[0]} 00:00:00"
        yield _FIRST_STAMP
        yield f"{_DAYS[2]} 00:00:00"
    elif column.kind is Kind.BOOLEAN:
        yield from (False, True)
    elif column.kind is Kind.UUID:
        yield str(uuid.UUID(int=0))
    elif column.kind is Kind.BYTES:
        if not declared.startswith("binary"):
            yield b""
        if column.length is not None:
            yield bytes(column.length)
        yield b"\0"
    elif column.kind is Kind.ADDRESS:
        if declared != "inet6":
            yield "0.0.0.0"  # noqa: S104 - a value in a column, nothing listens there
        if declared != "inet4":
            yield "::"


# --- values that differ from row to row -----------------------------------------------------------------------------


def randoms(column: TableColumn) -> Iterator[Filler]:
    """Yield the ways to draw values that surely differ, what is to be preferred first."""
    if column.differs_within is not None:
        column = replace(column, length=min(column.differs_within, column.length or column.differs_within))
    if column.kind in TEXTUAL:
        yield from _random_texts(column)
    elif column.kind is Kind.NUMBER:
        yield from _random_numbers(column)
    elif column.kind is Kind.UUID:
        yield _drawn(column, _draw_uuid, lambda value: isinstance(value, str) and bool(_UUID.fullmatch(value.lower())))
    elif column.kind is Kind.BYTES and (column.length is None or column.length >= _SHORTEST):
        size = min(column.length or 16, 16) - len(_BYTES_START)
        yield _drawn(
            column,
            lambda: _BYTES_START + secrets.token_bytes(size),
            lambda value: isinstance(value, bytes) and value[:4] == _BYTES_START and len(value) >= _SHORTEST,
        )


def _drawn(column: TableColumn, draw: Callable[[], object], is_drawn: Callable[[object], bool]) -> Filler:
    return Filler(column.kind, draw(), draw, is_drawn)


def _random_texts(column: TableColumn) -> Iterator[Filler]:
    length = column.length
    if length is None or length >= len(RANDOM_PREFIX) + _SHORTEST:
        count = 16 if length is None else min(16, length - len(RANDOM_PREFIX))
        yield _text(column, RANDOM_PREFIX, string.hexdigits[:16], count)
    elif length >= _SHORTEST:
        yield _text(column, "~", _BASE32, length - 1)
    if length is None or length >= 37:
        yield _text(column, RANDOM_PREFIX, string.hexdigits[:16], 16, "@example.invalid")
    for count in [length] if length is not None and _SHORTEST <= length <= 20 else []:
        yield _text(column, "9999", string.digits, count - 4)
    for count in range(_SHORTEST + 2, 17):
        if length is None or count <= length:
            # Four nines are no year and month of a national number, and no dialling code.
            yield _text(column, "9999", string.digits, count - 4)
            yield _text(column, "anon", string.ascii_lowercase, count - 4)
            yield _text(column, "ANON", string.ascii_uppercase, count - 4)


def _text(column: TableColumn, start: str, alphabet: str, count: int, end: str = "") -> Filler:
    pattern = re.compile(f"{re.escape(start)}[{alphabet}]{{{count}}}{re.escape(end)}", re.ASCII)

    def draw() -> str:
        return start + "".join(secrets.choice(alphabet) for _ in range(count)) + end

    return _drawn(column, draw, lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None)


def _random_numbers(column: TableColumn) -> Iterator[Filler]:
    """Yield numbers far below zero, and far above: of the lowest sixteenth of what the column takes, or the lowest half
    where there are too few, each ``_STEPS`` from the next. None where there are too few of those too."""
    if column.type.lower().startswith(("real", "float")):
        return  # of so large a number the last digits are lost
    low, high = column.bounds or _bounds_of(column.type)
    for is_low in (True, False):
        for share, step in ((16, _STEPS[0]), (16, _STEPS[1]), (2, _STEPS[1])):
            start, end = (low, low - low // share) if is_low else (high - high // share, high)
            if (end - start) // step > _FEWEST:
                yield _number(column, start, end, step)
                break


def _number(column: TableColumn, start: int, end: int, step: int) -> Filler:
    first = start + (_REST - start) % step
    size = (end - first) // step
    # All of them come once before any comes again: by chance alone a few hundred rows would have two that are the same.
    stride = next(number for number in iter(lambda: secrets.randbelow(size), None) if gcd(number, size) == 1)
    turns = counting(secrets.randbelow(size))

    def is_drawn(value: object) -> bool:
        plain = comparable(value, Kind.NUMBER)
        if isinstance(plain, bool) or not isinstance(plain, int | float | Decimal):
            return False
        number = Decimal(plain)
        if not number.is_finite() or not start <= number < end or number != int(number):
            return False
        return int(number) % step == _REST

    return _drawn(column, lambda: first + step * (next(turns) * stride % size), is_drawn)


def _bounds_of(declared: str) -> tuple[int, int]:
    found = _DIGITS.search(declared)
    if found is None:
        return -(2**31), 2**31 - 1
    # With more digits some engines count in floating point.
    highest = 10 ** min(18, max(0, int(found[1]) - int(found[2] or 0))) - 1
    return (0 if "unsigned" in declared.lower() else -highest), highest


def _draw_uuid() -> str:
    drawn = uuid.uuid4().hex
    return str(uuid.UUID(f"{_UUID_START}{drawn[8:12]}8{drawn[13:16]}{drawn[16:]}"))
