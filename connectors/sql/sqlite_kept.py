"""Connections to SQLite files that are kept open from one question of a plan to the next.

Opening a file and reading its schema takes longer than most questions. Invariant: no more than ``MOST`` are open and
idle in the whole process, however many places there are; one is only lent again where its path still names the file
that it has open, so a file that was restored from a backup is never read as it was before; and none goes along into a
process that is forked off, which SQLite forbids (https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from sqlalchemy import Connection

MOST = 4
"""Each may hold a cache of pages."""

_FileId = tuple[int, int]


class Kept:
    """The idle connections, by whom they belong to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: OrderedDict[object, tuple[Connection, _FileId]] = OrderedDict()
        self._left: list[object] = []
        os.register_at_fork(after_in_child=self._leave)

    def _leave(self) -> None:
        # Not even closed: that too would touch what belongs to the parent.
        self._left.append(self._idle)
        self._lock, self._idle = threading.Lock(), OrderedDict()

    def take(self, owner: object, path: Path) -> Connection | None:
        """Return the idle connection of an owner, None where there is none to the file that the path names now."""
        with self._lock:
            found = self._idle.pop(owner, None)
        if found is None:
            return None
        connection, opened = found
        if file_id(path) == opened:
            return connection
        connection.close()
        return None

    def put(self, owner: object, connection: Connection, opened: _FileId | None) -> None:
        """Keep a connection that its owner no longer needs; the one that was idle longest makes room for it."""
        closing: list[Connection] = []
        with self._lock:
            if opened is None or owner in self._idle:
                closing.append(connection)
            else:
                self._idle[owner] = connection, opened
            while len(self._idle) > MOST:
                closing.append(self._idle.popitem(last=False)[1][0])
        for one in closing:
            one.close()

    def drop(self, owner: object) -> None:
        """Close the idle connection of an owner, if there is one."""
        with self._lock:
            found = self._idle.pop(owner, None)
        if found is not None:
            found[0].close()


KEPT = Kept()
"""Of this process."""


def file_id(path: Path) -> _FileId | None:
    """Return what tells a file from another that takes its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
