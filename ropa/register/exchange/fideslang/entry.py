"""One table of a manifest, read key by key, so that what nobody asked for is known and listed.

Invariant: every key of a table is taken, says nothing (null, empty, or the default that Fides writes by itself), is
listed in ``Desk.left``, or is a problem; there is no fifth way. Messages name keys and bounds, never a value.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from ropa.config.problems import KeyPath, Problems, spell
from ropa.errors import RegisterError
from ropa.register.exchange.fideslang.nodes import Node, Sequence, Table, Text, broken, says_nothing
from ropa.register.exchange.incoming import NotCarried
from ropa.register.parse import LONGEST_LIST, LONGEST_TEXT, MOST_ENTRIES

_FIDES_KEY = re.compile(r"[A-Za-z0-9_.<>-]{1,200}", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "yes", "on"}), frozenset({"false", "no", "off"})
_NO_PLACE = "the register has no key for it"


class Desk:
    """What is noted while one file is read: problems, and what was left."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems = Problems()
        self._wrong: set[KeyPath] = set()
        self._left: dict[NotCarried, int] = {}
        self._alike: dict[tuple[str, str], list[int]] = defaultdict(list)

    def refuse(self, path: KeyPath, line: int, message: str) -> None:
        """Note a problem, once for each place: a key may be looked at twice."""
        if path not in self._wrong:
            self._wrong.add(path)
            self.problems.add(path, f"line {line}: {message}")

    def leave(self, path: KeyPath, line: int, why: str) -> None:
        """Note what is not carried over, with where it stands."""
        self._left.setdefault(NotCarried(f"{spell(path)}, line {line}", why), line)

    def leave_alike(self, where: str, line: int, why: str) -> None:
        """Note what is left for the same reason wherever it stands (``system.*.egress``): told once for the file."""
        self._alike[where, why].append(line)

    @property
    def left(self) -> tuple[NotCarried, ...]:
        """Everything noted, in the order of the text."""
        alike = [
            (NotCarried(f"{where}, {_times(lines)}", why), lines[0]) for (where, why), lines in self._alike.items()
        ]
        return tuple(item for item, _ in sorted([*self._left.items(), *alike], key=lambda one: one[1]))

    def hold_to_bound(self, kind: str, number: int) -> None:
        """Raise RegisterError where there are more entries of a kind than a register takes."""
        if number > MOST_ENTRIES:
            raise broken(self.name, f"has more than {MOST_ENTRIES:,} {kind}")

    def raise_problems(self) -> None:
        """Raise RegisterError with every problem, if there are any."""
        if found := self.problems.report({}):
            count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
            raise RegisterError(f"{self.name}: {count}", found, next_step=f"Mend {self.name}; nothing was changed.")


def _times(lines: list[int]) -> str:
    return f"line {lines[0]}" if len(lines) == 1 else f"{len(lines)} times, first on line {lines[0]}"


class Entry:
    """One table, with its path; its methods take a key each."""

    def __init__(self, table: Table, path: KeyPath, desk: Desk) -> None:
        self.table, self.path, self.desk = table, path, desk
        self._taken: set[str] = set()

    def node(self, key: str) -> Node | None:
        """Take a key; None where it says nothing."""
        self._taken.add(key)
        found = self.table.entries.get(key)
        return None if found is None or says_nothing(found) else found

    def line(self, key: str | None = None) -> int:
        """Return the line of a key, or of the table."""
        return self.table.lines.get(key, self.table.line) if key else self.table.line

    def text(self, key: str) -> str | None:
        """Take a text; None where nothing is said, or where it cannot be used."""
        found = self.node(key)
        return None if found is None else self._text(found, (*self.path, key))

    def texts(self, key: str) -> list[str]:
        """Take a list of texts, each once."""
        found = self.node(key)
        if found is None:
            return []
        if not isinstance(found, Sequence) or len(found.items) > LONGEST_LIST:
            self.desk.refuse((*self.path, key), found.line, f"must be a list of at most {LONGEST_LIST} texts")
            return []
        kept = [
            self._text(item, (*self.path, key, index))
            for index, item in enumerate(found.items)
            if not says_nothing(item)
        ]
        return list(dict.fromkeys(text for text in kept if text is not None))

    def flag(self, key: str) -> bool | None:
        """Take a truth, in the words that YAML 1.1 has for it; None where nothing is said."""
        found = self.node(key)
        if found is None:
            return None
        word = found.value.casefold() if isinstance(found, Text) else ""
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        self.desk.refuse((*self.path, key), found.line, "must be true or false")
        return None

    def entry(self, key: str) -> Entry | None:
        """Take a table."""
        found = self.node(key)
        if found is None:
            return None
        if isinstance(found, Table):
            return Entry(found, (*self.path, key), self.desk)
        self.desk.refuse((*self.path, key), found.line, "must be a table")
        return None

    def entries(self, key: str) -> list[Entry]:
        """Take a list of tables, each named by its place."""
        found = self.node(key)
        if found is None:
            return []
        if not isinstance(found, Sequence):
            self.desk.refuse((*self.path, key), found.line, "must be a list of tables")
            return []
        self.desk.hold_to_bound(key, len(found.items))
        tables = []
        for index, item in enumerate(found.items):
            if isinstance(item, Table):
                tables.append(Entry(item, (*self.path, key, index), self.desk))
            elif not says_nothing(item):
                self.desk.refuse((*self.path, key, index), item.line, "must be a table")
        return tables

    def term(self, key: str) -> str | None:
        """Take a key of fideslang; None where nothing is said, or it has a sign that no such key has."""
        found = self.text(key)
        return self._term(found, (*self.path, key), self.line(key))

    def terms(self, key: str) -> list[str]:
        """Take a list of keys of fideslang, each once."""
        kept = (self._term(text, (*self.path, key), self.line(key)) for text in self.texts(key))
        return [term for term in kept if term is not None]

    def leave(self, key: str, why: str) -> None:
        """Note that a key, or a part of what it says, is not carried over."""
        self.node(key)
        self.desk.leave((*self.path, key), self.line(key), why)

    def leave_rest(self, kind: str, alike: Mapping[str, str], silent: Mapping[str, str]) -> None:
        """Note every key that was not taken.

        ``alike``: why, by key; where it is given, a key is told once for all tables of the kind. ``silent``: defaults,
        in small letters, that Fides writes by itself.
        """
        for key, node in self.table.entries.items():
            if key in self._taken or says_nothing(node) or _is_default(node, silent.get(key)):
                continue
            if alike:
                self.desk.leave_alike(f"{kind}.*.{spell((key,))}", self.line(key), alike.get(key, _NO_PLACE))
            else:
                self.desk.leave((*self.path, key), self.line(key), _NO_PLACE)

    def _text(self, node: Node, path: KeyPath) -> str | None:
        if not isinstance(node, Text):
            self.desk.refuse(path, node.line, "must be text")
        elif len(node.value) > LONGEST_TEXT:
            self.desk.leave(path, node.line, f"is longer than {LONGEST_TEXT:,} characters; shorten it")
        else:
            return node.value.strip()
        return None

    def _term(self, text: str | None, path: KeyPath, line: int) -> str | None:
        if text is None or _FIDES_KEY.fullmatch(text):
            return text
        self.desk.refuse(path, line, "must be a key of fideslang: letters, digits, . _ < > and -")
        return None


def _is_default(node: Node, default: str | None) -> bool:
    return isinstance(node, Text) and default is not None and node.value.strip().casefold() == default


def named(entries: Iterable[Entry], kind: str) -> list[Entry]:
    """Return entries with the path that a reader of the file would use: ``system.crm`` instead of ``system[3]``.

    A key that stands twice is a problem: which of the two is meant cannot be told.
    """
    found, seen = [], set[str]()
    for entry in entries:
        key = entry.term("fides_key")
        if key is not None:
            if key in seen:
                entry.desk.refuse((kind, key), entry.line(), "stands twice")
            seen.add(key)
            entry.path = (kind, key)
        found.append(entry)
    return found
