"""A log by a pattern of one's own: named groups ``date``, ``ip`` … in RE2, which takes linear time whatever the line.

Invariant: the pattern must match a line from its beginning, and the date must be read by its form; else the line has
no day. Nothing outside a named group is ever changed. A byte that is not UTF-8 is one character like others, and ends
no group.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from connectors.weblog.fields import COLUMNS, Span
from connectors.weblog.readers import STRUCTURE, Piece, after_returns
from connectors.weblog.stamps import Days
from ropa.clock import read_moment

_KEPT = 50_000
_STRANGE = {0xDC00 + byte: "\x7f" for byte in range(0x80, 0x100)}
"""RE2 reads UTF-8, and stops before what is none: DEL, of the same length, is a character that no pattern asks for."""


class PatternReader:
    """See the module."""

    def __init__(self, days: Days, pattern: Any, form: str | None) -> None:
        self._days, self._pattern, self._form = days, pattern, form
        self._known: dict[bytes, int | None] = {}
        groups = groups_of(pattern)
        self._date = groups["date"]
        self._columns = [(column, group) for name, group in groups.items() if (column := column_of(name)) is not None]

    def pieces(self, block: bytes, start: int, end: int) -> Iterator[Piece]:
        """See ``Reader.pieces``."""
        while start < end:
            stop = block.find(b"\n", start, end) + 1 or end
            yield self._day(block[start:stop]), start, stop
            start = stop

    def fields(self, line: bytes) -> list[Span]:
        """See ``Reader.fields``."""
        found = self._pattern.match(_readable(line))
        if found is None:
            return []
        spans = [(column, *found.span(group)) for column, group in self._columns]
        return [span for span in spans if span[1] >= 0]

    def trace(self, days: Iterable[int]) -> re.Pattern[bytes] | None:  # noqa: ARG002 - the protocol's
        """Return None: a pattern does not say how its dates look."""
        return None

    def _day(self, line: bytes) -> int | None:
        found = self._pattern.match(_readable(line))
        if found is not None and any(
            self._pattern.match(_readable(line[at:])) for at in after_returns(line, 0, len(line))
        ):
            return None
        if found is None or found.start(self._date) < 0:
            return None if line.strip(b" \t\r\n\0") else STRUCTURE
        text = found[self._date]
        if text not in self._known:
            if len(self._known) > _KEPT:
                self._known.clear()
            moment = read_moment(text.decode("utf-8", "replace"), zone=self._days.local, form=self._form)
            self._known[text] = self._days.of_moment(moment)
        return self._known[text]


def _readable(line: bytes) -> bytes:
    """Return a line as UTF-8, every byte where it was."""
    if line.isascii():
        return line
    return line.decode("utf-8", "surrogateescape").translate(_STRANGE).encode("utf-8")


def column_of(group: str) -> str | None:
    """Return the column that a named group gives; ``ip2`` is a further address, ``user_agent`` stands for
    ``user-agent``."""
    name = group.rstrip("0123456789").replace("_", "-")
    return name if name in COLUMNS else None


def groups_of(pattern: Any) -> dict[str, int]:
    """Return the named groups of a pattern over bytes, whose names are bytes too, with their numbers."""
    return {name.decode("utf-8"): group for name, group in pattern.groupindex.items()}


def compile_pattern(pattern: str) -> Any:
    """Compile a pattern of one's own. Raises ValueError, with the reason, where it cannot be or says no ``date``."""
    try:
        import re2
    except ImportError:
        raise ValueError("needs the package google-re2, which is not installed") from None
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode("utf-8"), options)
    except (re2.error, UnicodeEncodeError):
        raise ValueError("is no pattern that RE2 knows (no look-around, no back-references)") from None
    names = groups_of(compiled)
    if "date" not in names:
        raise ValueError("has no group (?P<date>…)")
    unknown = sorted(name for name in names if name != "date" and column_of(name) is None)
    if unknown:
        raise ValueError(f"has a group {unknown[0]}; there are date, {', '.join(c.replace('-', '_') for c in COLUMNS)}")
    return compiled
