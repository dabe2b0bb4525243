"""Reading logs by their dates, in large blocks.

Invariant: a line belongs to the day that its own date field says, however many other dates stand in it; what stands in
quotes was written by a stranger and is never taken for the date of a line. A line without such a field has no day, nor
have lines that only carriage returns part.

The speed: the first line of a stretch is read as a whole. From then on one expression, made for that very day, runs
over the block line by line and stops before the first that does not have the same shape and a time of that day: that
one is read as a whole again. So each line is looked at, but nothing is done for it in Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Protocol

from connectors.weblog.fields import Span, common_fields, elb_fields, haproxy_fields, nlb_fields, s3_fields
from connectors.weblog.stamps import COMMON, ISO, LOCAL, UTC, Days, Notation

STRUCTURE = -1
"""In place of a day: a line without content of its own, such as ``#Fields`` or a blank one. No part of any record."""

Piece = tuple[int | None, int, int]
"""Day (an ordinal number, STRUCTURE, or None where it cannot be told), start and end in the block; whole lines."""

_TIME = rb"[0-5][0-9]:[0-5][0-9]"
_EMPTY = b" \t\r\n\0"
_RETURN = re.compile(rb"\r(?!\n)")


class Reader(Protocol):
    """One log file, from its first line to its last, in that order: what stands further up may matter."""

    def pieces(self, block: bytes, start: int, end: int) -> Iterator[Piece]:
        """Cut whole lines into consecutive pieces of one day each; neighbours may be of the same day."""

    def fields(self, line: bytes) -> list[Span]:
        """Return where the personal fields of a line with a date stand."""

    def trace(self, days: Iterable[int]) -> re.Pattern[bytes] | None:
        """Return an expression that is found in every block with a line of these days, faster than the block is read;
        None where there is none."""


class Shape:
    """Where the date stands in the lines of a format.

    ``head``: what may stand before it, as any line may have it; ``quick``: the same for nearly all lines, without
    backtracking. ``between``: from the date to the hour. ``fraction``: after the seconds. ``zone``: an expression with
    a group, or a fixed zone (``LOCAL``, ``UTC``). ``tail``: what must follow.
    """

    def __init__(
        self,
        notation: Notation,
        head: bytes,
        quick: bytes,
        between: bytes,
        *,
        fraction: bytes = b"",
        zone: bytes = LOCAL,
        zone_between: bytes = b"",
        tail: bytes = b"",
    ) -> None:
        self.notation = notation
        self.quick, self.between, self.fraction, self.tail = quick, between, fraction, tail
        self.zone_between = zone_between
        self.fixed_zone = zone if zone in {LOCAL, UTC} else None
        expression = b"" if self.fixed_zone is not None else zone_between + b"(?P<zone>" + zone + b")"
        self.line = re.compile(
            head + b"(?P<day>" + notation.expression + b")" + between
            + rb"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})" + fraction + expression + tail
        )  # fmt: skip

    def run_of(self, days: Days, ordinal: int, zone: bytes) -> re.Pattern[bytes] | None:
        """Return an expression for as many whole lines as there are of this shape and of one day; None where no hour
        lies in that day as a whole."""
        written = days.hours(self.notation, ordinal, zone)
        if not written:
            return None
        times = b"|".join(re.escape(day) + self.between + two_digits(hours) for day, hours in written)
        suffix = b"" if self.fixed_zone is not None else self.zone_between + re.escape(zone)
        return re.compile(
            b"(?:" + self.quick + b"(?:" + times + b"):" + _TIME + self.fraction + suffix + self.tail + rb".*+\n)*+"
        )


_UNQUOTED = rb"[\x00-\x09\x0b-\x21\x23-\x5a\x5c-\xff]*+\["
"""Up to the first ``[``, in one line and before any quote; a set of many ranges is looked up in a table, and fast."""

_PROXIED = rb'[^"\n]*?[^\s"]:[0-9]{1,5} \['
_KIND = rb"(?:[a-z0-9]{1,8} )?"
_FRACTION = rb"(?:\.[0-9]{1,9})?+"
_NLB = rb"tls [0-9.]{1,5} "
_S3 = rb"\] (?=\S++ \S++ \S++ [A-Z0-9]++\.[A-Z])"
"""Behind client, requester and number of the request stands what was done, such as ``REST.GET.OBJECT``."""

SHAPES = {
    "combined": Shape(COMMON, rb'[^"\n]*\[', _UNQUOTED, b":", zone=rb"[-+][0-9]{4}", zone_between=b" ", tail=rb'\] "'),
    "haproxy": Shape(
        COMMON, _PROXIED, _PROXIED, b":", fraction=_FRACTION, tail=rb"\] "
    ),
    "s3": Shape(COMMON, rb"\S+ \S+ \[", rb"\S+ \S+ \[", b":", zone=rb"[-+][0-9]{4}", zone_between=b" ", tail=_S3),
    "elb": Shape(ISO, _KIND, _KIND, b"T", fraction=_FRACTION, zone=UTC, tail=rb"Z "),
    "nlb": Shape(ISO, _NLB, _NLB, b"T", zone=UTC, tail=b" "),
}  # fmt: skip
_FIELDS = {"combined": common_fields, "haproxy": haproxy_fields, "s3": s3_fields, "elb": elb_fields, "nlb": nlb_fields}


class TextReader:
    """Lines with a date at a place that their format fixes."""

    def __init__(self, days: Days, shape: Shape) -> None:
        self.days, self.shape = days, shape
        self._runs: dict[tuple[int, bytes], re.Pattern[bytes] | None] = {}

    def pieces(self, block: bytes, start: int, end: int) -> Iterator[Piece]:
        """See ``Reader.pieces``."""
        shape, line, fixed = self.shape, self.shape.line, self.shape.fixed_zone
        is_odd = bool(after_returns(block, start, end))
        while start < end:
            found = line.match(block, start, end)
            zone = b""
            day = None
            if found is not None:
                zone = fixed if fixed is not None else found["zone"]
                day = self.days.of(
                    shape.notation, found["day"], (found["hour"], found["minute"], found["second"]), zone
                )
            stop = block.find(b"\n", start, end) + 1 or end
            if is_odd and any(line.match(block, at, stop) for at in after_returns(block, start, stop)):
                day = None
            if day is None:
                yield self._undated(block[start:stop]), start, stop
            else:
                if stop < end and not is_odd and (run := self._run_of(day, zone)) is not None:
                    more = run.match(block, stop, end)
                    stop = stop if more is None else more.end()
                yield day, start, stop
            start = stop

    def _undated(self, line: bytes) -> int | None:
        return None if line.strip(_EMPTY) else STRUCTURE

    def _run_of(self, day: int, zone: bytes) -> re.Pattern[bytes] | None:
        key = (day, zone)
        if key not in self._runs:
            if len(self._runs) > 2000:
                self._runs.clear()
            self._runs[key] = self.shape.run_of(self.days, day, zone)
        return self._runs[key]


class CommonReader(TextReader):
    """A format whose fields stand at fixed places."""

    def __init__(self, days: Days, name: str) -> None:
        super().__init__(days, SHAPES[name])
        self._fields = _FIELDS[name]

    def fields(self, line: bytes) -> list[Span]:
        """See ``Reader.fields``."""
        found = self.shape.line.match(line)
        return [] if found is None else self._fields(line, found.start("day"), found.end())

    def trace(self, days: Iterable[int]) -> re.Pattern[bytes] | None:
        """See ``Reader.trace``; an offset is of less than a day, so a date as written is at most two days away."""
        if self.shape.notation is not COMMON:
            return None
        months: dict[bytes, set[int]] = {}
        for one in {day + by for day in days for by in (-2, -1, 0, 1, 2)}:
            if 0 < one <= date.max.toordinal():
                written = date.fromordinal(one)
                months.setdefault(COMMON.spell(written)[2:], set()).add(written.day)
        dates = (two_digits(sorted(numbers)) + month for month, numbers in sorted(months.items()))
        return re.compile(rb"\[(?:" + b"|".join(dates) + b"):")


def after_returns(block: bytes, start: int, end: int) -> list[int]:
    """Return the places behind carriage returns that end no line: what stands there may be a line of its own."""
    if block.find(b"\r", start, end) < 0 or block.count(b"\r", start, end) == block.count(b"\r\n", start, end):
        return []
    return [found.end() for found in _RETURN.finditer(block, start, end)]


def two_digits(numbers: Sequence[int]) -> bytes:
    """Return an expression for some numbers of two digits."""
    tens: dict[int, bytes] = {}
    for number in numbers:
        tens[number // 10] = tens.get(number // 10, b"") + b"%d" % (number % 10)
    units: dict[bytes, bytes] = {}
    for ten, ones in tens.items():
        units[ones] = units.get(ones, b"") + b"%d" % ten
    return b"(?:" + b"|".join(b"[%s][%s]" % (some, ones) for ones, some in units.items()) + b")"
