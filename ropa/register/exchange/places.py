"""Where in a file from elsewhere every value of a document stands, so that a problem is told by sheet, row and column.

Invariant: a key path that was never noted is told as it is; nothing is attributed to a row it did not come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropa.config.problems import KeyPath, spell
from ropa.errors import Problem, RegisterError
from ropa.register.models import Register
from ropa.register.parse import from_data

MOST_PROBLEMS = 1000


class Places:
    """The places of one file, and the problems found in it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._noted: list[tuple[KeyPath, str]] = []
        self._problems: list[Problem] = []

    def __bool__(self) -> bool:
        """Tell whether there are problems."""
        return bool(self._problems)

    def note(self, path: KeyPath, where: str) -> None:
        """Remember where the value at a key path stands."""
        self._noted.append((path, where))

    def add(self, where: str, message: str, suggestion: str | None = None) -> None:
        """Note a problem."""
        self._problems.append(Problem(where, message, suggestion))

    def register(self, document: dict[str, Any]) -> Register:
        """Return the register of a document. Raises RegisterError with every problem, each at its place."""
        register = Register()
        try:
            register = from_data(document, self._name)
        except RegisterError as failure:
            told = {one.path for one in self._problems}
            places: dict[str, list[str]] = {}
            for path, where in self._noted:
                places.setdefault(spell(path), []).append(where)
            for one in failure.problems:
                where = _where(one.path, places)
                if where not in told:
                    self.add(where, one.message, one.suggestion)
        if self:
            raise self._error()
        return register

    def _error(self) -> RegisterError:
        count = len(self._problems)
        listed = self._problems[:MOST_PROBLEMS]
        if count > MOST_PROBLEMS:
            listed.append(Problem("", f"and {count - MOST_PROBLEMS} further problems"))
        return RegisterError(
            f"{self._name}: {'1 problem' if count == 1 else f'{count} problems'}",
            tuple(listed),
            next_step="Mend the cells that are named; nothing was changed.",
        )


def _where(path: str, places: Mapping[str, list[str]]) -> str:
    found = places.get(path)
    if found is not None:
        return " or ".join(dict.fromkeys(found))
    stem, _, item = path.rpartition("[")
    if stem in places and item[:-1].isdecimal():
        return f"{' or '.join(dict.fromkeys(places[stem]))}, item {int(item[:-1]) + 1}"
    return path
