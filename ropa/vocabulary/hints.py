"""Guessing the data category of a column from its name, for ``ropa location discover``: a proposal, no decision."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from ropa.vocabulary.terms import plain

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z]+")
_LONGEST_PHRASE = 4


def hint_category(column_name: str) -> str | None:
    """Return the data category that a column's name suggests (nl fr de en), None where it suggests none.

    ``Geboortedatum``, ``birth_date``, ``dateNaissance`` give ``birth-date``. The longest matching phrase decides, so
    ``ip_adres`` is an IP address and ``bedrijfsnaam`` an organisation's name; ``file_name`` gives None.
    """
    tokens = _WORD.findall(plain(_CAMEL.sub(" ", column_name)))
    words, ends, never = _hints()
    best: tuple[int, str] | None = None
    for start in range(len(tokens)):
        for end in range(start + 1, min(len(tokens), start + _LONGEST_PHRASE) + 1):
            joined = "".join(tokens[start:end])
            if joined in never:
                return None
            found = words.get(joined)
            if found and (best is None or len(joined) > best[0]):
                best = (len(joined), found)
    if best:
        return best[1]
    for token in tokens:
        matches = [(len(ending), key) for ending, key in ends.items() if token.endswith(ending)]
        if matches:
            return max(matches)[1]
    return None


@cache
def _hints() -> tuple[dict[str, str], dict[str, str], frozenset[str]]:
    raw: dict[str, Any] = tomllib.loads((files("ropa.vocabulary") / "data" / "hints.toml").read_text(encoding="utf-8"))

    def turned(part: str) -> dict[str, str]:
        return {_joined(phrase): key for key, phrases in raw[part].items() for phrase in phrases}

    return turned("words"), turned("ends"), frozenset(map(_joined, raw["never"]))


def _joined(phrase: str) -> str:
    return "".join(_WORD.findall(plain(phrase)))
