"""The nightly service against a clock that the test sets: one sweep a date, whatever happens in between."""

import os
import random
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col
from sweep_kit import CONTACTS, HEAD, PROSPECTS, SIMPLE, contacts, person

from ropa.errors import BusyError
from ropa.schedule import PAUSES, Schedule
from ropa.sweep.journal import writing
from ropa.sweep.nights import gaps, missed, nights_done
from ropa.sweep.state import get_state
from ropa.sweep.tables import RunRow

MANDATED = HEAD + "[safety]\nmax_share = 1.0\n" + CONTACTS + PROSPECTS + 'approval = "mandate"\n'
AUTUMN = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)
SPRING = datetime(2027, 3, 27, 22, 30, tzinfo=UTC)


class Killed(BaseException):
    """The process is gone: nothing after this line runs."""


class Service:
    """A schedule over a world, with a stopwatch that goes with the clock."""

    def __init__(self, world, at=time(3, 30)):
        self.world, self.told, self.began = world, [], world.clock.at
        self.schedule = Schedule(
            open_site=self.opened,
            at=at,
            by="service",
            tell=lambda event, facts: self.told.append((event, facts)),
            seconds=self.elapsed,
        )

    def elapsed(self):
        return (self.world.clock.at - self.began).total_seconds()

    @contextmanager
    def opened(self):
        self.world.reopen()
        yield self.world.site

    def look(self):
        self.schedule.look()

    def events(self, kind):
        return [facts for event, facts in self.told if event == kind]


def sweeps(world):
    with Session(world.site.engine) as session:
        return session.scalars(select(RunRow).where(col(RunRow.mode) == "sweep").order_by(col(RunRow.started_at))).all()


def local_hours(world):
    zone = world.site.config.timezone
    return [run.started_at.astimezone(zone).strftime("%d.%m. %H:%M") for run in sweeps(world)]


@pytest.mark.parametrize(
    ("start", "expected"), [(AUTUMN, ["25.10. 02:30", "26.10. 02:30"]), (SPRING, ["28.03. 03:30", "29.03. 02:30"])]
)
def test_half_past_two_gives_one_sweep_a_night_on_both_changes_of_the_clock(make, start, expected):
    world = make(SIMPLE, {"contacts": contacts(1)}, now=start)
    service = Service(world, at=time(2, 30))
    while world.clock.at < start + timedelta(hours=30):
        service.look()
        world.clock.forward(minutes=10)
    assert local_hours(world)[-2:] == expected
    assert Counter(run.swept_on for run in sweeps(world)).most_common(1)[0][1] == 1


def missed_nights(world, today):
    done = nights_done(world.site.engine, world.site.config.timezone)
    found = gaps(missed(done, first=date(2026, 11, 21), today=today))
    return [(gap.from_on, gap.to_on, gap.nights) for gap in found]


def test_after_two_nights_of_downtime_there_is_one_sweep_at_once_and_two_nights_are_told_as_missed(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    service = Service(world)
    world.clock.forward(hours=2)
    service.look()
    world.clock.at = datetime(2026, 11, 23, 23, 5, tzinfo=UTC)  # five past midnight, before the hour of the night
    service.look()
    world.clock.forward(hours=6)
    service.look()
    assert [run.swept_on for run in sweeps(world)] == [date(2026, 11, 21), date(2026, 11, 24)]
    assert missed_nights(world, date(2026, 11, 24)) == [(date(2026, 11, 22), date(2026, 11, 23), 2)]


def test_after_five_nights_a_person_accepts_the_clock_and_there_is_one_sweep_too(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    service = Service(world)
    world.clock.forward(hours=2)
    service.look()
    world.clock.forward(days=6)
    service.look()
    assert [facts["code"] for facts in service.events("failed")] == ["clock-forward"]
    world.resume(accepted_day=world.site.today())
    for _ in range(10):
        world.clock.forward(minutes=10)
        service.look()
    assert [run.swept_on for run in sweeps(world)] == [date(2026, 11, 21), date(2026, 11, 27)]
    assert missed_nights(world, date(2026, 11, 27)) == [(date(2026, 11, 22), date(2026, 11, 26), 5)]


def test_a_sweep_by_hand_counts_for_its_date(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    world.sweep()
    service = Service(world)
    world.clock.forward(hours=4)
    service.look()
    assert len(sweeps(world)) == 1
    assert get_state(world.site, "next_sweep_at") == "2026-11-22T02:30:00Z"


def test_another_run_is_waited_for_and_told_once(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    service = Service(world)
    world.clock.forward(hours=2)
    with writing(world.site):
        service.look()
        world.clock.forward(seconds=30)
        service.look()
        with pytest.raises(BusyError):
            world.sweep()
    assert [event for event, _ in service.told] == ["waiting"]
    service.look()
    assert len(service.events("sweep")) == 1


def test_two_services_on_one_database_never_sweep_the_same_night_twice(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    world.clock.forward(hours=2)
    first, second = Service(world), Service(world)
    barrier = threading.Barrier(2)
    hands = []

    def look(service):
        with service.opened() as site:
            service.schedule.open_site = lambda: kept(site)
            barrier.wait()
            for _ in range(20):
                service.look()

    @contextmanager
    def kept(site):
        yield site

    for service in (first, second):
        hands.append(threading.Thread(target=look, args=(service,)))
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert len(sweeps(world)) == 1
    assert not first.events("failed") + second.events("failed")


def test_a_night_that_fails_is_tried_again_after_longer_and_longer_pauses(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    service = Service(world)
    world.clock.forward(hours=2)
    world.halt()
    for _ in range(3 * 120):
        service.look()
        world.clock.forward(seconds=30)
    pauses = [PAUSES[0], PAUSES[1], PAUSES[2], PAUSES[2]]
    assert len(service.events("failed")) == 1 + len(pauses)
    assert {facts["code"] for facts in service.events("failed")} == {"halt"}
    world.resume()
    world.clock.forward(hours=1)
    service.look()
    assert len(service.events("sweep")) == 1


def test_what_waits_for_a_person_does_not_make_the_night_a_failure(make):
    world = make(SIMPLE, {"contacts": contacts(4)})
    service = Service(world)
    world.clock.forward(hours=2)
    service.look()
    assert service.events("failed") == []
    assert world.ids() == [1, 2, 3, 4, 101]


@pytest.mark.parametrize("span", [timedelta(days=3650), timedelta(days=-9700)])
def test_a_clock_that_is_years_off_purges_nothing(make, span):
    world = make(MANDATED, {"contacts": contacts(2, kept=5)})
    world.purge()
    world.mandate(max_records=100)
    left = world.ids()
    world.clock.at += span
    service = Service(world)
    for _ in range(50):
        service.look()
        world.clock.forward(minutes=45)
    assert world.ids() == left
    assert service.events("sweep") == []
    assert service.events("failed")


def test_months_of_nights_with_downtime_kills_and_places_that_are_away(make):
    seed = 20261122
    chance = random.Random(seed)
    world = make(MANDATED, {"contacts": contacts(2, kept=1)})
    world.purge()
    days, key, due_by = 400 if os.environ.get("ROPA_CAMPAIGN") else 25, 1000, {}
    service, down_until = Service(world), world.clock.at
    last_day, mandated = None, None
    for _ in range(days * 12):
        now = world.clock.at
        if mandated is None or now - mandated > timedelta(days=80):
            world.mandate(days=90, max_records=1000)
            mandated = now
        if now.date() != last_day:
            last_day = now.date()
            key += 1
            born = now.date() - timedelta(days=chance.randrange(150, 220))
            world.insert(**person(key, born.isoformat()))
            due_by[key] = born
        if now >= down_until:
            world.crm.away_for = {"*"} if chance.random() < 0.05 else set()
            if chance.random() < 0.04:
                world.crm.before_act = killed
            try:
                service.look()
            except Killed:
                service = Service(world)
                world.reopen()
            world.crm.before_act = None
            if chance.random() < 0.02:
                down_until = now + timedelta(hours=chance.randrange(1, 60))
        world.clock.forward(minutes=chance.randrange(60, 180))
    world.crm.away_for = set()
    ended = Counter(run.swept_on for run in sweeps(world) if run.state in {"complete", "partial"})
    assert ended.most_common(1)[0][1] == 1
    assert len(ended) > days * 0.7
    today = world.clock.at.date()
    wrongly_gone = [
        key for key, born in due_by.items() if key not in world.ids() and born + timedelta(days=181) > today
    ]
    assert wrongly_gone == []
    world.clock.forward(days=1)
    service = Service(world)
    service.look()
    late = [key for key, born in due_by.items() if key in world.ids() and born + timedelta(days=186) < today]
    assert late == [], f"seed {seed}"


def killed(_selection, _batch):
    raise Killed
