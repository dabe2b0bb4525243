"""Finding planned lines again in a log that has changed since: above all because lines further up went by our own hand.

Invariant: what is found has the planned content (or, where that is nowhere, without the columns that can be masked the
planned rest), lies within one stretch of the planned day, and is found once; what is not found is never acted on.
"""

from __future__ import annotations

import re
from bisect import bisect, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from connectors.weblog.dataset import LogFolder
from connectors.weblog.fields import blank_line
from connectors.weblog.ranges import open_pieces
from connectors.weblog.readers import STRUCTURE, Piece, Reader
from connectors.weblog.streams import Source, lines_of
from connectors.weblog.versions import Digester, Version, digester, first_digest

_MOST_TRIES = 256
"""So many places are tried at once; a line that is repeated more often than that is not looked for further."""

_MOST_LIKELY = 16
"""So many places are kept for lines that are not the very ones."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where planned lines stand now: bytes of the uncompressed log."""

    start: int
    end: int
    is_same: bool
    """False: the columns that can be masked are no longer what they were."""


@dataclass(slots=True)
class Located:
    """What a search found: places by the position of the version asked for, and the days that are still in the log."""

    spots: dict[int, Spot] = field(default_factory=dict)
    days: set[int | None] = field(default_factory=set)


def locate(folder: LogFolder, zone: ZoneInfo, source: Source, wanted: Sequence[tuple[int, Version]]) -> Located:
    """Search a log for the lines of versions, given with their positions."""
    search = _Search(wanted)
    trace: re.Pattern[bytes] | None = None
    for number, (reader, block, end, pieces) in enumerate(open_pieces(folder, zone, source)):
        if number == 0 and None not in search.days:
            trace = reader.trace(day for day in search.days if day is not None)
        if trace is not None and trace.search(block, 0, end) is None:
            # No line here is of any day that is asked about.
            search.skip(end)
            continue
        search.feed(reader, block, pieces)
    search.conclude()
    return search.found


def _is_free(spot: Spot, taken: Sequence[tuple[int, int]]) -> bool:
    """Tell whether a place overlaps none of others, which are sorted and do not overlap."""
    at = bisect(taken, (spot.start, spot.end))
    return (at == 0 or taken[at - 1][1] <= spot.start) and (at == len(taken) or spot.end <= taken[at][0])


class _Try:
    """A place at which the first line is that of a version."""

    __slots__ = ("blank", "digest", "left", "position", "start", "version")

    def __init__(self, position: int, version: Version, start: int) -> None:
        self.position, self.version, self.start = position, version, start
        self.left = version.lines
        self.digest: Digester = digester()
        self.blank: Digester | None = digester() if version.blank else None


class _Search:
    def __init__(self, wanted: Sequence[tuple[int, Version]]) -> None:
        self.days = {version.day for _, version in wanted}
        self.found = Located()
        self._likely: dict[int, list[Spot]] = {}
        """By position: places that fit but for the columns that can be masked."""
        self._firsts: dict[tuple[int | None, str], list[tuple[int, Version]]] = {}
        for position, version in wanted:
            self._firsts.setdefault((version.day, version.first), []).append((position, version))
        self._forms = {bool(version.blank) for _, version in wanted}
        self._tries: list[_Try] = []
        self._at = 0

    def skip(self, size: int) -> None:
        self._tries.clear()
        self._at += size

    def feed(self, reader: Reader, block: bytes, pieces: Iterator[Piece]) -> None:
        base = self._at
        for day, start, end in pieces:
            self._tries = [one for one in self._tries if one.version.day == day]
            if day != STRUCTURE:
                self.found.days.add(day)
            if day in self.days:
                at = base + start
                for line in lines_of(block, start, end):
                    self._line(reader, day, line, at)
                    at += len(line)
            self._at = base + end

    def _line(self, reader: Reader, day: int | None, line: bytes, at: int) -> None:
        bare = None
        for is_blank in self._forms:
            if is_blank and bare is None:
                bare = blank_line(line, reader.fields(line) if day is not None else [])
            first = first_digest(bare if is_blank and bare is not None else line)
            for position, version in self._firsts.get((day, first), ()):
                if position not in self.found.spots and len(self._tries) < _MOST_TRIES:
                    self._tries.append(_Try(position, version, at))
        for one in tuple(self._tries):
            one.digest.update(line)
            if one.blank is not None and bare is not None:
                one.blank.update(bare)
            one.left -= 1
            if one.left == 0 and one in self._tries:
                self._tries.remove(one)
                self._end(one, at + len(line))

    def conclude(self) -> None:
        """Take the first likely place of each version of which the very lines are not there, if no other is there."""
        taken = sorted((spot.start, spot.end) for spot in self.found.spots.values())
        for position, spots in self._likely.items():
            if position not in self.found.spots:
                spot = next((spot for spot in spots if _is_free(spot, taken)), None)
                if spot is not None:
                    self.found.spots[position] = spot
                    insort(taken, (spot.start, spot.end))

    def _end(self, one: _Try, end: int) -> None:
        if one.digest.hexdigest() != one.version.digest:
            if one.blank is not None and one.blank.hexdigest() == one.version.blank:
                likely = self._likely.setdefault(one.position, [])
                if len(likely) < _MOST_LIKELY:
                    likely.append(Spot(one.start, end, is_same=False))
            return
        self.found.spots[one.position] = Spot(one.start, end, is_same=True)
        self._tries = [other for other in self._tries if other.start >= end and other.position not in self.found.spots]
