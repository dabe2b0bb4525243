"""Which reader reads a file: by the ending of its name, and for workbooks by what they hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ropa.errors import ConfigurationError, RegisterError
from ropa.register.exchange.fideslang import read_fideslang
from ropa.register.exchange.incoming import Incoming
from ropa.register.files import read_file
from ropa.register.text import from_json, from_toml


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
    return reader(read_file(path), path.name)


def _toml(data: bytes, name: str) -> Incoming:
    return Incoming("toml", from_toml(data, name), is_whole=True)


def _json(data: bytes, name: str) -> Incoming:
    if _CONTEXT.search(data) and not _SCHEMA.search(data):
        return _dpv(data, name, "json-ld")
    return Incoming("json", from_json(data, name), is_whole=True)


def _xlsx(data: bytes, name: str) -> Incoming:
    from ropa.register.exchange.workbook_reading import read_workbook

    return read_workbook(data, name)


def _csv(data: bytes, name: str) -> Incoming:
    from ropa.register.exchange.article30 import read_csv

    return read_csv(data, name)


_CONTEXT = re.compile(rb'"@context"\s*:')
_SCHEMA = re.compile(rb'"schema"\s*:\s*"ropa\.register/')


def _dpv(data: bytes, name: str, form: str) -> Incoming:
    try:
        from ropa.register.exchange.dpv import read
    except ImportError:
        raise ConfigurationError(
            "a library that a register in RDF needs is not installed: rdflib",
            (),
            next_step="Run: pip install 'ropa[rdf]'",
        ) from None
    return read(data, name, form)


READERS: dict[str, Callable[[bytes, str], Incoming]] = {
    ".toml": _toml,
    ".json": _json,
    ".yml": read_fideslang,
    ".yaml": read_fideslang,
    ".xlsx": _xlsx,
    ".csv": _csv,
    ".ttl": partial(_dpv, form="turtle"),
    ".n3": partial(_dpv, form="turtle"),
    ".nt": partial(_dpv, form="nt"),
    ".rdf": partial(_dpv, form="xml"),
    ".jsonld": partial(_dpv, form="json-ld"),
}
"""By ending."""
