"""Recognising personal data by what a value looks like, and judging a column by how many of its values do.

Invariants: nothing here keeps, returns or prints a value: a value goes in, the key of a pattern comes out; every
pattern takes time linear in the text, of which at most ``LONGEST`` characters are looked at; nothing raises. The check
digits are those of python-stdnum, which is imported with the first value that asks for it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, lru_cache, partial
from ipaddress import ip_address
from types import ModuleType

from ropa.vocabulary.hints import hint_category, strong_hint

LONGEST = 4000
"""Characters of a value that are looked at."""
FEWEST = 3
"""Values of a kind below which nothing is concluded from content alone."""
_FEWEST_BY_CHANCE = 10


class Proof(Enum):
    """How much one matching value proves: the share of a column's values that must match, without a word beside."""

    CERTAIN = 0.05
    """No chance of an accident (e-mail address, IBAN): a few of them are personal data in any column."""
    LIKELY = 0.60
    """Hardly by chance, but other things are written so (telephone numbers, dates of birth, version numbers)."""
    BY_CHANCE = 0.90
    """One in eleven random numbers passes the check digit: only where nearly all do, and at least 10."""


SHARE_WITH_WORD = 0.20
"""Enough where the name of the column suggests the same category; then a single value is, too."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One pattern: what ``recognise`` answers with."""

    key: str
    category: str
    proof: Proof


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a column is thought to hold a category: so many of the values seen."""

    category: str
    matched: int
    seen: int
    kinds: tuple[str, ...]
    """Keys of the patterns, the most frequent first."""


KINDS: Mapping[str, Kind] = {
    kind.key: kind
    for kind in (
        Kind("email", "email", Proof.CERTAIN),
        Kind("iban", "bank-account", Proof.CERTAIN),
        Kind("mac-address", "device", Proof.CERTAIN),
        Kind("user-agent", "device", Proof.CERTAIN),
        Kind("password-hash", "credentials", Proof.CERTAIN),
        Kind("ip-address", "ip-address", Proof.LIKELY),
        Kind("be-national-number", "national-id", Proof.LIKELY),
        Kind("fr-nir", "national-id", Proof.LIKELY),
        Kind("telephone", "telephone", Proof.LIKELY),
        Kind("street-address", "address", Proof.LIKELY),
        Kind("coordinates", "location", Proof.LIKELY),
        Kind("vat-number", "invoice", Proof.LIKELY),
        Kind("nl-bsn", "national-id", Proof.BY_CHANCE),
        Kind("de-idnr", "national-id", Proof.BY_CHANCE),
        Kind("payment-card", "bank-account", Proof.BY_CHANCE),
        Kind("bic", "bank-account", Proof.BY_CHANCE),
        Kind("nl-postcode", "address", Proof.BY_CHANCE),
        Kind("contact-in-text", "correspondence", Proof.CERTAIN),
        Kind("ip-in-text", "ip-address", Proof.LIKELY),
    )
}
"""Every pattern but dates (``date-1950``: a day of that decade) and names of fields (``field-email``)."""

_MAIL = r"[a-z0-9_%+'=-]+(?:\.[a-z0-9_%+'=-]+)*@[a-z0-9-]+(?:\.[a-z0-9-]+)+"
_EMAIL = re.compile(rf"(?:mailto:)?(?:[^<>@\n]{{0,80}}<)?{_MAIL}>?", re.IGNORECASE)
_IBAN = re.compile(r"[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", re.IGNORECASE)
_BIC = re.compile(r"[A-Z]{6}[A-Z0-9]{2}(?:[A-Z0-9]{3})?")
_MAC = re.compile(r"[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}", re.IGNORECASE)
_IP = re.compile(r"[0-9a-f.:]{3,45}(?:/\d{1,3})?", re.IGNORECASE)
_AGENT = re.compile(r"(?:Mozilla|Opera)/\d[\d.]* \(")
_HASH = re.compile(
    r"\$(?:2[abxy]?|1|5|6|y|P|H|argon2[a-z]{1,2}|scrypt|pbkdf2[a-z0-9-]*)\$[./A-Za-z0-9$=,+-]{8,200}"
    r"|pbkdf2_sha\d+\$\d+\$\S{8,200}|\{S?(?:SHA|MD5)\d{0,3}\}\S{8,200}"
)
_NUMBER = re.compile(r"[0-9][0-9 ./\u2013-]{6,25}[0-9]", re.ASCII)
_CARD = re.compile(r"(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|6(?:011|5\d\d)\d{12}|67\d{10,17})")
_NIR = re.compile(r"[12]\d{4}(?:\d\d|2A|2B)\d{8}", re.IGNORECASE)
_ABROAD = re.compile(r"(?:\+|00)\s?[1-9]\d{0,2}[\s./()-]{0,3}(?:\d[\s./()-]{0,3}){5,13}\d", re.ASCII)
_AT_HOME = re.compile(
    r"0[1-9]\d{1,2}[ ./-]{1,3}\d{2,3}(?:[ .-]?\d{2,3}){1,3}"  # 0470 12 34 56, 09/123.45.67, 010-1234567
    r"|0[1-9][ ./-]\d{2,3}(?:[ .-]?\d{2,3}){2,4}"  # 01 23 45 67 89, 09 123 45 67, 02/123 45 67
    r"|0[1-9]\d{0,3}[ ./-]{1,3}\d{5,9}"  # 06-12345678, 0171/1234567
    r"|04[5-9]\d{7}|06\d{8}|01[5-7]\d{8,9}|0[1-9]\d{8}",  # without anything between
    re.ASCII,
)
_DATE = re.compile(
    r"(?:(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})|(?P<d2>\d{1,2})[-/.](?P<m2>\d{1,2})[-/.](?P<y2>\d{4}))"
    r"(?:[T ](?:00:00(?::00(?:\.0+)?)?|2[23]:00:00Z)(?:Z|[+-]00:?00)?)?",  # a midnight, also one of ours told in UTC
    re.ASCII,
)
_POSTCODE_NL = re.compile(r"[1-9]\d{3} ?[A-Z]{2}", re.ASCII)
_STREET = re.compile(
    r"[^\W\d_][\w.'\u2019 -]{0,60}"
    r"(?:straat|laan|weg|plein|dreef|steenweg|kaai|kade|gracht|singel|lei|baan|dijk|straße|strasse|str\.|platz|allee"
    r"|gasse|ring|ufer|damm| street| st\.?| road| rd\.?| avenue| ave\.?| lane| drive| square| boulevard| blvd\.?)"
    r"[ ,]{1,3}(?:nr\.? ?)?\d{1,5}"
    r"|\d{1,5} ?(?:bis|ter|[a-z])?,? (?:rue|avenue|av\.|boulevard|bd|chaussée|place|chemin|impasse|allée|quai|cours"
    r"|route|square)[ \u00a0]\w"
    r"|(?:rue|avenue|av\.|boulevard|bd|chaussée|place|chemin|impasse|allée|quai|route) [\w' \u2019-]{2,60},? \d{1,5}"
    r"|\d{1,5} [\w.' -]{2,60} (?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|way|court|ct|boulevard|blvd)\b",
    re.IGNORECASE,
)
_COORDINATES = re.compile(r"-?\d{1,2}\.\d{3,15}\s?[,;]\s?-?\d{1,3}\.\d{3,15}", re.ASCII)
_VAT = re.compile(r"[A-Z]{2} ?[A-Z0-9][A-Z0-9. -]{6,15}")
_FIELD = re.compile(r"[\w .:-]{2,64}")
_MAIL_WITHIN = re.compile(r"[a-z0-9_%+-]@[a-z0-9-]{1,63}\.[a-z]{2}", re.IGNORECASE)
_PHONE_WITHIN = re.compile(
    r"(?<![\w.+])(?:\+|00)[1-9]\d{1,2}[ ./()-]{0,3}\d(?:[ ./()-]{0,2}\d){7,11}(?![\w])", re.ASCII
)
_IBAN_WITHIN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_NUMBER_WITHIN = re.compile(r"(?<![\d.])\d{2}[.]\d{2}[.]\d{2}[- ]\d{3}[. ]\d{2}(?!\d)", re.ASCII)
_IP_WITHIN = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]\w)", re.ASCII)
_MOST_WITHIN = 20
"""Candidates of a kind in one text that are checked."""


def recognise(column: str, text: str, *, year: int) -> str | None:
    """Return the key of the pattern that a value fits, None where none. Never raises.

    ``column``: its name; it decides between readings of the same digits. ``year``: the present one; a birth date is of
    a day at least ten years before it. Keys: ``KINDS``, and ``date-1950`` for a day of the years 1950 to 1959,
    ``date-other`` for any other day.
    """
    text = text[:LONGEST].strip()
    if len(text) < 3:
        return None
    word = _word(column)
    for look in (_written, _dated, _numbered, _lettered, _placed, _containing):
        if found := look(text, word, year):
            return found
    return None


def recognise_field(text: str) -> str | None:
    """Return ``field-<category>`` for a value that is the name of a field, as key/value tables have them."""
    text = text[:LONGEST].strip()
    category = strong_hint(text) if _FIELD.fullmatch(text) else None
    return f"field-{category}" if category else None


def weigh(counts: Mapping[str, int], seen: int, *, hint: str | None, is_mixed: bool) -> list[Evidence]:
    """Return what a column holds by its content, the most frequent first.

    ``counts``: how often ``recognise`` answered what. ``seen``: values that were not blank. ``hint``: what the column's
    name suggests. ``is_mixed``: the column holds one thing here and another there (the value of a key/value table), so
    that three values of a kind are enough, whatever their share.
    """
    found = [*_weigh_kinds(counts, seen, hint, is_mixed=is_mixed), *_weigh_dates(counts, seen, hint)]
    return sorted(found, key=lambda evidence: (-evidence.matched, evidence.category))


def _weigh_kinds(counts: Mapping[str, int], seen: int, hint: str | None, *, is_mixed: bool) -> list[Evidence]:
    by_category: dict[str, list[Kind]] = defaultdict(list)
    for key, number in counts.items():
        if number > 0 and key in KINDS:
            by_category[KINDS[key].category].append(KINDS[key])
    found = []
    for category, kinds in by_category.items():
        matched = sum(counts[kind.key] for kind in kinds)
        # What a category's patterns prove together is what its weakest proves; those that prove more also stand alone.
        is_held = any(
            _is_enough(
                sum(counts[k.key] for k in kinds if k.proof.value <= proof.value), seen, proof, is_mixed=is_mixed
            )
            for proof in {kind.proof for kind in kinds}
        )
        if is_held or (hint == category and matched / max(seen, matched) >= SHARE_WITH_WORD):
            ordered = sorted(kinds, key=lambda kind: -counts[kind.key])
            found.append(Evidence(category, matched, seen, tuple(kind.key for kind in ordered)))
    return found


def _is_enough(matched: int, seen: int, proof: Proof, *, is_mixed: bool) -> bool:
    if proof is Proof.BY_CHANCE:
        return matched >= _FEWEST_BY_CHANCE and matched >= proof.value * seen
    return matched >= FEWEST and (is_mixed or matched >= proof.value * seen)


def _weigh_dates(counts: Mapping[str, int], seen: int, hint: str | None) -> list[Evidence]:
    """Birth dates: long ago, and without the word for it also of many decades and hardly any other value beside."""
    decades = {int(key[5:]): number for key, number in counts.items() if re.fullmatch(r"date-\d{4}", key)}
    old = sum(decades.values())
    if not old:
        return []
    is_spread = len(decades) >= 4 and min(decades) <= max(decades) - 40 and max(decades.values()) <= 0.6 * old
    is_alone = old >= _FEWEST_BY_CHANCE and old >= Proof.BY_CHANCE.value * seen
    if (is_spread and is_alone) or (hint == "birth-date" and old >= SHARE_WITH_WORD * seen):
        return [Evidence("birth-date", old, seen, ("date",))]
    return []


# --- the patterns -------------------------------------------------------------------------------------------------


def _written(text: str, word: str | None, year: int) -> str | None:
    del word, year
    if "@" in text and _EMAIL.fullmatch(text) and len(text) <= 320:
        return "email"
    if _MAC.fullmatch(text):
        return "mac-address"
    if _IP.fullmatch(text) and _is_address(text):
        return "ip-address"
    if _AGENT.match(text):
        return "user-agent"
    return "password-hash" if _HASH.fullmatch(text) else None


def _is_address(text: str) -> bool:
    bare = text.partition("/")[0]
    if bare.count(".") != 3 and bare.count(":") < 2:
        return False
    try:
        found = ip_address(bare)
    except ValueError:
        return False
    return not found.is_unspecified


def _dated(text: str, word: str | None, year: int) -> str | None:
    del word
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    month, day = int(found["m"] or found["m2"]), int(found["d"] or found["d2"])
    of = int(found["y"] or found["y2"])
    if not (1 <= month <= 31 and 1 <= day <= 31 and min(month, day) <= 12):
        return None
    is_old = 1900 < of <= year - 10 and (of, month, day) not in {(1970, 1, 1), (1901, 1, 1)}
    return f"date-{of // 10 * 10}" if is_old else "date-other"


def _numbered(text: str, word: str | None, year: int) -> str | None:
    """Digits with at most separators between them: national numbers before telephone numbers, which have no check."""
    del year
    if word == "telephone" and (_ABROAD.fullmatch(text) or _AT_HOME.fullmatch(text)):
        return "telephone"
    if _ABROAD.fullmatch(text):
        return "telephone"
    squeezed = re.sub(r"[ ./\u2013-]", "", text)
    if len(squeezed) == 15 and _NIR.fullmatch(squeezed) and _passes("fr.nir", squeezed.upper()):
        return "fr-nir"
    if not _NUMBER.fullmatch(text):
        return None
    if len(squeezed) == 11:
        if _passes("be.nn", squeezed) or _passes("be.bis", squeezed):
            return "be-national-number"
        if _passes("de.idnr", squeezed):
            return "de-idnr"
    if len(squeezed) == 10 and _passes("be.vat", squeezed):
        return "vat-number"
    if _AT_HOME.fullmatch(text):
        return "telephone"
    if len(squeezed) == 9 and _passes("nl.bsn", squeezed):
        return "nl-bsn"
    if len(squeezed) == 8 and word == "national-id" and _passes("nl.bsn", "0" + squeezed):
        return "nl-bsn"  # kept as a number, it has lost its zero
    return "payment-card" if _CARD.fullmatch(squeezed) and _passes("luhn", squeezed) else None


def _lettered(text: str, word: str | None, year: int) -> str | None:
    del word, year
    if len(text) > 50:
        return None
    if _IBAN.fullmatch(text) and _passes("iban", text):
        return "iban"
    if _VAT.fullmatch(text.upper()) and text[:2].isalpha() and _passes("eu.vat", text):
        return "vat-number"
    return "bic" if _BIC.fullmatch(text) and _passes("bic", text) else None


def _placed(text: str, word: str | None, year: int) -> str | None:
    del word, year
    if _COORDINATES.fullmatch(text):
        return "coordinates"
    if _POSTCODE_NL.fullmatch(text):
        return "nl-postcode"
    return "street-address" if len(text) <= 200 and _STREET.match(text) else None


def _containing(text: str, word: str | None, year: int) -> str | None:
    """Running text in which somebody can be reached or recognised."""
    del word, year
    if not any(c.isspace() or c in ":;=,\"'" for c in text):
        return None
    if _MAIL_WITHIN.search(text) or _PHONE_WITHIN.search(text):
        return "contact-in-text"
    for found, _ in zip(_IBAN_WITHIN.finditer(text), range(_MOST_WITHIN), strict=False):
        if _passes("iban", found[0]):
            return "contact-in-text"
    for found, _ in zip(_NUMBER_WITHIN.finditer(text), range(_MOST_WITHIN), strict=False):
        digits = re.sub(r"\D", "", found[0])
        if _passes("be.nn", digits) or _passes("be.bis", digits):
            return "contact-in-text"
    within = zip(_IP_WITHIN.finditer(text), range(_MOST_WITHIN), strict=False)
    return "ip-in-text" if any(_is_address(found[0]) for found, _ in within) else None


@lru_cache(maxsize=1024)
def _word(column: str) -> str | None:
    return hint_category(column)


def _passes(format_: str, number: str) -> bool:
    """Tell whether python-stdnum takes a number. It is given ASCII letters and digits only."""
    return bool(_checker(format_)(number)) if number.isascii() else False


@cache
def _checker(format_: str) -> Callable[[str], bool]:
    from importlib import import_module

    module: ModuleType = import_module(f"stdnum.{format_}")
    checker: Callable[..., bool] = module.is_valid
    # Which banks there are changes: the check digits and the country's own structure are enough.
    return partial(checker, check_country=False) if format_ == "iban" else checker
