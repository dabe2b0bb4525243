"""What a key of the register may hold: one description per field, from which parsing, writing and the reference follow.

Invariant: a key that has no ``Spec`` does not exist; what one reads, another writes, and the reference says so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Any, cast

from ropa.vocabulary import LANGUAGES, UNKNOWN, conditions, legal_bases, rights, safeguards


class Kind(StrEnum):
    """The shapes a value can have."""

    TEXT = "text"
    TEXTS = "list of texts"
    NAME = "key of another entry"
    NAMES = "list of keys of other entries"
    CHOICE = "one word of"
    CHOICES = "list of words of"
    DATE = "date"
    FLAG = "true or false"
    COUNT = "whole number"
    COUNTRY = 'ISO 3166-1 country code, or "unknown"'
    PERIOD = 'period, e.g. "30 days"'
    LIFETIME = 'period, "session" or "unknown"'
    TABLE = "table"
    TABLES = "array of tables"
    NAMED = "tables by key"
    CONTACTS = "list of names, or array of tables"
    DATA = "list of data categories, or a table per category"


SCALARS = frozenset(
    {Kind.TEXT, Kind.NAME, Kind.CHOICE, Kind.DATE, Kind.FLAG, Kind.COUNT, Kind.COUNTRY, Kind.PERIOD, Kind.LIFETIME}
)
LISTS = frozenset({Kind.TEXTS, Kind.NAMES, Kind.CHOICES})


@dataclass(frozen=True, slots=True)
class Spec:
    """One key."""

    kind: Kind
    help: str
    """What it says, for people."""
    choices: Callable[[], tuple[str, ...]] | None = None
    table: type[Any] | None = None
    """The value type of a nested table."""
    name: str | None = None
    """The key as written, where it is not the field's own name."""
    is_required: bool = False
    is_always_written: bool = False
    """Written out even when it has its default, so that the gap is seen."""


def key(
    kind: Kind,
    meaning: str,
    *,
    default: Any = None,
    choices: Callable[[], tuple[str, ...]] | None = None,
    table: type[Any] | None = None,
    name: str | None = None,
    required: bool = False,
    always: bool = False,
) -> Any:
    """Declare a field of the register; lists default to none, tables by key to an empty mapping."""
    spec = Spec(kind, meaning, choices, table, name, required, always)
    metadata = {"spec": spec}
    if kind in {Kind.NAMED, Kind.DATA}:
        return field(default_factory=dict, metadata=metadata)
    if kind is Kind.TABLE and default is not None:
        return field(default_factory=default, metadata=metadata)
    if kind in LISTS or kind in {Kind.TABLES, Kind.CONTACTS}:
        default = ()
    return field(default=default, metadata=metadata)


def specs(table: type[Any]) -> Mapping[str, tuple[str, Spec]]:
    """Return, for a value type, each key as written with the field's name and its description."""
    return _specs(cast("Hashable", table))


@cache
def _specs(table: Hashable) -> Mapping[str, tuple[str, Spec]]:
    found = {}
    for one in fields(cast("type[Any]", table)):
        spec: Spec = one.metadata["spec"]
        found[spec.name or one.name] = (one.name, spec)
    return MappingProxyType(found)


def default_of(table: type[Any], name: str) -> Any:
    """Return the value that a field has when nothing is written."""
    one = next(f for f in fields(table) if f.name == name)
    return one.default_factory() if one.default_factory is not MISSING else one.default


# --- the words that may be chosen ---------------------------------------------------------------------------------


def basis_words() -> tuple[str, ...]:
    """``6.1.a`` … ``6.1.f`` and ``unknown``."""
    return (*legal_bases(), UNKNOWN)


def condition_words() -> tuple[str, ...]:
    """``9.2.a`` … ``9.2.j``, ``10`` and ``unknown``."""
    return (*conditions(), UNKNOWN)


def safeguard_words() -> tuple[str, ...]:
    """The transfer mechanisms, and ``unknown``."""
    return (*safeguards(), UNKNOWN)


def right_words() -> tuple[str, ...]:
    """The rights of the data subject."""
    return tuple(rights())


def words(*given: str) -> Callable[[], tuple[str, ...]]:
    """Return a fixed choice."""
    return lambda: given


def languages() -> tuple[str, ...]:
    """The languages the product speaks."""
    return LANGUAGES
