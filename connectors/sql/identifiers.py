"""Free text masked by the record's own identifiers: what a row's name, e-mail and telephone columns hold is found again
in its text, and replaced.

Found is found without regard to case, Unicode form, accents, invisible characters, the spacing and punctuation of
numbers, and the way in which a telephone number begins. Invariant: of a text that was masked nothing is found any more,
whichever way the pieces left over come together; better a word too many than a name that stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from connectors.masks import RANDOM_PREFIX, REDACTED

_DIGITS = 6
"""From so many digits on a value is a number: a telephone number, an account, a national number."""
_LAST = 8
"""Of telephone numbers the last digits tell: ``+32 456 …`` and ``0456 …`` are one."""
_WORD = 4
"""A part of a name of fewer letters is only looked for as a word of its own."""
_PARTICLES = re.compile(
    "aan|al|am|an|and|auf|aus|bin|das?|d[eiou]|del|della|de[nrs]|dos|du|e[lnt]|in|las?|les?|los|o[fp]|san|st|te[nr]|the|to"
    "|und|uit|van|vo[mn]|zu[mr]?"
)
"""Parts of names that are ordinary words: looked for together with the rest of the name, not alone."""
_NOTHING = frozenset({"unknown", "xx", "XX", "1900-01-01", "anon@example.invalid"})
_LETTERS = re.compile(r"[^\W\d_]+")
_SEPARATORS = r"[\W_]{0,6}"
"""Between the digits that tell."""
_BEFORE = r"[\s./()\\\-\u2010-\u2015\u2212]{0,4}"
"""Between the digits before those: numbers that only stand beside it are left."""
_GAP = r"[\W_]{0,4}"
_WIDE = 0x2E80
"""From here on are scripts that write no spaces between words."""
_PLAIN = {
    "\u0131": "i", "\u0142": "l", "\u00f8": "o", "\u0111": "d", "\u00f0": "d", "\u0153": "oe", "\u00e6": "ae",
    "\u00fe": "th", "\u0127": "h", "\u0167": "t", "\u014b": "n", "\u0192": "f", "\u0268": "i", "\u0289": "u",
}  # fmt: skip
"""Letters with a stroke, and those of two, which Unicode does not take apart."""
_MARK = REDACTED.casefold()


def fold(text: str) -> tuple[str, list[int]]:
    """Return a text as it is compared, and the place of each of its characters in the text."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    folded: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        for each in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold()):
            category = unicodedata.category(each)
            if category in {"Mn", "Me", "Cf"}:
                continue
            digit = unicodedata.decimal(each, None)
            plain = " " if category == "Zs" else _PLAIN.get(each, each) if digit is None else str(digit)
            folded += plain
            places += [place] * len(plain)
    return "".join(folded), places


class Needles:
    """What is looked for in the text of one row."""

    def __init__(self, values: Iterable[object]) -> None:
        self._sources = frozenset(
            (-weight, source)
            for value in values
            if not _is_nothing(value)
            for weight, source in _patterns(fold(str(value).strip())[0])
        )
        self._pattern = _pattern_of(self._sources)

    def __bool__(self) -> bool:
        return self._pattern is not None

    def without(self, others: Needles) -> Needles:
        """Return those that are not among others."""
        left = Needles(())
        left._sources = self._sources - others._sources
        left._pattern = _pattern_of(left._sources)
        return left

    def is_in(self, text: str) -> bool:
        """Tell whether anything is found."""
        return self._pattern is not None and any(self._spans(piece) for piece in _pieces(text)[::2])

    def replaced(self, text: str) -> str:
        """Return the text with ``REDACTED`` wherever something is found; the text itself where nothing is."""
        if self._pattern is None:
            return text
        # What is left over can make a word of its own where a longer one stood: looked at until nothing is found.
        while True:
            pieces = _pieces(text)
            found = False
            for number in range(0, len(pieces), 2):
                spans = self._spans(pieces[number])
                if spans:
                    found = True
                    pieces[number] = _cut(pieces[number], spans)
            if not found:
                return text
            text = "".join(pieces)

    def _spans(self, piece: str) -> list[tuple[int, int]]:
        if self._pattern is None or not piece:
            return []
        folded, places = fold(piece)
        spans = []
        for found in self._pattern.finditer(folded):
            if found.end() > found.start():
                end = places[found.end()] if found.end() < len(places) else len(piece)
                spans.append((places[found.start()], max(end, places[found.end() - 1] + 1)))
        return spans


def has_mark(text: str) -> bool:
    """Tell whether something in the text was replaced before."""
    return _MARK in text.casefold()


def _pieces(text: str) -> list[str]:
    """Return the text cut at the marks; these stand at the odd places."""
    return re.split(f"({re.escape(REDACTED)})", text, flags=re.IGNORECASE)


def _cut(piece: str, spans: Sequence[tuple[int, int]]) -> str:
    parts, last = [], 0
    for start, end in spans:
        if start >= last:
            parts += [piece[last:start], REDACTED]
        last = max(last, end)
    return "".join([*parts, piece[last:]])


def _is_nothing(value: object) -> bool:
    """Tell whether an identifier's column holds nothing to look for: empty, or what a mask has put there."""
    if value is None or isinstance(value, bytes | bool):
        return True
    text = str(value).strip()
    return (
        (len(text) < 2 and text < chr(_WIDE))
        or text in _NOTHING
        or has_mark(text)
        or text.startswith((RANDOM_PREFIX, "~"))
        or text.endswith("@example.invalid")
    )


def _pattern_of(sources: Iterable[tuple[int, str]]) -> re.Pattern[str] | None:
    # The longest first, so that a whole name or address goes before its parts.
    ordered = [source for _, source in sorted(sources)]
    return re.compile("|".join(ordered)) if ordered else None


def _patterns(value: str) -> list[tuple[int, str]]:
    """Return what is looked for of one folded value, each with its weight: as many letters and digits as it has."""
    parts = re.findall(r"[^\W_]+", value)
    letters, digits = "".join(_LETTERS.findall(value)), re.sub(r"\D", "", value)
    weight = len("".join(parts))
    if "@" in value:
        return [(weight + 1, r"\s?".join(re.escape(part) for part in value.split()))]
    if len(digits) >= _DIGITS:
        return [(weight, _number(digits) if not letters else _SEPARATORS.join("".join(parts)))]
    if not letters:
        return [(weight, rf"(?<!\w){re.escape(value)}(?!\w)")] if digits.strip("0") else []
    whole = _GAP.join(parts)
    is_wide = any(ord(character) >= _WIDE for character in value)
    found = [(weight, whole if weight >= _WORD or is_wide else _word(whole))]
    for part in parts if len(parts) > 1 else ():
        if len(part) >= _WORD or (len(part) > 1 and ord(part[0]) >= _WIDE):
            found.append((len(part), part))
        elif len(part) > 1 and not part.isdigit() and not _PARTICLES.fullmatch(part):
            found.append((len(part), _word(part)))
    return found


def _word(source: str) -> str:
    return rf"(?<![^\W_]){source}(?![^\W_])"


def _number(digits: str) -> str:
    """Return the pattern of a number by its last digits, with whatever it begins with; of a short one, by all."""
    last = _SEPARATORS.join(digits[-_LAST:])
    if len(digits) < _LAST:
        return rf"(?<!\d){last}(?!\d)"
    return rf"(?:\+?\(?(?:\d{_BEFORE}){{1,7}})?{last}"
