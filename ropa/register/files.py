"""The register in a file: read within bounds, by the ending of its name; and one entry of it as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ropa.config.bounds import MAX_BYTES, read_bounded
from ropa.errors import CheckError, Problem, RegisterError
from ropa.register.edit import KINDS
from ropa.register.models import Register
from ropa.register.specs import specs
from ropa.register.text import from_json, from_toml, to_data, to_toml

LARGEST = 4 * MAX_BYTES
"""Bytes of a file that holds a register, or entries for one."""

READERS = {".toml": from_toml, ".json": from_json}


def read_register(path: Path) -> Register:
    """Read ``register.toml`` or a JSON export. Raises RegisterError for another ending, a file that cannot be read or
    is too large, and with every problem in its text."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise RegisterError(
            f"{path.name} is neither .toml nor .json",
            (),
            next_step="Give a register as `ropa register export` writes it.",
        )
    return reader(read_file(path), path.name)


def read_file(path: Path) -> bytes:
    """Read a file within ``LARGEST``. Raises RegisterError where it cannot be read or is too large."""
    data, _mode, trouble = read_bounded(path, LARGEST)
    if trouble is not None:
        raise RegisterError(f"{path} cannot be read", (Problem(str(path), trouble),))
    return data


def entry_of(register: Register, entry: str) -> Any:
    """Return one entry as plain data: ``organisation``, ``activity.intake`` … Raises CheckError when it is not
    there."""
    kind, _, key = entry.partition(".")
    data = to_data(register)
    values = data.get(kind, {}).get(key) if kind in KINDS else data["organisation"] if entry == "organisation" else None
    if values is None:
        known = [*data.get(kind, {})] if kind in KINDS else []
        raise CheckError(
            f"there is no {entry} in the register",
            next_step=f"Known: {', '.join(known)}." if known else f"Kinds: organisation, {', '.join(KINDS)}.",
        )
    return values


def entry_text(register: Register, entry: str) -> str:
    """Return one entry as TOML, as it stands in the whole text. Raises CheckError when it is not there."""
    entry_of(register, entry)
    kind, _, key = entry.partition(".")
    name = specs(Register)[kind][0]
    held = getattr(register, name)
    only: dict[str, Any] = {name: {key: held[key]} if key else held}
    text = to_toml(Register(**only))
    # An organisation stands first in every text, here an empty one: what is asked for begins with its own header.
    return text[text.index(f"[{kind}.") if key else text.index("[organisation]") :].strip()
