"""Which triggers delete rows: by themselves, or by what they set off in other tables.

Invariant: the doubt goes against deleting. What counts is code: neither comments nor literals, but for statements that
are put together as they run, of which every word counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_WRITES = re.compile(
    r"\b(?P<word>INSERT|UPDATE|MERGE|REPLACE|COPY)\b(?P<target>.*?)(?:\b(?:SET|VALUES?|SELECT|USING|DEFAULT)\b|[(;]|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_CHANGES_TOO = re.compile(r"\bON\s+(?:CONFLICT|DUPLICATE)\b", re.IGNORECASE)
_BOTH = frozenset({"INSERT", "UPDATE"})


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger (or what the engine has beside them, as rules are) of a table or view."""

    place: Any
    """The table, as the reader of the catalogue knows it."""
    names: frozenset[str]
    """By which its table is written to: its own, those of views over it, of what it is a part of."""
    name: str
    events: frozenset[str]
    """Of INSERT, UPDATE, DELETE."""
    code: str
    """What it does, with that of the functions it calls."""
    deletes: bool
    """By itself."""
    is_dynamic: bool = False
    """Whether it runs statements put together as it runs: then all its text is ``code``."""


def deleting(triggers: Iterable[Trigger]) -> frozenset[Trigger]:
    """Return those of all triggers of a database after which a row of some table may be gone."""
    waiting = list(triggers)
    found = {trigger for trigger in waiting if trigger.deletes}
    reached: dict[str, set[str]] = {}
    while True:
        names = {event: {name for one in found if event in one.events for name in one.names} for event in _BOTH}
        if names == reached:
            return frozenset(found)
        reached = names
        sought = {event: _any_of(each) for event, each in names.items()}
        found |= {one for one in waiting if one not in found and _sets_off(one, sought)}


def _any_of(names: set[str]) -> re.Pattern[str] | None:
    if not names:
        return None
    return re.compile("|".join(rf"(?<![\w$]){re.escape(name)}(?![\w$])" for name in sorted(names)), re.IGNORECASE)


def _sets_off(trigger: Trigger, sought: dict[str, re.Pattern[str] | None]) -> bool:
    written = [(_BOTH, trigger.code)] if trigger.is_dynamic else _writes(trigger.code)
    return any(
        (form := sought[event]) is not None and form.search(target) for events, target in written for event in events
    )


def _writes(code: str) -> Iterator[tuple[frozenset[str], str]]:
    """Yield what is written to: the events, and the words that name the tables."""
    changes_too = _CHANGES_TOO.search(code) is not None
    for found in _WRITES.finditer(code):
        word = found["word"].upper()
        is_both = word == "MERGE" or (word != "UPDATE" and changes_too)
        yield _BOTH if is_both else frozenset({"UPDATE" if word == "UPDATE" else "INSERT"}), found["target"]
