"""Words for a page that says the same number, day and period thousands of times.

Invariant: what it says is what ``Words`` says, letter for letter.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from ropa.report.model import TermPart
from ropa.report.words import Words


class PageWords(Words):
    """Words that remember what they said."""

    def __init__(self, lang: str, zone: str) -> None:
        super().__init__(lang, zone)
        self._said: dict[tuple[object, ...], str] = {}
        self.tag = str(self.locale).replace("_", "-")

    def number(self, value: int) -> str:
        """Return a whole number with the language's grouping."""
        return self._once(super().number, "number", value)

    def day(self, value: date | None) -> str:
        """Return "21 november 2026"."""
        return self._once(super().day, "day", value)

    def instant(self, value: datetime | None) -> str:
        """Return "21 november 2026, 03:30" in the controller's zone."""
        return self._once(super().instant, "instant", value)

    def days_late(self, days: int) -> str:
        """Return "up to 412 days late"."""
        return self._once(super().days_late, "late", days)

    def term(self, term: TermPart) -> str:
        """Return how long and from when."""
        key = ("term", term.period, term.start, term.anchor)
        if key not in self._said:
            self._said[key] = super().term(term)
        return self._said[key]

    def label(self, kind: str, key: str | None) -> str:
        """Return the vocabulary's label; the key itself where it has none."""
        found = ("label", kind, key)
        if found not in self._said:
            self._said[found] = super().label(kind, key)
        return self._said[found]

    def _once(self, say: Callable[[Any], str], kind: str, value: object) -> str:
        key = (kind, value)
        if key not in self._said:
            self._said[key] = say(value)
        return self._said[key]
