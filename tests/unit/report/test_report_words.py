import string
from datetime import UTC, date, datetime

import pytest

from ropa.clock import parse_period
from ropa.connector import Action, Mask, OutcomeWord
from ropa.errors import CallError, Severity
from ropa.register.completeness.codes import CODES
from ropa.report.model import TermPart, Verdict
from ropa.report.words import Words, catalogue, languages, shown
from ropa.retention import REASON_CODES
from ropa.sweep.standing import State

NL, EN = Words("nl", "Europe/Brussels"), Words("en", "Europe/Brussels")


def places(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_dutch_and_english_have_a_catalogue():
    assert {"nl", "en"} <= set(languages())


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
    ("period", "nl", "en"),
    [
        ("6 months", "zes maanden", "six months"),
        ("P10Y", "10 jaar", "10 years"),
        ("1 year", "één jaar", "one year"),
        ("P1Y27D", "één jaar en 27 dagen", "one year and 27 days"),
        ("PT30M", "30 minuten", "30 minutes"),
        ("4 weeks", "vier weken", "four weeks"),
        ("30 days", "30 dagen", "30 days"),
        ("PT1H", "één uur", "one hour"),
        ("PT2S", "twee seconden", "two seconds"),
    ],
)
def test_a_period_is_said_in_words(period, nl, en):
    assert NL.period(parse_period(period)) == nl
    assert EN.period(parse_period(period)) == en


def term(period="10 years", start="anchor", anchor="last-contact"):
    return TermPart(rule="r", activity="a", period=parse_period(period), start=start, anchor=anchor, action="purge")


def test_a_term_says_from_when():
    assert NL.term(term("6 months")) == "zes maanden na het laatste contact"
    assert NL.term(term(start="next-year", anchor="issued")) == "10 jaar vanaf 1 januari van het jaar na de uitgifte"
    assert (
        EN.term(term(start="next-year", anchor="issued"))
        == "10 years from 1 January of the year after the date of issue"
    )


def test_an_anchor_that_no_catalogue_knows_keeps_its_name():
    assert "zomaar-iets" in NL.term(term(anchor="zomaar-iets"))


def test_instants_are_shown_in_the_controllers_zone():
    assert NL.instant(datetime(2026, 11, 21, 2, 30, tzinfo=UTC)) == "21 november 2026, 03:30"
    assert NL.instant(datetime(2026, 7, 21, 23, 30, tzinfo=UTC)) == "22 juli 2026, 01:30"
    assert EN.day(date(2026, 11, 21)) == "21 November 2026"


def test_numbers_and_countries_are_written_as_in_the_language():
    assert (NL.number(1215), EN.number(1215)) == ("1.215", "1,215")
    assert (NL.country("IE"), NL.country("ZZZ"), NL.country(None)) == ("Ierland (IE)", "ZZZ", "niet bekend")


def test_one_and_many_have_their_own_form():
    assert NL.count("reason.overdue", 1).startswith("1 record is")
    assert NL.count("reason.overdue", 1200).startswith("1.200 records zijn")


def test_a_finding_without_a_text_has_none_and_a_stop_tells_its_reason():
    assert NL.finding("no-such-code") is None
    assert "aandeel" in (NL.finding("stopped-cap-share") or "")
    assert "mislukt" in (NL.finding("outcome-failed") or "")


def test_shown_text_is_one_line_and_steers_no_writing():
    assert shown("a\nb\tc\x00d") == "a b c d"
    assert shown("\u202egpj.exe\u2066x\u2069") == "gpj.exex"
    assert shown("שלום \ud800") == "שלום  "
