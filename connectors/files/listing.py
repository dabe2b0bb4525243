"""How folders of files are listed: in the order of their keys, by several threads. Reads only.

A folder is one piece of work; folders that stand side by side are handed out in small runs, a few runs ahead of where
the listing is, so that a slow disk or share is waited for many times at once. Invariant: every folder is entered
from the open folder above it, and nothing is concluded from a listing that was not whole. Memory holds a few runs of
folders at each depth, and of each folder only what ``sift`` kept of it.
"""

from __future__ import annotations

import os
import stat
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from connectors.files.names import spell_name
from connectors.files.roots import CrossedError, Root, error_code
from connectors.files.tree import Chain, Names
from ropa.errors import IncompleteListingError, LocationError

THREADS = 4
"""More do not pay: what is in the cache is bound by the interpreter, what is not by the disk."""
_RUN = 16
"""Folders listed as one piece of work, at most."""
_AHEAD = 6
"""Runs listed before they are asked for, at each depth."""

Entries = Iterable[os.DirEntry[str]]
T = TypeVar("T")
Sift = Callable[[Entries, str], list[tuple[str, T]]]
"""Given the files of a folder, as the disk orders them, and what their keys begin with: (key, anything) of those that
are to be kept, in any order. Called in several threads at once."""


@dataclass(frozen=True)
class _Listed(Generic[T]):
    """One folder, listed."""

    name: str
    identity: tuple[int, int]
    prefix: str
    kept: Sequence[tuple[str, T]]
    folders: Sequence[tuple[str, str]]
    """(what the keys below it begin with, name), in order."""


def walk(root: Root, folder: Names, sift: Sift[T]) -> Iterator[Sequence[tuple[str, T]]]:
    """Stream what ``sift`` keeps of the regular files below a folder, in the order of the keys, in portions.

    Symbolic links, FIFOs, sockets and devices are passed over; other file systems are not entered. Raises
    IncompleteListingError where a folder cannot be read, or was exchanged in the meantime; LocationError where
    ``folder`` is not there.
    """
    with Chain(root) as chain:
        try:
            start = os.dup(chain.enter(folder))
        except OSError as error:
            raise LocationError(
                f"a dataset's folder is not below the root or cannot be opened ({error_code(error)})",
                next_step="Correct its source, or create the folder.",
                code="folder-missing",
            ) from None
    levels: list[_Level[T]] = []
    executor = ThreadPoolExecutor(THREADS, "list")
    try:
        prefix = "".join(f"{spell_name(name)}/" for name in folder)
        levels.append(_Level(root, start, _list(start, "", prefix, sift), executor, sift))
        while levels:
            level = levels[-1]
            portion = level.take_files()
            if portion:
                yield portion
            below = level.take_folder()
            if below is None:
                os.close(levels.pop().descriptor)
            elif not below.folders:
                if below.kept:
                    yield below.kept
            elif (descriptor := level.enter(below)) is not None:
                levels.append(_Level(root, descriptor, below, executor, sift))
            elif below.kept:
                yield below.kept
    finally:
        # Nobody may be at work in a folder that is closed.
        executor.shutdown(cancel_futures=True)
        for level in levels:
            os.close(level.descriptor)


class _Level(Generic[T]):
    """A folder being walked whose folders are listed ahead."""

    def __init__(self, root: Root, descriptor: int, listed: _Listed[T], executor: Executor, sift: Sift[T]) -> None:
        self.descriptor = descriptor
        self._root = root
        self._listed = listed
        self._executor = executor
        self._sift = sift
        self._given = 0
        self._folder = 0
        self._asked = 0
        self._runs: deque[Future[list[_Listed[T] | None]]] = deque()
        self._ready: deque[_Listed[T] | None] = deque()

    def take_files(self) -> Sequence[tuple[str, T]]:
        """Return the kept files that come before the next folder."""
        kept, folders = self._listed.kept, self._listed.folders
        first, self._given = self._given, len(kept)
        if self._folder < len(folders):
            self._given = bisect_left(kept, folders[self._folder][0], first, key=lambda pair: pair[0])
        return kept if self._given - first == len(kept) else kept[first : self._given]

    def take_folder(self) -> _Listed[T] | None:
        """Return the next folder; one that has gone, or is not to be entered, without anything in it. None: no more."""
        if self._folder == len(self._listed.folders):
            return None
        self._ask()
        if not self._ready:
            self._ready.extend(self._runs.popleft().result())
            self._ask()
        self._folder += 1
        return self._ready.popleft() or _Listed("", (0, 0), "", (), ())

    def enter(self, below: _Listed[T]) -> int | None:
        """Return a descriptor of a folder that was listed; None where it has gone since."""
        try:
            descriptor = self._root.enter(self.descriptor, below.name)
        except (CrossedError, FileNotFoundError):
            return None
        except OSError as error:
            raise incomplete(error, below.identity[1]) from None
        if _identity(descriptor) != below.identity:
            os.close(descriptor)
            raise incomplete(NotADirectoryError(20, "exchanged"), below.identity[1])
        return descriptor

    def _ask(self) -> None:
        folders = self._listed.folders
        size = min(max(len(folders) // (2 * THREADS), 1), _RUN)
        while self._asked < len(folders) and len(self._runs) < _AHEAD:
            run = folders[self._asked : self._asked + size]
            self._asked += len(run)
            self._runs.append(self._executor.submit(self._list_run, run))

    def _list_run(self, run: Sequence[tuple[str, str]]) -> list[_Listed[T] | None]:
        return [self._list_one(prefix, name) for prefix, name in run]

    def _list_one(self, prefix: str, name: str) -> _Listed[T] | None:
        try:
            descriptor = self._root.enter(self.descriptor, name)
        except (CrossedError, FileNotFoundError):
            return None
        except OSError as error:
            raise incomplete(error, _inode(self.descriptor, name)) from None
        try:
            return _list(descriptor, name, prefix, self._sift)
        finally:
            os.close(descriptor)


def statuses(entries: Entries) -> Iterator[tuple[str, os.stat_result]]:
    """Stream (name, status) of files; those that have just gone, or are no regular files any more, are passed over.

    Raises IncompleteListingError where it cannot be told.
    """
    for entry in entries:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise incomplete(error, entry.inode()) from None
        if stat.S_ISREG(status.st_mode):
            yield entry.name, status


def incomplete(error: OSError, inode: int | None) -> IncompleteListingError:
    """Return the error that says so. A folder may be called like a person: it is told by its number."""
    where = "" if inode is None else f", inode {inode}"
    return IncompleteListingError(
        f"a folder or file below the root cannot be read ({error_code(error)}{where})",
        next_step="Give the right to read it; find it with: find ROOT -inum NUMBER.",
        code="unreadable",
    )


def _list(descriptor: int, name: str, prefix: str, sift: Sift[T]) -> _Listed[T]:
    """List a folder. A folder in it sorts as its files do, with the ``/``."""
    folders: list[tuple[str, str]] = []
    try:
        identity = _identity(descriptor)
        with os.scandir(descriptor) as entries:
            kept = sift(_files(entries, prefix, folders), prefix)
    except OSError as error:
        raise incomplete(error, None) from None
    kept.sort(key=lambda pair: pair[0])
    folders.sort()
    return _Listed(name, identity, prefix, kept, folders)


def _files(entries: Entries, prefix: str, folders: list[tuple[str, str]]) -> Iterator[os.DirEntry[str]]:
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            yield entry
        elif entry.is_dir(follow_symlinks=False):
            folders.append((f"{prefix}{spell_name(entry.name)}/", entry.name))


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _inode(folder: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino
    except OSError:
        return None
