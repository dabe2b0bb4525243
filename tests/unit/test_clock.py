"""How dates and periods are read: what cannot be read is never guessed, and never early."""

# ruff: noqa: DTZ001 - naive times and other digits are what is tested

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropa.clock import (
    Period,
    calendar_day,
    in_zone,
    is_kernel_synchronised,
    monotonic,
    now,
    parse_period,
    read_moment,
    start_of_day,
    timestamp,
)

BRUSSELS = ZoneInfo("Europe/Brussels")
NEW_YORK = ZoneInfo("America/New_York")


def read(value, form=None, zone=BRUSSELS):
    return read_moment(value, zone=zone, form=form)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", "0000-00-00", "0000-00-00 00:00:00", "0000-01-01", "2026-00-10", "2026-01-00", "31-12-2030", "31/12/2030",
        "2026-02-30", "2025-02-29", "2026-13-01", "20261121", "1700000000", "1700000000000", 1700000000, 1700000000.5, 0,
        True, False, "2026-11-21 ", " 2026-11-21", "2026-11-21\n", "2026-11-21T", "2026-11-21T24:00", "2026-11-21T10",
        "2026-11-21T10:00:60", "2026-11-21T10:00+25:00", "2026-11-21T10:00 CET", "٢٠٢٦-١١-٢١", "today", "nan", b"2026-11-21",
        float("nan"), float("inf"), [], "10000-01-01", "9999-12-31T23:59:59-05:00",
    ],
)  # fmt: skip
def test_what_is_no_date_is_none(value):
    assert read(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-21", date(2026, 11, 21)),
        ("9999-12-31", date(9999, 12, 31)),
        (date(2026, 11, 21), date(2026, 11, 21)),
        ("2026-11-21T10:00", utc(2026, 11, 21, 9)),
        ("2026-11-21 10:00:00", utc(2026, 11, 21, 9)),
        ("2026-07-21 10:00:00", utc(2026, 7, 21, 8)),
        ("2026-11-21T10:00:00Z", utc(2026, 11, 21, 10)),
        ("2026-11-21T10:00:00z", utc(2026, 11, 21, 10)),
        ("2026-11-21 10:00:00 UTC", utc(2026, 11, 21, 10)),
        ("2026-11-21T10:00:00+02:00", utc(2026, 11, 21, 8)),
        ("2026-11-21T10:00:00+0200", utc(2026, 11, 21, 8)),
        ("2026-11-21 10:00:00+02", utc(2026, 11, 21, 8)),
        ("2026-11-21T10:00:00-05:30", utc(2026, 11, 21, 15, 30)),
        ("2026-11-21T10:00:00.123Z", utc(2026, 11, 21, 10, 0, 0, 123000)),
        ("2026-11-21T10:00:00,5Z", utc(2026, 11, 21, 10, 0, 0, 500000)),
        ("2026-11-21T10:00:00.1234567Z", utc(2026, 11, 21, 10, 0, 0, 123456)),
        ("2026-11-21T10:00:00.123456789+01:00", utc(2026, 11, 21, 9, 0, 0, 123456)),
        (datetime(2026, 11, 21, 10), utc(2026, 11, 21, 9)),
        (datetime(2026, 11, 21, 10, tzinfo=timezone(timedelta(hours=3))), utc(2026, 11, 21, 7)),
    ],
)
def test_dates_are_read_as_they_are_written(value, expected):
    found = read(value)
    assert found == expected
    assert type(found) is type(expected)
    if isinstance(found, datetime):
        assert found.tzinfo is UTC


def test_a_naive_time_that_comes_twice_is_the_later_one():
    assert read("2026-10-25 02:30:00") == utc(2026, 10, 25, 1, 30)
    assert read(datetime(2026, 10, 25, 2, 30, fold=0)) == utc(2026, 10, 25, 1, 30)
    assert read(datetime(2026, 10, 25, 2, 30, fold=1)) == utc(2026, 10, 25, 1, 30)
    assert in_zone(datetime(2026, 10, 25, 2, 30), BRUSSELS) == utc(2026, 10, 25, 1, 30)


def test_a_naive_time_that_does_not_exist_is_the_later_reading():
    assert read("2026-03-29 02:30:00") == utc(2026, 3, 29, 1, 30)
    assert read("2022-03-27 02:30:00") == utc(2022, 3, 27, 1, 30)


def test_a_date_without_a_zone_is_read_in_the_zone_given():
    assert read("2026-11-21 23:30:00", zone=NEW_YORK) == utc(2026, 11, 22, 4, 30)
    assert calendar_day(utc(2026, 11, 22, 4, 30), NEW_YORK) == date(2026, 11, 21)
    assert calendar_day(utc(2026, 11, 22, 4, 30), BRUSSELS) == date(2026, 11, 22)


def test_a_day_without_a_time_is_that_day_in_every_zone():
    assert calendar_day(read("2026-11-21", zone=NEW_YORK), ZoneInfo("Pacific/Auckland")) == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (1700000000, "epoch", utc(2023, 11, 14, 22, 13, 20)),
        ("1700000000", "epoch", utc(2023, 11, 14, 22, 13, 20)),
        (Decimal(1700000000), "epoch", utc(2023, 11, 14, 22, 13, 20)),
        (1700000000.5, "epoch", utc(2023, 11, 14, 22, 13, 20, 500000)),
        (1700000000000, "epoch-ms", utc(2023, 11, 14, 22, 13, 20)),
        ("31-12-2030", "%d-%m-%Y", date(2030, 12, 31)),
        ("20261121", "%Y%m%d", date(2026, 11, 21)),
        ("21/Nov/2026:10:00:00 +0200", "%d/%b/%Y:%H:%M:%S %z", utc(2026, 11, 21, 8)),
        ("21.11.2026 10:00", "%d.%m.%Y %H:%M", utc(2026, 11, 21, 9)),
        ("25.10.2026 02:30", "%d.%m.%Y %H:%M", utc(2026, 10, 25, 1, 30)),
        ("2026-325", "%Y-%j", date(2026, 11, 21)),
        ("2026-W47-6", "%G-W%V-%u", date(2026, 11, 21)),
        ("2026-11-21 10:00 UTC", "%Y-%m-%d %H:%M %Z", utc(2026, 11, 21, 10)),
        ("2026-11-21 10:00 GMT", "%Y-%m-%d %H:%M %Z", utc(2026, 11, 21, 10)),
        ("%H 2026-11-21", "%%H %Y-%m-%d", date(2026, 11, 21)),
        (date(2026, 11, 21), "%d-%m-%Y", date(2026, 11, 21)),
    ],
)
def test_a_declared_form_is_read(value, form, expected):
    assert read(value, form) == expected


@pytest.mark.parametrize(
    ("value", "form"),
    [
        ("", "epoch"), ("nan", "epoch"), ("inf", "epoch"), ("1e9", "epoch"), ("1_700_000_000", "epoch"), ("-", "epoch"),
        (True, "epoch"), (10**19, "epoch"), ("9" * 40, "epoch"), ("2026-11-21", "epoch"), (float("nan"), "epoch-ms"),
        ("2026-11-21", "%d-%m-%Y"), ("31-02-2026", "%d-%m-%Y"), ("00-00-0000", "%d-%m-%Y"), (20261121, "%Y%m%d"),
        ("2026 2026", "%Y %Y"), ("2026", "%"), ("2026", "%Q %Y"), ("2026-11-21 10:00 CET", "%Y-%m-%d %H:%M %Z"),
    ],
)  # fmt: skip
def test_what_does_not_fit_its_declared_form_is_none(value, form):
    assert read(value, form) is None


def test_a_form_without_a_day_gives_the_last_day_that_fits():
    assert read("2026-02", "%Y-%m") == date(2026, 2, 28)
    assert read("2024-02", "%Y-%m") == date(2024, 2, 29)
    assert read("2026", "%Y") == date(2026, 12, 31)
    assert read("2026-07", "%Y-%W") == date(2026, 12, 31)


def test_a_form_without_a_year_gives_nothing_for_1900_would_be_long_due():
    assert read("21-11", "%d-%m") is None
    assert read("10:00", "%H:%M") is None


@given(st.one_of(st.text(max_size=30), st.integers(), st.floats(), st.binary(max_size=8), st.booleans()),
       st.sampled_from([None, "epoch", "epoch-ms", "%Y-%m-%d", "%d/%m/%y %H", "%Y %Y"]))  # fmt: skip
def test_reading_never_fails(value, form):
    found = read(value, form)
    assert found is None or isinstance(found, date)


@given(st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2037, 1, 1)))
def test_of_two_readings_the_later_counts(naive):
    readings = {naive.replace(tzinfo=BRUSSELS, fold=fold).astimezone(UTC) for fold in (0, 1)}
    assert in_zone(naive, BRUSSELS) == max(readings)


def test_the_ends_of_the_calendar_do_not_break():
    last = read("9999-12-31T23:30:00Z")
    assert calendar_day(last, BRUSSELS) == date.max
    assert calendar_day(utc(1, 1, 1), NEW_YORK) == date.min
    assert start_of_day(date.min, BRUSSELS) == utc(1, 1, 1)
    assert start_of_day(date.max, NEW_YORK) == utc(9999, 12, 31, 5)


def test_now_is_aware_utc_and_whole():
    found = now()
    assert found.tzinfo is UTC
    assert found.microsecond == 0
    assert abs(found - datetime.now(UTC)) < timedelta(seconds=10)
    assert monotonic() <= monotonic()


def test_a_timestamp_has_twenty_characters_in_any_year():
    assert timestamp(datetime(2026, 11, 21, 10, tzinfo=BRUSSELS)) == "2026-11-21T09:00:00Z"
    assert timestamp(utc(1, 1, 1)) == "0001-01-01T00:00:00Z"
    assert timestamp(utc(2026, 11, 21, 10, 0, 0, 999999)) == "2026-11-21T10:00:00Z"


def test_the_kernel_says_whether_its_clock_is_disciplined_or_cannot_be_asked():
    assert is_kernel_synchronised() in {True, False, None}


# --- periods


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("6 months", Period(months=6)),
        ("1 month", Period(months=1)),
        ("10 years", Period(years=10)),
        ("4 weeks", Period(weeks=4)),
        ("30 days", Period(days=30)),
        ("1 year 27 days", Period(years=1, days=27)),
        ("1 year, 27 days", Period(years=1, days=27)),
        ("1 year and 27 days", Period(years=1, days=27)),
        ("30 minutes", Period(minutes=30)),
        (" 6 months ", Period(months=6)),
        ("P6M", Period(months=6)),
        ("p6m", Period(months=6)),
        ("+P6M", Period(months=6)),
        ("P1Y27D", Period(years=1, days=27)),
        ("P4W", Period(weeks=4)),
        ("PT30M", Period(minutes=30)),
        ("P1DT12H", Period(days=1, hours=12)),
        ("P9999D", Period(days=9999)),
    ],
)
def test_periods_are_read(text, period):
    assert parse_period(text) == period


@pytest.mark.parametrize(
    "value",
    [
        0, -1, 5, 5.5, float("inf"), float("nan"), True, None, [], {}, "", " ", "5", "0", "-1", "0 days", "P0D", "PT0S",
        "-6 months", "-P6M", "P-6M", "6", "months", "6 month s", "6 Months", "5.5 years", "1e400", "inf", "six months",
        "6 months ago", "P6M7", "P", "PT", "P6", "6M", "P1.5Y", "P0.5M", "1 month 1 month", "2 fortnights", "P10000D",
        "10000 days", "٦ months", "P٦M", "6 months;", "9" * 5000 + " days", "P" + "9" * 5000 + "D", "P6M P6M", "P1M1Y",
    ],
)  # fmt: skip
def test_what_is_no_period_is_refused_with_a_reason(value):
    with pytest.raises(ValueError) as caught:
        parse_period(value)
    assert str(caught.value)


@given(st.tuples(*[st.integers(0, 9999)] * 7).filter(any))
def test_a_period_is_read_back_from_both_of_its_spellings(numbers):
    period = Period(*numbers)
    assert parse_period(period.iso) == period
    assert parse_period(str(period)) == period
    assert period.is_sub_day == any(numbers[4:])
