"""Cutting a log into records: maximal runs of lines that belong together, with their place in the file.

Invariant: ranges come in the order of their lines, never overlap, and hold whole lines; what is no line of any day
(``STRUCTURE``) is part of none. Memory is flat: a range is told when it ends, and only what it is recognised by is
kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from connectors.weblog.dataset import LogFolder, People
from connectors.weblog.fields import Span, blank_line, mask_line
from connectors.weblog.formats import NoReader
from connectors.weblog.readers import STRUCTURE, Piece, Reader
from connectors.weblog.streams import Source, blocks
from connectors.weblog.versions import Digester, Version, digester, first_digest
from ropa.connector import Mask


@dataclass(frozen=True, slots=True)
class Range:
    """Lines of one day. ``start`` and ``size`` are bytes of the uncompressed log, ``first`` counts lines from 1."""

    day: int | None
    start: int
    size: int
    first: int
    lines: int
    is_wanted: bool
    is_spared: bool = False
    holds_something: bool = False
    """Whether one of the masks asked for would change it."""
    first_line: str = ""
    digest: str = ""
    blank: str = ""

    @property
    def span(self) -> str:
        """The second part of its key."""
        return f"{self.first}-{self.first + self.lines - 1}"

    def version(self, salt: bytes, identity: str) -> Version:
        """Return the version of the range in a file of that identity."""
        return Version(
            salt, identity, self.start, self.size, self.lines, self.day, self.first_line, self.digest, self.blank
        )


def open_pieces(
    folder: LogFolder, zone: ZoneInfo, source: Source
) -> Iterator[tuple[Reader, bytes, int, Iterator[Piece]]]:
    """Stream a log as (reader, block, end, the pieces of ``block[:end]``); what stands behind ``end`` comes again with
    the next block. Each block's pieces are to be taken before the next block."""
    reader: Reader | None = None
    for block, end, is_fragment in blocks(source):
        if is_fragment:
            yield reader or NoReader(), block, end, iter([(None, 0, end)])
            continue
        # Not by a fragment: a log that was emptied while it was written (copytruncate) may begin with megabytes of NUL.
        reader = reader or folder.reader(zone, block[:end])
        yield reader, block, end, reader.pieces(block, 0, end)


class Cutter:
    """Cuts one log.

    ``wants``: which days are asked about; of those alone more is told than where they stand. ``people``: lines about
    these are ranges of their own. ``masks``: column to mask, where it is asked what they would change. ``recount``:
    counts the newlines between two places of the log once more, where that is cheap: then lines are counted only where
    a number is needed, which for a log in order is not behind the last lines that are due.
    """

    def __init__(
        self,
        wants: Callable[[int | None], bool],
        people: People,
        masks: Mapping[str, Mask],
        recount: Callable[[int, int], int] | None = None,
    ) -> None:
        self._wants, self._people, self._masks = wants, people, masks
        self._recount = recount
        self._open: _Open | None = None
        self._at = 0
        self._line, self._counted = 1, 0
        """The number of the line that stands at byte ``_counted``."""

    def cut(self, pieces: Iterator[tuple[Reader, bytes, int, Iterator[Piece]]]) -> Iterator[Range]:
        """Stream the ranges of a log given by ``open_pieces``."""
        by_line = not self._people.is_nobody or bool(self._masks)
        for reader, block, _, each in pieces:
            for day, start, end in each:
                if day == STRUCTURE:
                    yield from self._close()
                    if self._recount is None:
                        self._count(block, start, end)
                elif by_line and self._wants(day):
                    yield from self._take_lines(reader, day, block, start, end)
                else:
                    yield from self._enter(day, is_spared=False)
                    self._take(block, start, end)
                self._at += end - start
        yield from self._close()

    def _enter(self, day: int | None, *, is_spared: bool) -> Iterator[Range]:
        if self._open is not None and self._open.day == day and self._open.is_spared == is_spared:
            return
        yield from self._close()
        is_wanted = self._wants(day)
        if is_wanted and self._recount is not None and self._counted < self._at:
            self._line += self._recount(self._counted, self._at)
            self._counted = self._at
        self._open = _Open(day, is_spared, is_wanted, self._line)

    def _count(self, block: bytes, start: int, end: int) -> int:
        newlines = block.count(b"\n", start, end)
        self._line += newlines
        self._counted = self._at + end - start
        return newlines

    def _take(self, block: bytes, start: int, end: int) -> None:
        """Add bytes to the open range; ``self._at`` is where ``start`` stands in the log."""
        now = self._open
        assert now is not None  # noqa: S101 - entered just before
        if now.start < 0:
            now.start = self._at
        now.size += end - start
        if now.is_wanted or self._recount is None:
            now.newlines += self._count(block, start, end)
        now.is_cut = block[end - 1 : end] != b"\n"
        if now.is_wanted and not self._masks:
            if now.digest is None:
                now.digest = digester()
                stop = block.find(b"\n", start, end) + 1 or end
                now.first_line = first_digest(block[start:stop])
            now.digest.update(memoryview(block)[start:end])

    def _take_lines(self, reader: Reader, day: int | None, block: bytes, start: int, end: int) -> Iterator[Range]:
        base = self._at
        origin = start
        while start < end:
            stop = block.find(b"\n", start, end) + 1 or end
            line = block[start:stop]
            spans = reader.fields(line) if day is not None else []
            yield from self._enter(day, is_spared=not self._people.is_nobody and self._people.is_about(line, spans))
            self._at = base + start - origin
            self._take(block, start, stop)
            if self._masks:
                self._look_into(line, spans)
            start = stop
        self._at = base

    def _look_into(self, line: bytes, spans: list[Span]) -> None:
        now = self._open
        assert now is not None  # noqa: S101 - entered just before
        now.holds_something = now.holds_something or mask_line(line, spans, self._masks) != line
        bare = blank_line(line, spans)
        if now.digest is None or now.blank is None:
            now.digest, now.blank = digester(), digester()
            now.first_line = first_digest(bare)
        now.digest.update(line)
        now.blank.update(bare)

    def _close(self) -> Iterator[Range]:
        now, self._open = self._open, None
        if now is None:
            return
        yield Range(
            now.day, now.start, now.size, now.first, now.newlines + now.is_cut, now.is_wanted, now.is_spared,
            now.holds_something, now.first_line,
            "" if now.digest is None else now.digest.hexdigest(),
            "" if now.blank is None else now.blank.hexdigest(),
        )  # fmt: skip


class _Open:
    """The range that is being read."""

    __slots__ = ("blank", "day", "digest", "first", "first_line", "holds_something", "is_cut", "is_spared", "is_wanted",
                 "newlines", "size", "start")  # fmt: skip

    def __init__(self, day: int | None, is_spared: bool, is_wanted: bool, first: int) -> None:
        self.day, self.is_spared, self.is_wanted, self.first = day, is_spared, is_wanted, first
        self.start, self.size, self.newlines = -1, 0, 0
        self.is_cut = self.holds_something = False
        self.first_line = ""
        self.digest: Digester | None = None
        self.blank: Digester | None = None
