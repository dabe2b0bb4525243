"""Modes of files, looked at when a command starts: what decides about deletion and what proves it is closed to others.

Invariant: nothing is opened and nothing is changed here; a problem names the file and the mode to set. What is not
there has no mode, and is no problem here.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ropa.config.bounds import leaves
from ropa.config.models import Config
from ropa.config.problems import KeyPath, spell
from ropa.config.references import openness
from ropa.config.sources import FILE, FURTHER, further_files
from ropa.errors import Problem

_FOR_OTHERS = stat.S_IRWXO | stat.S_IWGRP
_FOR_ANYBODY_ELSE = stat.S_IRWXG | stat.S_IRWXO
_DATABASE = ("ropa.db", "ropa.db-wal", "ropa.db-shm", "ropa.db-journal")


def check_modes(folder: Path) -> list[Problem]:
    """Return what makes ``config/retention.toml`` or a further file open to change by others: they decide what is
    deleted.

    Refused are a file that its group or others may write, and a folder in which anybody may put another in its place.
    A file that is not there is no problem here; ``load`` reports it.
    """
    problems = []
    files = [folder / FILE, *further_files(folder)]
    folders = [folder / FILE.parent, folder / FURTHER]
    kinds = ((files, stat.S_IWGRP | stat.S_IWOTH), (folders, stat.S_IWOTH))
    for path, bits in ((path, bits) for paths, bits in kinds for path in paths):
        mode = _mode(path)
        if mode is not None and mode & bits and not mode & stat.S_ISVTX and not _is_read_only(path):
            message = (
                f"may be changed by others (mode {stat.S_IMODE(mode):04o}); take write permission from group and others"
            )
            problems.append(Problem(str(path), message))
    return problems


def check_secret_modes(loaded: Config, environ: Mapping[str, str]) -> list[Problem]:
    """Return the files with secrets that are there and open to others, by the key paths of their references. No file
    is opened: those of ``apply`` neither."""
    return [
        Problem(spell(path), trouble)
        for path, value in _references(loaded)
        if isinstance(value, str) and (trouble := openness(value, loaded.folder, environ)) is not None
    ]


def check_state_modes(state: Path) -> list[Problem]:
    """Return what in the state folder is open to others: keys to anybody but their owner; the ledger and the run
    database, with the keys of records and who asked for what, to others than their group."""
    problems = [_closed(state / name, _FOR_OTHERS, 0o600) for name in _DATABASE]
    problems += [_closed(state / "ledger", _FOR_OTHERS, 0o700)]
    problems += [_closed(file, _FOR_OTHERS, 0o600) for file in _files_in(state / "ledger")]
    problems += [_closed(state / "keys", _FOR_OTHERS, 0o700)]
    problems += [_closed(file, _FOR_ANYBODY_ELSE, 0o600) for file in _files_in(state / "keys")]
    return [problem for problem in problems if problem is not None]


def _references(loaded: Config) -> Iterator[tuple[KeyPath, Any]]:
    yield ("state", "database"), loaded.database
    for location in loaded.locations.values():
        path: KeyPath = ("location", location.name)
        yield from leaves(dict(location.options), path)
        yield from leaves(dict(location.apply), (*path, "apply"))
        for name, dataset in location.datasets.items():
            yield from leaves(dict(dataset.options), (*path, "dataset", name))


def _files_in(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return []


def _closed(path: Path, bits: int, wanted: int) -> Problem | None:
    mode = _mode(path)
    if mode is None or not mode & bits:
        return None
    return Problem(str(path), f"is open to others (mode {stat.S_IMODE(mode):04o}); chmod {wanted:03o} it")


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except OSError:
        return None


def _is_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return True
