"""The date rules of design 4.1, against an oracle, and the cut-off as the exact inverse."""

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ropa.clock import Period, calendar_day, start_of_day
from ropa.retention.periods import cutoff, due_on, is_due
from tests.unit.retention import oracle

CASES = 100_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = {name: ZoneInfo(name) for name in oracle.ZONES}
STARTS = ("anchor", "next-year")
PERIODS = (
    (0, 1, 0, 0), (0, 2, 0, 0), (0, 3, 0, 0), (0, 6, 0, 0), (0, 11, 0, 0), (0, 13, 0, 0), (0, 18, 0, 0), (1, 0, 0, 0),
    (2, 0, 0, 0), (4, 0, 0, 0), (5, 0, 0, 0), (7, 0, 0, 0), (10, 0, 0, 0), (0, 0, 4, 0), (0, 0, 0, 1), (0, 0, 0, 30),
    (1, 0, 0, 27), (0, 1, 0, 15), (1, 6, 2, 3), (0, 6, 0, 1),
)  # fmt: skip

calendar_days = st.one_of(
    st.dates(),
    st.builds(
        lambda y, m, back: date.fromordinal(
            max(1, (date(y, m, 1) + timedelta(days=31)).replace(day=1).toordinal() - back)
        ),
        st.integers(1, 9998), st.integers(1, 12), st.integers(0, 3),
    ),
    st.sampled_from([date.min, date.max, date(1, 12, 31), date(9998, 12, 31), date(9999, 1, 1), date(9999, 12, 30)]),
)  # fmt: skip
whole_periods = st.builds(
    Period,
    years=st.one_of(st.just(0), st.integers(0, 30), st.sampled_from([9997, 9998, 9999])),
    months=st.one_of(st.just(0), st.integers(0, 40)),
    weeks=st.one_of(st.just(0), st.integers(0, 60)),
    days=st.one_of(st.just(0), st.integers(0, 9999)),
).filter(lambda p: p != Period())
starts = st.sampled_from(STARTS)


def _anchor(rng):
    """A day that is hard on purpose: month ends, leap days, year ends, the days of both clock changes, the edges."""
    kind = rng.random()
    year = rng.randint(1995, 2045)
    if kind < 0.4:
        month = rng.randint(1, 12)
        return year, month, max(1, oracle.length(year, month) - rng.choice((0, 0, 0, 1, 2, 3)))
    if kind < 0.55:
        year -= year % 4
        return year, 2, 29
    if kind < 0.7:
        return rng.choice(((2026, 3, 28), (2026, 3, 29), (2026, 3, 30), (2026, 10, 24), (2026, 10, 25), (2026, 10, 26)))
    if kind < 0.8:
        return rng.choice(((year, 1, 1), (year, 12, 31), (year, 3, 1), (year, 2, 28)))
    if kind < 0.85:
        return rng.choice(((1, 1, 1), (1, 12, 31), (9998, 12, 31), (9999, 1, 1), (9999, 12, 31), (9990, 2, 28)))
    return oracle.date_of(rng.randint(1, oracle.LAST_DAY))


def _instant(rng, zone, near):
    if rng.random() < 0.5:
        return oracle.midnight(zone, near) + rng.choice(
            (-86401, -86400, -3601, -3600, -1, 0, 1, 1799, 3599, 3600, 86399)
        )
    changes = oracle.changes(zone, oracle.date_of(near)[0]) or ((oracle.at(near, 0), 0),)
    return rng.choice(changes)[0] + rng.choice((-7200, -3601, -3600, -1, 0, 1, 3599, 3600, 7200, -86400, 86400))


def test_a_hundred_thousand_hard_cases_agree_with_the_oracle():
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    compared = 0
    for number in range(CASES):
        about = f"seed {seed} case {number}"
        anchor, numbers, start = _anchor(rng), rng.choice(PERIODS), rng.choice(STARTS)
        if rng.random() < 0.2:
            numbers = (rng.randint(0, 12), rng.randint(0, 30), rng.randint(0, 9), rng.randint(1, 400))
        period, is_next_year = Period(*numbers), start == "next-year"
        last = oracle.last_day(anchor, numbers, is_next_year)
        as_of = rng.randint(1, oracle.LAST_DAY) if last is None or rng.random() < 0.1 else last + rng.randint(-2, 3)
        as_of = min(max(as_of, 1), oracle.LAST_DAY)
        day, today = date(*anchor), date.fromordinal(as_of)
        expected = oracle.is_due(anchor, numbers, is_next_year, as_of)
        found = due_on(day, period, start)
        assert (found and found.toordinal()) == last, about
        assert is_due(day, period, start, today) == expected, about
        limit = cutoff(today, period, start)
        assert (day < limit) == expected, about
        zone = rng.choice(oracle.ZONES)
        if oracle.FIRST_ZONE_YEAR < limit.year < oracle.LAST_ZONE_YEAR:
            seconds = _instant(rng, zone, limit.toordinal())
            instant = EPOCH + timedelta(seconds=seconds)
            local = oracle.day_of(zone, seconds)
            assert calendar_day(instant, ZONES[zone]).toordinal() == local, about
            due_then = oracle.is_due(oracle.date_of(local), numbers, is_next_year, as_of)
            assert (instant < start_of_day(limit, ZONES[zone])) == due_then, about
            compared += 1
    assert compared > CASES // 3


@settings(max_examples=400, deadline=None)
@given(day=calendar_days, period=whole_periods, start=starts, as_of=calendar_days)
@example(day=date(2024, 2, 29), period=Period(years=1), start="anchor", as_of=date(2025, 3, 1))
@example(day=date(2025, 1, 31), period=Period(months=1), start="anchor", as_of=date(2025, 3, 1))
@example(day=date(9999, 12, 31), period=Period(days=1), start="anchor", as_of=date(9999, 12, 31))
@example(day=date(9999, 12, 1), period=Period(months=1), start="anchor", as_of=date(9999, 12, 31))
@example(day=date(9999, 1, 1), period=Period(days=1), start="next-year", as_of=date(9999, 12, 31))
def test_a_day_is_due_if_and_only_if_it_lies_before_the_cutoff(day, period, start, as_of):
    assert is_due(day, period, start, as_of) == (day < cutoff(as_of, period, start))


@settings(max_examples=400, deadline=None)
@given(period=whole_periods, start=starts, as_of=calendar_days)
def test_the_cutoff_is_the_first_day_that_is_not_due(period, start, as_of):
    limit = cutoff(as_of, period, start)
    assert not is_due(limit, period, start, as_of)
    if limit > date.min:
        assert is_due(limit - timedelta(days=1), period, start, as_of)


@settings(max_examples=300, deadline=None)
@given(days=st.tuples(calendar_days, calendar_days), period=whole_periods, start=starts)
def test_a_later_day_is_never_due_earlier(days, period, start):
    first, second = (due_on(day, period, start) or date.max for day in sorted(days))
    assert first <= second


def test_a_record_is_never_due_on_the_last_day_itself():
    day = date(2026, 5, 21)
    assert due_on(day, Period(months=6), "anchor") == date(2026, 11, 21)
    assert not is_due(day, Period(months=6), "anchor", date(2026, 11, 21))
    assert is_due(day, Period(months=6), "anchor", date(2026, 11, 22))


@pytest.mark.parametrize(
    ("day", "period", "last"),
    [
        (date(2025, 1, 31), Period(months=1), date(2025, 2, 28)),
        (date(2024, 1, 31), Period(months=1), date(2024, 2, 29)),
        (date(2024, 2, 29), Period(years=1), date(2025, 2, 28)),
        (date(2024, 2, 29), Period(years=4), date(2028, 2, 29)),
        (date(2025, 8, 31), Period(months=6), date(2026, 2, 28)),
        (date(2025, 1, 31), Period(months=1, days=1), date(2025, 3, 1)),
        (date(2096, 2, 29), Period(years=4), date(2100, 2, 28)),
    ],
)
def test_a_shorter_month_ends_the_period_on_its_last_day(day, period, last):
    assert due_on(day, period, "anchor") == last


def test_tax_years_run_from_the_first_of_january_after():
    assert due_on(date(2015, 3, 7), Period(years=10), "next-year") == date(2026, 1, 1)
    assert cutoff(date(2026, 1, 1), Period(years=10), "next-year") == date(2015, 1, 1)
    assert cutoff(date(2026, 1, 2), Period(years=10), "next-year") == date(2016, 1, 1)


def test_a_cutoff_is_not_the_same_as_subtracting_the_period():
    # 31 March less a month is 28 February, but what began on 28 February ended on 28 March.
    assert cutoff(date(2025, 3, 31), Period(months=1), "anchor") == date(2025, 3, 1)
    assert cutoff(date(2025, 3, 29), Period(months=1), "anchor") == date(2025, 3, 1)
    assert cutoff(date(2025, 3, 28), Period(months=1), "anchor") == date(2025, 2, 28)


def test_what_would_end_after_the_calendar_never_ends():
    assert due_on(date(9999, 12, 31), Period(days=1), "anchor") is None
    assert due_on(date(9999, 12, 30), Period(days=1), "anchor") == date.max
    assert due_on(date(2026, 1, 1), Period(years=9999), "anchor") is None
    assert due_on(date(9999, 6, 1), Period(days=1), "next-year") is None
    assert not is_due(date(9999, 12, 31), Period(days=1), "anchor", date.max)


@pytest.mark.parametrize("start", STARTS)
def test_the_cutoff_is_the_first_day_of_all_where_nothing_can_be_due(start):
    assert cutoff(date(2026, 1, 1), Period(years=9999), start) == date.min
    assert cutoff(date(2026, 1, 1), Period(years=2025, days=9999), start) == date.min
    assert cutoff(date.min, Period(days=1), start) == date.min
    assert start_of_day(date.min, ZONES["Europe/Brussels"]).year == 1


@pytest.mark.parametrize("period", [Period(minutes=30), Period(days=1, hours=1), Period(years=1, seconds=1)])
@pytest.mark.parametrize("start", STARTS)
def test_a_period_with_parts_of_a_day_is_never_enforced(period, start):
    with pytest.raises(ValueError, match="documented"):
        due_on(date(2026, 1, 1), period, start)
    with pytest.raises(ValueError, match="documented"):
        is_due(date(2026, 1, 1), period, start, date(2027, 1, 1))
    with pytest.raises(ValueError, match="documented"):
        cutoff(date(2026, 1, 1), period, start)


@pytest.mark.parametrize(
    ("zone", "day", "instant"),
    [
        ("Europe/Brussels", date(2026, 3, 29), datetime(2026, 3, 28, 23, tzinfo=UTC)),
        ("Europe/Brussels", date(2026, 3, 30), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("Europe/Brussels", date(2026, 10, 25), datetime(2026, 10, 24, 22, tzinfo=UTC)),
        ("Europe/Brussels", date(2026, 10, 26), datetime(2026, 10, 25, 23, tzinfo=UTC)),
        ("America/Sao_Paulo", date(2018, 11, 4), datetime(2018, 11, 4, 3, tzinfo=UTC)),  # midnight is skipped
        ("America/Havana", date(2026, 11, 1), datetime(2026, 11, 1, 4, tzinfo=UTC)),  # midnight comes twice
        ("Pacific/Apia", date(2011, 12, 30), datetime(2011, 12, 30, 10, tzinfo=UTC)),  # the day is skipped
        ("Pacific/Apia", date(2011, 12, 31), datetime(2011, 12, 30, 10, tzinfo=UTC)),
    ],
)
def test_a_day_begins_with_its_first_instant_also_where_the_clocks_change(zone, day, instant):
    assert start_of_day(day, ZoneInfo(zone)) == instant
    assert calendar_day(instant - timedelta(seconds=1), ZoneInfo(zone)) < day
    assert calendar_day(instant, ZoneInfo(zone)) >= day
