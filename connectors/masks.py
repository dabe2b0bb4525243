"""How a field is changed when it is anonymised: pure functions over one value.

Invariant: every mask is idempotent (masking a masked value changes nothing), and ``is_masked`` says of any value
whether its mask would still change it. What a mask cannot keep a harmless part of, it clears: never an unmasked
remainder, and never a hash, which could be tried out (a random or constant value only).

    clear        None
    year         dates and ISO 8601 text keep the year: 1 January (text: ``YYYY-01-01``), of instants midnight; a number
                 or text of four digits is a year already; a number ``YYYYMMDD`` becomes ``YYYY0101``, seconds or
                 milliseconds since 1970 the first of their year (UTC); anything else is cleared
    truncate-ip  IPv4 keeps 24 bits, IPv6 64, an IPv4-mapped address the 24 of its IPv4 part; the same of 4 or 16 bytes;
                 anything else is cleared
    redact       text becomes ``REDACTED``; anything else is cleared
    random       text becomes ``anon-`` and 16 random hex digits; anything else is cleared
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from datetime import UTC, date, datetime, timedelta
from typing import overload
from zoneinfo import ZoneInfo

from ropa.clock import read_moment
from ropa.connector import Mask, Scalar

REDACTED = "[redacted]"
"""What stands in a text field after ``redact``."""

RANDOM_PREFIX = "anon-"
_RANDOM = re.compile(rf"{RANDOM_PREFIX}[0-9a-f]{{16}}", re.ASCII)
_YEAR = re.compile(r"\d{4}", re.ASCII)
_FIRST_OF_YEAR = re.compile(r"\d{4}-01-01(?:[T ]00:00(?::00(?:[.,]0+)?)?(?:Z|z|UTC|\+00(?::?00)?)?)?", re.ASCII)
"""An instant or a date that says no more than its year, as databases write it."""
_UTC = ZoneInfo("UTC")
_LEAST_SECONDS, _LEAST_MILLISECONDS, _MOST_MILLISECONDS = 10**8, 10**11, 10**14
"""Numbers since 1970 are told by their size: under the first they could be anything (``YYYYMMDD``, an amount)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAPPED = bytes(10) + b"\xff\xff"


@overload
def mask_value(mask: Mask, value: Scalar) -> Scalar: ...
@overload
def mask_value(mask: Mask, value: bytes) -> bytes | None: ...
def mask_value(mask: Mask, value: Scalar | bytes) -> Scalar | bytes:
    """Return what is left of a value; the value itself where the mask would change nothing."""
    if is_masked(mask, value):
        return value
    if mask is Mask.YEAR:
        return _keep_year(value)
    if mask is Mask.TRUNCATE_IP:
        return _keep_network(value)
    if mask is Mask.REDACT and isinstance(value, str):
        return REDACTED
    if mask is Mask.RANDOM and isinstance(value, str):
        return RANDOM_PREFIX + secrets.token_hex(8)
    return None


def is_masked(mask: Mask, value: Scalar | bytes) -> bool:
    """Tell whether the mask would leave the value as it is. None and empty text hold nothing, whatever the mask."""
    if value is None or value in {"", b""}:
        return True
    if mask is Mask.YEAR:
        kept = _keep_year(value)
        return kept == value or (isinstance(value, str) and kept is not None and bool(_FIRST_OF_YEAR.fullmatch(value)))
    if mask is Mask.TRUNCATE_IP:
        return _keep_bytes(value) == value if isinstance(value, bytes) else _is_network(value)
    if mask is Mask.REDACT:
        return value == REDACTED
    if mask is Mask.RANDOM:
        return isinstance(value, str) and _RANDOM.fullmatch(value) is not None
    return False


def _keep_year(value: Scalar | bytes) -> Scalar:
    if isinstance(value, datetime):
        return value.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    if isinstance(value, date):
        return value.replace(month=1, day=1)
    if isinstance(value, bool | bytes) or value is None:
        return None
    if _YEAR.fullmatch(str(value)):
        return value
    if isinstance(value, int | float):
        first = _first_of_year(value)
        return first if first is None or _first_of_year(first) == first else None
    # Only the year's digits matter, so the text's own year is kept and no zone can move it.
    moment = read_moment(value, zone=_UTC)
    return f"{str(value)[:4]}-01-01" if moment is not None else None


def _first_of_year(value: float) -> int | None:
    """Return the same sort of number for the first of its year, None where it cannot be told what it counts."""
    if value != value or abs(value) >= _MOST_MILLISECONDS:  # noqa: PLR0124 - not a number
        return None
    number = int(value)
    if abs(number) < _LEAST_SECONDS:
        year, rest = divmod(number, 10_000)
        try:
            is_day = number == value and year >= 1000 and bool(date(year, *divmod(rest, 100)))
        except ValueError:
            is_day = False
        return year * 10_000 + 101 if is_day else None
    scale = 1 if abs(number) < _LEAST_MILLISECONDS else 1000
    year = (_EPOCH + timedelta(seconds=number // scale)).year
    return (date(year, 1, 1) - _EPOCH.date()).days * 86_400 * scale


def _keep_bytes(value: bytes) -> bytes | None:
    if len(value) == 4:
        return value[:3] + b"\0"
    if len(value) != 16:
        return None
    if value.startswith(_MAPPED):
        return value[:15] + b"\0"
    return value[:8] + bytes(8)


def _keep_network(value: Scalar | bytes) -> Scalar | bytes:
    if isinstance(value, bytes):
        return _keep_bytes(value)
    address = _read_address(value)
    if address is None:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(_mask_v4(address))
    if address.ipv4_mapped is not None:
        return f"::ffff:{_mask_v4(address.ipv4_mapped)}"
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))


def _is_network(value: Scalar | bytes) -> bool:
    address = _read_address(value)
    if address is None:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return _mask_v4(address) == address
    if address.ipv4_mapped is not None:
        return _mask_v4(address.ipv4_mapped) == address.ipv4_mapped
    return address.scope_id is None and int(address) & (2**64 - 1) == 0


def _mask_v4(address: ipaddress.IPv4Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFF00)


def _read_address(value: Scalar | bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not isinstance(value, str):
        return None
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        return None
