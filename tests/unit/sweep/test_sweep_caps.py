"""Caps: over one means zero, not the first n; the other targets go on (faults 24 to 26, I6)."""

import pytest
from sweep_kit import CONTACTS, HEAD, PROSPECTS, SIMPLE, contacts, person

from ropa.errors import RefusedError


def capped(rule="", safety=""):
    return HEAD + f"[safety]\n{safety}" + CONTACTS + PROSPECTS + rule


OTHERS = CONTACTS.replace('[location.crm]\nconnector = "memory"\nbatch_size = 2\n', "").replace("contacts", "others")
OTHERS += PROSPECTS.replace("prospects", "others").replace("contacts", "others")


@pytest.mark.parametrize(("due", "is_stopped"), [(3, False), (4, True)])
@pytest.mark.parametrize("where", ["rule", "safety"])
def test_one_record_over_the_cap_and_nothing_of_the_target_happens(make, due, is_stopped, where):
    line = {"rule": ("max_records = 3\nmax_share = 1.0\n", ""), "safety": ("", "max_records = 3\nmax_share = 1.0\n")}
    world = make(capped(*line[where]), {"contacts": contacts(due)})
    plan = world.plan()
    assert world.target(plan).stopped_by == ("cap-records" if is_stopped else None)
    assert world.target(plan).records == due
    assert ("stopped-cap-records" in world.findings()) is is_stopped
    world.approve(plan)
    result = world.apply(plan)
    assert result.exit_code == (4 if is_stopped else 0)
    assert result.document["outcomes"] == ({"refused": due} if is_stopped else {"purged": due})
    assert len(world.crm.acts) == (0 if is_stopped else 2)
    assert len(world.ids()) == (due + 1 if is_stopped else 1)


@pytest.mark.parametrize(("due", "kept", "is_stopped"), [(1, 3, False), (2, 6, False), (2, 5, True), (1, 0, True)])
def test_more_than_a_quarter_of_the_dataset_and_nothing_of_it_happens(make, due, kept, is_stopped):
    world = make(capped(), {"contacts": contacts(due, kept)})
    plan = world.plan()
    assert world.target(plan).stopped_by == ("cap-share" if is_stopped else None)
    world.approve(plan)
    result = world.apply(plan)
    assert result.exit_code == (4 if is_stopped else 0)
    assert len(world.ids()) == (due + kept if is_stopped else kept)


def test_a_rules_own_cap_stands_in_place_of_the_general_one_both_ways(make):
    world = make(capped("max_share = 0.9\n", "max_share = 0.1\n"), {"contacts": contacts(2, 2)})
    assert world.target(world.plan()).stopped_by is None
    world.configure(capped("max_share = 0.1\n", "max_share = 0.9\n"))
    assert world.target(world.plan()).stopped_by == "cap-share"


def test_a_stopped_target_is_left_out_and_the_others_go_on(make, kind):
    config = SIMPLE + OTHERS + "max_records = 1\n"
    world = make(config, {"contacts": contacts(3), "others": contacts(2)}, kind=kind)
    plan = world.plan()
    world.approve(plan)
    result = world.apply(plan)
    assert result.exit_code == 3
    assert result.document["state"] == "partial"
    assert result.document["outcomes"] == {"purged": 3, "refused": 2}
    assert world.state(plan) == "partly-applied"
    assert (world.ids(), world.ids("others")) == ([101], [1, 2, 101])
    assert world.target(plan, "crm.others").refused_by == "cap-records"
    with pytest.raises(RefusedError):
        world.apply(plan)


def test_a_cap_counts_what_goes_and_not_what_is_held(make):
    world = make(capped("max_records = 1\nmax_share = 1.0\n"), {"contacts": contacts(2)})
    world.hold(key=1)
    plan = world.plan()
    assert (world.target(plan).due, world.target(plan).stopped_by) == (2, None)


def test_flags_know_no_cap(make):
    world = make(capped("max_records = 1\n").replace('"purge"', '"flag"'), {"contacts": contacts(5, 0)})
    assert world.sweep().document["outcomes"] == {"flagged": 5}


def test_many_runs_just_below_the_cap_meet_the_cap_over_seven_days(make):
    world = make(capped("", "max_records = 3\nmax_share = 1.0\nmax_records_7_days = 7\n"), {"contacts": contacts(3)})
    gone = 0
    codes = []
    for _night in range(6):
        plan = world.plan()
        world.approve(plan)
        result = world.apply(plan)
        codes.append(result.exit_code)
        gone += result.document["outcomes"].get("purged", 0)
        for key in range(1, 4):
            if world.row(key) is None:
                world.insert(**person(key))
        world.clock.forward(days=1)
    assert gone == 6
    assert codes == [0, 0, 4, 4, 4, 4]
    assert "stopped-cap-7-days" in world.findings()
    world.clock.forward(days=1, seconds=1)
    assert world.target(world.plan()).stopped_by is None


def test_two_targets_of_one_plan_share_the_cap_over_seven_days(make):
    config = SIMPLE.replace("[safety]\n", "[safety]\nmax_records_7_days = 4\n") + OTHERS
    world = make(config, {"contacts": contacts(3), "others": contacts(2)})
    plan = world.plan()
    assert {row.dataset: row.stopped_by for row in world.targets(plan)} == {"contacts": None, "others": "cap-7-days"}
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 3, "refused": 2}


def test_the_cap_over_seven_days_is_looked_at_again_when_the_plan_is_carried_out(make):
    world = make(capped("", "max_share = 1.0\nmax_records_7_days = 4\n"), {"contacts": contacts(3)})
    first, second = world.plan(), world.plan()
    world.approve(first)
    world.approve(second)
    assert world.target(second).stopped_by is None
    assert world.apply(first).document["outcomes"] == {"purged": 3}
    for key in (1, 2, 3):
        world.insert(**person(key))
    result = world.apply(second)
    assert (result.exit_code, result.document["outcomes"]) == (4, {"refused": 3})
    assert world.target(second).refused_by == "cap-7-days"
    assert world.ids() == [1, 2, 3, 101]


@pytest.mark.parametrize("population", [0, None])
def test_an_unknown_population_blocks_and_is_not_a_share_of_nothing(make, population):
    world = make(SIMPLE, {"contacts": contacts(2)})
    if population is None:
        world.crm.away_for = {"count"}
    else:
        world.crm.population = population
    plan = world.plan()
    assert world.target(plan).stopped_by in {"population-unknown", "unreachable"}
    assert world.execute("SELECT is_complete FROM plan").scalar() == 0
    world.approve(plan)
    assert world.apply(plan).exit_code == (5 if population is None else 4)
    assert world.ids() == [1, 2, 101]
    assert world.crm.acts == []


def test_what_a_cap_stopped_is_overdue_and_makes_the_status_unhealthy(make):
    from ropa.sweep.status import status

    world = make(capped("max_records = 1\nmax_share = 1.0\n"), {"contacts": contacts(2)})
    world.sweep()
    said = status(world.site)
    assert said["overdue"] == 2
    assert said["healthy"] is False
    assert any("safety rule" in reason for reason in said["reasons"])
    assert said["findings"]["error"] >= 1
