"""What values look like: known numbers are recognised, others are not, and a column needs more than an accident."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropa.vocabulary import categories
from ropa.vocabulary.content import KINDS, LONGEST, recognise, recognise_field, weigh

YEAR = 2026


def look(text, column="x"):
    return recognise(column, text, year=YEAR)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jan@example.be", "email"), ("  Jan.P+x@Sub.Example.CO.UK ", "email"), ("Jan Peeters <jan@example.be>", "email"),
        ("BE68539007547034", "iban"), ("BE68 5390 0754 7034", "iban"), ("NL91ABNA0417164300", "iban"),
        ("de89 3704 0044 0532 0130 00", "iban"), ("FR1420041010050500013M02606", "iban"), ("KREDBEBB", "bic"),
        ("85.07.30-033.28", "be-national-number"), ("85073003328", "be-national-number"), ("17 07 30 033 84", "be-national-number"),
        ("111222333", "nl-bsn"), ("295109912611193", "fr-nir"), ("2 95 10 99 126 111 93", "fr-nir"), ("86095742719", "de-idnr"),
        ("BE0786223206", "vat-number"), ("0786.223.206", "vat-number"), ("4111 1111 1111 1111", "payment-card"),
        ("+32 470 12 34 56", "telephone"), ("0032470123456", "telephone"), ("0470 12 34 56", "telephone"),
        ("0470123456", "telephone"), ("09/123.45.67", "telephone"), ("06-12345678", "telephone"),
        ("01 23 45 67 89", "telephone"), ("+49 (0)30 1234567", "telephone"), ("0171/1234567", "telephone"),
        ("192.168.1.4", "ip-address"), ("2001:db8::1", "ip-address"), ("10.0.0.0/8", "ip-address"),
        ("00:1A:2B:3C:4D:5E", "mac-address"), ("Mozilla/5.0 (X11; Linux x86_64)", "user-agent"),
        ("$2y$10$N9qo8uLOickgx2ZMRZoMye", "password-hash"), ("{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr", "password-hash"),
        ("1955-03-04", "date-1950"), ("4/3/1955", "date-1950"), ("1955-03-03T23:00:00Z", "date-1950"), ("2016-12-31", "date-2010"),
        ("2024-01-01", "date-other"), ("1970-01-01", "date-other"), ("1055-03-04", "date-other"),
        ("Kerkstraat 12", "street-address"), ("12 rue de la Loi", "street-address"), ("Rue de la Loi 16, Bruxelles", "street-address"),
        ("Hauptstr. 5", "street-address"), ("221 Baker Street", "street-address"), ("1012 AB", "nl-postcode"),
        ("51.0543, 3.7174", "coordinates"), ("bel mij op jan@example.be", "contact-in-text"),
        ("Gelieve te bellen: +32 470 12 34 56.", "contact-in-text"), ("rijksregister 85.07.30-033.28 a.u.b.", "contact-in-text"),
        ("REMOTE_ADDR = 81.82.83.84\nvia proxy", "ip-in-text"),
        ("graag storten op BE68 5390 0754 7034, dank u", "contact-in-text"), ('{"to":"jan@example.be"}', "contact-in-text"),
    ],
)  # fmt: skip
def test_a_value_is_recognised(text, kind):
    assert look(text) == kind


@pytest.mark.parametrize(
    "text",
    ["", " ", "x", "admin", "factuur 2024", "PURCHASE", "2024-0012345", "BE68539007547035", "85073003329", "1.2.3", "0.0.0.0",
     "550e8400-e29b-41d4-a716-446655440000", "https://example.org/page?id=3", "100.000,00", "12:30:00", "9780306406157",
     "31/31/1955", "1955-13-32", "a@b", "@home", "::", "1234567890", "2026-11-22T09:00:00Z", "99999999999", "true", "NULL",
     'a:1:{s:13:"administrator";b:1;}', "Straatfeest in 2024", "release 300.1.2.3 of it", "\ud800", "\x00" * 9],
)  # fmt: skip
def test_what_only_looks_like_it_is_not(text):
    assert look(text) is None


def test_the_name_of_the_column_decides_between_readings_of_the_same_digits():
    assert look("0786223206") == "vat-number"
    assert look("0786223206", "gsm") == "telephone"
    assert look("10000009", "code") is None
    assert look("10000009", "bsn") in {None, "nl-bsn"}


def test_a_bsn_that_lost_its_zero_is_one_where_the_column_says_so():
    from stdnum.nl import bsn

    number = next(text for text in (f"{n:09}" for n in range(12_345_678, 12_346_000)) if bsn.is_valid(text))
    assert look(number.lstrip("0"), "bsn") == "nl-bsn"
    assert look(number.lstrip("0"), "article") is None


@given(st.text(max_size=300), st.text(max_size=30))
def test_any_text_is_answered_with_a_known_key_or_nothing(text, column):
    answer = look(text, column)
    assert answer is None or answer in KINDS or answer.startswith("date-")
    field = recognise_field(text)
    assert field is None or field.removeprefix("field-") in categories()


@pytest.mark.parametrize(
    "unit",
    ["a", "a@", "1 ", "a.", "+1", "+32 1-", "rue ", "aa ", "x@a.", "0", "12 a ", "BE12 ", "<", ":", "a=b;", "1.", "0.1,", "$2y$", "-", "Aa1 ",
     "BE68 5390 ", "85.07.30-033.29 ", "@a.", "a%40"],
)  # fmt: skip
def test_the_time_a_value_takes_is_linear_in_its_length_and_bounded(unit):
    """The work is counted in what is looked at: a longer text is cut."""
    long = (unit * LONGEST)[: 10 * LONGEST]
    look(long)
    start = time.thread_time()
    look(long)
    assert time.thread_time() - start < 2, "a pattern that runs away takes minutes"
    assert look(" " * LONGEST + "jan@example.be") is None, "nothing past the bound is looked at"


# --- columns ------------------------------------------------------------------------------------------------------


def held(counts, seen, hint=None, *, is_mixed=False):
    return [evidence.category for evidence in weigh(counts, seen, hint=hint, is_mixed=is_mixed)]


@pytest.mark.parametrize(
    ("kind", "matched", "seen", "hint", "is_held"),
    [
        ("email", 3, 60, None, True), ("email", 3, 61, None, False), ("email", 2, 2, None, False), ("email", 1, 5, "email", True),
        ("email", 1, 6, "email", False), ("email", 1, 5, "name", False),
        ("telephone", 60, 100, None, True), ("telephone", 59, 100, None, False), ("telephone", 20, 100, "telephone", True),
        ("nl-bsn", 90, 100, None, True), ("nl-bsn", 89, 100, None, False), ("nl-bsn", 9, 9, None, False),
        ("nl-bsn", 1, 3, "national-id", True), ("nl-bsn", 9, 100, "national-id", False),
    ],
)  # fmt: skip
def test_how_many_values_it_takes(kind, matched, seen, hint, is_held):
    assert held({kind: matched}, seen, hint) == ([KINDS[kind].category] if is_held else [])


def test_a_strong_pattern_is_not_weakened_by_a_weak_one_beside_it():
    assert held({"iban": 30, "bic": 1}, 100) == ["bank-account"]
    assert held({"be-national-number": 60, "nl-bsn": 4}, 100) == ["national-id"]
    assert held({"be-national-number": 4, "nl-bsn": 60}, 100) == []


def test_the_values_of_a_key_value_table_need_three_of_a_kind():
    counts = {"email": 3, "telephone": 3, "nl-bsn": 9, "iban": 2}
    assert sorted(held(counts, 1000, is_mixed=True)) == ["email", "telephone"]
    assert held(counts, 1000) == []


def test_days_long_ago_are_birth_dates_where_the_name_says_so_or_nearly_all_are_and_of_many_decades():
    births = {"date-1940": 20, "date-1960": 30, "date-1980": 30, "date-1990": 15}
    assert held(births, 100) == ["birth-date"]
    assert held(births, 110) == [], "other values beside"
    assert held({"date-2000": 50, "date-2010": 50}, 100) == [], "days on which something happened"
    assert held({"date-1970": 97, "date-1980": 1, "date-1990": 1, "date-2010": 1}, 100) == [], "one day too often"
    assert held({"date-2000": 1, "date-other": 3}, 4, "birth-date") == ["birth-date"]
    assert held({"date-other": 4}, 4, "birth-date") == []


def test_random_numbers_are_no_national_numbers():
    rng = random.Random(3)
    for digits in (9, 10, 11, 13, 15, 16):
        counts: dict[str, int] = {}
        for _ in range(2000):
            kind = look(str(rng.randrange(10 ** (digits - 1), 10**digits)), "reference")
            if kind:
                counts[kind] = counts.get(kind, 0) + 1
        assert held(counts, 2000) == [], digits


def test_names_of_fields_tell_what_the_values_beside_them_are():
    assert recognise_field("first_name") == "field-name"
    assert recognise_field("billing_email") == "field-email"
    assert recognise_field("rich_editing") is None
    assert recognise_field("name") is None
    assert recognise_field("bel jan@example.be over email!") is None


def test_every_pattern_stands_for_a_category_that_exists():
    assert {kind.category for kind in KINDS.values()} <= set(categories())
    assert all(key == kind.key for key, kind in KINDS.items())


def test_the_check_digits_are_loaded_with_the_first_number_and_not_before():
    code = (
        "import sys; from ropa.vocabulary.content import recognise; a = 'stdnum' in sys.modules; "
        "recognise('x', '85073003328', year=2026); print(a, 'stdnum' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
