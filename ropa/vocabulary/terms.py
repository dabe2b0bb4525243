"""The entries of the vocabulary as frozen values, read once from ``data/*.toml``.

Invariant: every entry carries the four labels; a key, once given out, keeps its meaning.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

LANGUAGES = ("nl", "fr", "de", "en")
UNKNOWN = "unknown"
"""A value in its own right wherever a fact may not be known: a gap is a finding, never a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One entry: a data subject category, or what every other kind has too."""

    key: str
    labels: Mapping[str, str]
    """Language (nl fr de en) to label."""
    dpv: tuple[str, ...] = ()
    """Prefixed DPV 2.3 terms, the first one is emitted (``pd:BirthDate``)."""
    fideslang: tuple[str, ...] = ()
    """Keys of fideslang 3.1.4."""
    is_lossy: bool = False
    """Whether DPV or fideslang say less than the key; an exporter reports it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Category(Term):
    """A category of personal data."""

    is_special: bool = False
    """GDPR Art. 9(1)."""
    is_criminal: bool = False
    """GDPR Art. 10."""
    is_restricted: bool = False
    """National identification numbers: only where a law says so (Art. 87)."""
    related: tuple[str, ...] = ()
    """DPV terms that are not kinds of data but belong with it (``dpv:ConsentRecord``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis(Term):
    """A legal basis of Art. 6(1), or a condition of Art. 9(2) or Art. 10."""

    needs_law: bool = False
    """Whether the law itself must be named (Art. 6(3), 9(2)(g)-(j), 10)."""
    rights: tuple[str, ...] = ()
    """Rights that come with the basis (DPV 2.3 legal_basis_rights_mapping, without Art. 13-14); none for conditions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Right(Term):
    """A right of the data subject."""

    article: str
    """Article of the GDPR, e.g. ``15`` or ``7(3)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure(Term):
    """A technical or organisational measure (Art. 32(1))."""

    kind: Literal["technical", "organisational"]
    words: tuple[str, ...] = ()
    """How registers write it, lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose(Term):
    """A kind of purpose, recognised by its words."""

    pattern: re.Pattern[str]
    """Searched in ``plain(text)``."""
    unfit: tuple[str, ...] = ()
    """Legal bases that do not carry it."""
    is_direct_marketing: bool = False
    """Art. 21(2): the objection is absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Safeguard(Term):
    """A mechanism for transfers to third countries (GDPR Chapter V)."""

    countries: frozenset[str] = frozenset()
    """Countries it covers; empty: any."""
    valid_from: date | None = None
    """First day it carries a transfer."""
    invalid_from: date | None = None
    """First day it no longer does."""
    is_listed: bool = False
    """Whether each importer must be on a list."""
    note: str = ""
    measures: tuple[str, ...] = ()
    """DPV terms that are measures and not bases (``eu-gdpr:SCCByCommission``)."""

    @property
    def is_adequacy(self) -> bool:
        """Whether it is an adequacy decision (Art. 45)."""
        return self.key.startswith("adequacy:")

    def is_valid(self, day: date) -> bool:
        """Tell whether it carries a transfer on a day."""
        return (self.valid_from is None or day >= self.valid_from) and (
            self.invalid_from is None or day < self.invalid_from
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalFact:
    """A law, name or mechanism that ended on a day; a text that still names it is out of date."""

    key: str
    since: date
    """First day on which naming it is wrong."""
    was: str
    now: str
    fix: str
    source: str
    pattern: re.Pattern[str] = field(repr=False)
    """Searched in ``plain(text)``."""


def plain(text: str) -> str:
    """Return text as patterns see it: lower case, without accents, blanks run together, straight apostrophes."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join(bare.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())


def categories() -> Mapping[str, Category]:
    """Return the data categories by key (an organisation may add its own in its register)."""
    return _all_categories()


def category(key: str) -> Category | None:
    """Return one data category, None where the vocabulary does not know the key."""
    return _all_categories().get(key)


@cache
def subjects() -> Mapping[str, Term]:
    """Return the categories of data subjects by key."""
    return _each("subjects", lambda key, raw: Term(key=key, **_common(raw)))


@cache
def legal_bases() -> Mapping[str, Basis]:
    """Return ``6.1.a`` … ``6.1.f``; ``unknown`` is not among them."""
    return _part("legal_basis", _basis)


@cache
def conditions() -> Mapping[str, Basis]:
    """Return ``9.2.a`` … ``9.2.j`` and ``10``."""
    return _part("condition", _basis)


@cache
def rights() -> Mapping[str, Right]:
    """Return the rights of the data subject by key (``access``, ``erasure`` …)."""
    return _part("right", lambda key, raw: Right(key=key, article=raw["article"], **_common(raw)))


@cache
def measures() -> Mapping[str, Measure]:
    """Return the technical and organisational measures by key."""
    return _each(
        "measures",
        lambda key, raw: Measure(key=key, kind=raw["kind"], words=tuple(raw["words"]), **_common(raw)),
    )


def measure_of(text: str) -> Measure | None:
    """Return the measure that a register's wording means, None where it cannot be told."""
    wanted = " ".join(text.casefold().split())
    for measure in measures().values():
        if wanted == measure.key or wanted in measure.words or wanted in map(str.casefold, measure.labels.values()):
            return measure
    return None


@cache
def purposes() -> Mapping[str, Purpose]:
    """Return the kinds of purpose by key."""
    return _each("purposes", _purpose)


def purposes_in(text: str) -> tuple[Purpose, ...]:
    """Return the kinds of purpose that a wording names, in the order of the vocabulary."""
    wanted = plain(text)
    return tuple(purpose for purpose in purposes().values() if purpose.pattern.search(wanted))


@cache
def safeguards() -> Mapping[str, Safeguard]:
    """Return the transfer mechanisms by key (``adequacy:2023/1795``, ``scc``, ``privacy-shield`` …)."""
    return _each("safeguards", _safeguard)


def adequacy(country: str, day: date) -> Safeguard | None:
    """Return the adequacy decision that covers a whole country on a day; None too where importers must be listed."""
    for safeguard in safeguards().values():
        if (
            safeguard.is_adequacy
            and not safeguard.is_listed
            and country in safeguard.countries
            and safeguard.is_valid(day)
        ):
            return safeguard
    return None


@cache
def legal_facts() -> tuple[LegalFact, ...]:
    """Return the dated facts: repealed laws, renamed authorities, ended mechanisms and products."""
    return tuple(
        LegalFact(key=key, pattern=_pattern(raw["words"]), **{name: raw[name] for name in _FACT_KEYS})
        for key, raw in _read("legal_facts").items()
    )


_FACT_KEYS = ("since", "was", "now", "fix", "source")


@cache
def eea() -> frozenset[str]:
    """Return the countries where the GDPR is law (ISO 3166-1 alpha-2)."""
    return frozenset(_read("places")["eea"])


@cache
def iso_countries() -> frozenset[str]:
    """Return every ISO 3166-1 alpha-2 code, and XK."""
    return frozenset(_read("places")["iso"].split())


def meant_country(text: str) -> str | None:
    """Return the code that was probably meant by a wrong one (``UK``: ``GB``), None where it cannot be guessed."""
    wanted = text.strip().upper()
    found = _read("places")["meant"].get(wanted)
    return found or (wanted if wanted in iso_countries() else None)


def label(kind: str, key: str, lang: str) -> str:
    """Return the label of an entry in a language; the key itself where the vocabulary does not know it.

    ``kind``: ``category``, ``subject``, ``legal_basis``, ``condition``, ``measure``, ``purpose``, ``right`` or
    ``safeguard``. Raises KeyError for another kind.
    """
    found = _KINDS[kind]().get(key)
    return key if found is None else found.labels.get(lang, found.labels["en"])


# --- reading ------------------------------------------------------------------------------------------------------


@cache
def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((files("ropa.vocabulary") / "data" / f"{name}.toml").read_text(encoding="utf-8"))


def _each(name: str, build: Any) -> Mapping[str, Any]:
    return MappingProxyType({key: build(key, raw) for key, raw in _read(name).items()})


def _part(name: str, build: Any) -> Mapping[str, Any]:
    return MappingProxyType({key: build(key, raw) for key, raw in _read("bases")[name].items()})


def _common(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "labels": MappingProxyType({lang: raw[lang] for lang in LANGUAGES}),
        "dpv": tuple(raw.get("dpv", ())),
        "fideslang": tuple(raw.get("fideslang", ())),
        "is_lossy": raw.get("lossy", False),
    }


def _pattern(words: list[str]) -> re.Pattern[str]:
    # Patterns are matched against text without accents and in lower case, so they are read the same way, save for
    # escapes such as \B, which would change their meaning: none is used.
    return re.compile("|".join(words), re.IGNORECASE)


@cache
def _all_categories() -> Mapping[str, Category]:
    return _each("categories", _category)


def _category(key: str, raw: Mapping[str, Any]) -> Category:
    return Category(
        key=key,
        is_special=raw.get("special", False),
        is_criminal=raw.get("criminal", False),
        is_restricted=raw.get("restricted", False),
        related=tuple(raw.get("related", ())),
        **_common(raw),
    )


def _basis(key: str, raw: Mapping[str, Any]) -> Basis:
    return Basis(key=key, needs_law=raw.get("law", False), rights=tuple(raw.get("rights", ())), **_common(raw))


def _purpose(key: str, raw: Mapping[str, Any]) -> Purpose:
    return Purpose(
        key=key,
        pattern=_pattern(raw["words"]),
        unfit=tuple(raw.get("unfit", ())),
        is_direct_marketing=raw.get("direct_marketing", False),
        **_common(raw),
    )


_ADEQUATE = {
    "nl": "adequaatheidsbesluit {}",
    "fr": "décision d'adéquation {}",
    "de": "Angemessenheitsbeschluss {}",
    "en": "adequacy decision {}",
}


def _safeguard(key: str, raw: Mapping[str, Any]) -> Safeguard:
    common = {name: value for name, value in raw.items() if name in {*LANGUAGES, "dpv", "fideslang"}}
    country = raw.get("adequate")
    if country:
        common |= {lang: text.format(f"{key.partition(':')[2]} ({country})") for lang, text in _ADEQUATE.items()}
        common |= {"dpv": ["eu-gdpr:A45-3", "eu-gdpr:AdequacyDecision"], "fideslang": ["Adequacy Decision"]}
    if "derogation" in raw:
        common |= {"dpv": [raw["derogation"]], "fideslang": ["Other"]}
    return Safeguard(
        key=key,
        countries=frozenset(raw.get("countries", [country] if country else [])),
        valid_from=raw.get("valid_from"),
        invalid_from=raw.get("invalid_from"),
        is_listed=raw.get("listed", False),
        note=raw.get("note", ""),
        measures=tuple(raw.get("measures", ())),
        **_common(common),
    )


_KINDS: Mapping[str, Any] = {
    "category": categories,
    "subject": subjects,
    "legal_basis": legal_bases,
    "condition": conditions,
    "measure": measures,
    "purpose": purposes,
    "right": rights,
    "safeguard": safeguards,
}
