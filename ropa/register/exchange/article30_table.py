"""The entries of a file with the columns of Art. 30, gathered from its rows.

Invariant: one recipient, one category of one's own and one organisation, however often the rows name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropa.register.exchange.article30_above import read_above
from ropa.register.exchange.article30_cells import Entry, pieces
from ropa.register.exchange.incoming import Incoming, NotCarried, key_of
from ropa.register.exchange.places import Places
from ropa.register.exchange.sheets import Sheet, refused
from ropa.register.models import NONE as NOBODY
from ropa.register.models import OWN
from ropa.register.parse import MOST_ENTRIES
from ropa.vocabulary import UNKNOWN, categories, plain


class Table:
    """What the sheets of one file say, gathered."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.places = Places(name)
        self._left: list[NotCarried] = []
        self._activities: dict[str, dict[str, Any]] = {}
        self.recipients: dict[str, dict[str, Any]] = {}
        self._categories: dict[str, dict[str, Any]] = {}
        self._organisation: dict[str, Any] = {}
        self._known: dict[tuple[str, str], str] = {}
        """Kind of entry and its name, as ``plain`` writes it, to its key."""
        self._taken = {NOBODY, OWN, UNKNOWN}
        self._own = {*categories()}

    def add_above(self, sheet: Sheet, header: int) -> None:
        """Read what stands above the row ``header``."""
        read_above(sheet, header, self._organisation, self.places, self._left)

    def leave(self, where: str, why: str) -> None:
        """Note what cannot be carried over."""
        self._left.append(NotCarried(where, why))

    def incoming(self) -> Incoming:
        """Return what was read. Raises RegisterError with every problem at its cell."""
        document: dict[str, Any] = {"organisation": self._organisation}
        document |= {"recipient": self.recipients, "category": self._categories, "activity": self._activities}
        register = self.places.register({key: value for key, value in document.items() if value or key == "activity"})
        return Incoming("article30", register, is_whole=False, left=tuple(self._left))

    def activity(self, entry: Entry, row: str) -> None:
        """Add the activity of a row."""
        key = key_of(entry.values["title"], self._activities, fallback="activity")
        self._bounded(self._activities)
        self._activities[key] = entry.values
        self.places.note(("activity", key), row)
        for name, where in entry.wheres.items():
            self.places.note(("activity", key, name), where)

    def recipient(self, name: str, where: str) -> tuple[str, dict[str, Any]]:
        """Return the key and the values of the recipient of this name, a new one where there is none."""
        known = self._known.get(("recipient", plain(name)))
        if known is not None:
            return known, self.recipients[known]
        key = key_of(name, self._taken, fallback="recipient")
        self._taken.add(key)
        self._bounded(self.recipients)
        self._known["recipient", plain(name)] = key
        self.recipients[key] = {"name": name}
        self.places.note(("recipient", key), where)
        self.places.note(("recipient", key, "name"), where)
        return key, self.recipients[key]

    def category(self, title: str, where: str) -> str:
        """Return the key of the own category of this title, a new one where there is none."""
        known = self._known.get(("category", plain(title)))
        if known is not None:
            return known
        key = key_of(title, self._own, fallback="category")
        self._own.add(key)
        self._bounded(self._categories)
        self._known["category", plain(title)] = key
        self._categories[key] = {"title": title}
        self.places.note(("category", key, "title"), where)
        return key

    def _bounded(self, entries: Mapping[str, Any]) -> None:
        if len(entries) >= MOST_ENTRIES:
            raise refused(self._name, f"has more than {MOST_ENTRIES:,} entries of one kind")

    def controller(self, text: str, where: str) -> None:
        """Take the controller's name from a cell of a row."""
        lines = pieces(text)
        if self._organisation.setdefault("name", lines[0]) != lines[0]:
            self.leave(where, "names another controller than the rows or labels before; a register has one")
        elif len(lines) > 1:
            self.leave(where, "has contact details in one text with the name; set them with `ropa register edit`")
        self.places.note(("organisation", "name"), where)
