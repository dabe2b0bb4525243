"""Guessing the data category of a column from names and types, for ``ropa location discover``: a proposal, no decision.

Invariant: what is guessed depends on the names and types given and on nothing else; no value of a record is seen here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from ropa.vocabulary.terms import plain

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z]+")
_LONGEST_PHRASE = 4
_LONGEST_NAME = 200
"""Letters of a name that are looked at; no engine has longer ones."""

DIRECT = frozenset({"email", "telephone", "national-id", "bank-account", "ip-address", "account", "cookie-id"})
"""Categories that identify a person by themselves, so that a key or a foreign key that holds one holds the datum."""
_PERSONAL = frozenset(
    {"name", "email", "telephone", "birth-date", "national-id", "bank-account", "identity-document", "address",
     "ip-address", "cookie-id", "account", "credentials"}
)  # fmt: skip
"""Categories whose strong hints make a table one about persons."""
_NAMES_BESIDE = _PERSONAL - {"account", "credentials", "ip-address", "cookie-id", "address"}
"""A bare ``name`` or ``title`` is a person's beside one of these; beside a login it is that of what the person made."""
_STATEMENTS = frozenset({"consent-record", "suppression-entry", "health"})
"""What a yes or no, or the date of one, says about a person."""

_FAMILIES = (
    ("flag", re.compile(r"bool|^bit$|^bit\(1\)|^tinyint\(1\)")),
    ("fraction", re.compile(r"numeric|decimal|float|real|double|money|^number")),
    ("whole", re.compile(r"int(?!erval|ern)|serial|oid$|^year")),
    ("date", re.compile(r"date|time|instant|interval")),
    ("uuid", re.compile(r"uuid|uniqueidentifier|guid")),
)
_ALLOWED: Mapping[str, frozenset[str]] = {
    "flag": _STATEMENTS | {"preferences"},
    "fraction": frozenset({"location", "invoice", "employment", "health", "telephone", "national-id", "bank-account"}),
    "whole": frozenset({"telephone", "national-id", "bank-account", "ip-address", "health", "identity-document"}),
    "date": _STATEMENTS | {"birth-date", "employment"},
    "uuid": frozenset({"cookie-id", "device"}),
}
"""Categories that a column of such a type can hold; text, bytes, JSON and unknown types can hold any."""
_IN_NUMBERS = frozenset({"address", "location", "invoice", "birth-date", "employment"})
"""Held by whole numbers only where the name says that a number is meant (``numbers``): else they are pointers."""


@dataclass(frozen=True, slots=True)
class _Words:
    words: Mapping[str, str]
    ends: Mapping[str, str]
    never: frozenset[str]
    weak: frozenset[str]
    heads: frozenset[str]
    tails: frozenset[str]
    numbers: frozenset[str]
    persons: frozenset[str]
    keys: frozenset[str]
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Match:
    category: str
    is_weak: bool
    """It counts only in a table of persons, or beside a column that says more."""
    says_number: bool
    phrase: str


def hint_category(column_name: str) -> str | None:
    """Return the data category that a column's name alone suggests (nl fr de en), None where it suggests none.

    ``Geboortedatum``, ``birth_date``, ``dateNaissance`` give ``birth-date``. The phrase that ends last decides, of
    several the longest, so ``ip_adres`` is an IP address, ``comment_author_email`` an e-mail address and
    ``bedrijfsnaam`` an organisation's name; ``file_name`` and ``email_verified`` give None.
    """
    found = _match(column_name)
    return found.category if found else None


def hint_columns(
    source: str,
    columns: Iterable[tuple[str, str]],
    *,
    key: Collection[str] = (),
    pointers: Collection[str] = (),
) -> dict[str, str]:
    """Return column to data category for a table or folder, as far as its names and types suggest one.

    ``columns``: name and declared type. ``key``, ``pointers``: columns of the primary key and of foreign keys; such a
    column counts where its category identifies a person by itself (an e-mail address as a key). A type that cannot
    hold the datum rules it out (``email BOOLEAN``). Words that say little alone (``name``, ``city``, ``notes``) count
    where the table's name means people, or another column says more.
    """
    matches = {}
    for name, kind in columns:
        found = _match(name)
        if found is None or not _fits(found, kind):
            continue
        if (name in key or name in pointers) and found.category not in DIRECT:
            continue
        matches[name] = found
    sure = {found.category for found in matches.values() if not found.is_weak}
    of_persons = _is_of_persons(source)
    kept = {}
    for name, found in matches.items():
        beside = _NAMES_BESIDE if found.category in {"name", "employment"} else _PERSONAL
        if not found.is_weak or of_persons or sure & beside:
            kept[name] = found.category
    return kept


def strong_hint(name: str) -> str | None:
    """Return what ``hint_category`` gives where the name says it without a table around it, else None."""
    found = _match(name)
    return found.category if found and not found.is_weak else None


def key_value_columns(columns: Iterable[str]) -> tuple[str | None, str | None]:
    """Return the column that holds the names and the one that holds the values of a key/value table (``meta_key``,
    ``meta_value``); None for what is not there."""
    known = _hints()
    keys: list[tuple[int, str]] = []
    values: list[tuple[int, str]] = []
    for name in columns:
        joined = "".join(_tokens(name))
        keys += [(len(word), name) for word in known.keys if joined.endswith(word)]
        values += [(len(word), name) for word in known.values if joined == word]
    value = max(values)[1] if values else None
    return max((pair for pair in keys if pair[1] != value), default=(0, None))[1], value


def tokens(name: str) -> list[str]:
    """Return the words of a name, lower case and without accents; ``KlantNaam2`` gives ``klant``, ``naam``."""
    return list(_tokens(name))


@lru_cache(maxsize=4096)
def _tokens(name: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(plain(_CAMEL.sub(" ", name[:_LONGEST_NAME]))))


@lru_cache(maxsize=4096)
def _match(name: str) -> _Match | None:
    words, known = _tokens(name), _hints()
    best: tuple[int, int, int, str] | None = None  # where it ends, its length, where it starts, the category
    for start in range(len(words)):
        for end in range(start + 1, min(len(words), start + _LONGEST_PHRASE) + 1):
            joined = "".join(words[start:end])
            if joined in known.never:
                return None
            found = known.words.get(joined) or (_ending(joined, known) if end == start + 1 else None)
            if found and (best is None or (end, len(joined)) > best[:2]):
                best = (end, len(joined), start, found)
    if best is None:
        return None
    end, _, start, category = best
    if category not in _STATEMENTS and (
        known.tails.intersection(words[end:]) or known.heads.intersection(words[:start])
    ):
        return None
    phrase = "".join(words[start:end])
    says_number = not known.numbers.isdisjoint(words) or phrase in known.numbers
    return _Match(category, phrase in known.weak, says_number, phrase)


def _ending(word: str, known: _Words) -> str | None:
    matches = [(len(ending), key) for ending, key in known.ends.items() if word.endswith(ending)]
    return max(matches)[1] if matches else None


def _fits(found: _Match, kind: str) -> bool:
    declared = kind.strip().lower()
    family = next((name for name, pattern in _FAMILIES if pattern.search(declared)), None)
    if family is None:
        return True
    if family == "whole" and found.says_number and found.category in _IN_NUMBERS:
        return True
    if family == "fraction" and found.category == "location":
        return found.says_number
    return found.category in _ALLOWED[family]


def _is_of_persons(source: str) -> bool:
    """Tell whether a table's name means people: by its last word (``wp_users``, ``crm.Klanten``), not by one before it
    (``user_dashboard``)."""
    words = _tokens(source)
    return bool(words) and words[-1] in _hints().persons


@cache
def _hints() -> _Words:
    raw: dict[str, Any] = tomllib.loads((files("ropa.vocabulary") / "data" / "hints.toml").read_text(encoding="utf-8"))

    def turned(part: str) -> dict[str, str]:
        return {_joined(phrase): key for key, phrases in raw[part].items() for phrase in phrases}

    def listed(part: str) -> frozenset[str]:
        return frozenset(map(_joined, raw[part]))

    return _Words(
        words=turned("words"),
        ends=turned("ends"),
        never=listed("never"),
        weak=listed("weak"),
        heads=listed("heads"),
        tails=listed("tails"),
        numbers=listed("numbers"),
        persons=listed("persons"),
        keys=listed("keys"),
        values=listed("values"),
    )


def _joined(phrase: str) -> str:
    return "".join(_WORD.findall(plain(phrase)))
