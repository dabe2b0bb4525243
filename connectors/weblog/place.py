"""The logs of one root: going to them, opening them, and what stands against changing them.

Invariant: a log that cannot be read to its end makes a listing incomplete; it never counts as shorter or empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from zoneinfo import ZoneInfo

from connectors.files.listing import Entries, walk
from connectors.files.names import parse_key, spell_name
from connectors.files.roots import Root, error_code, open_root
from connectors.files.tree import Chain, Names
from connectors.weblog.dataset import LogFolder
from connectors.weblog.openness import Writers
from connectors.weblog.rewriting import Log, open_log
from connectors.weblog.streams import UnreadableError, kind_of
from ropa.errors import IncompleteListingError, LocationError

ZSTANDARD_MISSING = "zstandard-missing"


class Place:
    """A root with its datasets' folders."""

    def __init__(
        self, location: str, zone: ZoneInfo, root: str, sentinel: str, folders: Mapping[str, LogFolder]
    ) -> None:
        self.location, self.zone, self.folders = location, zone, folders
        self._root, self._sentinel = root, sentinel

    def open(self) -> AbstractContextManager[Root]:
        """Open the root. Raises LocationError."""
        return open_root(self._root, self._sentinel, self.location)

    def is_member(self, folder: LogFolder, path: str) -> bool:
        """Tell whether a file belongs to a dataset."""
        return path != spell_name(self._sentinel) and folder.is_member(path)

    def names_of(self, folder: LogFolder, path: str) -> Names | None:
        """Return the names that a path in a key consists of; None where it is no log of this dataset."""
        try:
            names = parse_key(path)
        except ValueError:
            return None
        return names if self.is_member(folder, path) else None

    def paths(self, root: Root, folder: LogFolder) -> Iterator[str]:
        """Stream the paths of a dataset's logs in order."""

        def sift(entries: Entries, prefix: str) -> list[tuple[str, None]]:
            paths = (prefix + spell_name(entry.name) for entry in entries)
            return [(path, None) for path in paths if self.is_member(folder, path)]

        for portion in walk(root, folder.names, sift):
            for path, _ in portion:
                yield path

    @contextmanager
    def log(self, chain: Chain, path: str) -> Iterator[Log | None]:
        """Open one log; None where there is none any more. Raises IncompleteListingError where it cannot be read."""
        names = parse_key(path)
        try:
            folder = chain.enter(names[:-1])
            opened = open_log(folder, names[-1])
        except (FileNotFoundError, NotADirectoryError):
            opened, folder = None, -1
        except OSError as error:
            raise self.incomplete(error_code(error)) from None
        if opened is None:
            yield None
            return
        descriptor, status = opened
        try:
            yield Log(path, folder, names[-1], descriptor, status, kind_of(descriptor))
        except UnreadableError as error:
            raise self.incomplete(error.code, status.st_ino) from None
        finally:
            os.close(descriptor)

    def incomplete(self, code: str, inode: int | None = None) -> LocationError:
        """Return the error of a log that cannot be read; told by its number, for a name may be a person's."""
        if code == ZSTANDARD_MISSING:
            return LocationError(
                f"{self.location}: a log is compressed with zstd, and the package zstandard is not installed",
                next_step="Install zstandard.",
                code=code,
            )
        where = "" if inode is None else f", inode {inode}"
        return IncompleteListingError(
            f"{self.location}: a log cannot be read to its end ({code}{where})",
            next_step="Look at it (find ROOT -inum NUMBER): give the right to read it, mend it or move it away.",
            code="unreadable",
        )

    def obstacle(self, folder: LogFolder, path: str, status: os.stat_result, writers: Writers) -> str | None:
        """Return why a log cannot be changed: it has another name that would keep its content, belongs to a second
        dataset too, is not a rotated one, or is being written."""
        if status.st_nlink > 1:
            return "hard-link"
        others = (other for other in self.folders.values() if other is not folder)
        if any(other.is_member(path) for other in others):
            return "two-datasets"
        return "open-log" if not folder.is_rotated(path) or writers.is_open(status) else None
