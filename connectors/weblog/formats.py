"""The formats by name, and guessing one from the first lines.

Invariant: a guess is made per file and only from lines that the format reads wholly; where none reads any, no line of
the file has a date, and nothing of it is ever due.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from connectors.weblog.fields import Span
from connectors.weblog.jsonlog import JsonReader
from connectors.weblog.patterns import PatternReader
from connectors.weblog.readers import SHAPES, STRUCTURE, CommonReader, Piece, Reader
from connectors.weblog.stamps import Days
from connectors.weblog.w3c import W3cReader

AUTO, PATTERN = "auto", "pattern"
_ALIASES = {
    "common": "combined",
    "combined": "combined",
    "vhost": "combined",
    "ncsa": "combined",
    "nginx": "combined",
    "apache": "combined",
    "haproxy": "haproxy",
    "s3": "s3",
    "elb": "elb",
    "alb": "elb",
    "nlb": "nlb",
    "json": "json",
    "nginx-json": "json",
    "caddy": "json",
    "traefik": "json combined",
    "w3c": "w3c",
    "iis": "w3c",
    "cloudfront": "w3c",
    "incapsula": "w3c",
}
"""Names to formats; of several, the file tells which."""
NAMES = (AUTO, *_ALIASES, PATTERN)
"""What ``format`` may say."""

_LOOKED_AT = 50
Maker = Callable[[Days, bytes], Reader]
"""Makes a reader for one file; given the first block of the file."""


class NoReader:
    """A file in which nothing can be read."""

    def pieces(self, block: bytes, start: int, end: int) -> Iterator[Piece]:
        """See ``Reader.pieces``."""
        yield (None if block[start:end].strip(b" \t\r\n\0") else STRUCTURE), start, end

    def fields(self, line: bytes) -> list[Span]:  # noqa: ARG002 - the protocol's
        """See ``Reader.fields``."""
        return []

    def trace(self, days: Iterable[int]) -> re.Pattern[bytes] | None:  # noqa: ARG002 - the protocol's
        """See ``Reader.trace``."""
        return None


def maker_of(name: str, pattern: Any, form: str | None) -> Maker:
    """Return what makes the readers of a format by name."""
    if name == AUTO:
        return guess
    if name == PATTERN:
        return lambda days, _: PatternReader(days, pattern, form)
    bases = _ALIASES[name].split()
    return lambda days, first: guess(days, first, bases) if len(bases) > 1 else _make(bases[0], days)


def guess(days: Days, first: bytes, names: Sequence[str] = ("w3c", "json", *SHAPES)) -> Reader:
    """Return a reader for the format, of these, that most of the first lines are in."""
    lines = first.splitlines(keepends=True)[:_LOOKED_AT]
    cut = b"".join(lines)
    counts = {name: _count(_make(name, days), cut) for name in names}
    best = max(counts, key=lambda name: counts[name])
    if counts[best] == 0:
        return W3cReader(days) if "w3c" in names and b"#Fields:" in cut else NoReader()
    return _make(best, days)


def _make(base: str, days: Days) -> Reader:
    if base == "json":
        return JsonReader(days)
    return W3cReader(days) if base == "w3c" else CommonReader(days, base)


def _count(reader: Reader, cut: bytes) -> int:
    return sum(
        cut.count(b"\n", start, end) + (cut[end - 1 : end] != b"\n")
        for day, start, end in reader.pieces(cut, 0, len(cut))
        if day is not None and day != STRUCTURE
    )


@functools.cache
def suggest(name: str) -> str | None:
    """Return the format that was probably meant."""
    import difflib

    return next(iter(difflib.get_close_matches(name, NAMES, 1)), None)
