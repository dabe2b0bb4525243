"""How a log is rewritten: the only module of this connector that changes a disk.

Design. A log is never changed where it stands. What stays is written to a new file beside it (made with O_EXCL and mode
0600 under a name that is recognised later, and locked while it is being written), given the owner, mode, extended
attributes and times of the old one, flushed to disk, and exchanged for it by rename(2): at any moment one of the two is
there as a whole. Right before the exchange the name must still lead to the very file that was read (device, inode,
size, both times), which nobody has open for writing; and the bytes that go or are masked must be those that were
planned, by their digest. After it the folder is flushed. Everything is reached from the descriptor of a folder below a
marked root; no link is followed. What a crash left behind is removed before the next act in that folder. Kept bytes of
a plain log are copied as they are and not looked at.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Protocol

from connectors.files.roots import error_code
from connectors.files.tree import identity_of
from connectors.weblog.dataset import TEMPORARY
from connectors.weblog.openness import Writers
from connectors.weblog.streams import PLAIN, Source, open_sink, open_source
from connectors.weblog.versions import Version, digester

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CHUNK = 1 << 18
"""Bytes copied at once: more than fits a cache near the processor is slower, and so is copying by the kernel."""
_PUSH = 1 << 25
"""Bytes after which the kernel is asked to begin writing them to disk."""


class ExchangeError(Exception):
    """The new file was not put in place; the old one is as it was. ``code`` is a word for programs, ``changed`` where
    the file is no longer the one that was read."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Content(Protocol):
    """What is to be written."""

    def write(self, target: IO[bytes]) -> None:
        """Write the whole of the new log, uncompressed."""


def open_log(folder: int, name: str) -> tuple[int, os.stat_result] | None:
    """Open a regular file of a folder for reading; None where there is none under that name (a link is none). Raises
    OSError where it cannot be told."""
    try:
        try:
            # Looking at a log is no reading of it by somebody; only its owner may ask for this.
            descriptor = os.open(name, _OPEN | os.O_NOATIME, dir_fd=folder)
        except PermissionError:
            descriptor = os.open(name, _OPEN, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            return None
        raise
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    return None


def clear_leftovers(folder: int) -> None:
    """Remove what a crash of ours left in a folder: our own temporary files that nobody is writing any more."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if TEMPORARY.fullmatch(entry.name)]
    for name in names:
        try:
            opened = open_log(folder, name)
        except OSError:
            continue
        if opened is None:
            continue
        descriptor, status = opened
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if status.st_uid == os.geteuid() or os.geteuid() == 0:
                os.unlink(name, dir_fd=folder)
        except OSError:
            continue
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Log:
    """One open log file."""

    path: str
    """As spelled in keys."""
    folder: int
    """Descriptor of its folder, valid until the next log is opened."""
    name: str
    descriptor: int
    status: os.stat_result
    """As it was when the file was opened, before it was read."""
    kind: str

    def source(self) -> Source:
        """Return its bytes from the beginning."""
        return open_source(self.descriptor, self.kind)


def exchange(old: Log, content: Content | Kept, writers: Writers) -> os.stat_result:
    """Write the new log beside the old one and put it in its place; returns its status. Raises ExchangeError where the
    old one stays."""
    folder, name, log, status = old.folder, old.name, old.descriptor, old.status
    temporary = f".ropa-weblog-{secrets.token_hex(8)}"
    try:
        new = os.open(temporary, _NEW, 0o600, dir_fd=folder)
    except OSError as error:
        raise ExchangeError(error_code(error)) from None
    try:
        try:
            fcntl.flock(new, fcntl.LOCK_EX)
            _write(new, log, old.kind, content)
            _dress(new, log, status)
            os.fsync(new)
            _expect_same(old, writers)
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError as error:
            raise ExchangeError(error_code(error)) from None
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        os.close(new)
        raise
    try:
        with suppress(OSError):
            # Some file systems flush folders by themselves and do not take the call.
            os.fsync(folder)
        after = os.fstat(log)
        if (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
            raise ExchangeError("written-meanwhile")
        return os.fstat(new)
    finally:
        os.close(new)


class Proof:
    """Whether the bytes that go, or are masked, are those of the versions that were planned, by their positions."""

    def __init__(self, versions: Mapping[int, Version]) -> None:
        self._made = {position: digester() for position in versions}
        self._planned = {position: version.digest for position, version in versions.items()}

    def take(self, position: int, data: bytes | memoryview) -> None:
        """Add bytes of a version, in their order."""
        self._made[position].update(data)

    def conclude(self) -> None:
        """Raise ExchangeError where other bytes were met than planned."""
        if any(made.hexdigest() != self._planned[position] for position, made in self._made.items()):
            raise ExchangeError("changed")


class Kept:
    """The parts of a plain log that stay, to be copied as they are, and those that go, read to prove them: (start, end)
    in bytes, in order."""

    def __init__(self, size: int, removed: Mapping[int, tuple[int, int]], proof: Proof) -> None:
        self.removed, self.proof = removed, proof
        self.parts = tuple(kept_parts(size, sorted(removed.values())))


def kept_parts(size: int, removed: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return what is left of ``size`` bytes without some (start, end), which are in order and do not overlap."""
    at = 0
    for start, end in removed:
        if start > at:
            yield at, start
        at = end
    if size > at:
        yield at, size


def _write(new: int, log: int, kind: str, content: Content | Kept) -> None:
    if isinstance(content, Kept):
        # What goes is read by another thread while what stays is copied: neither needs the interpreter for long.
        with ThreadPoolExecutor(max_workers=1) as aside:
            proven = aside.submit(_prove, log, content)
            _reserve(new, sum(end - start for start, end in content.parts))
            for start, end in content.parts:
                _copy(log, new, start, end)
            proven.result()
        return
    with os.fdopen(os.dup(new), "wb", _CHUNK) as file:
        sink = open_sink(file, kind, log)
        content.write(sink)
        if kind != PLAIN:
            sink.close()


def _prove(log: int, content: Kept) -> None:
    buffer = memoryview(bytearray(_CHUNK))
    for position, (start, end) in content.removed.items():
        at = start
        while at < end:
            size = os.preadv(log, [buffer[: end - at]], at)
            if size == 0:
                raise ExchangeError("changed")
            content.proof.take(position, buffer[:size])
            at += size
    content.proof.conclude()


def _reserve(new: int, size: int) -> None:
    """Reserve the room for a file: a disk that is too full is found out at once, and writing is faster."""
    try:
        if size:
            os.posix_fallocate(new, 0, size)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
            raise


def _copy(log: int, new: int, start: int, end: int) -> None:
    buffer = memoryview(bytearray(min(_CHUNK, end - start)))
    pushed = at = os.lseek(new, 0, os.SEEK_CUR)
    while start < end:
        size = os.preadv(log, [buffer[: end - start]], start)
        if size == 0:
            raise ExchangeError("changed")
        start += size
        done = 0
        while done < size:
            done += os.write(new, buffer[done:size])
        at += size
        if at - pushed >= _PUSH:
            # The kernel begins to write this to disk, while more is copied, and keeps what it has not written yet.
            os.posix_fadvise(new, pushed, at - pushed, os.POSIX_FADV_DONTNEED)
            pushed = at


def _dress(new: int, log: int, status: os.stat_result) -> None:
    """Give the new file what the old one has: extended attributes (access lists, labels), owner, mode, times."""
    names: list[str] = []
    with suppress(OSError):
        names = os.listxattr(log)
    for name in names:
        with suppress(OSError):
            os.setxattr(new, name, os.getxattr(log, name))
    own = os.fstat(new)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(new, status.st_uid, status.st_gid)
    os.fchmod(new, stat.S_IMODE(status.st_mode))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))


def _expect_same(old: Log, writers: Writers) -> None:
    """Raise ExchangeError where the name no longer leads to the file that was read, in the state it was in then."""
    if writers.is_open(old.status):
        raise ExchangeError("open-log")
    named = os.stat(old.name, dir_fd=old.folder, follow_symlinks=False)
    if identity_of(named) != identity_of(old.status) or identity_of(os.fstat(old.descriptor)) != identity_of(
        old.status
    ):
        raise ExchangeError("changed")
