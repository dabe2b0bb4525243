"""Keys as text (``ropa.connector.Key``) and as the values a database compares.

Invariant: text made of a value that ``is_faithful`` gives that very value back, so that no two rows share a key and
none is acted upon under another's name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from operator import itemgetter

from connectors.evaluate import spell
from connectors.sql.catalogue import Kind
from ropa.connector import Key

__all__ = ["is_faithful", "parse_key", "parse_keys", "spell", "spell_key", "spell_keys"]

Values = tuple[object, ...]
"""The values of a key's columns, as the database gives and takes them."""

_FIRST, _SECOND = itemgetter(0), itemgetter(1)
_INTEGERS = re.compile(r"(?:(?:0|-?[1-9]\d{0,17})(?:,(?!\Z)|\Z))+", re.ASCII)
"""Numbers that are surely within 64 bits."""
_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)


def spell_key(values: Values) -> Key:
    """Return a key as text."""
    return tuple([v if type(v) is str else spell(v) for v in values])


def spell_keys(rows: Sequence[Values], places: Sequence[int], kinds: tuple[Kind, ...]) -> list[Key] | None:
    """Return the keys of rows as text; None where one cannot be told by its text alone.

    ``places``: where the columns of the key stand in a row; ``kinds``: theirs.
    """
    if kinds == (Kind.NUMBER,):
        place = places[0]
        numbers = [row[place] for row in rows]
        if set(map(type, numbers)) <= {int}:
            return list(zip(map(str, numbers)))
    keys = []
    for row in rows:
        values = tuple([row[place] for place in places])
        if not all(map(is_faithful, values, kinds)):
            return None
        keys.append(spell_key(values))
    return keys


def parse_key(key: Key, kinds: tuple[Kind, ...]) -> Values | None:
    """Return the values of a key's text, None where no record can have that key."""
    if len(key) != len(kinds):
        return None
    try:
        return tuple([_parse(text, kind) for text, kind in zip(key, kinds, strict=True)])
    except ValueError:
        return None


def parse_keys(keys: Iterable[tuple[int, Key]], kinds: tuple[Kind, ...]) -> list[tuple[int, Values]]:
    """Return keys (position, text) as values; those that no record can have are left out."""
    if kinds == (Kind.NUMBER,):
        listed = list(keys)
        # Nearly every key of nearly every table: one number of a few digits. All of them are looked at in one go.
        if set(map(len, map(_SECOND, listed))) == {1}:
            texts = list(map(_FIRST, map(_SECOND, listed)))
            joined = ",".join(texts)
            if joined.count(",") == len(texts) - 1 and _INTEGERS.fullmatch(joined):
                return list(zip(map(_FIRST, listed), zip(map(int, texts)), strict=True))
        keys = listed
    return [(pos, values) for pos, key in keys if (values := parse_key(key, kinds)) is not None]


def _parse(text: str, kind: Kind) -> object:
    if kind is Kind.BYTES:
        value = bytes.fromhex(text)
        if value.hex() != text:
            raise ValueError
        return value
    text.encode()  # raises UnicodeEncodeError, a ValueError: such text is in no database
    if kind is Kind.BOOLEAN:
        return bool(("0", "1").index(text))
    if kind not in {Kind.NUMBER, Kind.ANY}:
        return text
    if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    return _parse_number(text) if kind is Kind.NUMBER else text


def _parse_number(text: str) -> object:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) and repr(number) == text else text


def is_faithful(value: object, kind: Kind) -> bool:
    """Tell whether a key column's value can be told by its text alone."""
    if (kind is Kind.NUMBER or kind is Kind.ANY) and type(value) is int:
        return True
    if kind is Kind.TEXT and type(value) is str and value.isascii():
        return True
    try:
        back = _parse(spell(value), kind)
    except ValueError:
        return False
    return (type(back) is type(value) or kind is Kind.BOOLEAN) and back == value
