"""Log files as bytes: plain, gzip, zstd and xz, told apart by their first bytes and never by their names.

Invariant: a compressed file is read to its true end or not at all: a member that breaks off, and anything that follows
the last member but zeros, is an error and never the end of the log. Blocks hold whole lines; memory is flat, whatever
the length of a line or the rate of compression.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import zlib
from collections.abc import Iterator
from typing import IO, Any, Protocol, cast

BLOCK = 1 << 19
"""Bytes read at once."""

LONGEST_LINE = 1 << 20
"""A line longer than this cannot be dated; it is passed on in pieces."""

PLAIN, GZIP, ZSTD, XZ = "plain", "gzip", "zstd", "xz"
_MAGIC = ((b"\x1f\x8b\x08", GZIP), (b"\x28\xb5\x2f\xfd", ZSTD), (b"\xfd7zXZ\x00", XZ))
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
"""A frame without content, with which some programs begin (RFC 8878, 3.1.2)."""
# A kilobyte of zstd gives at most some 45 MiB; the other two are told how much to give at once.
_FEED = {GZIP: 1 << 16, XZ: 1 << 16, ZSTD: 1 << 10}


class UnreadableError(Exception):
    """The file is not what its first bytes say, or it breaks off; ``code`` is a word for programs."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Source(Protocol):
    """Bytes of a log, in order."""

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes (compressed logs may give more); none at the end."""

    def take_back(self, data: bytes, start: int) -> bytes:
        """Give back the end of what was read, from ``start`` on; returns what has to be kept of it by the caller."""


def kind_of(descriptor: int) -> str:
    """Return how a file is compressed."""
    head = os.pread(descriptor, 6, 0)
    if _SKIPPABLE.match(head):
        return ZSTD
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), PLAIN)


def open_source(descriptor: int, kind: str) -> Source:
    """Return the bytes of a log from its beginning; the descriptor stays open. Raises UnreadableError where the
    package for its compression is not installed."""
    if kind == PLAIN:
        return _Plain(descriptor)
    return _Members(descriptor, kind)


def open_sink(file: IO[bytes], kind: str, descriptor: int) -> IO[bytes]:
    """Return where the bytes of a log are written, compressed as the file behind ``descriptor`` is."""
    if kind == GZIP:
        stamp = int.from_bytes(os.pread(descriptor, 4, 4), "little")
        return cast("IO[bytes]", gzip.GzipFile("", "wb", 6, file, mtime=stamp))
    if kind == XZ:
        return lzma.LZMAFile(file, "wb")
    if kind == ZSTD:
        return cast("IO[bytes]", _zstandard().ZstdCompressor(write_checksum=True).stream_writer(file, closefd=False))
    return file


def lines_of(block: bytes, start: int, end: int) -> Iterator[bytes]:
    """Cut bytes at their newlines, and at nothing else; each line with its newline."""
    while start < end:
        stop = block.find(b"\n", start, end) + 1 or end
        yield block[start:stop]
        start = stop


def blocks(source: Source) -> Iterator[tuple[bytes, int, bool]]:
    """Stream (block, end, is fragment): ``block[:end]`` are whole lines, the last one perhaps without its newline at
    the end of the file; a fragment is a part of a line that is too long to be looked at, up to its newline at most."""
    rest, is_long = b"", False
    while data := source.read(BLOCK):
        if is_long:
            cut = data.find(b"\n") + 1
            is_long = cut == 0
            yield data, cut or len(data), True
            if is_long:
                continue
            data = data[cut:]
        if rest:
            data = rest + data
        cut = data.rfind(b"\n") + 1
        if cut:
            yield data, cut, False
            rest = source.take_back(data, cut)
        elif len(data) >= LONGEST_LINE:
            yield data, len(data), True
            rest, is_long = b"", True
        else:
            rest = data
    if rest:
        yield rest, len(rest), False


def count_newlines(descriptor: int, start: int, end: int) -> int:
    """Count the newlines between two places of a plain file."""
    total = 0
    while start < end and (data := os.pread(descriptor, min(BLOCK, end - start), start)):
        total += data.count(b"\n")
        start += len(data)
    return total


class _Plain:
    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._at, self._is_over = descriptor, 0, False

    def read(self, size: int) -> bytes:
        data = os.pread(self._descriptor, size, self._at)
        self._at += len(data)
        self._is_over = len(data) < size
        return data

    def take_back(self, data: bytes, start: int) -> bytes:
        if self._is_over:
            return data[start:]
        # The beginning of a line is read once more: that is cheaper than joining two blocks.
        self._at -= len(data) - start
        return b""


class _Members:
    """The members of a compressed file, one after the other."""

    def __init__(self, descriptor: int, kind: str) -> None:
        self._descriptor, self._kind, self._at = descriptor, kind, 0
        self._member: Any = None
        self._input = b""
        self._has_begun = False
        self._error = _errors(kind)

    def read(self, size: int) -> bytes:
        while self._member is not None or self._begin():
            wants_input = not self._input and (self._kind != XZ or self._member.needs_input)
            is_over = wants_input and not self._fill()
            data = self._feed(size)
            if self._member.eof:
                self._input, self._member = self._member.unused_data, None
            elif is_over and not data:
                raise UnreadableError("truncated")
            if data:
                return data
        return b""

    def take_back(self, data: bytes, start: int) -> bytes:
        return data[start:]

    def _fill(self) -> bool:
        self._input = os.pread(self._descriptor, _FEED[self._kind], self._at)
        self._at += len(self._input)
        return bool(self._input)

    def _begin(self) -> bool:
        """Go to the next member; zeros after a member are padding."""
        while True:
            if self._has_begun:
                self._input = self._input.lstrip(b"\0")
            if self._input:
                self._has_begun = True
                self._member = _decompressor(self._kind)
                return True
            if not self._fill():
                return False

    def _feed(self, size: int) -> bytes:
        data, self._input = self._input, b""
        try:
            if self._kind == GZIP:
                given: bytes = self._member.decompress(data, size)
                self._input = self._member.unconsumed_tail
                return given
            if self._kind == XZ:
                return bytes(self._member.decompress(data, size))
            return bytes(self._member.decompress(data))
        except self._error:
            raise UnreadableError("corrupt") from None


def _decompressor(kind: str) -> Any:
    if kind == GZIP:
        return zlib.decompressobj(31)
    return lzma.LZMADecompressor(lzma.FORMAT_XZ) if kind == XZ else _zstandard().ZstdDecompressor().decompressobj()


def _errors(kind: str) -> type[Exception]:
    if kind == GZIP:
        return zlib.error
    return lzma.LZMAError if kind == XZ else cast("type[Exception]", _zstandard().ZstdError)


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise UnreadableError("zstandard-missing") from None
    return zstandard
