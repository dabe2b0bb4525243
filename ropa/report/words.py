"""The report's words: one catalogue per language, and dates, numbers, periods and countries as people write them.

Adding a language is adding ``locale/<language>.toml`` with every key of the others. Invariant: words never decide: a
fact that a catalogue does not know is shown as it stands, so that none is lost in translation.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from ropa.clock import Period
from ropa.errors import CallError
from ropa.report.model import TermPart
from ropa.vocabulary import label as vocabulary_label
from ropa.vocabulary import measure_of

if TYPE_CHECKING:
    from babel import Locale

_STEERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Characters that turn the direction of what follows; a name that carries them could make the text around it lie."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")
"""What has no place in a line of text, line ends included."""


def shown(text: str) -> str:
    """Return text as it may be shown: on one line, without characters that steer the direction of writing."""
    return _CONTROL.sub(" ", _STEERING.sub("", text))


def languages() -> tuple[str, ...]:
    """Return the languages that have a catalogue."""
    found = (entry.name for entry in (files("ropa.report") / "locale").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


@cache
def catalogue(lang: str) -> Mapping[str, str]:
    """Return a language's texts by dotted key. Raises CallError for a language without a catalogue."""
    if lang not in languages():
        raise CallError(
            f"there is no report in {lang!r}",
            next_step=f"Choose one of: {', '.join(languages())}.",
        )
    text = (files("ropa.report") / "locale" / f"{lang}.toml").read_text(encoding="utf-8")
    return dict(_flatten(tomllib.loads(text), ""))


def _flatten(table: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, value in table.items():
        path = f"{prefix}{key}"
        found += _flatten(value, f"{path}.") if isinstance(value, Mapping) else [(path, str(value))]
    return found


class Words:
    """One language, and the zone in which instants are shown."""

    def __init__(self, lang: str, zone: str) -> None:
        self.lang = lang
        self.zone = ZoneInfo(zone)
        self.texts = catalogue(lang)

    @property
    def locale(self) -> Locale:
        """The language's rules for numbers and dates."""
        return _locale(self.texts["meta.locale"])

    # --- texts ---------------------------------------------------------------------------------------------------

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a text with its places filled. Raises KeyError for a text that the catalogue lacks."""
        text = self.texts[key]
        return text.format(**values) if values else text

    def count(self, key: str, number: int, /, **values: object) -> str:
        """Return the form of a text that fits a number (``key.one``, ``key.other``); ``{n}`` is the number."""
        form = self.locale.plural_form(number)
        text = self.texts.get(f"{key}.{form}") or self.texts[f"{key}.other"]
        return text.format(n=self.number(number), **values)

    def word(self, group: str, key: str | None) -> str:
        """Return ``group.key``, or the key itself where the catalogue does not know it; an em dash for None."""
        if key is None:
            return self.texts["common.none"]
        return self.texts.get(f"{group}.{key}", key)

    def finding(self, code: str) -> str | None:
        """Return what a finding means, in this language; None where its own message must do."""
        kind, _, detail = code.partition("-")
        if kind == "stopped":
            return self("finding_kind.stopped", why=self.word("stop", detail))
        if kind == "outcome":
            return self("finding_kind.outcome", why=self.word("outcome", detail))
        return self.texts.get(f"finding.{code}")

    def label(self, kind: str, key: str | None) -> str:
        """Return the vocabulary's label; the key itself where it has none."""
        if key is None:
            return self.texts["common.unknown"]
        return self.texts["common.unknown"] if key == "unknown" else vocabulary_label(kind, key, self.lang)

    def measure(self, text: str) -> str:
        """Return a measure as the vocabulary words it, as written where it does not know it."""
        found = measure_of(text)
        return text if found is None else found.labels.get(self.lang, text)

    def anchor(self, name: str) -> str:
        """Return an anchor with its article: "het laatste contact"."""
        return self.texts.get(f"anchor.{name}") or self("period.unknown_anchor", name=name)

    def listing(self, parts: Sequence[str]) -> str:
        """Return "a, b and c"."""
        from babel.lists import format_list

        return format_list(list(parts), locale=self.locale) if parts else ""

    # --- values --------------------------------------------------------------------------------------------------

    def number(self, value: int) -> str:
        """Return a whole number with the language's grouping."""
        from babel.numbers import format_decimal

        return format_decimal(value, locale=self.locale)

    def day(self, value: date | None) -> str:
        """Return "21 november 2026"."""
        from babel.dates import format_date

        return self.texts["common.none"] if value is None else format_date(value, "long", locale=self.locale)

    def short_day(self, value: date) -> str:
        """Return "21 nov 2026"."""
        from babel.dates import format_date

        return format_date(value, "medium", locale=self.locale)

    def month(self, value: date) -> str:
        """Return "nov 2026"."""
        from babel.dates import format_skeleton

        return format_skeleton("yMMM", datetime(value.year, value.month, 1, 12, tzinfo=self.zone), locale=self.locale)

    def instant(self, value: datetime | None) -> str:
        """Return "21 november 2026, 03:30" in the controller's zone."""
        if value is None:
            return self.texts["common.none"]
        return f"{self.day(value.astimezone(self.zone).date())}, {self.time(value)}"

    def time(self, value: datetime) -> str:
        """Return "03:30" in the controller's zone."""
        return value.astimezone(self.zone).strftime("%H:%M")

    def country(self, code: str | None) -> str:
        """Return a country's name with its code, "Ierland (IE)"; the code where the name is not known."""
        if code is None:
            return self.texts["common.unknown"]
        name = self.locale.territories.get(code)
        return f"{name} ({code})" if name else code

    def language(self, code: str) -> str:
        """Return a language's name."""
        return str(self.locale.languages.get(code, code))

    def days_late(self, days: int) -> str:
        """Return "up to 412 days late"."""
        return self.count("adherence.late", days)

    # --- periods -------------------------------------------------------------------------------------------------

    def period(self, period: Period) -> str:
        """Return a period in words, small numbers spelled out: "zes maanden", "één jaar en 27 dagen"."""
        return self.listing(
            [self._unit(getattr(period, part.name), part.name) for part in fields(period) if getattr(period, part.name)]
        )

    def _unit(self, number: int, unit: str) -> str:
        # Not Babel's: its Dutch data lack the long forms of days and hours.
        spelled = self.texts.get(f"number.{number}") or self.number(number)
        form = self.locale.plural_form(number)
        text = self.texts.get(f"unit.{unit}.{form}") or self.texts[f"unit.{unit}.other"]
        return text.format(n=spelled)

    def tick(self, unit: str, number: int) -> str:
        """Return a short label for a time axis: "6 mnd.", "10 jr"."""
        from babel.units import format_unit

        return format_unit(number, f"duration-{unit.removesuffix('s')}", length="short", locale=self.locale)

    def term(self, term: TermPart) -> str:
        """Return how long and from when: "10 jaar vanaf 1 januari van het jaar na de factuurdatum"."""
        key = "period.next_year" if term.start == "next-year" else "period.after"
        return self(key, period=self.period(term.period), anchor=self.anchor(term.anchor))


@cache
def _locale(name: str) -> Locale:
    from babel import Locale

    return Locale.parse(name)
