"""Mandates: a standing yes, bounded; never for the first time, never one record, byte or day more (faults 127, 128)."""

import pytest
from sweep_kit import CAPS, CONTACTS, PROSPECTS, contacts, person

from ropa.errors import CallError, RefusedError

RULE = PROSPECTS + 'approval = "mandate"\n'
NIGHTLY = CAPS + CONTACTS + RULE


@pytest.fixture
def world(make):
    """A rule whose first purge a person approved, a mandate of three records, and three records due."""
    return proven(make(NIGHTLY, {"contacts": contacts(3)}))


def proven(world, **bounds):
    assert world.purge().exit_code == 0
    world.mandate(**({"max_records": 3} | bounds))
    world.clock.forward(days=1)
    for key in (11, 12, 13):
        world.insert(**person(key))
    return world


def left(world):
    return [key for key in world.ids() if key < 100]


def swept(world):
    """Sweep, and return (exit code, approval of the row target, what was purged)."""
    result = world.sweep()
    row = next(row for row in world.targets(result.document["plan"]) if row.rides_with is None)
    return result.exit_code, row.approval, result.document["outcomes"].get("purged", 0)


def test_a_night_within_the_mandate_needs_no_person(world):
    assert swept(world) == (0, "mandate", 3)
    assert left(world) == []
    intents = world.events("intent")
    mandates = world.events("mandate")
    assert intents[-1]["mandate"] == mandates[0]["mandate"]
    assert "mandate" not in intents[0]


def test_one_record_more_than_the_mandate_needs_a_person(world):
    world.insert(**person(14))
    code, approval, purged = swept(world)
    assert (approval, purged) == ("needed", 0)
    assert left(world) == [11, 12, 13, 14]
    assert code in {0, 3, 4}


def test_the_first_purge_of_a_rule_needs_a_person_though_there_is_a_mandate(make):
    world = make(NIGHTLY, {"contacts": contacts(3)})
    world.mandate()
    assert swept(world)[1:] == ("needed", 0)
    assert left(world) == [1, 2, 3]
    plan = 1
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 3}
    world.insert(**person(9))
    assert swept(world)[1:] == ("mandate", 1)


def test_a_yes_to_a_first_purge_that_took_nothing_proves_nothing(make):
    world = make(NIGHTLY, {"contacts": contacts(0)})
    assert world.purge().document["outcomes"] == {}
    world.mandate()
    world.insert(**person(1))
    assert swept(world)[1:] == ("needed", 0)


CHANGES = {
    "period": ("6 months", "5 months"),
    "legal ground": ('approval = "mandate"', 'approval = "mandate"\nlegal_ground = "x"'),
    "columns": ('data.email = ["email"]', 'data.email = ["email", "name"]'),
    "zone": ('source = "contacts"', 'source = "contacts"\ntimezone = "UTC"'),
    "table": ('source = "contacts"', 'source = "others"'),
    "persons": ('subject = ["email"]', 'subject = ["name"]'),
}


@pytest.mark.parametrize("what", CHANGES)
def test_one_byte_of_the_rule_or_its_mapping_more_and_a_person_is_needed(world, what):
    old, new = CHANGES[what]
    assert old in world.config_text
    if what == "table":
        world.data["others"] = [dict(row) for row in world.data["contacts"]]
    world.configure(world.config_text.replace(old, new, 1))
    result = world.sweep()
    assert {row.approval for row in world.targets(result.document["plan"])} == {"needed"}
    assert result.document["outcomes"] == {}
    assert 11 in world.ids()


def test_another_place_behind_the_same_name_needs_a_person(make):
    config = NIGHTLY.replace('connector = "memory"', 'connector = "sql"\nurl = "sqlite:///crm.sqlite"')
    world = proven(make(NIGHTLY, {"contacts": contacts(3)}, kind="sqlite"))
    (world.home / "other.sqlite").write_bytes(world.database.read_bytes())
    world.kind = "moved"
    world.database = world.home / "other.sqlite"
    world.configure(config.replace("crm.sqlite", "other.sqlite"))
    world.kind = "sqlite"
    assert swept(world)[1:] == ("needed", 0)


def test_a_comment_in_the_file_changes_no_rule(world):
    world.configure(world.config_text + "# a remark\n")
    assert swept(world) == (0, "mandate", 3)


@pytest.mark.parametrize(("days", "approval"), [(90, "mandate"), (91, "needed")])
def test_a_mandate_ends_with_its_last_day(make, days, approval):
    world = make(NIGHTLY, {"contacts": contacts(3)})
    world.purge()
    world.mandate(days=90)
    world.clock.forward(days=days)
    world.resume(world.site.today())
    world.insert(**person(11))
    assert swept(world)[1] == approval


def test_a_mandate_of_more_than_ninety_days_is_refused(world):
    with pytest.raises(RefusedError):
        world.mandate(days=91)
    with pytest.raises(CallError):
        world.mandate(days=-1)
    with pytest.raises(CallError):
        world.mandate("nobodys")
    with pytest.raises(CallError):
        world.mandate(max_records=0)
    with pytest.raises(CallError):
        world.mandate(max_growth=0.5)


def test_a_rule_that_asks_a_person_each_time_takes_no_mandate(make):
    world = make(CAPS + CONTACTS + PROSPECTS, {"contacts": contacts(1)})
    with pytest.raises(RefusedError):
        world.mandate()


def test_a_revoked_mandate_covers_nothing_and_is_revoked_once(world):
    world.revoke(1)
    assert swept(world)[1:] == ("needed", 0)
    with pytest.raises(CallError):
        world.revoke(1)
    world.mandate(max_records=3)
    assert swept(world)[1:] == ("mandate", 3)


def test_a_mandate_revoked_between_the_plan_and_its_carrying_out_covers_nothing(world, monkeypatch):
    from ropa.sweep import night
    from ropa.sweep.plan import Planner

    write = Planner.write

    def write_and_revoke(planner, run, crew):
        plan = write(planner, run, crew)
        world.execute("UPDATE mandate SET revoked_at = '2026-11-22 01:30:00'")
        return plan

    monkeypatch.setattr(night.Planner, "write", write_and_revoke)
    assert swept(world)[2] == 0
    assert left(world) == [11, 12, 13]


def test_a_plan_that_grew_beyond_its_factor_needs_a_person(make):
    world = proven(make(NIGHTLY, {"contacts": contacts(3)}), max_records=100, max_growth=2.0)
    for key in (14, 15, 16):
        world.insert(**person(key))
    assert swept(world) == (0, "mandate", 6)
    for key in range(21, 34):
        world.insert(**person(key))
    assert swept(world)[1:] == ("needed", 0)


def test_a_night_without_the_place_does_not_make_room_for_growth(make):
    world = proven(make(NIGHTLY, {"contacts": contacts(3)}), max_records=100, max_growth=2.0)
    world.crm.away_for = {"*"}
    world.sweep()
    world.crm.away_for = set()
    for key in range(14, 18):
        world.insert(**person(key))
    assert swept(world)[1:] == ("needed", 0)


def test_only_nightly_plans_are_covered(world):
    plan = world.plan()
    assert world.target(plan).approval == "needed"
    with pytest.raises(RefusedError):
        world.apply(plan)
    assert left(world) == [11, 12, 13]


def test_a_mandate_of_one_rule_is_none_for_a_target_of_two(make):
    second = RULE.replace("prospects", "second").replace("6 months", "3 months")
    world = make(NIGHTLY + second, {"contacts": contacts(3)})
    world.purge()
    world.mandate()
    world.mandate("second")
    world.insert(**person(11))
    assert swept(world)[1:] == ("needed", 0)


def test_the_targets_that_one_mandate_covers_stay_within_its_number_together(make):
    """Two of the rule's targets may be small each and too many together."""
    config = (
        CAPS
        + CONTACTS.replace("data.name", 'data.birth-date = ["born"]\ndata.name')
        + RULE
        + """
[rule.archive]
activity = "cards"
dataset = "crm.contacts"
data = ["birth-date"]
where = { kind = "member" }
anchor = "created"
period = "1 year"
action = "keep"
reason = "archief"
"""
    )
    rows = [person(1, kind=None, born="1980-01-01"), person(2, kind="member", born="1980-01-01")]
    world = make(config, {"contacts": rows})
    world.purge()
    world.mandate(max_records=3)
    for key in (11, 12):
        world.insert(**person(key, kind=None, born=None))
        world.insert(**person(key + 10, kind="member", born=None))
    result = world.sweep()
    covered = [row for row in world.targets(result.document["plan"]) if row.approval == "mandate"]
    assert [row.records for row in covered] == [2]
    assert sum(result.document["outcomes"].values()) == 2


PARENTS = (
    NIGHTLY
    + """
[location.crm.dataset.letters]
source = "letters"
key = ["id"]
parent = { dataset = "crm.contacts", via = ["contact_id"], with_parent = true }
"""
)


def letters(*contact_ids):
    return [{"id": 1000 + i, "contact_id": key} for i, key in enumerate(contact_ids)]


def test_a_mandate_covers_the_children_that_go_along_when_all_are_within_its_number(make, kind):
    relations = [("letters", "contact_id", "contacts")]
    world = make(PARENTS, {"contacts": contacts(2), "letters": letters(1, 1, 2)}, kind=kind, relations=relations)
    world.purge()
    assert (world.ids(), world.ids("letters")) == ([101], [])
    world.mandate(max_records=4, max_growth=100)
    world.insert(**person(11))
    for key in (2001, 2002, 2003):
        world.insert("letters", id=key, contact_id=11)
    result = world.sweep()
    assert {row.approval for row in world.targets(result.document["plan"])} == {"mandate"}
    assert result.document["outcomes"] == {"purged": 4}
    assert (world.ids(), world.ids("letters")) == ([101], [])
    world.insert(**person(12))
    for key in (3001, 3002, 3003, 3004):
        world.insert("letters", id=key, contact_id=12)
    result = world.sweep()
    assert {row.approval for row in world.targets(result.document["plan"])} == {"needed"}
    assert world.ids("letters") == [3001, 3002, 3003, 3004]


def test_children_that_were_declared_since_need_a_person(make):
    world = make(NIGHTLY, {"contacts": contacts(3), "letters": []})
    proven(world, max_records=10)
    world.data["letters"].append({"id": 7, "contact_id": 11})
    world.configure(PARENTS)
    assert swept(world)[1:] == ("needed", 0)
    assert world.ids("letters") == [7]


@pytest.mark.parametrize("days", [3650, -9000])
@pytest.mark.parametrize("moment", [1, 2, 3])
def test_a_clock_that_jumps_in_mid_run_ends_the_run_and_refuses_nothing_by_a_mandate_of_that_time(
    world, monkeypatch, days, moment
):
    """What was refused by the wrong clock would wait for the next night, though this one is not over."""
    reached = []

    def reach(name):
        reached.append(name)
        if len(reached) == moment:
            world.clock.forward(days=days)

    monkeypatch.setattr(world.crm, "_reach", reach)
    with pytest.raises(RefusedError) as caught:
        world.sweep()
    assert caught.value.code in {"clock-jump", "clock-behind", "clock-forward"}  # the first reach is before the run
    monkeypatch.undo()
    world.clock.forward(days=-days)
    assert swept(world) == (0, "mandate", 3)
    assert left(world) == []
    assert world.audit() == 0
