"""The extended log format of W3C: IIS, CloudFront, Incapsula. ``#Fields`` says what stands where, and may change.

Invariant: nothing is concluded about a line before a ``#Fields`` has said how it is made, nor about one that has not as
many fields as it says. Times are UTC (https://www.w3.org/TR/WD-logfile.html; IIS and CloudFront keep to it).

IIS and CloudFront quote nothing, so a quote is one that a visitor wrote; Incapsula quotes every field. So a line is
first cut at blanks alone, and as one with quoted fields only where that gives another number of fields than said.
Neither can be brought about by what stands in a field: a quoted field joins others and never adds one. Where quotes are
in use the date has them too, which no visitor writes; such a line is only cut as one with quoted fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from connectors.weblog.fields import Span
from connectors.weblog.readers import STRUCTURE, Piece, Shape, TextReader
from connectors.weblog.stamps import ISO, UTC, Days

_PLAIN = rb"[^ \t\r\n]++"
_QUOTED = rb'(?:"(?:[^"\n]|"")*+"(?=[ \t\r\n]|\Z)|[^ \t\r\n"][^ \t\r\n]*+)'
_GAP = rb"[ \t]++"
_END = rb"[ \t]*+\r?(?:\n|\Z)"
_DIRECTIVE = re.compile(rb"(?:\xef\xbb\xbf)?#[A-Za-z-]+:")
_COLUMNS = {
    "c-ip": "ip",
    "x-forwarded-for": "ip",
    "cs(x-forwarded-for)": "ip",
    "s-xff": "ip",
    "cs-username": "user",
    "cs(referer)": "referer",
    "cs(referrer)": "referer",
    "cs(user-agent)": "user-agent",
    "cs-uri": "request",
    "cs-uri-stem": "request",
    "cs-uri-query": "request",
}
_QUOTE = ord('"')
_NEVER = Shape(ISO, rb"(?!)", rb"(?!)", b"", zone=UTC)


class W3cReader(TextReader):
    """See the module."""

    def __init__(self, days: Days) -> None:
        super().__init__(days, _NEVER)
        self._columns: list[str | None] = []
        self._cuts: tuple[tuple[re.Pattern[bytes], re.Pattern[bytes]], ...] = ()
        """Each way to cut a line: an expression for the whole of it, and one for a field."""

    def pieces(self, block: bytes, start: int, end: int) -> Iterator[Piece]:
        """See ``Reader.pieces``."""
        while start < end:
            for piece in super().pieces(block, start, end):
                yield piece
                start = piece[2]
                if piece[0] == STRUCTURE and b"#Fields:" in block[piece[1] : piece[2]]:
                    break  # what follows is made in another way

    def fields(self, line: bytes) -> list[Span]:
        """See ``Reader.fields``."""
        for whole, field in self._cuts:
            if whole.match(line) is not None:
                found = [_inside(line, *one.span()) for one in field.finditer(line)]
                return [
                    (column, *span) for column, span in zip(self._columns, found, strict=True) if column is not None
                ]
        return []

    def trace(self, days: Iterable[int]) -> re.Pattern[bytes] | None:  # noqa: ARG002 - the protocol's
        """Return None: a block that says how the next ones are made must be read."""
        return None

    def _undated(self, line: bytes) -> int | None:
        if _DIRECTIVE.match(line) is None:
            return super()._undated(line)
        _, _, names = line.partition(b"#Fields:")
        if names:
            self._read_fields(names.decode("ascii", "replace").casefold().split())
        return STRUCTURE

    def _read_fields(self, names: list[str]) -> None:
        self._columns = [_COLUMNS.get(name) for name in names]
        self._runs.clear()
        self.shape = _NEVER
        self._cuts = ()
        if "date" in names and "time" in names and names.index("time") == names.index("date") + 1:
            before = [rb"(?:" + one + _GAP + rb"){%d}" % names.index("date") for one in (_PLAIN, _QUOTED)]
            wholes = [one + rb"(?:" + _GAP + one + rb"){%d}" % (len(names) - 1) + _END for one in (_PLAIN, _QUOTED)]
            wholes[0] = rb'(?=%b[^"])' % before[0] + wholes[0]
            self._cuts = tuple(
                (re.compile(whole), re.compile(one)) for whole, one in zip(wholes, (_PLAIN, _QUOTED), strict=True)
            )
            head = rb"(?:(?=%b)%b|(?=%b)%b)" % (wholes[0], before[0], wholes[1], before[1]) + rb'"?+'
            self.shape = Shape(
                ISO, head, head, rb'"?+[ \t]++"?+', fraction=rb"(?:\.[0-9]{1,9})?+", zone=UTC, tail=rb'(?=["\s]|\Z)'
            )


def _inside(line: bytes, start: int, end: int) -> tuple[int, int]:
    """Return a field without the quotes around it."""
    is_quoted = end - start > 1 and line[start] == line[end - 1] == _QUOTE
    return (start + 1, end - 1) if is_quoted else (start, end)
