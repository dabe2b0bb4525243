"""Places that are away, break off, are slow of clock, or lie: nothing is concluded from them, and nothing is lost."""

from collections import Counter
from datetime import timedelta

import pytest
from sweep_kit import CONTACTS, PROSPECTS, SIMPLE, contacts

from ropa.connector import Health
from ropa.errors import ConfigurationError, RefusedError
from ropa.sweep.status import status

SHOP = CONTACTS.replace("crm", "shop").replace("contacts", "buyers")
SHOP += PROSPECTS.replace("crm", "shop").replace("contacts", "buyers").replace("prospects", "buyers")
TWO = SIMPLE + SHOP


@pytest.fixture
def world(make):
    return make(TWO, {"contacts": contacts(5), "buyers": contacts(3)})


def test_a_place_that_is_away_makes_a_plan_incomplete_and_never_nothing_due(world):
    world.crm.away_for = {"*"}
    plan = world.plan()
    away, there = world.target(plan), world.target(plan, "shop.buyers")
    assert (away.stopped_by, away.due, away.population) == ("unreachable", 0, None)
    assert (there.stopped_by, there.due) == (None, 3)
    assert world.execute("SELECT is_complete FROM plan").scalar() == 0
    assert "stopped-unreachable" in world.findings()
    assert status(world.site)["healthy"] is False
    world.approve(plan)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"purged": 3}
    assert result.exit_code != 0
    assert world.ids() == [1, 2, 3, 4, 5, 101]


def test_a_sweep_with_a_place_away_says_so_and_the_next_one_finds_the_place_again(world):
    world.crm.away_for = {"*"}
    first = world.sweep()
    assert first.exit_code != 0
    assert first.document["state"] == "partial"
    assert status(world.site)["last_sweep_at"] is None
    world.crm.away_for = set()
    second = world.sweep()
    assert world.target(second.document["plan"]).due == 5
    assert "stopped-unreachable" not in world.findings()


@pytest.mark.parametrize("method", ["problems", "check", "count", "find"])
def test_wherever_planning_loses_the_place_its_targets_are_stopped_and_empty(world, method):
    world.crm.away_for = {method}
    plan = world.plan()
    row = world.target(plan)
    assert (row.stopped_by, row.due, row.records, row.population) == ("unreachable", 0, 0, None)
    assert world.target(plan, "shop.buyers").records == 3


def test_a_place_that_says_itself_that_it_cannot_be_reached_is_away(world):
    world.crm.inner.check = lambda: Health(is_reachable=False)
    plan = world.plan()
    assert world.target(plan).stopped_by == "unreachable"
    assert world.target(plan, "shop.buyers").records == 3


def test_a_listing_that_breaks_off_is_incomplete_and_nothing_of_it_stays_in_the_plan(world):
    world.crm.inner.incomplete = True
    plan = world.plan()
    row = world.target(plan)
    assert (row.stopped_by, row.due, row.population) == ("incomplete-listing", 0, None)
    assert [key for key in world.planned(plan) if key[0] == "crm.contacts"] == []
    assert world.execute("SELECT is_complete FROM plan").scalar() == 0
    world.approve(plan)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"purged": 3}
    assert result.exit_code != 0, "a place that was not read is not a place where nothing was due"
    assert len(world.ids()) == 6


def test_a_plan_of_an_incomplete_place_alone_is_not_carried_out_as_if_nothing_were_due(make):
    world = make(SIMPLE, {"contacts": contacts(5)})
    world.crm.inner.incomplete = True
    plan = world.plan()
    world.approve(plan)
    assert world.apply(plan).exit_code in {4, 5}
    assert len(world.ids()) == 6


def test_a_place_whose_clock_is_six_minutes_off_is_left_out_and_five_are_fine(world):
    for skew in (timedelta(minutes=-5, seconds=-1), timedelta(minutes=5, seconds=1), timedelta(days=1)):
        world.crm.skew = skew
        assert world.target(world.plan()).stopped_by == "source-clock"
    for skew in (timedelta(minutes=5), timedelta(minutes=-5)):
        world.crm.skew = skew
        assert world.target(world.plan()).stopped_by is None


def test_a_clock_that_went_wrong_after_the_approval_stops_that_place_only(world):
    plan = world.plan()
    world.approve(plan)
    world.crm.skew = timedelta(minutes=6)
    result = world.apply(plan)
    assert result.exit_code == 3
    assert result.document["outcomes"] == {"purged": 3, "refused": 5}
    assert len(world.ids()) == 6


@pytest.mark.parametrize(
    ("method", "after"),
    [
        ("check", 0),
        ("act", 0),
        ("act", 1),
        ("act", 2),
        ("settle", 0),
        ("settle", 1),
        ("remaining", 0),
        ("remaining", 2),
    ],
)
def test_a_place_that_goes_away_in_mid_run_is_settled_later_and_everything_adds_up(world, method, after):
    plan = world.plan()
    world.approve(plan)

    def leave(*_):
        if len(world.crm.acts) == after:
            world.crm.away_for = {method}

    if method in {"check", "act"} and after == 0:
        leave()
    elif method == "act":
        world.crm.after_act = leave
    else:
        world.crm.before_act = leave
    result = world.apply(plan)
    assert result.exit_code in {3, 5}
    assert world.state(plan) == "approved", "what waits for a place keeps the plan alive"
    told = {target["dataset"]: target for target in result.document["targets"]}
    added = sum((Counter(target["outcomes"]) for target in told.values()), Counter())
    assert added == result.document["outcomes"], "what is told of each target is what the run counts"
    assert told["crm.contacts"]["refused_by"] == ("unreachable" if added["refused"] else None)
    assert world.audit() == (0 if method == "check" else 3)
    world.crm.away_for, world.crm.after_act, world.crm.before_act = set(), None, None
    world.reopen()
    again = world.apply(plan)
    assert again.exit_code == 0
    assert world.state(plan) == "applied"
    assert sum(world.target(plan).outcomes.values()) == 5
    assert set(world.target(plan).outcomes) <= {"purged", "absent"}
    assert world.ids() == [101]
    assert world.ids("buyers") == [101]
    assert world.audit() == 0


def test_what_a_sweep_finds_open_it_settles_first(world):
    plan = world.plan()
    world.approve(plan)
    world.crm.away_for = {"remaining"}
    world.apply(plan)
    assert world.audit() == 3
    world.crm.away_for = set()
    world.sweep()
    assert world.audit() == 0
    assert world.state(plan) == "applied"
    assert world.ids() == [101]


def test_an_open_batch_of_a_plan_that_went_stale_is_only_looked_at(world):
    plan = world.plan()
    world.approve(plan)
    world.crm.away_for = {"act"}
    world.apply(plan)
    world.crm.away_for = set()
    world.configure(TWO + "# \n")
    with pytest.raises(RefusedError):
        world.apply(plan)
    assert len(world.ids()) == 6
    assert world.audit() == 0
    assert world.state(plan) in {"stale", "partly-applied"}
    assert world.target(plan).outcomes == {"failed": 2}


def test_a_hold_placed_while_a_batch_is_open_is_kept(make, kind):
    world = make(SIMPLE, {"contacts": contacts(4)}, kind=kind)
    plan = world.plan()
    world.approve(plan)
    world.crm.away_for = {"act"}
    world.apply(plan)
    world.crm.away_for = set()
    world.hold(key=1)
    assert world.apply(plan).document["outcomes"] == {"held": 1, "purged": 3}
    assert world.ids() == [1, 101]


def test_a_record_that_is_said_to_be_purged_and_is_kept_is_unverified_and_a_finding(make, kind):
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    world.crm.lies = {("2",)}
    result = world.purge()
    assert result.document["outcomes"] == {"purged": 2, "unverified": 1}
    assert result.exit_code == 3
    assert "outcome-unverified" in world.findings()
    assert status(world.site)["overdue"] == 1
    assert world.ids() == [2, 101]


def test_fields_that_are_said_to_be_cleared_and_are_not_are_unverified(make):
    config = SIMPLE.replace('data = "*"', 'data = ["email"]')
    world = make(config, {"contacts": contacts(3)})
    world.crm.lies = {("2",)}
    assert world.purge().document["outcomes"] == {"anonymised": 2, "unverified": 1}


def test_one_poisoned_record_fails_with_its_code_and_the_others_go(make):
    world = make(SIMPLE, {"contacts": contacts(5)})
    world.crm.inner.fail[("3",)] = "locked"
    result = world.purge()
    assert result.document["outcomes"] == {"failed": 1, "purged": 4}
    assert result.exit_code == 3
    assert world.ids() == [3, 101]
    assert "outcome-failed" in world.findings()
    outcomes = [event["outcomes"] for event in world.events("receipt")]
    files = [
        (world.site.ledger_folder / "batches" / f"{event['root']}.outcomes").read_text()
        for event in world.events("receipt")
        if len(event["outcomes"]) == 64
    ]
    assert any("failed:locked" in text for text in [*outcomes, *files])


def test_an_obstacle_blocks_its_record_and_says_which(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    world.crm.inner.obstacles[("2",)] = "hard-link"
    plan = world.plan()
    assert world.target(plan).blockers == {"hard-link": 1}
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 2}
    assert world.ids() == [2, 101]


def test_a_table_or_column_that_is_not_there_is_found_before_anything_is_written(make, kind):
    config = SIMPLE.replace('data.email = ["email"]', 'data.email = ["mail"]')
    world = make(config, {"contacts": contacts(2)}, kind=kind)
    size = len(world.events())
    with pytest.raises(ConfigurationError) as caught:
        world.plan()
    assert caught.value.exit_code == 2
    assert "mail" in str([str(problem) for problem in caught.value.problems])
    assert len(world.events()) == size
    with pytest.raises(ConfigurationError):
        world.sweep()


def test_a_connector_that_does_not_account_for_every_record_is_a_place_out_of_order(make):
    world = make(SIMPLE, {"contacts": contacts(4)})
    plan = world.plan()
    world.approve(plan)
    act = world.crm.act
    world.crm.act = lambda *given: act(*given)[:-1]
    result = world.apply(plan)
    assert result.exit_code != 0
    assert world.audit() == 3
    world.crm.act = act
    assert world.apply(plan).exit_code == 0
    assert world.target(plan).outcomes == {"absent": 2, "purged": 2}
