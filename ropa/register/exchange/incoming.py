"""What a file from elsewhere brings: entries for the register, and what could not be carried over.

Invariant: values only; nothing here reads a file or changes a register in place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Any

from ropa.register.models import Register
from ropa.register.specs import Kind, default_of, specs

_NOT_KEY = re.compile(r"[^a-z0-9_]+")
_LONGEST_KEY = 63


@dataclass(frozen=True, slots=True)
class NotCarried:
    """A fact of the file that the register has no key for, or that would have to be guessed."""

    where: str
    """Where it stands, so that a person finds it: ``system.crm.egress``, ``sheet HR, row 4, column Security``."""
    why: str
    """Why it was left, and what to do where something can be done. Never the value itself."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a reader made of a file."""

    form: str
    """Such as ``toml``, ``workbook``, ``article30``, ``fideslang``, ``dpv``."""
    register: Register
    is_whole: bool
    """True: this is the whole register, and what it does not say is gone. False: its entries come beside the others."""
    left: tuple[NotCarried, ...] = ()


def merged(base: Register, incoming: Incoming) -> Register:
    """Return what the register becomes: the incoming one where it is whole, else ``base`` with its entries.

    An entry that is there already keeps what the file does not say; what both say becomes what the file says.
    """
    return incoming.register if incoming.is_whole else _filled(base, incoming.register)


def _filled(before: Any, new: Any) -> Any:
    """``before`` with everything that ``new`` says; a value that equals its default says nothing."""
    said = {}
    for name, spec in specs(type(new)).values():
        was, value = getattr(before, name), getattr(new, name)
        if value == default_of(type(new), name):
            continue
        if spec.kind in {Kind.NAMED, Kind.DATA}:
            value = {**was, **{key: _filled(was[key], one) if key in was else one for key, one in value.items()}}
        elif spec.kind is Kind.TABLE and was is not None:
            value = _filled(was, value)
        said[name] = value
    return replace(before, **said)


def key_of(text: str, taken: Container[str] = (), *, fallback: str = "entry") -> str:
    """Return a key for an entry that has only a title: small letters, digits and ``-``; numbered where it is taken."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    whole = _NOT_KEY.sub("-", plain).strip("-_") or fallback
    stem = whole[: _LONGEST_KEY - 5].strip("-_")
    if stem != whole and "-" in stem:
        stem = stem.rpartition("-")[0].strip("-_")  # no half a word at its end
    key, number = stem, 2
    while key in taken:
        key, number = f"{stem}-{number}", number + 1
    return key
