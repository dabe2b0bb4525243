"""The extended log format of W3C: IIS, CloudFront, Incapsula. ``#Fields`` says what stands where, and may change.

Invariant: nothing is concluded about a line before a ``#Fields`` has said how it is made. Times are UTC
(https://www.w3.org/TR/WD-logfile.html; IIS and CloudFront keep to it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from connectors.weblog.fields import Span, is_address_list
from connectors.weblog.readers import STRUCTURE, Piece, Shape, TextReader
from connectors.weblog.stamps import ISO, UTC, Days

_FIELD = rb'(?:"[^"\n]*+"|[^ \t\r\n"][^ \t\r\n]*+)[ \t]++'
_TOKEN = re.compile(rb'"((?:[^"\n]|"")*)"|([^ \t\r\n]+)')
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
_NEVER = Shape(ISO, rb"(?!)", rb"(?!)", b"", zone=UTC)


class W3cReader(TextReader):
    """See the module."""

    def __init__(self, days: Days) -> None:
        super().__init__(days, _NEVER)
        self._columns: list[str | None] = []

    def pieces(self, block: bytes, start: int, end: int) -> Iterator[Piece]:
        """See ``Reader.pieces``."""
        while start < end:
            for piece in super().pieces(block, start, end):
                yield piece
                start = piece[2]
                if piece[0] == STRUCTURE and b"#Fields:" in block[piece[1] : piece[2]]:
                    break  # what follows is made in another way

    def fields(self, line: bytes) -> list[Span]:
        """See ``Reader.fields``; what has more or fewer fields than said loses every address, wherever it stands."""
        tokens = [found.span(1) if found[1] is not None else found.span(2) for found in _TOKEN.finditer(line)]
        spans: list[Span] = [
            (column, *span) for column, span in zip(self._columns, tokens, strict=False) if column is not None
        ]
        if len(tokens) != len(self._columns):
            spans += [("ip", *span) for span in tokens if is_address_list(line[slice(*span)])]
        return spans

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
        if "date" in names and "time" in names and names.index("time") == names.index("date") + 1:
            head = rb"(?:" + _FIELD + rb"){%d}" % names.index("date") + rb'"?+'
            self.shape = Shape(
                ISO, head, head, rb'"?+[ \t]++"?+', fraction=rb"(?:\.[0-9]{1,9})?+", zone=UTC, tail=rb'(?=["\s]|\Z)'
            )
