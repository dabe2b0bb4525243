"""Dates as a plan sees them: what cannot be dated never goes, and nothing goes before its day has ended (faults, A)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sweep_kit import CAPS, CONTACTS, NOW, SIMPLE, day, person


def rule(period, *, name="prospects", **more):
    extra = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f"""
[rule.{name}]
activity = "intake"
dataset = "crm.contacts"
data = "*"
anchor = "created"
period = "{period}"
action = "purge"
{extra}"""


def simple(period, **more):
    return CAPS + CONTACTS + rule(period, **more)


UNREADABLE = ["", "0000-00-00", "9999-12-31", "31-12-2019", "1577836800", "2019-02-30", "gisteren", "2019-13-01"]


def test_a_record_without_a_date_is_never_due_is_counted_and_is_a_finding(make, kind):
    world = make(SIMPLE, {"contacts": [person(1, None), person(2), person(3, None)]}, kind=kind)
    plan = world.plan()
    assert world.target(plan).unanchored == 2
    assert world.planned(plan) == [("crm.contacts", "2")]
    assert "no-anchor" in world.findings()
    world.approve(plan)
    world.apply(plan)
    assert world.ids() == [1, 3]


def test_dates_that_cannot_be_read_are_never_due_and_all_are_counted(make, kind):
    rows = [person(i + 1, text) for i, text in enumerate(UNREADABLE)]
    world = make(SIMPLE, {"contacts": [*rows, person(99)]}, kind=kind)
    plan = world.plan()
    assert world.target(plan).unanchored == len(UNREADABLE)
    world.approve(plan)
    world.apply(plan)
    assert world.ids() == list(range(1, len(UNREADABLE) + 1))


def test_an_event_that_has_not_happened_keeps_the_record_until_it_does(make, kind):
    world = make(SIMPLE, {"contacts": [person(1, None), person(2, "2026-11-20")]}, kind=kind)
    assert world.target(world.plan()).due == 0
    world.update(1, created="2020-01-01")
    assert world.planned(world.plan()) == [("crm.contacts", "1")]


def test_a_date_in_the_future_is_never_due_also_not_in_a_forecast_beyond_it(make, kind):
    later_today = (NOW + timedelta(hours=1)).isoformat()
    rows = [person(1, "2099-01-01"), person(2, later_today), person(3)]
    world = make(SIMPLE, {"contacts": rows}, kind=kind)
    for as_of in (None, day("2150-01-01")):
        plan = world.plan(as_of=as_of)
        assert world.planned(plan) == [("crm.contacts", "3")]
        assert world.target(plan).unanchored == 2


@pytest.mark.parametrize(
    ("anchor", "period", "last"),
    [
        ("2026-01-31", "1 month", "2026-02-28"),
        ("2024-01-31", "1 month", "2024-02-29"),
        ("2024-02-29", "1 year", "2025-02-28"),
        ("2020-02-29", "4 years", "2024-02-29"),
        ("2025-08-31", "6 months", "2026-02-28"),
        ("2026-03-30", "1 month", "2026-04-30"),
        ("2026-05-31", "P1M1D", "2026-07-01"),
        ("2026-01-01", "4 weeks", "2026-01-29"),
    ],
)
def test_a_record_is_due_on_the_day_after_its_last_day_and_not_before(make, anchor, period, last):
    world = make(simple(period), {"contacts": [person(1, anchor)]})
    assert world.target(world.plan(as_of=day(last))).due == 0
    plan = world.plan(as_of=day(last) + timedelta(days=1))
    assert world.target(plan).due == 1
    assert world.target(plan).oldest_due_on == day(last)


BRUSSELS_DAYS = [
    # the night in which the clock goes forward: 29 March begins at 23:00Z and has 23 hours
    ("2026-03-28T22:59:59Z", "2026-03-28"),
    ("2026-03-28T23:00:00Z", "2026-03-29"),
    ("2026-03-28T23:00:01Z", "2026-03-29"),
    ("2026-03-29T21:59:59Z", "2026-03-29"),
    ("2026-03-29T22:00:00Z", "2026-03-30"),
    # the night in which it goes back: 25 October begins at 22:00Z and has 25 hours
    ("2026-10-24T21:59:59Z", "2026-10-24"),
    ("2026-10-24T22:00:00Z", "2026-10-25"),
    ("2026-10-25T00:30:00Z", "2026-10-25"),
    ("2026-10-25T01:30:00Z", "2026-10-25"),
    ("2026-10-25T22:59:59Z", "2026-10-25"),
    ("2026-10-25T23:00:00Z", "2026-10-26"),
    ("2026-10-26T00:00:00+02:00", "2026-10-25"),
    # no zone: read in the controller's
    ("2026-10-25T02:30:00", "2026-10-25"),
    ("2026-03-29T02:30:00", "2026-03-29"),
    ("2026-10-25T23:59:59", "2026-10-25"),
    ("2026-10-26", "2026-10-26"),
]


def test_the_day_of_an_instant_is_the_day_in_brussels_to_the_second(make, kind):
    rows = [person(i, stamp) for i, (stamp, _) in enumerate(BRUSSELS_DAYS, start=1)]
    world = make(simple("1 day"), {"contacts": rows}, kind=kind)
    for as_of in sorted({day(local) for _, local in BRUSSELS_DAYS}):
        for shift in (1, 2):
            asked = as_of + timedelta(days=shift)
            expected = [i for i, (_, local) in enumerate(BRUSSELS_DAYS, 1) if asked > day(local) + timedelta(days=1)]
            plan = world.plan(as_of=asked)
            assert sorted(int(key) for _, key in world.planned(plan)) == expected, asked
            assert world.target(plan).unanchored == 0


def test_a_date_without_a_zone_is_read_in_the_zone_of_its_dataset(make, kind):
    config = simple("1 day").replace('source = "contacts"\n', 'source = "contacts"\ntimezone = "UTC"\n')
    world = make(config, {"contacts": [person(1, "2026-10-24T23:30:00"), person(2, "2026-10-24")]}, kind=kind)
    assert world.planned(world.plan(as_of=day("2026-10-26"))) == [("crm.contacts", "2")]
    assert len(world.planned(world.plan(as_of=day("2026-10-27")))) == 2


def test_the_day_of_the_run_is_the_controllers_and_not_greenwichs(make):
    """At 23:30Z it is tomorrow in Brussels: what ended with yesterday's last hour there is due."""
    night = datetime(2026, 6, 30, 22, 30, tzinfo=UTC)
    world = make(simple("1 month"), {"contacts": [person(1, "2026-05-30"), person(2, "2026-05-31")]}, now=night)
    assert world.site.today() == date(2026, 7, 1)
    assert len(world.planned(world.plan())) == 2
    before = night - timedelta(minutes=31)
    earlier = make(simple("1 month"), {"contacts": [person(1, "2026-05-30"), person(2, "2026-05-31")]}, now=before)
    assert earlier.planned(earlier.plan()) == []


def test_tax_years_run_from_the_first_of_january_after(make, kind):
    config = simple("1 year", start='"next-year"')
    rows = [person(1, "2024-01-01"), person(2, "2024-12-31T22:59:59Z"), person(3, "2024-12-31T23:00:00Z")]
    world = make(config, {"contacts": rows}, kind=kind)
    assert world.planned(world.plan(as_of=day("2026-01-01"))) == []
    assert [key for _, key in world.planned(world.plan(as_of=day("2026-01-02")))] == ["1", "2"]
    assert len(world.planned(world.plan(as_of=day("2026-11-21")))) == 2


def test_of_several_dates_the_latest_counts_and_one_that_cannot_be_read_stops_the_record(make, kind):
    config = (CAPS + CONTACTS + rule("6 months")).replace(
        'anchor.created = "created"', 'anchor.created = { latest = ["created", "seen"] }'
    )
    rows = [
        person(1, seen=None),
        person(2, seen="2026-11-01"),
        person(3, None, seen=None),
        person(4, seen="0000-00-00"),
        person(5, None, seen="2020-02-02"),
    ]
    world = make(config, {"contacts": rows}, kind=kind)
    plan = world.plan()
    assert [key for _, key in world.planned(plan)] == ["1", "5"]
    assert world.target(plan).unanchored == 2


TWO_STEPS = (
    CAPS
    + CONTACTS.replace("data.name", 'data.birth-date = ["born"]\ndata.name')
    + """
[rule.cards]
activity = "cards"
dataset = "crm.contacts"
data = ["birth-date"]
anchor = "created"
period = "2 years"
action = "purge"
[rule.customers]
activity = "intake"
dataset = "crm.contacts"
data = ["name", "email"]
anchor = "created"
period = "5 years"
action = "purge"
"""
)


def test_what_is_anonymised_at_two_years_and_goes_at_five_does_each_once_and_in_order(make, kind):
    """The birth date goes when nobody needs it; the rest of the row later; nothing happens twice (case 13)."""
    rows = [person(1, "2024-06-01", born="1980-05-05")]
    world = make(TWO_STEPS, {"contacts": rows}, kind=kind, now=datetime(2026, 7, 1, 1, 0, tzinfo=UTC))
    assert world.purge().document["outcomes"] == {"anonymised": 1}
    assert world.row(1)["born"] is None
    assert world.row(1)["name"] == "Naam 1"
    world.clock.forward(days=1)
    assert world.purge().document["outcomes"] == {}
    world.clock.at = datetime(2029, 6, 2, 1, 0, tzinfo=UTC)
    world.resume(accepted_day=date(2029, 6, 2))
    assert world.purge().document["outcomes"] == {"purged": 1}
    world.clock.forward(days=1)
    assert world.purge().document["outcomes"] == {}
    words = [word for event in world.events("receipt") for word in event["counts"]]
    assert words == ["anonymised", "purged"]
