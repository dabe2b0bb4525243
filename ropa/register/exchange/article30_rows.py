"""One table with the columns of Art. 30, row by row, into entries for a register.

Invariant: every cell that says something ends up in a key of the register, or in what is told as not carried over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ropa.clock import parse_period
from ropa.register.exchange.article30_above import read_above
from ropa.register.exchange.article30_words import (
    NONE,
    UNCLEAR,
    category_of,
    column_of,
    country_of,
    safeguard_of,
    subject_of,
)
from ropa.register.exchange.cells import is_blank
from ropa.register.exchange.incoming import Incoming, NotCarried, key_of
from ropa.register.exchange.places import Places
from ropa.register.exchange.sheets import Sheet, letters, refused
from ropa.register.models import NONE as NOBODY
from ropa.register.models import OWN
from ropa.register.parse import MOST_ENTRIES
from ropa.vocabulary import UNKNOWN, categories, eea, plain

_TERM = re.compile(r"[a-z][a-z-]{1,15}:\s?[A-Z][A-Za-z-]+\s*|Use https?://\S+\s*", re.ASCII)
_BASIS = re.compile(r"\b([69])\s?[.(]\s?([12])\s?[).]\s?\(?([a-j])\b", re.ASCII | re.IGNORECASE)
_COMMA_OR_BRACKET = re.compile(r"([,()])")
_BULLETS = ("\N{BULLET}", "\N{MIDDLE DOT}", "\N{EN DASH}", "-", "*")
_LONGEST_KEY = 58
_TEXTS = {"interest": "interest", "source": "source", "owner": "owner"}
_LISTS = {"measures": "measures", "systems": "systems", "processing": "processing"}


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

    def leave(self, where: str, why: str) -> None:
        """Note what cannot be carried over."""
        self._left.append(NotCarried(where, why))

    def incoming(self) -> Incoming:
        """Return what was read. Raises RegisterError with every problem at its cell."""
        document: dict[str, Any] = {"organisation": self._organisation}
        document |= {"recipient": self.recipients, "category": self._categories, "activity": self._activities}
        register = self.places.register({key: value for key, value in document.items() if value or key == "activity"})
        return Incoming("article30", register, is_whole=False, left=tuple(self._left))

    def read(self, sheet: Sheet, header: int) -> None:
        """Read a sheet whose headings stand in the row ``header``."""
        for index, column in sorted(sheet.broken):
            self.places.add(_at(sheet, index, letters(column)), "holds an error in place of a value")
        read_above(sheet, header, self._organisation, self.places, self._left)
        columns: dict[int, str] = {}
        for index, cell in enumerate(sheet.rows[header]):
            found = column_of(cell) if isinstance(cell, str) and len(cell) <= 300 else None
            if found is not None and found in columns.values():
                self.leave(_at(sheet, header, letters(index)), "is a second column of the same kind")
            elif found is not None:
                columns[index] = found
        for index, column in sorted(sheet.computed):
            if index < len(sheet.rows) and is_blank([*sheet.rows[index], *[""] * (column + 1)][column]):
                self.leave(_at(sheet, index, letters(column)), "is a formula that was saved without its value")
        self._spread(sheet, header)
        for index, row in enumerate(sheet.rows[header + 1 :], start=header + 1):
            if not all(is_blank(cell) for cell in row):
                _Row(self, sheet, header, index, columns).read()

    def _spread(self, sheet: Sheet, header: int) -> None:
        """Give every row of a merged cell its value, for each row becomes an activity."""
        for (top, column), (bottom, _) in sheet.merged:
            if header < top < bottom < len(sheet.rows) and column < len(sheet.rows[top]):
                for row in range(top + 1, bottom + 1):
                    sheet.rows[row][column] = sheet.rows[top][column]
                self.leave(
                    _at(sheet, top, letters(column)),
                    f"is merged over the rows to {bottom + 1}; each of them became an activity of its own",
                )

    # --- entries that rows share ---

    def activity(self, title: str, values: dict[str, Any], wheres: Mapping[str, str], row: str) -> None:
        """Add the activity of a row; ``wheres``: key to the cell it came from."""
        key = key_of(title, self._activities, fallback="activity")
        self._bounded(self._activities)
        self._activities[key] = values
        self.places.note(("activity", key), row)
        for name, where in wheres.items():
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


class _Row:
    """One row while it is read."""

    def __init__(self, table: Table, sheet: Sheet, header: int, index: int, columns: Mapping[int, str]) -> None:
        self._table = table
        self._sheet = sheet
        self._index = index
        self._heads = sheet.rows[header]
        self._columns = columns
        self._cells = {
            columns[number]: (cell, self._where(number))
            for number, cell in enumerate(sheet.rows[index])
            if number in columns and not is_blank(cell)
        }
        self._values: dict[str, Any] = {}
        self._wheres: dict[str, str] = {}
        self._notes: list[str] = []

    def _where(self, number: int) -> str:
        head = self._heads[number] if number < len(self._heads) else ""
        name = " ".join(head.split())[:60] if isinstance(head, str) else ""
        return _at(self._sheet, self._index, name or letters(number))

    def read(self) -> None:
        row = f"sheet {self._sheet.name}, row {self._index + 1}"
        said = [cell for cell in self._sheet.rows[self._index] if not is_blank(cell)]
        terms = [cell for cell in said if isinstance(cell, str) and _TERM.fullmatch(cell)]
        if len(terms) * 2 > len(said):
            self._table.leave(row, "names terms of a vocabulary, and no processing activity")
            return
        for number, cell in enumerate(self._sheet.rows[self._index]):
            if number not in self._columns and not is_blank(cell):
                self._table.leave(self._where(number), "stands in a column that the register has no key for")
        title = self._title()
        if title is None:
            self._table.leave(row, "has neither a name nor a purpose, so that no activity can be told")
            return
        self._simple()
        self._subjects()
        self._data()
        self._recipients()
        self._period()
        self._basis()
        if self._notes:
            self._put("note", "\n".join(self._notes), row)
        self._table.activity(title, self._values, self._wheres, row)

    def _put(self, key: str, value: Any, where: str) -> None:
        self._values[key] = value
        self._wheres[key] = where

    def _text(self, name: str) -> tuple[str, str]:
        cell, where = self._cells.get(name, ("", ""))
        if isinstance(cell, float) and cell.is_integer():
            cell = int(cell)
        return str(cell).strip(), where

    def _items(self, name: str, *, has_commas: bool = False) -> tuple[list[str], str]:
        text, where = self._text(name)
        return pieces(text, has_commas=has_commas), where

    def _title(self) -> str | None:
        for name in ("title", "purposes", "processing"):
            items, where = self._items(name)
            if items:
                self._put("title", items[0], where)
                return items[0]
        return None

    def _simple(self) -> None:
        titles, where = self._items("title")
        if len(titles) > 1:
            self._put("description", "\n".join(titles[1:]), where)
        for name, key in {**_LISTS, "purposes": "purposes"}.items():
            items, where = self._items(name)
            if items:
                self._put(key, items, where)
        for name, key in _TEXTS.items():
            text, where = self._text(name)
            if text:
                self._put(key, text, where)
        text, where = self._text("controller")
        if text:
            self._table.controller(text, where)
        controllers, where = self._items("controllers")
        if controllers:
            self._put("controllers", controllers, where)
        if controllers or "processing" in self._values:
            self._values["role"] = "processor"

    def _subjects(self) -> None:
        items, where = self._items("subjects", has_commas=True)
        found: dict[str, None] = {}
        for item in items:
            if _is_word(item, NONE | UNCLEAR):
                self._table.leave(where, "does not say whose data they are")
                continue
            key = subject_of(item)
            if key is None:
                key = key_of(item, fallback="other")
                if key == "other" or len(plain(item)) > _LONGEST_KEY:
                    self._notes.append(f"Data subjects: {item}")
            found[key] = None
        if found:
            self._put("subjects", [*found], where)

    def _data(self) -> None:
        items, where = self._items("data", has_commas=True)
        found: dict[str, None] = {}
        for item in items:
            if _is_word(item, NONE | UNCLEAR):
                self._table.leave(where, "does not say which data they are")
                continue
            found[category_of(item) or self._table.category(item, where)] = None
        if found:
            self._put("data", [*found], where)

    def _period(self) -> None:
        text, where = self._text("period")
        if not text:
            return
        try:
            if len(text) > 64:
                raise ValueError(text)  # noqa: TRY301 - reported like what cannot be read
            parse_period(text)
        except ValueError:
            self._put("stated_text", text, where)
        else:
            self._put("stated_period", text, where)

    def _basis(self) -> None:
        for name, article in (("legal_basis", "6"), ("condition", "9")):
            text, where = self._text(name)
            if not text or _is_word(text, NONE):
                continue
            found = {f"{a}.{b}.{c.lower()}" for a, b, c in _BASIS.findall(text) if a == article}
            if len(found) == 1:
                self._put(name, found.pop(), where)
            elif not _is_word(text, UNCLEAR):
                self._notes.append(f"{name}: {text}")
                self._table.leave(where, f"names not exactly one point of Art. {article}; its words are in the note")

    # --- recipients and transfers ---

    def _recipients(self) -> None:
        found: dict[str, None] = {}
        items, where = self._items("recipients")
        is_nobody = False
        for item in items:
            if _is_word(item, NONE):
                is_nobody = True
            elif _is_word(item, UNCLEAR):
                found[UNKNOWN] = None
            else:
                found[self._table.recipient(item, where)[0]] = None
        for key in self._abroad([*found]):
            found[key] = None
        found = found if len(found) == 1 else {key: None for key in found if key != UNKNOWN}
        if found or is_nobody:
            self._put(
                "recipients", [*found] or [NOBODY], where or self._text("abroad")[1] or self._text("countries")[1]
            )

    def _abroad(self, named: list[str]) -> list[str]:
        """Read who receives data in a third country, which, and on what ground; return the recipients' keys."""
        names, name_where = self._items("abroad")
        places, place_where = self._items("countries", has_commas=True)
        names = [name for name in names if not _is_word(name, NONE | UNCLEAR)]
        is_unclear = any(_is_word(place, UNCLEAR) for place in places)
        places = [place for place in places if not _is_word(place, NONE | UNCLEAR)]
        only = [key for key in named if key != UNKNOWN]
        found: list[tuple[str, dict[str, Any]]]
        if names:
            found = [self._table.recipient(name, name_where) for name in names]
        elif len(only) == 1 and len(places) == 1:
            found = [(only[0], self._table.recipients[only[0]])]
        else:
            found = [self._table.recipient(place, place_where) for place in places]
        if len(places) not in {0, 1, len(found)}:
            self._table.leave(place_where, "names several countries for other recipients, and not which for which")
            places = []
        transfers = []
        for number, (key, values) in enumerate(found):
            place = (places[0] if len(places) == 1 else places[number]) if places else UNKNOWN if is_unclear else None
            transfers += self._country(key, values, place, place_where)
        self._safeguard(transfers)
        return [key for key, _ in found]

    def _country(self, key: str, values: dict[str, Any], place: str | None, where: str) -> list[dict[str, Any]]:
        if place is None:
            return []
        code = UNKNOWN if place == UNKNOWN else country_of(place)
        if code is None:
            _note(values, f"Country: {place}")
            self._table.leave(where, "is no country that is known by this name; its words are in the recipient's note")
            code = UNKNOWN
        if values.get("country", code) != code:
            self._table.leave(where, f"names another country for recipient.{key} than a row before")
            return []
        values["country"] = code
        self._table.places.note(("recipient", key, "country"), where)
        return [] if code in eea() else [values.setdefault("transfer", {"country": code})]

    def _safeguard(self, transfers: list[dict[str, Any]]) -> None:
        text, where = self._text("safeguards")
        if not text or _is_word(text, NONE | UNCLEAR):
            return
        key = safeguard_of(text)
        if not transfers:
            self._notes.append(f"Safeguards: {text}")
            self._table.leave(where, "names a safeguard, and no third country; its words are in the note")
        for transfer in transfers:
            if key is None:
                transfer.setdefault("safeguard", UNKNOWN)
                _note(transfer, text)
                self._table.leave(
                    where, "is no mechanism that is known by this name; its words are in the note of the transfer"
                )
            elif transfer.get("safeguard", UNKNOWN) in {key, UNKNOWN}:
                transfer["safeguard"] = key
            else:
                self._table.leave(where, "names another safeguard for a recipient than a row before")


def pieces(text: str, *, has_commas: bool = False) -> list[str]:
    """Return the items of a cell: its lines, what stands between semicolons, and between commas if those separate."""
    found = [one for line in text.split("\n") for one in line.split(";")]
    if has_commas:
        found = [one for item in found for one in _at_commas(item)]
    stripped = [_bare(one) for one in found]
    return [*dict.fromkeys(one for one in stripped if one)]


def _bare(text: str) -> str:
    stripped = text.strip()
    is_bullet = stripped.startswith(_BULLETS) and stripped[1:2].isspace()
    return stripped[1:].strip() if is_bullet else stripped


def _at_commas(text: str) -> list[str]:
    """Split at commas that stand in no brackets."""
    found, depth = [""], 0
    for piece in _COMMA_OR_BRACKET.split(text):
        depth = max(depth + (piece == "(") - (piece == ")"), 0)
        if piece == "," and not depth:
            found.append("")
        else:
            found[-1] += piece
    return found


def _is_word(text: str, words: frozenset[str]) -> bool:
    return plain(text) in words


def _note(values: dict[str, Any], text: str) -> None:
    before = values.get("note")
    values["note"] = text if before is None else before if text in before.split("\n") else f"{before}\n{text}"


def _at(sheet: Sheet, index: int, column: str) -> str:
    return f"sheet {sheet.name}, row {index + 1}, column {column}"
