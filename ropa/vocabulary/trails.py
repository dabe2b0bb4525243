"""The words that tell that a table keeps what another one had: read once from ``data/trails.toml``.

Invariant: words are letters and digits only, lower case, without accents, as ``bare`` gives them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ropa.vocabulary.terms import plain

_LONGEST_NAME = 200
_YEAR_DIGITS = 4


@dataclass(frozen=True, slots=True)
class TrailWords:
    """Words in names of tables (``marks``, ``fillers``) and of columns (``changes``, ``subjects``, ``contents``)."""

    marks: frozenset[str]
    fillers: frozenset[str]
    changes: frozenset[str]
    subjects: frozenset[str]
    contents: frozenset[str]


def bare(name: str) -> str:
    """Return the letters and digits of a name, lower case and without accents."""
    return re.sub(r"[\W_]+", "", plain(name[:_LONGEST_NAME]))


@cache
def trail_words() -> TrailWords:
    """Return the words."""
    raw = tomllib.loads((files("ropa.vocabulary") / "data" / "trails.toml").read_text(encoding="utf-8"))
    return TrailWords(**{part: frozenset(map(bare, words)) for part, words in raw.items()})


def means_trail(rest: str) -> bool:
    """Tell whether what a name has beside another name (``history``, ``ftscontent``, ``p202207``) is made of ``marks``
    and ``fillers``, with one mark at least; a number of four digits, as of a year, is a mark."""
    words = trail_words()
    reached: list[bool | None] = [False] + [None] * len(rest)  # None: not reached; else whether a mark was passed
    for start in range(len(rest)):
        passed = reached[start]
        if passed is None:
            continue
        for end in range(start + 1, len(rest) + 1):
            word = rest[start:end]
            digits = word.removeprefix("p")
            is_number = digits.isdecimal()
            if word in words.marks or (is_number and len(digits) >= _YEAR_DIGITS):
                reached[end] = True
            elif word in words.fillers or is_number:
                reached[end] = reached[end] or passed
    return bool(reached[-1])
