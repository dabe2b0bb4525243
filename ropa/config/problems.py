"""Collecting every problem of a text before any is reported, each with its key path and a guess at what was meant.

Invariant: a message names keys, types and bounds, never a value from the text: a value may be a secret or a person's.
Suggestions are names that the text or the program itself declares.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from ropa.errors import Problem

KeyPath = tuple[str | int, ...]
"""Keys and array indices from the root of the document."""

MAX_PROBLEMS = 1000
"""So many are listed; the rest is counted."""
_MAX_GUESSES = 200
_MAX_CANDIDATES = 2000
_LONGEST_WORD = 64
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def spell(path: KeyPath) -> str:
    """Spell a key path as TOML would: ``rule.prospects.data[1]``; unusual keys are quoted and long ones cut."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        short = part if len(part) <= _LONGEST_WORD else f"{part[:_LONGEST_WORD]}…"
        text += ("." if text else "") + (short if _BARE.fullmatch(short) else json.dumps(short, ensure_ascii=True))
    return text


def guess(word: object, candidates: Iterable[str]) -> str | None:
    """Return the candidate that was probably meant by ``word``, or None."""
    if not isinstance(word, str) or len(word) > _LONGEST_WORD:
        return None
    # A member of an enumeration is told as the word it stands for.
    names = [str(name) for name in islice(candidates, _MAX_CANDIDATES)]
    plain = _plain(word)
    for name in names:
        if _plain(name) == plain:
            return name
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return close[0] if close else None


def _plain(word: str) -> str:
    return word.strip().casefold().replace("_", "-").replace(" ", "-")


class Problems:
    """The problems of one document, gathered while it is read."""

    def __init__(self) -> None:
        self._found: list[tuple[KeyPath, str, str | None]] = []
        self._touched: set[KeyPath] = set()

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(
        self,
        path: KeyPath,
        message: str,
        *,
        meant: object = None,
        among: Iterable[str] = (),
        suggestion: str | None = None,
    ) -> None:
        """Note a problem with a suggestion, or with the name out of ``among`` that the text's ``meant`` comes near."""
        if meant is not None and self.is_guessing:
            suggestion = guess(meant, among)
        self._found.append((path, message, suggestion))
        self._touched.update(path[:end] for end in range(len(path) + 1))

    @property
    def is_guessing(self) -> bool:
        """Whether suggestions are still looked for; past so many problems they would cost more than they help."""
        return len(self._found) < _MAX_GUESSES

    def has_under(self, path: KeyPath) -> bool:
        """Whether there is a problem at this path or below it."""
        return path in self._touched

    def report(self, document: Mapping[str, Any], where: Callable[[KeyPath], str] = spell) -> tuple[Problem, ...]:
        """Return the problems in the order of the text, each at what ``where`` makes of its key path; past
        ``MAX_PROBLEMS`` the last one counts the rest."""
        order: dict[KeyPath, int] = {}
        _number(document, (), order)

        def position(item: tuple[KeyPath, str, str | None]) -> int:
            path = item[0]
            while path not in order:
                path = path[:-1]
            return order[path]

        ordered = sorted(self._found, key=position)
        listed = [Problem(where(path), message, suggestion) for path, message, suggestion in ordered[:MAX_PROBLEMS]]
        if len(ordered) > MAX_PROBLEMS:
            listed.append(Problem("", f"and {len(ordered) - MAX_PROBLEMS} further problems"))
        return tuple(listed)


def _number(value: Any, path: KeyPath, order: dict[KeyPath, int]) -> None:
    order[path] = len(order)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _number(inner, (*path, key), order)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _number(inner, (*path, index), order)
