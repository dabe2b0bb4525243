"""Which triggers delete rows: by themselves, or by what they set off in other tables.

Invariant: the doubt goes against deleting. A trigger that writes, and in whose text a table stands that has a deleting
trigger on what is written there, is taken to set it off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_WRITES = re.compile(r"\b(?:INSERT|UPDATE|MERGE|REPLACE|COPY)\b", re.IGNORECASE)
_WRITING = frozenset({"INSERT", "UPDATE"})


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger (or what the engine has beside them, as rules are) of a table or view."""

    place: Any
    """The table, as the reader of the catalogue knows it."""
    table: str
    """Its bare name."""
    name: str
    events: frozenset[str]
    """Of INSERT, UPDATE, DELETE."""
    text: str
    """What it does, with that of the functions it calls."""
    deletes: bool
    """By itself."""


def deleting(triggers: Iterable[Trigger]) -> frozenset[Trigger]:
    """Return those of all triggers of a database after which a row of some table may be gone."""
    waiting = list(triggers)
    found = {trigger for trigger in waiting if trigger.deletes}
    reached = set[str]()
    while tables := {trigger.table for trigger in found if trigger.events & _WRITING} - reached:
        reached |= tables
        named = re.compile("|".join(rf"(?<!\w){re.escape(table)}(?!\w)" for table in tables), re.IGNORECASE)
        found |= {t for t in waiting if t not in found and _WRITES.search(t.text) and named.search(t.text)}
    return frozenset(found)
