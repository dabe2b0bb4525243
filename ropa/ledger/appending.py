"""The file of events as its one writer holds it: appended durably, or not at all.

Invariant: bytes go to the end of exactly the file that was read and found sound; what ``write`` returned from is on the
disk. After a failed write or fsync nothing more is written: the kernel may have dropped what it could not store, and a
second fsync would report success all the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ropa.errors import LedgerError, RefusedError
from ropa.ledger.files import write_all

LOOK = "Stop, keep the folder as it is, and run `ropa ledger verify`; compare it with an exported checkpoint."


def refused(error: OSError) -> RefusedError:
    """Return the error that says that the disk refused evidence."""
    return RefusedError(
        f"the ledger cannot be written ({error.strerror or 'the system refused'})",
        next_step="Make room or mend the disk, then start again; nothing is deleted without an intent on the disk.",
        code="ledger-write",
    )


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an OSError into RefusedError ``ledger-write``."""
    try:
        yield
    except OSError as error:
        raise refused(error) from error


class EventFile:
    """The open file, its end, and whether it may still be written."""

    def __init__(self, path: Path, end: int, partial: int) -> None:
        """Open for appending at ``end``; cut away ``partial`` bytes behind it. Raises RefusedError, LedgerError."""
        self._path, self._end, self._is_dead = path, end, False
        with refusing():
            self._handle: int | None = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
            if partial:
                os.ftruncate(self._handle, end)
                os.fsync(self._handle)
        self.check()

    def close(self) -> None:
        """Let go of the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def check(self) -> int:
        """Return the handle. Raises RefusedError after a failed write or ``close``; LedgerError (``ledger-changed``)
        when the file is not the one, or not as long, as this process left it."""
        if self._is_dead or self._handle is None:
            raise RefusedError(
                "a write to the ledger failed before, or it was closed; nothing more is written by this process",
                next_step="Mend the disk and start again; open intents are settled first.",
                code="ledger-write",
            )
        try:
            here, there = os.fstat(self._handle), os.lstat(self._path)
        except OSError as error:
            raise LedgerError("the ledger's file is gone", next_step=LOOK, code="ledger-changed") from error
        if here.st_size != self._end or (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            raise LedgerError("someone else changed the ledger's file", next_step=LOOK, code="ledger-changed")
        return self._handle

    def write(self, data: bytes) -> None:
        """Append and bring to the disk. Raises as ``check``, and RefusedError (``ledger-write``)."""
        handle = self.check()
        self._is_dead = True  # whatever interrupts this, also a signal, leaves the object dead
        try:
            write_all(handle, data)
            os.fsync(handle)
        except OSError as error:
            # Where this fails, too, the next opening cuts a line that is not whole; a whole one promised nothing.
            with suppress(OSError):
                os.ftruncate(handle, self._end)
                os.fsync(handle)
            raise refused(error) from error
        self._end += len(data)
        self._is_dead = False

    def beside(self, work: Callable[[], None]) -> None:
        """Do other durable work that this file relies on; dead as after ``write`` when the disk refuses it."""
        self.check()
        try:
            work()
        except OSError as error:
            self._is_dead = True
            raise refused(error) from error
