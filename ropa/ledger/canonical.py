"""The one spelling of a value: canonical JSON, written and read back strictly.

Invariant: a value has one spelling only (sorted ASCII keys, no spaces, the escapes of RFC 8785 section 3.2.2.2, whole
numbers within ±(2^53-1)), so that equal bytes mean equal values; and what is read is either exactly that or refused.
"""

from __future__ import annotations

import json
from typing import Any

MAX_LINE = 65_536
"""The most bytes of an event line, its newline not counted."""
MAX_DEPTH = 16
"""The deepest nesting of arrays and objects; an event needs five."""
LARGEST = 2**53 - 1

# Python escapes exactly what RFC 8785 does when ASCII is not forced; among ASCII keys every order of sorting agrees.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def canonical(value: object) -> bytes:
    """Return the canonical bytes of a value of texts, whole numbers, booleans, arrays and objects.

    Raises ValueError for anything else: floats, None, keys that are not ASCII text, numbers beyond ±(2^53-1), lone
    surrogates, nesting beyond ``MAX_DEPTH``. The message never repeats the value.
    """
    _check(value, MAX_DEPTH)
    return encode_text(_ENCODER.encode(value))


def encode_text(text: str) -> bytes:
    """Return UTF-8; raises ValueError for a lone surrogate, without repeating the text."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate has no canonical form") from None


def _check(value: object, depth: int) -> None:
    if isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -LARGEST <= value <= LARGEST:
            raise ValueError("a whole number beyond 2^53-1 has no canonical form")
        return
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, list | tuple):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise ValueError("a key that is not ASCII text has no canonical form")
            _check(item, depth - 1)
    else:
        raise ValueError(f"{type(value).__name__} has no canonical form")  # noqa: TRY004 - one kind of error for every value that is refused


def parse_line(line: bytes) -> dict[str, Any]:
    """Read one event line, without its newline.

    Raises ValueError, without repeating the line, unless it is one JSON object in canonical form of at most
    ``MAX_LINE`` bytes: so duplicate keys, floats, null, ``-0``, other spaces, escapes or orders are all refused.
    """
    if len(line) > MAX_LINE:
        raise ValueError(f"longer than {MAX_LINE} bytes")
    try:
        text = line.decode("utf-8")
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=_no_float, parse_int=_integer, parse_constant=_no_float
        )
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError("not JSON") from None
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_DEPTH}") from None
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - one kind of error for every line that is refused
    if canonical(value) != line:
        raise ValueError("not in canonical form")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _no_float(_text: str) -> float:
    raise ValueError("a number that is not whole")


def _integer(text: str) -> int:
    if len(text) > len(str(-LARGEST)):
        raise ValueError("a whole number beyond 2^53-1")
    return int(text)
