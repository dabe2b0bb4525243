"""Reading and writing evidence files: only regular files are read, and a file is there wholly or not at all.

Invariant: what ``write_durably`` returned from is on the disk under its name, content before name; nothing follows a
symbolic link in the last component, and nothing is ever made readable for others.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError for a link, a pipe, a device, a folder, or nothing at all."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("not a regular file")  # noqa: TRY301 - the handle is closed below
        return os.fdopen(handle, "rb", buffering=1 << 20)
    except BaseException:
        os.close(handle)
        raise


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of a regular file of at most ``limit`` bytes. Raises OSError for anything else."""
    with open_regular(path) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise OSError("larger than it can be")
    return content


def write_all(handle: int, data: bytes) -> None:
    """Write every byte, however few the system takes at a time."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def write_new(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet (O_EXCL, no links, 0600) and bring its content to the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        write_all(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, data: bytes) -> None:
    """Put a file in place, replacing what stood there: hidden name, content to disk, rename, folder to disk."""
    hidden = path.with_name(f".{path.name}.new")
    hidden.unlink(missing_ok=True)
    try:
        write_new(hidden, data)
        os.replace(hidden, path)  # noqa: PTH105 - the system call, as tests of crashes see it
    except OSError:
        hidden.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_private_folder(folder: Path) -> None:
    """Make a folder for this user alone, and its name durable; leaves one alone that exists."""
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True)
    except FileExistsError:
        return
    sync_folder(folder.parent)


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; none where there is no such folder."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names only, a folder may hold a million
    except OSError:
        return []


def is_free(folder: Path) -> bool:
    """Tell whether a folder can be made here: nothing is there, or a folder that holds nothing; never a link."""
    try:
        return stat.S_ISDIR(os.lstat(folder).st_mode) and not os.listdir(folder)  # noqa: PTH208
    except FileNotFoundError:
        return True
    except OSError:
        return False


def is_content(path: Path, content: bytes) -> bool:
    """Tell whether a file holds exactly this."""
    try:
        return read_bounded(path, len(content)) == content
    except OSError:
        return False
