"""What the run database keeps of records: their keys, as long as a plan may still be carried out, and no content."""

import pytest
from sweep_kit import CAPS, CONTACTS, OLD, PROSPECTS, SIMPLE, day, person

from ropa.errors import RefusedError
from ropa.sweep import show

KEY = "canary-key-5e1d"
NAME = "canary-name-77ab"
LETTERS = """
[location.crm.dataset.letters]
source = "letters"
key = ["id"]
parent = { dataset = "crm.contacts", via = ["contact_id"], with_parent = true }
"""


def people(count=3):
    return [
        {"id": f"{KEY}-{i}", "name": f"{NAME}-{i}", "email": f"{NAME}-{i}@example.org", "created": OLD}
        for i in range(count)
    ]


def on_disk(world, *, token):
    """Tell whether a token stands in the run database, also as SQLite's own files have it with the program at rest."""
    world.reopen()
    return token.encode() in world.bytes_on_disk()


def test_keys_are_there_while_a_plan_waits_and_gone_once_it_is_applied(make):
    world = make(SIMPLE, {"contacts": people()})
    plan = world.plan()
    assert on_disk(world, token=KEY)
    world.approve(plan)
    world.apply(plan)
    assert KEY.encode() not in world.bytes_on_disk(), "at once, while the program still runs"
    assert not on_disk(world, token=KEY)
    assert list(show.records(world.site, plan)) == []
    document = show.plan_document(world.site, plan)
    assert (document["targets"][0]["records"], document["state"]) == (3, "applied")


def test_keys_of_children_leave_with_those_of_their_parents(make):
    tables = {"contacts": people(), "letters": [{"id": f"{KEY}-letter", "contact_id": f"{KEY}-1"}]}
    world = make(SIMPLE + LETTERS, tables)
    assert world.purge().document["outcomes"] == {"purged": 4}
    assert not on_disk(world, token=KEY)


@pytest.mark.parametrize("end", ["rejected", "stale", "lapsed"])
def test_keys_of_a_plan_that_will_not_be_carried_out_leave_too(make, end):
    world = make(SIMPLE, {"contacts": people()})
    plan = world.plan()
    if end == "rejected":
        world.reject(plan)
    elif end == "stale":
        world.approve(plan)
        world.configure(SIMPLE + "# \n")
        with pytest.raises(RefusedError):
            world.apply(plan)
    else:
        world.data["contacts"].clear()
        for _ in range(3):
            world.clock.forward(days=2, hours=12)
            world.plan()
    assert world.state(plan) == end
    assert not on_disk(world, token=KEY)


def test_keys_of_blocked_held_and_stopped_records_leave_with_the_plan(make):
    config = SIMPLE.replace("max_share = 1.0", "max_share = 1.0\nmax_records = 1")
    world = make(config, {"contacts": people(4)})
    world.crm.inner.obstacles[(f"{KEY}-0",)] = "hard-link"
    world.hold("subject", f"{NAME}-1@example.org")
    world.purge()
    assert len(world.ids()) == 4
    assert not on_disk(world, token=KEY)


def test_a_subject_on_hold_is_recognised_and_stands_nowhere_in_clear(make):
    world = make(SIMPLE, {"contacts": people()})
    world.hold("subject", f"{NAME}-1@example.org")
    world.purge()
    assert world.ids() == [f"{KEY}-1"]
    assert not on_disk(world, token=NAME)


def test_no_content_of_a_record_ever_enters_the_state_folder(make, kind):
    rows = [person(i, name=f"{NAME}-{i}", email=f"{NAME}-{i}@example.org") for i in range(1, 6)]
    world = make(SIMPLE, {"contacts": rows}, kind=kind)
    world.hold(key=2)
    plan = world.plan()
    world.approve(plan)
    world.update(3, name=f"{NAME}-other")
    world.apply(plan)
    world.sweep()
    found = [
        path.name for path in (world.home / "var").rglob("*") if path.is_file() and NAME.encode() in path.read_bytes()
    ]
    assert found == []


def test_no_key_of_a_record_ever_enters_the_ledger(make):
    world = make(SIMPLE, {"contacts": people()})
    world.hold(key=f"{KEY}-1")
    world.purge()
    world.sweep()
    ledger = b"".join(path.read_bytes() for path in world.site.ledger_folder.rglob("*") if path.is_file())
    assert KEY.encode() not in ledger
    assert b"Piet" not in ledger, "persons who decide are ids there"


def test_findings_and_errors_name_no_record(make):
    world = make(SIMPLE, {"contacts": [*people(), dict(people(1)[0], id=f"{KEY}-x", created="gisteren")]})
    world.crm.inner.fail[(f"{KEY}-0",)] = "locked"
    world.purge()
    said = repr(world.execute("SELECT * FROM finding").all())
    assert "no-anchor" in said
    assert "outcome-failed" in said
    assert KEY not in said
    assert NAME not in said


FLAG = CAPS + CONTACTS + PROSPECTS.replace('"purge"', '"flag"')


def test_a_flag_is_forgotten_when_its_record_is_gone_or_no_longer_due(make):
    """Else the list of what was once flagged would outlive the records."""
    world = make(FLAG, {"contacts": people()})
    assert world.sweep().document["outcomes"] == {"flagged": 3}
    del world.data["contacts"][0]
    world.data["contacts"][0]["created"] = "2026-11-01"
    world.clock.forward(days=1)
    world.sweep()
    assert world.execute("SELECT count(*) FROM flagged_record").scalar() == 1
    assert not on_disk(world, token=f"{KEY}-0")
    world.data["contacts"][0]["created"] = OLD
    assert world.sweep().document["outcomes"] == {"flagged": 1}


def test_flags_are_not_forgotten_by_a_listing_that_was_not_whole(make):
    world = make(FLAG, {"contacts": people()})
    world.sweep()
    world.crm.inner.incomplete = True
    world.sweep()
    world.crm.inner.incomplete = False
    assert world.sweep().document["outcomes"] == {}


def test_a_forecast_or_a_look_into_the_past_forgets_no_flag(make):
    world = make(FLAG, {"contacts": people()})
    world.sweep()
    world.clock.forward(days=1)
    world.plan(as_of=day("2020-02-01"))
    world.plan(as_of=day("2030-02-01"))
    assert world.sweep().document["outcomes"] == {}
