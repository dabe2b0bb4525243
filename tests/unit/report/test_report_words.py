import hashlib
import re
import string
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import ropa.report.words as words_module
from ropa.clock import parse_period
from ropa.connector import Action, Mask, OutcomeWord
from ropa.errors import CallError, Severity
from ropa.register.completeness.codes import CODES
from ropa.report.model import TermPart, Verdict
from ropa.report.words import Words, catalogue, languages, set_off, shown
from ropa.retention import REASON_CODES
from ropa.sweep.standing import State

WORDS = {lang: Words(lang, "Europe/Brussels") for lang in ("nl", "fr", "de", "en")}
NL, FR, DE, EN = WORDS.values()


LOCALE = files("ropa.report") / "locale"
NARROW = "\N{NARROW NO-BREAK SPACE}"


def places(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_the_four_languages_have_a_catalogue():
    assert set(languages()) == set(WORDS)


def test_every_key_stands_in_every_language_with_the_same_places():
    first, *others = (catalogue(lang).texts for lang in languages())
    for other in others:
        assert set(other) == set(first)
        assert {key: places(text) for key, text in other.items()} == {key: places(text) for key, text in first.items()}


def test_no_text_is_empty():
    for lang in languages():
        assert [key for key, text in catalogue(lang).texts.items() if not text.strip()] == []


@pytest.mark.parametrize("lang", languages())
def test_every_word_that_the_facts_can_use_has_a_text(lang):
    texts = catalogue(lang).texts
    wanted = [f"state.{state}" for state in State] + [f"meaning.{state}" for state in State]
    wanted += [f"verdict.{verdict}.word" for verdict in Verdict]
    wanted += [f"outcome.{word}" for word in OutcomeWord] + [f"action.{action}" for action in Action]
    wanted += [f"mask.{mask}" for mask in Mask] + [f"severity.{severity}" for severity in Severity]
    wanted += [f"hold_reason.{code}" for code in REASON_CODES] + [f"finding.{code}" for code in CODES]
    assert [key for key in wanted if key not in texts] == []


def test_a_language_without_a_catalogue_is_refused_with_those_there_are():
    with pytest.raises(CallError) as error:
        Words("xx", "UTC")
    assert "nl" in (error.value.next_step or "")


@pytest.mark.parametrize(
    ("period", "nl", "fr", "de", "en"),
    [
        ("6 months", "zes maanden", "six mois", "sechs Monate", "six months"),
        ("P10Y", "10 jaar", "10 ans", "10 Jahre", "10 years"),
        ("1 year", "één jaar", "un an", "ein Jahr", "one year"),
        ("P1Y27D", "één jaar en 27 dagen", "un an et 27 jours", "ein Jahr und 27 Tage", "one year and 27 days"),
        ("1 month", "één maand", "un mois", "ein Monat", "one month"),
        ("1 week", "één week", "une semaine", "eine Woche", "one week"),
        ("4 weeks", "vier weken", "quatre semaines", "vier Wochen", "four weeks"),
        ("1 day", "één dag", "un jour", "ein Tag", "one day"),
        ("30 days", "30 dagen", "30 jours", "30 Tage", "30 days"),
        ("PT1H", "één uur", "une heure", "eine Stunde", "one hour"),
        ("PT1M", "één minuut", "une minute", "eine Minute", "one minute"),
        ("PT30M", "30 minuten", "30 minutes", "30 Minuten", "30 minutes"),
        ("PT1S", "één seconde", "une seconde", "eine Sekunde", "one second"),
        ("PT2S", "twee seconden", "deux secondes", "zwei Sekunden", "two seconds"),
    ],
)
def test_a_period_is_said_in_words(period, nl, fr, de, en):
    said = {lang: words.period(parse_period(period)) for lang, words in WORDS.items()}
    assert said == {"nl": nl, "fr": fr, "de": de, "en": en}


def term(period="10 years", start="anchor", anchor="last-contact"):
    return TermPart(rule="r", activity="a", period=parse_period(period), start=start, anchor=anchor, action="purge")


@pytest.mark.parametrize(
    ("lang", "after", "next_year"),
    [
        ("nl", "zes maanden na het laatste contact", "10 jaar vanaf 1 januari van het jaar na de uitgifte"),
        ("fr", "six mois après le dernier contact", "10 ans à partir du 1er janvier suivant la date d'émission"),
        (
            "de",
            "sechs Monate nach dem letzten Kontakt",
            "10 Jahre ab dem 1. Januar des Folgejahres nach der Ausstellung",
        ),
        ("en", "six months after the last contact", "10 years from 1 January of the year after the date of issue"),
    ],
)
def test_a_term_says_from_when(lang, after, next_year):
    assert WORDS[lang].term(term("6 months")) == after
    assert WORDS[lang].term(term(start="next-year", anchor="issued")) == next_year


ANCHORS = sorted(key.removeprefix("anchor.") for key in catalogue("en").texts if key.startswith("anchor."))


@pytest.mark.parametrize("anchor", [*ANCHORS, "one-of-their-own"])
def test_every_anchor_fits_behind_the_words_before_it(anchor):
    # "après" and "suivant" ask for the bare article, "nach" for the dative.
    assert WORDS["fr"].anchor(anchor).startswith(("le ", "la ", "l'"))
    assert WORDS["de"].anchor(anchor).startswith(("dem ", "der "))
    assert WORDS["nl"].anchor(anchor).startswith(("de ", "het "))


def test_an_anchor_that_no_catalogue_knows_keeps_its_name():
    for words in WORDS.values():
        assert "zomaar-iets" in words.term(term(anchor="zomaar-iets"))


def test_instants_are_shown_in_the_controllers_zone():
    assert NL.instant(datetime(2026, 11, 21, 2, 30, tzinfo=UTC)) == "21 november 2026, 03:30"
    assert NL.instant(datetime(2026, 7, 21, 23, 30, tzinfo=UTC)) == "22 juli 2026, 01:30"
    assert FR.instant(datetime(2026, 7, 31, 23, 30, tzinfo=UTC)) == "1 août 2026, 01:30"
    assert DE.instant(datetime(2026, 12, 31, 23, 30, tzinfo=UTC)) == "1. Januar 2027, 00:30"


def test_dates_numbers_and_countries_are_written_as_in_the_language():
    day = date(2026, 3, 1)
    assert [words.day(day) for words in WORDS.values()] == [
        "1 maart 2026",
        "1 mars 2026",
        "1. März 2026",
        "1 March 2026",
    ]
    assert [words.number(1215) for words in WORDS.values()] == ["1.215", f"1{NARROW}215", "1.215", "1,215"]
    assert [words.country("IE") for words in WORDS.values()] == [
        *("Ierland (IE)", "Irlande (IE)", "Irland (IE)", "Ireland (IE)")
    ]
    assert [words.listing(["a", "b", "c"]) for words in WORDS.values()] == [
        "a, b en c",
        "a, b et c",
        "a, b und c",
        "a, b and c",
    ]
    assert (NL.country("ZZZ"), NL.country(None)) == ("ZZZ", "niet bekend")


def test_one_and_many_have_their_own_form():
    assert NL.count("reason.overdue", 1).startswith("1 record is")
    assert NL.count("reason.overdue", 1200).startswith("1.200 records zijn")
    assert FR.count("reason.overdue", 1).startswith("1 enregistrement a dépassé")
    assert FR.count("reason.overdue", 1200).startswith(f"1{NARROW}200 enregistrements ont dépassé")
    assert DE.count("reason.overdue", 1).startswith("1 Datensatz hat")
    assert DE.count("reason.overdue", 1200).startswith("1.200 Datensätze haben")


def test_none_is_one_in_french_and_many_elsewhere():
    said = [words.count("lines", 0) for words in WORDS.values()]
    assert said == ["Logboek van 0 regels", "Journal de 0 ligne", "Protokoll mit 0 Zeilen", "Ledger of 0 lines"]


def test_a_word_behind_a_number_agrees_with_it_where_the_language_asks_for_that():
    assert [FR.counted("outcome", "purged", n) for n in (0, 1, 2)] == ["supprimé", "supprimé", "supprimés"]
    assert [NL.counted("outcome", "purged", n) for n in (1, 2)] == ["verwijderd", "verwijderd"]
    assert FR.counted("outcome", "of-tomorrow", 2) == "of-tomorrow"


def test_a_finding_without_a_text_has_none_and_a_stop_tells_its_reason():
    assert NL.finding("no-such-code") is None
    assert "aandeel" in (NL.finding("stopped-cap-share") or "")
    assert "mislukt" in (NL.finding("outcome-failed") or "")


LAW = {
    "nl": "b8e38eb66920c70cb3e0b670466ffccbfe82d813a47825e089020b235575abb7",
    "fr": "657a5b6586103473d668c29aa99ec7dd4ec6ce7defa57c248a7bffdf3072b3ce",
    "de": "61335b12eadb0a0d3788d120aa09c8065aff7e529fb4963f08b29978b2009651",
    "en": "cb321c3d439ff38dacce6de338ee493b44756121fbbf23775781a350c6b8c685",
}
"""SHA-256 of the points of Article 30(1) and 30(2), in order, as the Official Journal words them (OJ L 119, 4.5.2016)."""

OPENINGS = {
    "nl": (
        "de naam en de contactgegevens van de verwerkingsverantwoordelijke",
        "indien mogelijk, de beoogde termijnen",
    ),
    "fr": ("le nom et les coordonnées du responsable du traitement", "dans la mesure du possible, les délais prévus"),
    "de": ("den Namen und die Kontaktdaten des Verantwortlichen", "wenn möglich, die vorgesehenen Fristen"),
    "en": ("the name and contact details of the controller", "where possible, the envisaged time limits"),
}


@pytest.mark.parametrize("lang", languages())
def test_the_words_of_the_law_stand_as_the_official_journal_has_them(lang):
    texts = catalogue(lang).texts
    points = [f"article30_1.{letter}" for letter in "abcdefg"] + [f"article30_2.{letter}" for letter in "abcd"]
    assert [key for key in texts if key.startswith("article30_")] == points
    first, limits = OPENINGS[lang]
    assert texts["article30_1.a"].startswith(first)
    assert texts["article30_1.f"].startswith(limits)
    assert hashlib.sha256("\n".join(texts[key] for key in points).encode()).hexdigest() == LAW[lang]


OURS = ("report.po", "bundle.po")
"""Catalogues whose every text is looked at."""

SAME = {
    "fr": {
        *("field.contact", "field.cookie", "field.description", "field.email", "field.plan"),
        *("field.policy", "field.population", "heading.cookies", "heading.organisation", "mode.plan", "number.6"),
        *("text.plan", "unit.minutes"),
    },
    "de": {"field.cookie", "field.name", "field.plan", "field.status", "field.website", "heading.cookies"}
    | {"heading.organisation"},
}
"""Words that are the same in English."""


def texts_of(lang):
    """The texts of our own catalogues, every form of them, by key."""
    for name in OURS:
        with (LOCALE / lang / name).open("rb") as file:
            for message in read_po(file):
                if message.id:
                    forms = [message.string] if isinstance(message.string, str) else list(message.string)
                    yield (message.id if isinstance(message.id, str) else message.id[0]), forms


@pytest.mark.parametrize("lang", ["fr", "de"])
def test_nothing_was_left_in_english(lang):
    english = dict(texts_of("en"))
    same = {
        key
        for key, forms in texts_of(lang)
        if set(forms) & set(english[key]) and re.search("[a-z]", re.sub(r"\{\w+\}|Microsoft \w+", "", forms[-1]))
    }
    assert same == SAME[lang]


def test_french_keeps_its_double_signs_off_the_word():
    for key, text in catalogue("fr").texts.items():
        words = re.sub(r"\{\w+\}", "x", text)
        assert not re.search(f"[^{NARROW}][:;?!»]|«[^{NARROW}]", words), key
        assert not re.search('[“”„"]', words), key
    assert set_off("«\xa0a\xa0»", "fr") == "«\xa0a\xa0»"
    assert set_off("pourquoi ? « a » : 12:30 ; oui !", "fr").count(NARROW) == 6
    assert set_off("warum ? a : b", "de") == "warum ? a : b"


def test_german_quotes_below_and_above():
    for key, forms in texts_of("de"):
        for text in forms:
            assert not re.search('[”«»"]', text), key
            assert text.count("„") == text.count("“"), key


def test_shown_text_is_one_line_and_steers_no_writing():
    assert shown("a\nb\tc\x00d") == "a b c d"
    assert shown("\u202egpj.exe\u2066x\u2069") == "gpj.exex"
    assert shown("שלום \ud800") == "שלום  "


def test_every_text_is_said_somewhere():
    """Of the groups whose texts are asked for by their whole names; the others follow a code of the model."""
    folder = Path(words_module.__file__).parent
    code = "".join(path.read_text() for kind in ("py", "jinja", "typ") for path in folder.rglob(f"*.{kind}"))
    asked = (
        "common.",
        "text.",
        "title.",
        "intro.",
        "empty.",
        "heading.",
        "picture.where",
        "picture.long",
        "picture.went_",
    )
    texts = [key for key in catalogue("en").texts if key.startswith(asked)]
    assert len(texts) > 60
    assert [key for key in texts if key not in code and not _follows(key, code)] == []


def _follows(key, code):
    """Whether the code makes the name of a text from a part of it, as in ``f"text.{key}"`` beside ``"criterion"``."""
    group, _, name = key.partition(".")
    stem, _, end = name.rpartition("_")
    whole = f'f"{group}.{{' in code and f'"{name}"' in code
    made = any(f"f{quote}{group}.{{key}}_{end}{quote}" in code for quote in ("'", '"'))
    return whole or (made and f'"{stem}"' in code)
