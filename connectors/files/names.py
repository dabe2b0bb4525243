"""What names of files say: their spelling in keys, globs, dates in them, persons in them. Pure text, no file system.

Invariant: every name has exactly one spelling and every spelling leads back to exactly that name, whatever its bytes; a
spelling that leads anywhere else than to a file below the root is refused.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from zoneinfo import ZoneInfo

from ropa.clock import read_moment
from ropa.connector import SubjectSet, normalise_identifier, squeeze_identifier

# --- spelling -----------------------------------------------------------------------------------------------------

_ESCAPE = re.compile(r"\\(?:\\|x([0-9a-f]{2}))")


def spell_name(name: str) -> str:
    r"""Return how a name, as ``os`` gives it, is spelled in keys: a byte that is not UTF-8 as ``\xNN``, a backslash as
    ``\\``; nothing else is changed."""
    if name.isascii() and "\\" not in name:
        return name
    text = os.fsencode(name).decode("utf-8", "surrogateescape").replace("\\", "\\\\")
    return "".join(f"\\x{ord(c) - 0xDC00:02x}" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)


def parse_key(key: str) -> tuple[str, ...]:
    """Return the names that a key consists of, as ``os`` takes them. Raises ValueError where it is no key."""
    return tuple(map(parse_name, key.split("/")))


def parse_name(part: str) -> str:
    """Return the name behind one spelling, as ``os`` takes it. Raises ValueError where it is none."""
    name = part
    if not part.isascii() or "\\" in part:
        raw = b"".join(
            bytes.fromhex(found[1]) if found[1] else b"\\" if found[0] else text.encode("utf-8")
            for text, found in _pieces(part)
        )
        name = os.fsdecode(raw)
    if name in {"", ".", ".."} or "\0" in name or "/" in name or spell_name(name) != part:
        raise ValueError("not the path of a file below the root")
    return name


def _pieces(part: str) -> Iterable[tuple[str, tuple[str, str | None]]]:
    """Split a spelling into plain text and escapes."""
    end = 0
    for found in _ESCAPE.finditer(part):
        yield part[end : found.start()], ("", None)
        yield "", (found[0], found[1])
        end = found.end()
    yield part[end:], ("", None)


# --- globs --------------------------------------------------------------------------------------------------------


class Glob:
    """One pattern: on the name where it holds no ``/``, else on the path below the dataset's folder."""

    def __init__(self, pattern: str) -> None:
        self._is_for_path = "/" in pattern
        self.is_everything = pattern in {"*", "**"}
        """Whether there is no file that does not match."""
        self._expression = re.compile(_translate(pattern), re.DOTALL)

    def is_match(self, path: str, name: str) -> bool:
        """Tell whether a file matches; ``path`` is relative to the dataset's folder, both as spelled in keys."""
        return self.is_everything or bool(self._expression.fullmatch(path if self._is_for_path else name))


def _translate(pattern: str) -> str:
    expression, position = "", 0
    while position < len(pattern):
        rest = pattern[position:]
        bracket = re.match(r"\[(!?)(\]?[^\]]*)\]", rest)
        if rest.startswith("**/"):
            piece, length = "(?:.*/)?", 3
        elif rest.startswith("**"):
            piece, length = ".*", 2
        elif rest[0] == "*":
            piece, length = "[^/]*", 1
        elif rest[0] == "?":
            piece, length = "[^/]", 1
        elif bracket:
            inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", bracket[2])
            piece, length = f"(?!/)[{'^' if bracket[1] else ''}{inside}]", bracket.end()
        else:
            piece, length = re.escape(rest[0]), 1
        expression += piece
        position += length
    return expression


# --- dates --------------------------------------------------------------------------------------------------------

_NUMBERS = {"Y": r"\d{4}", "y": r"\d{2}", "j": r"\d{3}", "f": r"\d{1,6}"} | dict.fromkeys("mdHIMS", r"\d{1,2}")
_LETTERS = frozenset("bBaAp")
_WORDS = dict.fromkeys(_LETTERS, r"[^\W\d_]+") | {"z": r"(?:Z|[+-]\d{2}:?\d{2})", "%": "%"}


class NameDate:
    """A date in the name of a file, written as a ``strptime`` pattern says.

    Raises ValueError for a pattern that does not give a whole day ("%Y-%m" would be read as the first of the month, and
    a record go early), or that uses a directive that cannot be looked for.
    """

    def __init__(self, pattern: str) -> None:
        pieces = re.findall(r"%.|[^%]+|%$", pattern, re.DOTALL)
        used = {piece[1:] for piece in pieces if piece.startswith("%")}
        unknown = sorted(used - set(_NUMBERS) - set(_WORDS))
        if unknown:
            raise ValueError(f"%{unknown[0]} cannot be looked for in a name")
        if not used & {"Y", "y"} or not ("j" in used or ("d" in used and used & {"m", "b", "B"})):
            raise ValueError("the pattern must give year, month and day")
        expression = "".join(_expression(pieces, index) for index in range(len(pieces)))
        # Part of a longer number or month name is not a date; all matches count, also those that overlap.
        start = r"(?<![^\W_])" if pieces[0][1:] in _LETTERS else r"(?<!\d)"
        self._expression = re.compile(rf"(?={start}({expression})(?!\d))", re.ASCII)
        self._pattern = pattern

    def find(self, name: str, zone: ZoneInfo) -> object:
        """Return the text of the date, None where there is none, and something unreadable where there are two."""
        texts = {found[1] for found in self._expression.finditer(name)}
        if len(texts) <= 1:
            return next(iter(texts), None)
        moments = {read_moment(text, zone=zone, form=self._pattern) for text in texts}
        return texts.pop() if len(moments) == 1 else ()


def _expression(pieces: list[str], index: int) -> str:
    piece = pieces[index]
    if not piece.startswith("%"):
        return re.escape(piece)
    number = _NUMBERS.get(piece[1])
    if number is None:
        return _WORDS[piece[1]]
    neighbours = pieces[max(index - 1, 0) : index] + pieces[index + 1 : index + 2]
    is_adjacent = any(other.startswith("%") and other[1] in _NUMBERS for other in neighbours)
    # "%Y%m%d" over 2021117 would be a guess: without a separator every number has its full width.
    return r"\d{2}" if is_adjacent and number == r"\d{1,2}" else number


# --- persons ------------------------------------------------------------------------------------------------------


_LONGEST_NAME = 255
"""Bytes of a file name at most; no run of words in it is longer."""


class Persons:
    """Whether a file is about one of some persons, by its ``subject`` columns.

    ``identifiers`` as ``normalise_identifier`` gives them. ``folder``: one of the folders that the file lies in, from
    the root on, is called like the identifier. ``name``: the file is, with or without its extension, or the identifier
    stands in the name as whole words ("CV Jan Peeters 2021.pdf" is about "jan peeters" and "2021", not about "peet").
    ``path``: either of the two.
    """

    def __init__(self, identifiers: SubjectSet) -> None:
        self._identifiers = identifiers
        self._squeezed = identifiers
        self._longest = _LONGEST_NAME
        if isinstance(identifiers, AbstractSet):
            self._squeezed = frozenset(squeeze_identifier(identifier) for identifier in identifiers) - {""}
            self._longest = max(map(len, self._squeezed), default=0)

    def is_about(self, subject: Iterable[str], path: str) -> bool:
        """Tell whether a file, its path spelled as in keys, is about one of them."""
        if not len(self._identifiers):
            return False
        *folders, name = path.split("/")
        columns = set(subject)
        if columns & {"folder", "path"} and any(normalise_identifier(f) in self._identifiers for f in folders):
            return True
        return bool(columns & {"name", "path"}) and self._is_in_name(name)

    def _is_in_name(self, name: str) -> bool:
        stem = name.rpartition(".")[0] or name
        if normalise_identifier(name) in self._identifiers or normalise_identifier(stem) in self._identifiers:
            return True
        words = _words(name)
        for start in range(len(words)):
            run = ""
            for word in words[start:]:
                run += word
                if run in self._squeezed:
                    return True
                if len(run) >= self._longest:
                    break
        return False


def _words(text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return re.findall(r"[^\W_]+", folded)
