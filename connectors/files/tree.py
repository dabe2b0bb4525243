"""How files are gone to, looked at and removed: the only module of this connector that changes a disk.

Design. A path is never trusted twice. Everything starts at the descriptor of a root that carries its sentinel and goes
down one name at a time (openat(2) with O_NOFOLLOW and O_DIRECTORY), so that a folder exchanged for a symbolic link at
any moment leads nowhere; no path is ever resolved and used later. A folder of another file system or mount is not
entered. A file is looked at through O_PATH, which opens no FIFO or device, and is removed only while the identity that
was planned (device, inode, size, both times) is still what the descriptor shows; removing is unlinkat(2) in that very
folder. Between that look and the removal the name could still be given to another file: the descriptor, which is kept,
then shows that the file we looked at is still linked, and the record is reported as failed instead of purged. Before
the outcomes are told, each folder that lost a file is flushed to disk: evidence must not be older than the deed.

Files are taken folder by folder, each folder opened once, and several threads work in the folders that are open: a
disk makes whoever removes a file wait, and can be waited for more than once at a time. The folders are flushed when
their threads are done, many together, because one commit of the disk's journal then serves them all.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Self

from connectors.files.roots import CrossedError, Root, error_code
from ropa.connector import OutcomeWord

Verdict = tuple[OutcomeWord, str | None]
Names = tuple[str, ...]
"""Names of folders, the last perhaps of a file, from the root down, as ``os`` takes them."""

THREADS = 8
_OPEN = 200
"""Folders held open and then flushed at a time: far below what a process may have open by default (1024), and enough
for a disk's journal to be waited for once in thousands of files."""
_SHARE = 64
"""Files that one thread takes at a time."""
_MANY_MORE, _ROOM = 4, 256
"""A folder of up to so many names for each that is looked for, and some more, is read to look for them."""

PURGED: Verdict = (OutcomeWord.PURGED, None)


def identity_of(status: os.stat_result) -> str:
    """Return what tells one file, in one state, from every other."""
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


# --- going to one place -------------------------------------------------------------------------------------------


class Chain:
    """The folders from the root down to where the last file stood, each open; a context manager.

    Files come in key order, so most need no new folder. A folder moved elsewhere while it is open is still the folder
    in which the planned files were found, and each file's identity is compared all the same.
    """

    def __init__(self, root: Root) -> None:
        self._root = root
        self._names: list[str] = []
        self._descriptors: list[int] = [os.dup(root.descriptor)]
        self._touched: list[bool] = [False]
        self.is_durable = True
        """False once a folder that lost a folder could not be flushed to disk."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._descriptors:
            self._leave()

    def enter(self, folder: Names) -> int:
        """Return the descriptor of a folder, valid until the next call. Raises OSError."""
        common = 0
        while common < min(len(folder), len(self._names)) and folder[common] == self._names[common]:
            common += 1
        while len(self._names) > common:
            self._leave()
        for name in folder[common:]:
            self._descriptors.append(self._root.enter(self._descriptors[-1], name))
            self._names.append(name)
            self._touched.append(False)
        return self._descriptors[-1]

    def status(self, file: Names) -> os.stat_result | None:
        """Return the status of a regular file; None where there is none. Raises OSError where it cannot be told."""
        try:
            return status_in(self.enter(file[:-1]), file[-1])
        except (FileNotFoundError, NotADirectoryError, CrossedError):
            return None

    def prune(self, folder: Names, top: Names) -> None:
        """Remove a folder that is empty, then those above it that this empties, but never ``top`` or what is above."""
        while len(folder) > len(top):
            try:
                os.rmdir(folder[-1], dir_fd=self.enter(folder[:-1]))
            except OSError:
                return
            self._touched[-1] = True
            folder = folder[:-1]

    def _leave(self) -> None:
        descriptor, touched = self._descriptors.pop(), self._touched.pop()
        if self._names:
            self._names.pop()
        try:
            self.is_durable = (not touched or is_flushed(descriptor)) and self.is_durable
        finally:
            os.close(descriptor)


def status_in(folder: int, name: str) -> os.stat_result | None:
    """Return the status of a regular file in an open folder; None where there is none. Raises OSError."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def is_flushed(folder: int) -> bool:
    """Flush an open folder to disk; tell whether that could be done."""
    try:
        os.fsync(folder)
    except OSError as error:
        # Some file systems flush folders by themselves and do not take the call.
        return error.errno in {errno.EINVAL, errno.ENOTSUP}
    return True


# --- going to many, and acting there ------------------------------------------------------------------------------

Files = Mapping[Names, Sequence[tuple[int, str]]]
"""By folder: (position, name) of each file."""


def still_there(root: Root, files: Files) -> Iterator[int]:
    """Stream the positions of those under whose name there is a regular file. Raises OSError where it cannot be told.

    A folder is read once for all its files where it holds not many more than these: that looks at the folder itself,
    and not at what the kernel remembers of each name.
    """
    with Chain(root) as chain:
        for folder, own in files.items():
            try:
                descriptor = chain.enter(folder)
            except (FileNotFoundError, NotADirectoryError, CrossedError):
                continue
            listed = _names_in(descriptor, _ROOM + _MANY_MORE * len(own))
            for pos, name in own:
                if (listed is None or name in listed) and status_in(descriptor, name) is not None:
                    yield pos


def _names_in(folder: int, most: int) -> set[str] | None:
    """Return the names in an open folder; None where there are more than ``most``."""
    with os.scandir(folder) as entries:
        names = {entry.name for entry in islice(entries, most + 1)}
    return names if len(names) <= most else None


class Purge:
    """Removes files, unless ``judge`` says of the status, taken from the open file, why not.

    ``judge`` is given a file's position and status, in several threads at once; None: the file goes.
    """

    def __init__(self, root: Root, judge: Callable[[int, os.stat_result], Verdict | None]) -> None:
        self._root = root
        self._judge = judge
        self._touched: set[int] = set()
        self.is_durable = True
        """False once a folder that lost a file could not be flushed to disk."""

    def files(self, files: Files) -> Iterator[tuple[int, Verdict]]:
        """Remove files, and stream (position, what became of it), folder by folder."""
        folders = list(files)
        executor = ThreadPoolExecutor(THREADS, "purge")
        opened: list[int] = []
        try:
            with Chain(self._root) as chain:
                for first in range(0, len(folders), _OPEN):
                    told: list[tuple[int, Verdict]] = []
                    tasks: list[tuple[int, int, str]] = []
                    for folder in folders[first : first + _OPEN]:
                        try:
                            opened.append(os.dup(chain.enter(folder)))
                        except OSError as error:
                            told += [(pos, _verdict_on(error)) for pos, _ in files[folder]]
                            continue
                        tasks += [(opened[-1], pos, name) for pos, name in files[folder]]
                    shares = (tasks[i : i + _SHARE] for i in range(0, len(tasks), _SHARE))
                    for verdicts in executor.map(self._remove_all, shares):
                        told += verdicts
                    list(executor.map(self._flush, opened))
                    while opened:
                        os.close(opened.pop())
                    yield from told
        finally:
            # Nobody may be at work in a folder that is closed.
            executor.shutdown(cancel_futures=True)
            for descriptor in opened:
                os.close(descriptor)

    def _remove_all(self, share: Sequence[tuple[int, int, str]]) -> list[tuple[int, Verdict]]:
        return [(pos, self._remove(folder, pos, name)) for folder, pos, name in share]

    def _flush(self, descriptor: int) -> None:
        if descriptor in self._touched:
            self._touched.discard(descriptor)
            if not is_flushed(descriptor):
                self.is_durable = False

    def _remove(self, folder: int, pos: int, name: str) -> Verdict:
        try:
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except OSError as error:
            return _verdict_on(error)
        try:
            status = os.fstat(descriptor)
            verdict = self._judge(pos, status) if stat.S_ISREG(status.st_mode) else (OutcomeWord.CHANGED, None)
            if verdict is not None:
                return verdict
            os.unlink(name, dir_fd=folder)
            self._touched.add(folder)
            return PURGED if _is_unlinked(descriptor) else (OutcomeWord.FAILED, "name-swapped")
        except FileNotFoundError:
            return OutcomeWord.ABSENT, None
        except OSError as error:
            return OutcomeWord.FAILED, error_code(error)
        finally:
            os.close(descriptor)


def _verdict_on(error: OSError) -> Verdict:
    """Return what is said of a file that cannot be opened, or whose folder cannot be entered."""
    if isinstance(error, FileNotFoundError):
        return OutcomeWord.ABSENT, None
    # Some systems say ELOOP for a symbolic link where a folder was.
    if isinstance(error, NotADirectoryError | CrossedError) or error.errno == errno.ELOOP:
        return OutcomeWord.CHANGED, None
    return OutcomeWord.FAILED, error_code(error)


def _is_unlinked(descriptor: int) -> bool:
    """Tell whether the file behind a descriptor has lost its name."""
    if os.fstat(descriptor).st_nlink == 0:
        return True
    # NFS gives a file that somebody has open, us too, another name until it is closed (".nfs…").
    with suppress(OSError):
        return Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(".nfs")
    return False
