"""What a log is rewritten to: without some lines, or with some of them masked; everything else byte for byte.

Invariant: what is not in one of the spans goes through as it is, in its order; the bytes in a span are those of its
version, by their digest, or the new log is not put in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import IO
from zoneinfo import ZoneInfo

from connectors.weblog.dataset import LogFolder
from connectors.weblog.fields import Span, blank_line, mask_line
from connectors.weblog.ranges import open_pieces
from connectors.weblog.readers import Reader
from connectors.weblog.rewriting import ExchangeError, Log, Proof
from connectors.weblog.streams import blocks, lines_of
from connectors.weblog.versions import Digester, Version, digester, first_digest
from ropa.connector import Mask

UNREADABLE_MASKED = "unreadable-masked"
"""The code of lines that stay as they are, because masked they would not be read as of their day."""


class Spans:
    """Parts of a log, (start, end) in bytes of the uncompressed log by position; they must not overlap."""

    def __init__(self, parts: Mapping[int, tuple[int, int]]) -> None:
        self._sorted = sorted((start, end, position) for position, (start, end) in parts.items())
        self._next = 0

    def cut(self, at: int, size: int) -> Iterator[tuple[int | None, int, int]]:
        """Cut ``size`` bytes that stand at ``at`` into (position or None, start, end), relative to ``at``; to be asked
        in the order of the log."""
        here = 0
        while here < size:
            while self._next < len(self._sorted) and self._sorted[self._next][1] <= at + here:
                self._next += 1
            if self._next == len(self._sorted):
                yield None, here, size
                return
            start, end, position = self._sorted[self._next]
            if start > at + here:
                stop = min(size, start - at)
                yield None, here, stop
            else:
                stop = min(size, end - at)
                yield position, here, stop
            here = stop


class Rest:
    """A log without some of its lines."""

    def __init__(self, log: Log, spans: Spans, proof: Proof) -> None:
        self._log, self._spans, self._proof = log, spans, proof

    def write(self, target: IO[bytes]) -> None:
        """See ``connectors.weblog.rewriting.Content``."""
        at = 0
        for block, size, _ in blocks(self._log.source()):
            view = memoryview(block)
            for position, start, end in self._spans.cut(at, size):
                if position is None:
                    target.write(view[start:end])
                else:
                    self._proof.take(position, view[start:end])
            at += size
        self._proof.conclude()


class Masked:
    """A log with some of its lines masked; afterwards it knows their new versions.

    A line that would be of no day any more, or of another one, stays as it is: it could never be purged. ``unmasked``
    are the positions with such lines.
    """

    def __init__(
        self,
        log: Log,
        spans: Spans,
        versions: Mapping[int, Version],
        masks: Mapping[str, Mask],
        *,
        folder: LogFolder,
        zone: ZoneInfo,
    ) -> None:
        self._log, self._spans, self._versions, self._masks = log, spans, versions, masks
        self._folder, self._zone = folder, zone
        self._proof = Proof(versions)
        self._has_changed = False
        self.unmasked: set[int] = set()
        self._made: dict[int, _Made] = {}

    def write(self, target: IO[bytes]) -> None:
        """See ``connectors.weblog.rewriting.Content``."""
        at = written = 0
        for reader, block, _, pieces in open_pieces(self._folder, self._zone, self._log.source()):
            for day, begin, stop in pieces:
                for position, start, end in self._spans.cut(at, stop - begin):
                    if position is None:
                        written += target.write(memoryview(block)[begin + start : begin + end])
                        continue
                    self._proof.take(position, memoryview(block)[begin + start : begin + end])
                    made = self._made.setdefault(position, _Made(written))
                    for line in lines_of(block, begin + start, begin + end):
                        spans = reader.fields(line)
                        masked = self._mask(reader, day, line, spans, position)
                        made.take(masked, blank_line(line, spans))
                        written += target.write(masked)
                at += stop - begin
        self._proof.conclude()
        if self.unmasked and not self._has_changed:
            raise ExchangeError(UNREADABLE_MASKED)

    def _mask(self, reader: Reader, day: int | None, line: bytes, spans: list[Span], position: int) -> bytes:
        masked = mask_line(line, spans, self._masks)
        if masked is line:
            return line
        if [found for found, _, _ in reader.pieces(masked, 0, len(masked))] != [day]:
            self.unmasked.add(position)
            return line
        self._has_changed = True
        return masked

    def version(self, position: int, identity: str) -> Version:
        """Return the version of masked lines, in a file of that identity."""
        made = self._made[position]
        return replace(
            self._versions[position],
            identity=identity,
            start=made.start,
            size=made.size,
            first=made.first,
            digest=made.digest.hexdigest(),
            blank=made.blank.hexdigest(),
        )


class _Made:
    """What was written of one range."""

    __slots__ = ("blank", "digest", "first", "size", "start")

    def __init__(self, start: int) -> None:
        self.start, self.size, self.first = start, 0, ""
        self.digest: Digester = digester()
        self.blank: Digester = digester()

    def take(self, line: bytes, bare: bytes) -> None:
        """Add a line as it was written, and without the columns that can be masked."""
        self.first = self.first or first_digest(bare)
        self.size += len(line)
        self.digest.update(line)
        self.blank.update(bare)
