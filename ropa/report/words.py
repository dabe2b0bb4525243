"""The report's words: one catalogue per language, and dates, numbers, periods and countries as people write them.

Adding a language is adding a folder ``locale/<language>`` of gettext catalogues (``*.po``) with every key of the
others; the ``Language`` of their header decides how dates and numbers are written. Invariant: words never decide: a
fact that a catalogue does not know is shown as it stands, so that none is lost in translation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ropa.clock import Period
from ropa.errors import CallError
from ropa.report.model import TermPart
from ropa.vocabulary import label as vocabulary_label
from ropa.vocabulary import measure_of

if TYPE_CHECKING:
    from gettext import GNUTranslations

    from babel import Locale

_STEERING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Characters that turn the direction of what follows; a name that carries them could make the text around it lie."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")
"""What has no place in a line of text, line ends included."""

_SET_OFF = re.compile("(?<=\\S) (?=[:;?!»])|(?<=«) ")


def shown(text: str) -> str:
    """Return text as it may be shown: on one line, without characters that steer the direction of writing."""
    return _CONTROL.sub(" ", _STEERING.sub("", text))


def languages() -> tuple[str, ...]:
    """Return the languages that have a catalogue."""
    return tuple(sorted(entry.name for entry in (files("ropa.report") / "locale").iterdir() if entry.is_dir()))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The texts of one language."""

    locale: Locale
    texts: Mapping[str, str]
    """By dotted key; those with a number in them in the form for many."""
    translations: GNUTranslations
    """The same, with the forms for one and many."""


@cache
def catalogue(lang: str) -> Catalogue:
    """Return a language's texts. Raises CallError for a language without a catalogue."""
    if lang not in languages():
        raise CallError(
            f"there is no report in {lang!r}",
            next_step=f"Choose one of: {', '.join(languages())}.",
        )
    from gettext import GNUTranslations

    from babel import Locale
    from babel.messages.catalog import Catalog
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    folder = files("ropa.report") / "locale" / lang
    whole = Catalog(charset="utf-8")
    for entry in sorted((entry for entry in folder.iterdir() if entry.name.endswith(".po")), key=lambda e: e.name):
        part = read_po(BytesIO(set_off(entry.read_text(encoding="utf-8"), lang).encode()), abort_invalid=True)
        whole.locale = part.locale
        for message in part:
            if message.id:
                whole[message.id] = message
    compiled = BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    texts = {_key(message.id): _text(message.string) for message in whole if message.id}
    return Catalogue(Locale.parse(str(whole.locale)), texts, GNUTranslations(compiled))


def set_off(text: str, lang: str) -> str:
    """Return text with the narrow space that French sets before its double signs, and that no line breaks at, where a
    translator typed a plain one."""
    return _SET_OFF.sub("\N{NARROW NO-BREAK SPACE}", text) if lang == "fr" else text


def _key(found: str | Sequence[str]) -> str:
    return found if isinstance(found, str) else found[0]


def _text(found: str | Sequence[str] | None) -> str:
    return found if isinstance(found, str) else found[-1] if found else ""


class Words:
    """One language, and the zone in which instants are shown."""

    def __init__(self, lang: str, zone: str) -> None:
        self.lang = lang
        self.zone = ZoneInfo(zone)
        self._catalogue = catalogue(lang)
        self.texts = self._catalogue.texts

    @property
    def locale(self) -> Locale:
        """The language's rules for numbers and dates."""
        return self._catalogue.locale

    # --- texts ---------------------------------------------------------------------------------------------------

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a text with its places filled. Raises KeyError for a text that the catalogue lacks."""
        text = self.texts[key]
        return text.format(**values) if values else text

    def count(self, key: str, number: int, /, **values: object) -> str:
        """Return the form of a text that fits a number; ``{n}`` is the number. Raises KeyError as ``words(key)``."""
        return self._form(key, number).format(n=self.number(number), **values)

    def _form(self, key: str, number: int) -> str:
        # In many languages a word behind a number is the same for one and for many: it has one form there.
        text = self.texts[key]
        found = self._catalogue.translations.ngettext(key, key, number)
        return text if found == key else found

    def counted(self, group: str, key: str, number: int) -> str:
        """Return ``group.key`` as it stands behind a number: "1 supprimé", "2 supprimés"; the key where it is new."""
        name = f"{group}.{key}"
        return self._form(name, number) if name in self.texts else key

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
        return self._form(f"unit.{unit}", number).format(n=spelled)

    def tick(self, unit: str, number: int) -> str:
        """Return a short label for a time axis: "6 mnd.", "10 jr"."""
        from babel.units import format_unit

        return format_unit(number, f"duration-{unit.removesuffix('s')}", length="short", locale=self.locale)

    def term(self, term: TermPart) -> str:
        """Return how long and from when: "10 jaar vanaf 1 januari van het jaar na de factuurdatum"."""
        key = "period.next_year" if term.start == "next-year" else "period.after"
        return self(key, period=self.period(term.period), anchor=self.anchor(term.anchor))
