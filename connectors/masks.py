"""How a field is changed when it is anonymised: pure functions over one value.

Invariant: every mask is idempotent (masking a masked value changes nothing), and ``is_masked`` says of any value
whether its mask would still change it. What a mask cannot keep a harmless part of, it clears: never an unmasked
remainder, and never a hash, which could be tried out (a random or constant value only).

    clear        None
    year         dates and ISO 8601 text keep the year: 1 January (text: ``YYYY-01-01``), of instants midnight; a number
                 or text of four digits is a year already; anything else is cleared
    truncate-ip  IPv4 keeps 24 bits, IPv6 64, an IPv4-mapped address the 24 of its IPv4 part; other text is cleared
    redact       text becomes ``REDACTED``; anything else is cleared
    random       text becomes ``anon-`` and 16 random hex digits; anything else is cleared
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from datetime import date, datetime
from zoneinfo import ZoneInfo

from ropa.clock import read_moment
from ropa.connector import Mask, Scalar

REDACTED = "[redacted]"
"""What stands in a text field after ``redact``."""

RANDOM_PREFIX = "anon-"
_RANDOM = re.compile(rf"{RANDOM_PREFIX}[0-9a-f]{{16}}", re.ASCII)
_YEAR = re.compile(r"\d{4}", re.ASCII)
_UTC = ZoneInfo("UTC")


def mask_value(mask: Mask, value: Scalar) -> Scalar:
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


def is_masked(mask: Mask, value: Scalar) -> bool:
    """Tell whether the mask would leave the value as it is. None and empty text hold nothing, whatever the mask."""
    if value is None or value == "":
        return True
    if mask is Mask.YEAR:
        return _keep_year(value) == value
    if mask is Mask.TRUNCATE_IP:
        return _is_network(value)
    if mask is Mask.REDACT:
        return value == REDACTED
    if mask is Mask.RANDOM:
        return isinstance(value, str) and _RANDOM.fullmatch(value) is not None
    return False


def _keep_year(value: Scalar) -> Scalar:
    if isinstance(value, datetime):
        return value.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    if isinstance(value, date):
        return value.replace(month=1, day=1)
    if isinstance(value, bool) or value is None:
        return None
    if _YEAR.fullmatch(str(value)):
        return value
    # Only the year's digits matter, so the text's own year is kept and no zone can move it.
    moment = read_moment(value, zone=_UTC)
    return f"{str(value)[:4]}-01-01" if moment is not None else None


def _keep_network(value: Scalar) -> Scalar:
    address = _read_address(value)
    if address is None:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(_mask_v4(address))
    if address.ipv4_mapped is not None:
        return f"::ffff:{_mask_v4(address.ipv4_mapped)}"
    return str(ipaddress.IPv6Address(int(address) >> 64 << 64))


def _is_network(value: Scalar) -> bool:
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


def _read_address(value: Scalar) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not isinstance(value, str):
        return None
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        return None
