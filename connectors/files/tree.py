"""How files are walked and removed: the only module of this connector that changes a disk.

Design. A path is never trusted twice. Everything starts at the descriptor of a root that carries its sentinel and goes
down one name at a time (openat(2) with O_NOFOLLOW and O_DIRECTORY), so that a folder exchanged for a symbolic link at
any moment leads nowhere; no path is ever resolved and used later. A folder of another file system or mount is not
entered. A file is looked at through O_PATH, which opens no FIFO or device, and is removed only while the identity that
was planned (device, inode, size, both times) is still what the descriptor shows; removing is unlinkat(2) in that very
folder. Between that look and the removal the name could still be given to another file: the descriptor, which is kept,
then shows that the file we looked at is still linked, and the record is reported as failed instead of purged. Before
the outcomes are told, each folder that lost a file is flushed to disk: evidence must not be older than the deed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from connectors.files.names import spell_name
from connectors.files.roots import CrossedError, Root, error_code
from ropa.connector import OutcomeWord
from ropa.errors import IncompleteListingError, LocationError

Verdict = tuple[OutcomeWord, str | None]
Names = tuple[str, ...]
"""Names of folders, the last perhaps of a file, from the root down, as ``os`` takes them."""


def identity_of(status: os.stat_result) -> str:
    """Return what tells one file, in one state, from every other."""
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


# --- walking ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Level:
    """A folder being walked."""

    descriptor: int
    prefix: str
    waiting: Iterator[os.DirEntry[str]]


def walk(root: Root, folder: Names) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Stream every regular file below a folder as (key, entry), in the order of the keys; reads only.

    Symbolic links, FIFOs, sockets and devices are passed over; other file systems are not entered. Holds one folder of
    each depth in memory. An entry can be asked (``stat``) until the next one is taken. Raises IncompleteListingError
    where a folder cannot be read, or was exchanged in the meantime; LocationError where ``folder`` is not there.
    """
    prefix = "".join(f"{spell_name(name)}/" for name in folder)
    levels: list[_Level] = []
    try:
        with Chain(root) as chain:
            try:
                start = os.dup(chain.enter(folder))
            except OSError as error:
                raise LocationError(
                    f"a dataset's folder is not below the root or cannot be opened ({error_code(error)})",
                    next_step="Correct its source, or create the folder.",
                    code="folder-missing",
                ) from None
        levels.append(_Level(start, prefix, iter(())))
        levels[-1].waiting = _list(start)
        while levels:
            level = levels[-1]
            entry = next(level.waiting, None)
            if entry is None:
                os.close(levels.pop().descriptor)
                continue
            if not entry.is_dir(follow_symlinks=False):
                yield level.prefix + spell_name(entry.name), entry
                continue
            descriptor = _descend(root, level, entry)
            if descriptor is not None:
                levels.append(_Level(descriptor, f"{level.prefix}{spell_name(entry.name)}/", iter(())))
                levels[-1].waiting = _list(descriptor)
    finally:
        for level in levels:
            os.close(level.descriptor)


def status_of(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return a file's status; None where it has just gone or is no regular file any more. Raises
    IncompleteListingError where it cannot be told."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _incomplete(error, entry) from None
    return status if stat.S_ISREG(status.st_mode) else None


def _list(descriptor: int) -> Iterator[os.DirEntry[str]]:
    """Return folders and regular files in the order of their keys: a folder sorts as its files do, with the ``/``."""
    try:
        with os.scandir(descriptor) as entries:
            found = [
                (spell_name(entry.name) + ("/" if is_folder else ""), entry)
                for entry in entries
                if (is_folder := entry.is_dir(follow_symlinks=False)) or entry.is_file(follow_symlinks=False)
            ]
    except OSError as error:
        raise _incomplete(error, None) from None
    found.sort(key=lambda pair: pair[0])
    return (entry for _, entry in found)


def _descend(root: Root, level: _Level, entry: os.DirEntry[str]) -> int | None:
    try:
        return root.enter(level.descriptor, entry.name)
    except (CrossedError, FileNotFoundError):
        return None
    except OSError as error:
        raise _incomplete(error, entry) from None


def _incomplete(error: OSError, entry: os.DirEntry[str] | None) -> IncompleteListingError:
    # A folder may be called like a person: it is told by its number.
    where = "" if entry is None else f", inode {entry.inode()}"
    return IncompleteListingError(
        f"a folder or file below the root cannot be read ({error_code(error)}{where})",
        next_step="Give the right to read it; find it with: find ROOT -inum NUMBER.",
        code="unreadable",
    )


# --- going to one place and acting there --------------------------------------------------------------------------


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
        """False once a folder that lost a file could not be flushed to disk."""

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
            status = os.stat(file[-1], dir_fd=self.enter(file[:-1]), follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError, CrossedError):
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def purge(self, file: Names, judge: Callable[[os.stat_result], Verdict | None]) -> Verdict:
        """Remove one file, unless ``judge`` says of its status, taken from the open file, why not."""
        try:
            folder = self.enter(file[:-1])
            descriptor = os.open(file[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return OutcomeWord.ABSENT, None
        except (NotADirectoryError, CrossedError):
            return OutcomeWord.CHANGED, None
        except OSError as error:
            # Some systems say ELOOP for a symbolic link where a folder was.
            word = OutcomeWord.CHANGED if error.errno == errno.ELOOP else OutcomeWord.FAILED
            return word, error_code(error) if word is OutcomeWord.FAILED else None
        try:
            status = os.fstat(descriptor)
            verdict = judge(status) if stat.S_ISREG(status.st_mode) else (OutcomeWord.CHANGED, None)
            if verdict is not None:
                return verdict
            os.unlink(file[-1], dir_fd=folder)
            self._touched[-1] = True
            if _is_unlinked(descriptor):
                return OutcomeWord.PURGED, None
        except FileNotFoundError:
            return OutcomeWord.ABSENT, None
        except OSError as error:
            return OutcomeWord.FAILED, error_code(error)
        else:
            return OutcomeWord.FAILED, "name-swapped"
        finally:
            os.close(descriptor)

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
            if touched:
                os.fsync(descriptor)
        except OSError as error:
            # Some file systems flush folders by themselves and do not take the call.
            if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
                self.is_durable = False
        finally:
            os.close(descriptor)


def _is_unlinked(descriptor: int) -> bool:
    """Tell whether the file behind a descriptor has lost its name."""
    if os.fstat(descriptor).st_nlink == 0:
        return True
    # NFS gives a file that somebody has open, us too, another name until it is closed (".nfs…").
    with suppress(OSError):
        return Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith(".nfs")
    return False
