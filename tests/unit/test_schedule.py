"""When a night's sweep is due, and whether one is wanted: pure answers to the clock and the nights that are done."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from ropa.schedule import _after_each, instant_of, next_instant, night_wanted

BRUSSELS = ZoneInfo("Europe/Brussels")
AT = time(3, 30)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("night", "hour", "expected"),
    [
        (date(2026, 11, 22), time(3, 30), "2026-11-22T02:30"),
        (date(2026, 10, 25), time(2, 30), "2026-10-25T00:30"),  # comes twice: the first
        (date(2027, 3, 28), time(2, 30), "2027-03-28T01:30"),  # does not exist: 03:30 in summer time
        (date(2027, 3, 28), time(3, 30), "2027-03-28T01:30"),
    ],
)
def test_a_night_has_one_instant_also_when_the_clock_is_changed(night, hour, expected):
    assert instant_of(night, hour, BRUSSELS) == at(expected)


@pytest.mark.parametrize("hour", [time(0, 0), time(2, 30), time(3, 30), time(23, 59)])
@pytest.mark.parametrize("zone", ["Europe/Brussels", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kolkata"])
def test_the_instants_of_two_years_come_in_order_once_a_date_and_on_that_date(hour, zone):
    nights = [date(2026, 1, 1) + timedelta(days=n) for n in range(731)]
    instants = [instant_of(night, hour, ZoneInfo(zone)) for night in nights]
    assert all(timedelta(hours=22) < after - before < timedelta(hours=26) for before, after in pairwise(instants))
    assert [one.astimezone(ZoneInfo(zone)).date() for one in instants] == nights


def test_tonight_is_wanted_when_its_hour_has_come_and_not_before():
    done = {date(2026, 11, 21)}
    assert night_wanted(at("2026-11-22T02:29:59"), AT, BRUSSELS, done) is None
    assert night_wanted(at("2026-11-22T02:30:00"), AT, BRUSSELS, done) == date(2026, 11, 22)
    assert night_wanted(at("2026-11-22T22:59:59"), AT, BRUSSELS, done) == date(2026, 11, 22)


def test_a_clock_that_was_put_ten_years_ahead_gives_one_look_and_no_list_of_those_that_were_missed():
    trigger = _after_each(30)
    now = at("2036-11-22T12:00:00")
    assert trigger.get_next_fire_time(None, now) == now
    assert trigger.get_next_fire_time(at("2026-11-22T12:00:00"), now) == now + timedelta(seconds=30)


def test_a_night_that_is_done_is_not_wanted_again():
    done = {date(2026, 11, 22)}
    assert night_wanted(at("2026-11-22T12:00:00"), AT, BRUSSELS, done) is None
    assert next_instant(at("2026-11-22T12:00:00"), AT, BRUSSELS, done) == at("2026-11-23T02:30")


def test_missed_nights_are_caught_up_at_once_by_one_sweep():
    done = {date(2026, 11, 17)}
    started = at("2026-11-22T00:10:00")
    assert night_wanted(started, AT, BRUSSELS, done) == date(2026, 11, 22)
    assert next_instant(started, AT, BRUSSELS, done) == started
    done.add(date(2026, 11, 22))
    assert night_wanted(at("2026-11-22T02:31:00"), AT, BRUSSELS, done) is None


def test_a_folder_that_was_never_swept_waits_for_its_first_hour():
    assert night_wanted(at("2026-11-22T00:10:00"), AT, BRUSSELS, set()) is None
    assert night_wanted(at("2026-11-22T09:00:00"), AT, BRUSSELS, set()) == date(2026, 11, 22)
