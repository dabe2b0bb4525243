"""Whether something still writes to a log: then it is left alone.

Invariant: when in doubt the log counts as open. A log that is exchanged while a server has it open goes on being
written where nobody sees it, and those lines are lost.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from ropa.clock import monotonic, now

QUIET_SECONDS = 600
"""A log that was written to in the last ten minutes counts as open."""

_FRESH_SECONDS = 2.0
_WRITING = os.O_WRONLY | os.O_RDWR


class Writers:
    """The files of one device that processes have open for writing, as far as we may see processes (``/proc``); looked
    up again when what is known is older than two seconds."""

    def __init__(self, device: int) -> None:
        self._device = device
        self._open: frozenset[int] = frozenset()
        self._asked_at: float | None = None

    def is_open(self, status: os.stat_result) -> bool:
        """Tell whether a file is open for writing, or was written to a moment ago (or in the future)."""
        if status.st_mtime > now().timestamp() - QUIET_SECONDS:
            return True
        if self._asked_at is None or monotonic() - self._asked_at > _FRESH_SECONDS:
            self._asked_at = monotonic()
            self._open = frozenset(_open_for_writing(self._device))
        return status.st_ino in self._open


def _open_for_writing(device: int) -> Iterator[int]:
    own = str(os.getpid())
    for process in _list("/proc"):
        if not process.isdigit() or process == own:
            continue
        for descriptor in _list(f"/proc/{process}/fd"):
            try:
                status = os.stat(f"/proc/{process}/fd/{descriptor}")  # noqa: PTH116 - thousands of them
                if stat.S_ISREG(status.st_mode) and status.st_dev == device and _writes(process, descriptor):
                    yield status.st_ino
            except OSError:
                continue  # it was closed, or its process has ended


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - thousands of them
    except OSError:
        return []


def _writes(process: str, descriptor: str) -> bool:
    information = os.open(f"/proc/{process}/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        lines = os.read(information, 512).split(b"\n")
    finally:
        os.close(information)
    flags = next((int(line.split()[1], 8) for line in lines if line.startswith(b"flags:")), _WRITING)
    return bool(flags & _WRITING)
