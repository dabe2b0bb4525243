"""Which characters the shipped fonts can show, and how a character that they cannot show is spelled.

Invariant: what ``spelled`` returns can be set whole in the shipped fonts, and nothing of the text is lost: a character
without a glyph stands there as its code. PDF/UA-1 and PDF/A forbid text that shows as an empty box, and the private
use area (ISO 14289-1, 7.21; ISO 19005-3, 6.2.11).
"""

from __future__ import annotations

import struct
import unicodedata
from functools import cache
from importlib.resources import files

FAMILIES = {
    "Inter": "Inter-Regular.otf",
    "Noto Sans Hebrew": "NotoSansHebrew-Regular.ttf",
    "Noto Sans Arabic": "NotoSansArabic-Regular.ttf",
}
"""Font family and the file of its regular weight, in the order in which they are tried."""

_EMBEDDED = frozenset("≠∈∉")
"""Signs of conditions; the fixed-width font that comes with Typst has them."""

_RIDERS = frozenset({"Mn", "Mc", "Me", "Cf"})
"""Categories of characters that join the one before them, and so must be in the same font."""

_NO_TEXT = frozenset({"Cc", "Cn", "Co", "Cs"})


def spelled(text: str) -> str:
    """Return text with each character that the fonts lack as ``<U+5C71>``."""
    out: list[str] = []
    base: frozenset[int] | None = None
    for char in text:
        if unicodedata.category(char) not in _RIDERS:
            base = next((font for font in coverages() if ord(char) in font), None)
        if base is not None and ord(char) in base:
            out.append(char)
        else:
            out.append(f"<U+{ord(char):04X}>")
            base = coverages()[0]
    return "".join(out)


def is_turning(text: str) -> bool:
    """Whether text has a letter that is written from right to left."""
    return any(unicodedata.bidirectional(char) in {"R", "AL"} for char in text)


@cache
def coverages() -> tuple[frozenset[int], ...]:
    """Return the code points that each font shows, in the order in which the fonts are tried."""
    folder = files("ropa.report.pdf") / "fonts"
    found = [_usable(code_points((folder / name).read_bytes())) for name in FAMILIES.values()]
    return (*found, frozenset(ord(char) for char in _EMBEDDED))


def _usable(codes: set[int]) -> frozenset[int]:
    return frozenset(code for code in codes if unicodedata.category(chr(code)) not in _NO_TEXT)


def code_points(font: bytes) -> set[int]:
    """Return the code points of an OpenType font's Unicode ``cmap``, formats 4 and 12 (ISO/IEC 14496-22, 5.2.1)."""
    tables = struct.unpack_from(">H", font, 4)[0]
    records = (struct.unpack_from(">4sIII", font, 12 + 16 * i) for i in range(tables))
    start = next(offset for tag, _, offset, _ in records if tag == b"cmap")
    count = struct.unpack_from(">H", font, start + 2)[0]
    found: set[int] = set()
    for i in range(count):
        platform, _encoding, offset = struct.unpack_from(">HHI", font, start + 4 + 8 * i)
        if platform in {0, 3}:
            found |= _subtable(font, start + offset)
    return found


def _subtable(font: bytes, at: int) -> set[int]:
    form = struct.unpack_from(">H", font, at)[0]
    if form == 12:
        groups = struct.unpack_from(">I", font, at + 12)[0]
        spans = (struct.unpack_from(">III", font, at + 16 + 12 * i) for i in range(groups))
        return {code for first, last, _ in spans for code in range(first, last + 1)}
    return _segments(font, at) if form == 4 else set()


def _segments(font: bytes, at: int) -> set[int]:
    count = struct.unpack_from(">H", font, at + 6)[0] // 2
    ends, starts, deltas, offsets = (
        struct.unpack_from(f">{count}H", font, at + 14 + part * 2 * count + (2 if part else 0)) for part in range(4)
    )
    found: set[int] = set()
    for i in range(count):
        for code in range(starts[i], min(ends[i], 0xFFFE) + 1):
            glyph = (code + deltas[i]) & 0xFFFF
            if offsets[i]:
                place = at + 16 + 6 * count + 2 * i + offsets[i] + 2 * (code - starts[i])
                glyph = struct.unpack_from(">H", font, place)[0]
            if glyph:
                found.add(code)
    return found
