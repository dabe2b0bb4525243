"""Columns of Dataverse: how their values are written in a question, read from an answer and changed.

Invariant: a value that cannot be read stays the text it is, so that nothing is concluded from it; a text that goes into
a question is quoted here and nowhere else.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from ropa.clock import read_moment, timestamp
from ropa.connector import Scalar


class Kind(StrEnum):
    """What a column holds, as far as questions and answers differ."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    GUID = "guid"
    LOOKUP = "lookup"
    INSTANT = "instant"
    """A date and time that is converted (UserLocal): UTC on the wire."""
    WALL = "wall clock"
    """A date and time in no zone (TimeZoneIndependent): the wire says ``Z`` all the same, and it means nothing."""
    DAY = "day"
    """A date without a time (DateOnly)."""


DATES = frozenset({Kind.INSTANT, Kind.WALL, Kind.DAY})
EXACT = frozenset({Kind.INTEGER, Kind.BOOLEAN, Kind.GUID, Kind.LOOKUP})
"""Kinds of which the service and Python agree what is equal; of text it looks past case, accents and blanks."""

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One column as the catalogue has it."""

    name: str
    """As it stands in questions and answers: of a lookup ``_name_value``."""
    kind: Kind
    type: str = ""
    """The vendor's own word."""
    is_required: bool = False
    """Whether the service refuses a row without it (SystemRequired)."""
    is_writable: bool = True

    @property
    def logical(self) -> str:
        """The logical name: of a lookup the name without ``_…_value``."""
        return self.name[1:-6] if self.kind is Kind.LOOKUP and self.name.startswith("_") else self.name


def is_name(text: str) -> bool:
    """Tell whether a text can be a logical name or an entity set's, so that it may stand in an address."""
    return _NAME.fullmatch(text) is not None


def spell_guid(value: object) -> str | None:
    """Return a GUID in lower case with hyphens, None for anything else."""
    if not isinstance(value, str):
        return None
    if _GUID.fullmatch(value):
        return value
    try:
        return str(uuid.UUID(value)) if len(value) in {36, 38} else None
    except ValueError:
        return None


def literal(kind: Kind, value: Scalar) -> str | None:
    """Return a value as it stands in ``$filter``; None where it cannot stand there for a column of this kind."""
    if value is None:
        return "null"
    if kind in {Kind.GUID, Kind.LOOKUP}:
        return spell_guid(value)
    if kind is Kind.BOOLEAN:
        return str(value).lower() if isinstance(value, bool) else None
    if kind is Kind.INTEGER:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else None
    if kind is Kind.TEXT and isinstance(value, str) and value.strip():
        return "'" + value.replace("'", "''") + "'"
    return None


def wanted(kind: Kind, value: Scalar) -> Scalar:
    """Return a value of the configuration as ``read`` gives values of such a column, so that they can be compared."""
    if kind in {Kind.GUID, Kind.LOOKUP}:
        return spell_guid(value) or value
    if kind in DATES and isinstance(value, str):
        found = read_value(kind, value)
        return found if isinstance(found, date) else value
    return value


def read_value(kind: Kind, value: object) -> Scalar:
    """Return what an answer holds: dates as ``date`` or ``datetime``, GUIDs in lower case, the rest as it stands."""
    if not isinstance(value, str | int | float | bool):
        return None
    if not isinstance(value, str):
        return value
    if kind in {Kind.GUID, Kind.LOOKUP}:
        return spell_guid(value) or value
    if kind in DATES:
        moment = read_moment(_plain(kind, value), zone=_UTC)
        if moment is None:
            return value
        is_wall = kind is Kind.WALL and isinstance(moment, datetime)
        return moment.replace(tzinfo=None) if is_wall and isinstance(moment, datetime) else moment
    return value


def moment_text(kind: Kind, value: object) -> object:
    """Return what ``read_moment`` shall read of an answer: without a ``Z`` where that means nothing."""
    return _plain(kind, value) if isinstance(value, str) else value


def write_value(kind: Kind, value: Scalar) -> str | int | float | bool | None:
    """Return a value as it stands in a body."""
    if isinstance(value, datetime):
        if kind is Kind.DAY:
            return value.date().isoformat()
        aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value
        return timestamp(aware)
    if isinstance(value, date):
        return value.isoformat() if kind is Kind.DAY else f"{value.isoformat()}T00:00:00Z"
    return value


def _plain(kind: Kind, text: str) -> str:
    return text.removesuffix("Z") if kind is Kind.WALL else text[:10] if kind is Kind.DAY else text


_UTC = ZoneInfo("UTC")
