"""Which reader reads a file: by the ending of its name, and for workbooks by what they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ropa.config.bounds import MAX_BYTES, read_bounded
from ropa.errors import Problem, RegisterError
from ropa.register.exchange.fideslang import read_fideslang
from ropa.register.exchange.incoming import Incoming
from ropa.register.text import from_json, from_toml

LARGEST = 4 * MAX_BYTES
"""Bytes of a file; what a workbook unpacks to has a bound of its own."""


def read_incoming(path: Path) -> Incoming:
    """Read a register, or entries for one, from a file.

    Raises RegisterError for an ending that nobody reads, a file that cannot be read or is too large, and with every
    problem in it; ConfigurationError where a library that the form needs is not installed.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise RegisterError(
            f"{path.name} ends in none of {', '.join(READERS)}",
            (),
            next_step="Give a register as `ropa register export` writes it, or one of the forms in docs/how-to.",
        )
    data, _size, trouble = read_bounded(path, LARGEST)
    if trouble is not None:
        raise RegisterError(f"{path} cannot be read", (Problem(str(path), trouble),))
    return reader(data, path.name)


def _toml(data: bytes, name: str) -> Incoming:
    return Incoming("toml", from_toml(data, name), is_whole=True)


def _json(data: bytes, name: str) -> Incoming:
    return Incoming("json", from_json(data, name), is_whole=True)


def _xlsx(data: bytes, name: str) -> Incoming:
    from ropa.register.exchange.workbook_reading import read_workbook

    return read_workbook(data, name)


def _csv(data: bytes, name: str) -> Incoming:
    from ropa.register.exchange.article30 import read_csv

    return read_csv(data, name)


READERS: dict[str, Callable[[bytes, str], Incoming]] = {
    ".toml": _toml,
    ".json": _json,
    ".yml": read_fideslang,
    ".yaml": read_fideslang,
    ".xlsx": _xlsx,
    ".csv": _csv,
}
"""By ending."""
