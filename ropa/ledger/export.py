"""Handing the evidence over: a copy of exactly the evidence files.

Invariant: nothing is overwritten and no link is followed at the target; nothing but evidence is copied: no key, no run
database, nothing left by a crash. The copy is of one moment: checkpoints first, then the lines they cover.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import BinaryIO

from ropa.errors import CallError, LedgerError
from ropa.ledger.batches import BATCH_NAME, OUTCOMES_NAME
from ropa.ledger.chain import BATCHES, CHECKPOINT_NAME, CHECKPOINTS, EVENTS
from ropa.ledger.files import PRIVATE_FILE, PRIVATE_FOLDER, is_free, names_in, open_regular, sync_folder


def export(folder: Path, to: Path) -> int:
    """Copy the evidence into ``to``, a folder that is new or empty, and return the number of files.

    Files are made anew (O_EXCL, 0600). Raises CallError (``export-target``) where the target is a link, a file, a
    folder that holds something, or cannot be made; LedgerError where evidence cannot be read. The caller holds the
    lock, so that no line is half written.
    """
    _prepare(to)
    public = [name for name in names_in(folder) if name.startswith("public") and name.endswith(".pem")]
    stamped = [name for name in names_in(folder / CHECKPOINTS) if CHECKPOINT_NAME.fullmatch(name)]
    batches = [
        name for name in names_in(folder / BATCHES) if BATCH_NAME.fullmatch(name) or OUTCOMES_NAME.fullmatch(name)
    ]
    parts = [
        *public,
        *(f"{CHECKPOINTS}/{name}" for name in stamped),
        EVENTS,
        *(f"{BATCHES}/{name}" for name in batches),
    ]
    try:
        for part in (CHECKPOINTS, BATCHES):
            (to / part).mkdir(mode=PRIVATE_FOLDER)
        for part in parts:
            try:
                source = open_regular(folder / part)
            except OSError as error:
                raise LedgerError(
                    f"{part} cannot be read", next_step="Run `ropa ledger verify`.", code="export-source"
                ) from error
            with source:
                _copy(source, to / part)
        for part in (CHECKPOINTS, BATCHES, "."):
            sync_folder(to / part)
    except OSError as error:
        raise CallError(f"{to} cannot be written ({error.strerror})", code="export-target") from error
    return len(parts)


def _prepare(to: Path) -> None:
    try:
        os.mkdir(to, mode=PRIVATE_FOLDER)  # noqa: PTH102 - the system call: it follows no link
    except FileExistsError:
        if not is_free(to):
            raise CallError(
                f"{to} is not a new or empty folder",
                next_step="Name a folder that does not exist.",
                code="export-target",
            ) from None
    except OSError as error:
        raise CallError(f"{to} cannot be made ({error.strerror})", code="export-target") from error


def _copy(source: BinaryIO, target: Path) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(handle, "wb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
        stream.flush()
        os.fsync(stream.fileno())
