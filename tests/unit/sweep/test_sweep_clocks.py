"""Clocks: behind the ledger, far ahead of it, or jumping in mid-run; nothing goes by a doubtful one (faults, E)."""

from datetime import timedelta

import pytest
from sweep_kit import SIMPLE, contacts

from ropa.clock import timestamp
from ropa.errors import RefusedError
from ropa.sweep import holds
from ropa.sweep.status import status


@pytest.fixture
def world(make):
    return make(SIMPLE, {"contacts": contacts(6)})


def refused(call, *args, code, **kwargs):
    with pytest.raises(RefusedError) as caught:
        call(*args, **kwargs)
    assert caught.value.code == code
    assert caught.value.exit_code == 4


def test_under_a_clock_behind_the_ledger_nothing_is_planned_approved_or_applied(world):
    plan = world.plan()
    world.approve(plan)
    size = len(world.events())
    world.clock.forward(seconds=-61)
    for call in (world.plan, world.sweep, lambda: world.apply(plan), lambda: world.approve(plan, by="Ander")):
        refused(call, code="clock-behind")
    assert len(world.events()) == size
    assert world.crm.acts == []
    world.clock.forward(seconds=1)
    assert world.apply(plan).document["outcomes"] == {"purged": 6}


def test_seventy_two_hours_without_a_run_are_fine_and_a_second_more_is_not(world):
    plan = world.plan()
    world.approve(plan)
    world.clock.forward(hours=72)
    assert world.plan() == 2
    world.clock.forward(hours=72, seconds=1)
    for call in (world.plan, world.sweep, lambda: world.apply(plan)):
        refused(call, code="clock-forward")
    assert world.crm.acts == []


@pytest.mark.parametrize("gap", [{"hours": 73}, {"days": 55}, {"days": 3650}])
def test_a_gap_is_refused_until_a_person_accepts_that_very_day(world, gap):
    world.plan()
    world.clock.forward(**gap)
    refused(world.sweep, code="clock-forward")
    refused(world.resume, world.site.today() - timedelta(days=1), code="clock")
    refused(world.resume, world.site.today() + timedelta(days=1), code="clock")
    refused(world.sweep, code="clock-forward")
    size = len(world.events())
    world.resume(world.site.today())
    assert [event["type"] for event in world.events()[size:]] == ["clock_accept"]
    assert world.events("clock_accept")[0]["gap_s"] == int(timedelta(**gap).total_seconds())
    assert world.sweep().exit_code == 0


def test_a_hold_is_in_force_also_under_a_clock_that_nothing_runs_by(world):
    world.plan()
    world.clock.forward(days=10)
    world.hold(key=1)
    assert [hold.key for hold in holds.active_holds(world.site)] == [("1",)]
    assert world.events("hold") == []
    world.resume(world.site.today())
    assert len(world.events("hold")) == 1
    assert world.purge().document["outcomes"] == {"purged": 5}


@pytest.mark.parametrize("jump", [{"seconds": 61}, {"days": 1}, {"hours": 70}])
def test_a_clock_that_jumps_in_mid_run_stops_it_after_the_batch_in_hand(world, jump):
    plan = world.plan()
    world.approve(plan)
    world.crm.after_act = lambda *_: world.clock.forward(**jump)
    refused(world.apply, plan, code="clock-jump")
    assert world.ids() == [3, 4, 5, 6, 101]
    assert world.events("run_end")[-1]["code"] == "clock-jump"
    world.crm.after_act = None
    assert world.apply(plan).document["outcomes"] == {"purged": 4}


def test_a_clock_that_jumps_back_in_mid_run_stops_it_too_and_the_batch_stays_open(world):
    plan = world.plan()
    world.approve(plan)
    world.crm.after_act = lambda *_: world.clock.forward(days=-1)
    with pytest.raises(RefusedError):
        world.apply(plan)
    world.crm.after_act = None
    world.clock.forward(days=1)
    world.apply(plan)
    assert sum(world.target(plan).outcomes.values()) == 6
    assert world.ids() == [101]
    assert world.audit() == 0


@pytest.mark.parametrize("jump", [{"days": 3650}, {"days": 4}, {"days": -9000}])
def test_what_a_run_writes_after_the_clock_jumped_does_not_make_the_jump_accepted(world, jump):
    """Its last line under the new time would: the next run would find no gap, and everything due by then would go."""
    plan = world.plan()
    world.approve(plan)
    before = world.site.now()
    world.crm.after_act = lambda *_: world.clock.forward(**jump)
    refused(world.apply, plan, code="clock-jump")
    world.crm.after_act = None
    left = world.ids()
    assert max(event["at"] for event in world.events()) < timestamp(before + timedelta(minutes=1))
    assert world.events("run_end")[-1]["code"] == "clock-jump"
    for call in (world.plan, world.sweep, lambda: world.apply(plan)):
        refused(call, code="clock-forward" if jump["days"] > 0 else "clock-behind")
    assert world.ids() == left
    world.clock.forward(days=-jump["days"])
    assert world.apply(plan).document["outcomes"] == {"purged": 4}
    assert world.audit() == 0


def test_a_clock_that_was_put_back_behind_the_last_sweep_is_not_healthy(world):
    """It would be for ever: no time has passed since a sweep that is still to come."""
    world.purge()
    world.sweep()
    assert status(world.site)["reasons"] == []
    world.clock.forward(days=-9000)
    (reason,) = status(world.site)["reasons"]
    assert "is behind the last sweep" in reason


def test_what_is_due_is_decided_by_the_day_of_the_plan_and_not_of_the_run(make):
    """A plan made before midnight and applied after it takes the records of its own day."""
    from datetime import UTC, datetime

    late = datetime(2026, 11, 21, 22, 50, tzinfo=UTC)
    rows = [dict(contacts(1)[0], id=1, created="2026-05-20"), dict(contacts(1)[0], id=2, created="2026-05-21")]
    world = make(SIMPLE, {"contacts": rows}, now=late)
    plan = world.plan()
    world.approve(plan)
    world.clock.forward(minutes=20)
    assert world.apply(plan).document["outcomes"] == {"purged": 1}
    assert world.ids() == [2]
    assert world.purge().document["outcomes"] == {"purged": 1}


def test_a_kernel_that_calls_its_clock_unsynchronised_stops_purges_where_that_is_asked(make, monkeypatch):
    config = SIMPLE.replace("[safety]\n", "[safety]\nrequire_synchronised_clock = true\n")
    monkeypatch.setattr("ropa.clock.is_kernel_synchronised", lambda: False)
    world = make(config, {"contacts": contacts(1)})
    refused(world.plan, code="clock-unsynchronised")
    monkeypatch.setattr("ropa.clock.is_kernel_synchronised", lambda: True)
    assert world.purge().document["outcomes"] == {"purged": 1}
    assert world.events("run_start")[-1]["clock"]["synced"] is True


def test_the_state_of_the_clock_is_recorded_where_nothing_is_asked(make, monkeypatch):
    monkeypatch.setattr("ropa.clock.is_kernel_synchronised", lambda: None)
    world = make(SIMPLE, {"contacts": contacts(1)})
    assert world.purge().exit_code == 0
    assert world.events("run_start")[-1]["clock"] == {"synced": False, "skew_s": 0, "gap_s": 0}
