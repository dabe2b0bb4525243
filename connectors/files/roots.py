"""Which folders may be a root, and opening one.

Invariant: a root is a real folder that somebody has marked with the sentinel file, never one that holds a system, a
home, or this project's own configuration and state. An unmarked or missing root is never taken for an empty one.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ropa.errors import LocationError

DEFAULT_SENTINEL = ".ropa-root"

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SYSTEM = (
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib32",
    "lib64",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr",
)
_REFUSED = (Path("/"), *(Path("/", name) for name in _SYSTEM), *map(Path, ("/var", "/var/lib", "/var/log")))
_REFUSED_WITH_ALL_BELOW = tuple(Path("/", name) for name in ("boot", "dev", "etc", "proc", "sys", "usr"))
_NOBODY = 65534


def reason_to_refuse(root: str, folder: str | None) -> str | None:
    """Return why a folder may not be a root, None where it may. Does not ask whether it exists.

    ``folder``: the project folder, whose ``config`` and ``var`` must stay out of reach.
    """
    if not root or not Path(root).is_absolute() or "\0" in root or "\n" in root:
        return "is not the absolute path of a folder"
    if ".." in Path(root).parts:
        return "leads outside with '..'"
    if Path(root).is_symlink():
        return "is a symbolic link; name the folder itself"
    real = Path(os.path.realpath(root))
    if real in _REFUSED:
        return "is a folder of the system"
    if any(real.is_relative_to(other) for other in _REFUSED_WITH_ALL_BELOW):
        return "lies in a folder of the system"
    if real.parent == Path("/home") or real in _homes():
        return "is somebody's home"
    if folder:
        project = Path(os.path.realpath(folder))
        if project.is_relative_to(real):
            return "holds this project itself"
        if any(real.is_relative_to(project / own) for own in ("config", "var")):
            return "is this project's own configuration or state"
    return None


def _homes() -> set[Path]:
    people = [entry for entry in pwd.getpwall() if entry.pw_uid == 0 or 1000 <= entry.pw_uid < _NOBODY]
    return {Path(os.path.realpath(entry.pw_dir)) for entry in people if entry.pw_dir}


@dataclass(frozen=True, slots=True)
class Root:
    """An open root: everything is reached from its descriptor."""

    descriptor: int
    device: int
    mount: str
    """The kernel's number of the mount, "" where it does not tell: sees bind mounts, which ``device`` does not."""

    def enter(self, parent: int, name: str) -> int:
        """Return a descriptor of a folder in a folder.

        Raises OSError: NotADirectoryError also for a symbolic link, and ``CrossedError`` for another file system.
        """
        descriptor = os.open(name, _FOLDER_FLAGS, dir_fd=parent)
        try:
            is_here = os.fstat(descriptor).st_dev == self.device and _mount_of(descriptor) == self.mount
        except OSError:
            os.close(descriptor)
            raise
        if not is_here:
            os.close(descriptor)
            raise CrossedError
        return descriptor


class CrossedError(OSError):
    """The folder belongs to another file system."""


@contextmanager
def open_root(root: str, sentinel: str, location: str) -> Iterator[Root]:
    """Open a root whose sentinel stands in it. Raises LocationError otherwise."""
    next_step = f"Mount the share; or create {root}/{sentinel} to say that this is the place."
    try:
        descriptor = os.open(root, _FOLDER_FLAGS)
    except OSError as error:
        raise LocationError(
            f"{location}: the root {root} is not there or cannot be opened ({error_code(error)})",
            next_step=next_step,
            code="root-missing",
        ) from None
    try:
        try:
            is_marked = stat.S_ISREG(os.stat(sentinel, dir_fd=descriptor, follow_symlinks=False).st_mode)
        except OSError:
            is_marked = False
        if not is_marked:
            raise LocationError(
                f"{location}: {root} does not hold {sentinel}: the share may not be mounted",
                next_step=next_step,
                code="sentinel-missing",
            )
        yield Root(descriptor, os.fstat(descriptor).st_dev, _mount_of(descriptor))
    finally:
        os.close(descriptor)


def mounts_below(root: str) -> int:
    """Return how many other file systems are mounted below a root; 0 where the kernel does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return 0
    real = Path(os.path.realpath(root))
    points = (Path(line.split()[4].replace("\\040", " ")) for line in lines)
    return sum(point != real and point.is_relative_to(real) for point in points)


def error_code(error: OSError) -> str:
    """Return the name of an error as the code of an outcome, such as ``eacces`` or ``ebusy``."""
    return errno.errorcode.get(error.errno or 0, "oserror").lower()


def _mount_of(descriptor: int) -> str:
    try:
        information = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        lines = os.read(information, 512).split(b"\n")
    finally:
        os.close(information)
    return next((line.split()[1].decode("ascii") for line in lines if line.startswith(b"mnt_id:")), "")
