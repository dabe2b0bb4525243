"""One table of the configuration, read key by key; what is wrong goes to the collector and reading goes on.

Invariant: a reader gives None (or an empty value) for what is absent or wrong, and wrong has then been noted. Blank
text and numbers that are not finite are noted once for the whole document (``bounds.value_problems``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from ropa.clock import Period, parse_period
from ropa.config.keys import Key
from ropa.config.problems import KeyPath, Problems, guess

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
"""Locations, datasets, rules, anchors."""
CATEGORY = re.compile(r"[a-z0-9][a-z0-9:_-]{0,62}", re.ASCII)

LARGEST = 10**12
"""The largest cap that can be written."""
_LONGEST_PERIOD = 64
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_NOT_IANA = re.compile(r"(?:posix|right)/.*|localtime|posixrules|Factory")


class Table:
    """A table at a path, with the keys it may have; unknown and missing keys are noted when it is opened."""

    def __init__(
        self,
        values: Any,
        path: KeyPath,
        problems: Problems,
        keys: Mapping[str, Key],
        *,
        further: Mapping[str, object] | None = None,
    ) -> None:
        """Open ``values`` at ``path``. ``further``: keys beyond ``keys``; None: any further key is accepted."""
        self.path = path
        self.problems = problems
        self.is_table = isinstance(values, dict)
        self.values: dict[str, Any] = values if isinstance(values, dict) else {}
        if not self.is_table:
            problems.add(path, "must be a table")
            return
        if further is not None:
            known = [*keys, *further]
            for name in self.values:
                if name not in keys and name not in further:
                    problems.add((*path, name), "is not a known key", meant=name, among=known)
        for name, key in keys.items():
            if key.is_required and name not in self.values:
                problems.add((*path, name), f"is required ({key.takes}); it has no default")

    def note(self, name: str, message: str, *, meant: object = None, among: Iterable[str] = ()) -> None:
        """Note a problem with one key."""
        self.problems.add((*self.path, name), message, meant=meant, among=among)

    def text(self, name: str) -> str | None:
        """Read text."""
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        self.note(name, "must be text")
        return None

    def choice(self, name: str, words: tuple[str, ...]) -> str | None:
        """Read one word out of several."""
        value = self.values.get(name)
        if value is None or (isinstance(value, str) and value in words):
            return value
        self.note(name, f"must be one of: {', '.join(words)}", meant=value, among=words)
        return None

    def integer(self, name: str, low: int = 1, high: int = LARGEST) -> int | None:
        """Read a whole number within bounds (true and false are not numbers)."""
        value = self.values.get(name)
        if value is None:
            return None
        if type(value) is int and low <= value <= high:
            return value
        self.note(name, f"must be a whole number from {low:,} to {high:,}")
        return None

    def share(self, name: str) -> float | None:
        """Read a share: above 0, at most 1."""
        value = self.values.get(name)
        if value is None:
            return None
        if type(value) in {int, float} and 0 < value <= 1:
            return float(value)
        self.note(name, "must be a number above 0 and at most 1")
        return None

    def truth(self, name: str) -> bool | None:
        """Read true or false."""
        value = self.values.get(name)
        if value is None or isinstance(value, bool):
            return value
        self.note(name, "must be true or false")
        return None

    def period(self, name: str) -> Period | None:
        """Read a period."""
        value = self.values.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, str) and len(value) > _LONGEST_PERIOD:
                raise ValueError(f"a period of more than {_LONGEST_PERIOD} characters is refused")  # noqa: TRY301 - as parse_period
            return parse_period(value)
        except ValueError as error:
            self.note(name, str(error))
            return None

    def zone(self, name: str) -> ZoneInfo | None:
        """Read an IANA time zone."""
        value = self.text(name)
        if value is None or not value.strip():
            return None
        if _ZONE.fullmatch(value) and not _NOT_IANA.fullmatch(value):
            try:
                return ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                pass
        meant = _guess_zone(value) if self.problems.is_guessing else None
        message = 'is not an IANA time zone such as "Europe/Brussels"'
        self.problems.add((*self.path, name), message, suggestion=meant)
        return None

    def texts(self, name: str) -> tuple[str, ...]:
        """Read a list of different texts with at least one in it."""
        value = self.values.get(name)
        if value is None:
            return ()
        return read_texts(value, (*self.path, name), self.problems)

    def members(self, name: str, what: str, form: re.Pattern[str] = NAME) -> Iterator[tuple[str, Any, KeyPath]]:
        """Read a table whose keys are names, each with what stands under it and its path; bad names are noted."""
        inner = self.values.get(name)
        if inner is None:
            return
        if not isinstance(inner, dict):
            self.note(name, f"must be a table of {what}s by name")
            return
        for member, value in inner.items():
            path = (*self.path, name, member)
            if form.fullmatch(member) is None:
                self.problems.add(
                    path,
                    f"the name of a {what} has small letters, digits, - and _, 63 at most, and starts with no sign",
                )
            yield member, value, path


def read_texts(value: Any, path: KeyPath, problems: Problems) -> tuple[str, ...]:
    """Read a list of different texts with at least one in it, such as names of columns."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        problems.add(path, "must be a list of texts")
        return ()
    if not value:
        problems.add(path, "is an empty list; leave the key out or say what is meant")
    if len(set(value)) < len(value):
        problems.add(path, "names something twice")
    return tuple(value)


def _guess_zone(text: str) -> str | None:
    """Return the zone that was probably meant, also for the name of its city alone."""
    city = text.strip().casefold()
    zones = sorted(available_timezones())
    return next((zone for zone in zones if zone.rpartition("/")[2].casefold() == city), None) or guess(text, zones)
