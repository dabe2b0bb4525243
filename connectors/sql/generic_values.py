"""Values as the connector knows them, whatever a driver makes of what a column holds.

Invariant: only int, float, text, bytes and None come out; equal values come out equal, and as a key spells them.
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connectors.evaluate import spell

PLAIN = frozenset({int, str, float, bytes, type(None)})
"""Types of which a value is left as it is."""


def normalised(value: Any) -> Any:
    """Return a driver's value as int, float, text or bytes: the same for equal values, as a key spells it.

    A whole number is int whatever its scale; another decimal is float where that says the same, else its digits.
    """
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, memoryview | bytearray):
        return bytes(value)
    if isinstance(value, datetime):
        try:
            return spell(value)
        except OverflowError:
            return value.isoformat()
    if isinstance(value, date | uuid.UUID):
        return spell(value)
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    plain: type[Any]
    for plain in (int, str, float, bytes):
        if isinstance(value, plain):
            return plain(value)
    return str(value)


def _number(value: Decimal) -> int | float | str:
    if not value.is_finite():
        return str(value)
    if value == value.to_integral_value():
        return int(value)
    text = format(value.normalize(), "f")
    return float(text) if repr(float(text)) == text else text


def guid(value: Any) -> Any:
    """Return a GUID in lower case with hyphens, however the driver spells it."""
    with suppress(ValueError):
        return str(uuid.UUID(value)) if isinstance(value, str) else value
    return value
