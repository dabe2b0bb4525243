"""Records that refer to each other across targets go in turns (``ropa.sweep.turns``): two rules for one table that refers
to itself, tables that refer to each other."""

import pytest
from turns_kit import COLUMNS, HEAD, SEEDS, TABLES, configured, dataset, links, row, scene, what_goes

from ropa.errors import RefusedError
from ropa.sweep import turns

BOTH = HEAD + dataset("staff") + dataset("teams")
BOTH_WAYS = [("staff", "to_teams", "teams"), ("teams", "to_staff", "staff")]


def build(make, kind, config, rows, links):
    """Return a world whose rows refer to each other both ways: they are put in first, and bound afterwards."""
    bare = {name: [item | dict.fromkeys(COLUMNS) for item in items] for name, items in rows.items()}
    world = make(config, bare, kind=kind, relations=links)
    for name, items in rows.items():
        for item in items:
            if bound := {column: item[column] for column in COLUMNS if item[column] is not None}:
                world.update(item["id"], name, **bound)
    return world


def zigzag(length):
    """Return staff and teams of which each refers to the next of the other table: 1 may go first, the last one last."""
    staff = [row(key, to_teams=key + 1 if key < length else None) for key in range(1, length + 1, 2)]
    teams = [row(key, to_staff=key + 1 if key < length else None) for key in range(2, length + 1, 2)]
    return {"staff": staff, "teams": teams}


def approved(make, kind, length):
    """Return a world of a zigzag, and the number of its approved plan."""
    world = build(make, kind, BOTH, zigzag(length), BOTH_WAYS)
    plan = world.plan()
    world.approve(plan)
    return world, plan


def left(world):
    return {name: world.ids(name) for name in world.data}


@pytest.mark.parametrize("length", [2, 3, 7])
def test_two_tables_that_refer_to_each_other_are_emptied_in_one_run(make, kind, length):
    world, plan = approved(make, kind, length)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"purged": length}
    assert result.exit_code == 0
    assert left(world) == {"staff": [], "teams": []}
    assert world.state(plan) == "applied"


def test_two_rules_for_a_table_that_refers_to_itself_take_turns(make, kind):
    rows = [row(key, kind="xy"[key % 2], to_staff=key + 1 if key < 6 else None) for key in range(1, 7)]
    world = build(
        make, kind, HEAD + dataset("staff", kinds=("x", "y")), {"staff": rows}, [("staff", "to_staff", "staff")]
    )
    assert world.purge().document["outcomes"] == {"purged": 6}
    assert left(world) == {"staff": []}


def test_a_target_without_such_references_keeps_the_order_of_its_keys(make, kind):
    """One turn, and no number changed."""
    rows = {"staff": [row(key, to_teams=1) for key in (1, 2, 3)], "teams": [row(1)]}
    world = build(make, kind, BOTH, rows, BOTH_WAYS)
    plan = world.plan()
    assert [target.turns for target in world.targets(plan)] == [[], []]
    assert world.planned(plan) == [("crm.staff", "1"), ("crm.staff", "2"), ("crm.staff", "3"), ("crm.teams", "1")]


def test_a_circle_through_two_tables_is_blocked_when_it_is_planned_with_all_that_it_refers_to(make, kind):
    rows = {
        "staff": [row(1, to_teams=1), row(2, to_teams=2), row(3, to_teams=1), row(4)],
        "teams": [row(1, to_staff=2), row(2, to_staff=1), row(3, to_staff=4)],
    }
    rows["staff"][1]["to_notes"] = 1
    rows["notes"] = [row(1), row(2)]
    config = HEAD + "".join(map(dataset, TABLES))
    world = build(make, kind, config, rows, [*BOTH_WAYS, ("staff", "to_notes", "notes")])
    plan = world.plan()
    told = world.disposition(plan)
    assert {f"{name}/{key}": reason for (name, key), (word, reason) in told.items() if word == "blocked"} == {
        "crm.staff/1": "referred-to-by:teams",
        "crm.staff/2": "referred-to-by:teams",
        "crm.teams/1": "referred-to-by:staff",
        "crm.teams/2": "referred-to-by:staff",
        "crm.notes/1": "referred-to-by:staff",
    }
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 4}
    assert left(world) == {"staff": [1, 2], "teams": [1, 2], "notes": [1]}


def test_children_that_go_along_go_in_the_turn_of_their_parent(make, kind):
    """A note goes with its member of staff, and may itself be referred to by a team, and refer to one."""
    rows = {
        "staff": [row(1), row(2)],
        "teams": [row(1, to_notes=1), row(2, to_staff=2)],
        "notes": [row(1, to_staff=1, to_teams=2), row(2, to_staff=2)],
    }
    config = HEAD + dataset("staff") + dataset("notes", rides_with="staff") + dataset("teams")
    links = [("teams", "to_notes", "notes"), ("teams", "to_staff", "staff")]
    links += [("notes", "to_staff", "staff"), ("notes", "to_teams", "teams")]
    world = build(make, kind, config, rows, links)
    assert world.purge().document["outcomes"] == {"purged": 6}
    assert left(world) == {"staff": [], "teams": [], "notes": []}


def test_a_run_that_was_halted_between_two_turns_is_finished_by_the_next(make, kind):
    world, plan = approved(make, kind, 7)
    acts = []

    def after(_selection, batch):
        acts.append(batch.dataset)
        if len(acts) == 3:
            world.halt()

    world.crm.after_act = after
    with pytest.raises(RefusedError):
        world.apply(plan)
    assert 0 < sum(len(ids) for ids in left(world).values()) < 7
    world.crm.after_act = None
    world.resume()
    world.apply(plan)
    assert left(world) == {"staff": [], "teams": []}
    assert world.state(plan) == "applied"


def test_a_place_that_goes_away_between_two_turns_refuses_each_record_once(make, kind):
    world, plan = approved(make, kind, 7)
    acts = []

    def before(_selection, batch):
        acts.append(batch.dataset)
        if len(acts) == 3:
            world.crm.away_for = {"*"}

    world.crm.before_act = before
    assert world.apply(plan).document["outcomes"] == {"purged": 2, "refused": 4}, (
        "one was reached, and is not known yet"
    )
    world.crm.before_act, world.crm.away_for = None, set()
    assert world.apply(plan).exit_code == 0
    assert left(world) == {"staff": [], "teams": []}


def test_a_child_that_changed_after_the_plan_keeps_what_waits_for_it_in_later_turns(make, kind):
    world, plan = approved(make, kind, 7)
    world.update(3, "staff", text="nieuw")
    outcomes = world.apply(plan).document["outcomes"]
    assert outcomes == {"purged": 2, "changed": 1, "blocked": 4}
    assert left(world) == {"staff": [3, 5, 7], "teams": [4, 6]}


def test_a_plan_that_was_approved_before_there_were_turns_is_applied_in_one(make, monkeypatch):
    """Its digest was made without them; what waits for another target is blocked, as it was then, and goes another
    night."""
    world = build(make, "sqlite", BOTH, zigzag(7), BOTH_WAYS)
    with monkeypatch.context() as earlier:
        earlier.setattr(turns, "arrange", lambda *_: set())
        plan = world.plan()
    world.approve(plan)
    outcomes = world.apply(plan).document["outcomes"]
    assert set(outcomes) == {"purged", "blocked"}
    assert sum(outcomes.values()) == 7
    assert world.purge().document["outcomes"] == {"purged": outcomes["blocked"]}


def test_turns_are_part_of_what_was_approved(make):
    world, plan = approved(make, "sqlite", 5)
    world.execute("UPDATE plan_target SET turns = '[3]' WHERE dataset = 'staff'")
    with pytest.raises(RefusedError):
        world.apply(plan)
    assert world.crm.acts == []


# --- any graph -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rides", [False, True], ids=["rules", "riders"])
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.sampled(one_in=2)
def test_whatever_refers_to_whatever_all_that_can_go_goes_in_one_run_and_nothing_else(make, seed, rides):
    rows = scene(seed, rides=rides)
    world = build(make, "sqlite", configured(rides=rides), rows, links())
    expected = what_goes(rows, rides=rides)
    plan = world.plan()
    world.approve(plan)
    outcomes = world.apply(plan).document["outcomes"]
    there = {(name, item["id"]) for name, items in rows.items() for item in items}
    assert {(name, key) for name, keys in left(world).items() for key in keys} == there - expected
    assert outcomes == ({"purged": len(expected)} if expected else {}), "nothing was found to be blocked only then"
    world.clock.forward(days=1)
    assert world.target(world.plan(), "crm.teams").records == 0, "and nothing is left that could go"
