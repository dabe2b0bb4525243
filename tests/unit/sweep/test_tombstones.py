"""Tombstones: what was erased is recognised after a restore, is planned for a person, and nothing else is."""

import json
import shutil
import stat
import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sqlmodel import col
from sweep_kit import CAPS, CONTACTS, FRESH, HEAD, PROSPECTS, SIMPLE, contacts, person

from ropa.errors import BusyError, CallError, CheckError, LocationError, RefusedError
from ropa.ledger.leaf import leaf
from ropa.sweep import tombstones
from ropa.sweep.acting import Actor
from ropa.sweep.findings import open_findings
from ropa.sweep.journal import writing
from ropa.sweep.recognising import Lookup
from ropa.sweep.restored import reapply
from ropa.sweep.standing import State, standings
from ropa.sweep.tables import TombstoneKey, TombstoneRow

LETTERS = """
[location.crm.dataset.letters]
source = "letters"
key = ["id"]
parent = { dataset = "crm.contacts", via = ["contact_id"], with_parent = true }
"""
MANDATED = SIMPLE.replace('action = "purge"', 'action = "purge"\napproval = "mandate"')
CAPPED = HEAD + "[safety]\nmax_share = 1.0\nmax_records = 3\n" + CONTACTS + PROSPECTS


class Killed(BaseException):
    """What a process dies of here."""


def again(world, location="crm"):
    """Look for what came back, as ``ropa reapply`` does; return its document."""
    return reapply(world.site, location, by="Mia Maker").document


def backup(world):
    """Keep the place as it is now; return what puts it back."""
    if world.kind == "memory":
        kept = {table: [dict(row) for row in rows] for table, rows in world.data.items()}

        def restore():
            for table, rows in kept.items():
                world.data[table][:] = [dict(row) for row in rows]
    else:
        copy = world.database.with_name("backup.sqlite")
        shutil.copy(world.database, copy)

        def restore():
            world.site.close()
            shutil.copy(copy, world.database)
            world.reopen()

    return restore


def stones(world):
    """Return how many tombstones there are by (dataset, key name)."""
    with Session(world.site.engine) as session:
        rows = session.execute(
            select(col(TombstoneRow.dataset), col(TombstoneRow.key_name), func.sum(col(TombstoneRow.count))).group_by(
                col(TombstoneRow.dataset), col(TombstoneRow.key_name)
            )
        )
        return {(dataset, name): count for dataset, name, count in rows}


def of(document, dataset="crm.contacts"):
    """Return (came back, planned, left) of one dataset."""
    found = next(d for d in document["datasets"] if d["dataset"] == dataset)
    return found["came_back"], found["planned"], found["left"]


def keys(world):
    return sorted((world.home / "var" / "keys" / "tombstones").glob("*"))


def restored(world):
    return sorted((row.entry, row.source, row.message) for row in open_findings(world.site) if row.code == "restored")


# --- what is written ------------------------------------------------------------------------------------------------


def test_each_purged_record_has_a_tombstone_that_only_its_key_file_opens(make, kind):
    world = make(SIMPLE, {"contacts": contacts(5)}, kind=kind)
    world.purge()
    assert stones(world) == {("contacts", "2026-11"): 5}
    (path,) = keys(world)
    assert path.name == "crm.2026-11.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    secret = path.read_bytes()
    with Session(world.site.engine) as session:
        rows = session.scalars(select(TombstoneRow).order_by(col(TombstoneRow.id))).all()
        assert [row.count for row in rows] == [2, 2, 1]
        marks = [row.marks[i : i + 16] for row in rows for i in range(0, len(row.marks), 16)]
    expected = {leaf(secret, "crm", "contacts", (str(key),))[:16] for key in range(1, 6)}
    assert set(marks) == expected
    assert all(marks[i : i + 2] == sorted(marks[i : i + 2]) for i in range(0, 5, 2))
    assert secret not in world.bytes_on_disk()


def test_what_stayed_or_could_not_be_seen_gone_has_no_tombstone(make):
    world = make(SIMPLE, {"contacts": contacts(6)})
    plan = world.plan()
    world.approve(plan)
    world.hold(key=2)
    world.update(3, created=FRESH)
    world.remove(4)
    world.crm.lies = {("5",)}
    world.apply(plan)
    assert stones(world) == {("contacts", "2026-11"): 3}  # 1 and 6 purged, 4 absent
    with Session(world.site.engine) as session:
        found = Lookup(world.site, session, "crm", "contacts").matches([(str(key),) for key in range(1, 7)])
    assert sorted(found) == [0, 3, 5]


def test_fields_that_were_cleared_have_none_because_their_rule_is_due_again(make):
    config = SIMPLE.replace('action = "purge"', 'action = "anonymise"')
    world = make(config, {"contacts": contacts(3)})
    restore = backup(world)
    world.purge()
    assert stones(world) == {}
    restore()
    assert world.purge().document["outcomes"] == {"anonymised": 3}


def test_a_location_that_says_none_keeps_none_and_reapply_says_so(make):
    world = make(SIMPLE.replace("batch_size = 2", 'batch_size = 2\nbackups_kept = "none"'), {"contacts": contacts(2)})
    world.purge()
    assert stones(world) == {}
    assert keys(world) == []
    with pytest.raises(CallError, match="backups_kept"):
        again(world)


# --- what came back -------------------------------------------------------------------------------------------------


def test_what_a_restore_brought_back_is_planned_for_a_person_and_goes_again(make, kind):
    world = make(SIMPLE, {"contacts": contacts(5)}, kind=kind)
    restore = backup(world)
    world.purge()
    assert world.ids() == [101]
    restore()
    world.insert(**person(50))  # due, and never erased before: not what came back
    document = again(world)
    assert of(document) == (5, 5, {})
    plan = document["plan"]
    assert world.state(plan) == "pending"
    assert world.planned(plan) == [("crm.contacts", str(key)) for key in range(1, 6)]
    assert world.target(plan).approval == "needed"
    assert document["digest"].removeprefix("sha256:") in {event["plan"] for event in world.events("plan")}
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 5}
    assert world.ids() == [50, 101]
    assert of(again(world)) == (0, 0, {})


def test_where_nothing_came_back_there_is_no_plan(make, kind):
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    world.purge()
    document = again(world)
    assert (document["plan"], of(document)) == (None, (0, 0, {}))
    assert document["known_since"] == "2026-11-21"
    assert world.events("reapply")[-1]["came_back"] == 0
    assert not restored(world)


def test_no_mandate_covers_what_came_back(make):
    world = make(MANDATED, {"contacts": contacts(2)})
    restore = backup(world)
    world.purge()
    world.mandate()
    restore()
    plan = again(world)["plan"]
    assert world.target(plan).approval == "needed"
    with pytest.raises(RefusedError, match="approval"):
        world.apply(plan)
    assert world.ids() == [1, 2, 101]


def test_a_new_record_under_an_old_key_is_told_apart_and_stays(make, kind):
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    world.purge()
    world.insert(**person(2, FRESH))
    document = again(world)
    assert (document["plan"], of(document)) == (None, (1, 0, {"not-due": 1}))
    assert [entry for entry, _, _ in restored(world)] == ["crm.contacts (not-due)"]
    assert world.ids() == [2, 101]


def test_a_new_record_under_an_old_key_that_is_due_by_now_is_not_taken_for_the_old_one(make):
    world = make(SIMPLE.replace("6 months", "10 days"), {"contacts": contacts(3, kept=0)})
    world.purge()
    world.insert(**person(2, "2026-11-21"))
    world.insert(**person(3))  # the old one
    for _ in range(13):
        world.clock.forward(days=1)
        world.halt()
        world.resume()
    document = again(world)
    assert of(document) == (2, 1, {"not-due": 1})
    assert world.planned(document["plan"]) == [("crm.contacts", "3")]


def test_a_hold_placed_since_spares_what_came_back_in_the_plan_and_in_the_act(make):
    world = make(SIMPLE, {"contacts": contacts(4)})
    restore = backup(world)
    world.purge()
    restore()
    world.hold(key=1)
    plan = again(world)["plan"]
    assert world.planned(plan, "held") == [("crm.contacts", "1")]
    world.approve(plan)
    world.hold(key=2)
    assert world.apply(plan).document["outcomes"] == {"held": 1, "purged": 2}
    assert world.ids() == [1, 2, 101]


def test_what_came_back_beyond_a_cap_is_planned_and_stopped_whole(make):
    world = make(SIMPLE, {"contacts": contacts(4)})
    restore = backup(world)
    world.purge()
    restore()
    world.configure(CAPPED)
    plan = again(world)["plan"]
    assert (world.target(plan).records, world.target(plan).stopped_by) == (4, "cap-records")
    world.approve(plan)
    assert world.apply(plan).exit_code == 4
    assert world.ids() == [1, 2, 3, 4, 101]


def test_children_that_went_with_their_parents_go_with_them_again(make, kind):
    tables = {"contacts": contacts(2), "letters": [{"id": 10 + i, "contact_id": 1 + i % 2} for i in range(4)]}
    relations = [("letters", "contact_id", "contacts")]
    world = make(CAPS + CONTACTS + LETTERS + PROSPECTS, tables, kind=kind, relations=relations)
    restore = backup(world)
    world.purge()
    assert stones(world) == {("contacts", "2026-11"): 2, ("letters", "2026-11"): 4}
    restore()
    document = again(world)
    assert (of(document), of(document, "crm.letters")) == ((2, 2, {}), (4, 4, {}))
    world.approve(document["plan"])
    assert world.apply(document["plan"]).document["outcomes"] == {"purged": 6}
    assert (world.ids(), world.ids("letters")) == ([101], [])


def test_a_child_that_came_back_without_its_parent_is_told_and_stays(make):
    tables = {"contacts": contacts(1), "letters": [{"id": 10, "contact_id": 1}, {"id": 11, "contact_id": 1}]}
    world = make(CAPS + CONTACTS + LETTERS + PROSPECTS, tables)
    world.purge()
    world.insert("letters", id=10, contact_id=101)
    document = again(world)
    assert (document["plan"], of(document, "crm.letters")) == (None, (1, 0, {"parent-not-planned": 1}))
    assert [entry for entry, _, _ in restored(world)] == ["crm.letters (parent-not-planned)"]


def test_what_a_rule_erased_that_is_gone_is_told_and_not_planned(make):
    world = make(SIMPLE, {"contacts": contacts(2)})
    restore = backup(world)
    world.purge()
    restore()
    world.configure(SIMPLE.replace("rule.prospects", "rule.others"))
    document = again(world)
    assert (document["plan"], of(document)) == (None, (2, 0, {"rule-gone": 2}))
    assert [entry for entry, _, _ in restored(world)] == ["crm.contacts (rule-gone)"]


def test_a_dataset_that_is_gone_is_told_as_not_known(make):
    world = make(SIMPLE, {"contacts": contacts(2)})
    world.purge()
    world.configure(SIMPLE.replace("dataset.contacts", "dataset.people").replace("crm.contacts", "crm.people"))
    assert of(again(world))[2] == {"dataset-gone": 2}


def test_a_rule_that_has_become_longer_keeps_what_came_back(make):
    world = make(SIMPLE, {"contacts": contacts(2)})
    restore = backup(world)
    world.purge()
    restore()
    world.configure(SIMPLE.replace("6 months", "10 years"))
    document = again(world)
    assert (document["plan"], of(document)) == (None, (2, 0, {"not-due": 2}))


def test_a_key_that_two_rules_erased_in_turn_is_planned_once(make, kind):
    split = CAPS + CONTACTS.replace("data.name", 'data.kind = ["kind"]\ndata.name')
    rule = PROSPECTS.replace('anchor = "created"', 'anchor = "created"\nwhere = {{ kind = "{0}" }}').replace(
        "rule.prospects", "rule.{0}"
    )
    world = make(split + rule.format("lead") + rule.format("client"), {"contacts": contacts(2, kind="lead")}, kind=kind)
    world.purge()
    world.insert(**person(1, kind="client"))
    world.purge()
    world.insert(**person(1, kind="client"))
    world.insert(**person(2, kind="lead"))
    document = again(world)
    assert of(document) == (2, 2, {})
    assert world.planned(document["plan"]) == [("crm.contacts", "1"), ("crm.contacts", "2")]


# --- what such a plan does not do -----------------------------------------------------------------------------------


def test_a_plan_of_what_came_back_says_nothing_of_the_rest(make):
    world = make(MANDATED, {"contacts": contacts(3)})
    restore = backup(world)
    world.purge()
    restore()
    world.insert(**person(50))
    full = world.plan()
    world.clock.forward(hours=1)
    plan = again(world)["plan"]
    (standing,) = standings(world.site.engine, world.loaded, world.site.targets, today=world.site.today())
    assert (standing.plan, standing.counts.due) == (full, 4)
    world.approve(plan)
    world.apply(plan)
    world.clock.forward(hours=1)
    assert world.target(world.plan()).previous_records == 4  # growth is told from the plan before that was whole
    (standing,) = standings(world.site.engine, world.loaded, world.site.targets, today=world.site.today())
    assert (standing.counts.due, standing.counts.done_total, standing.counts.done_last) == (1, 6, 3)
    assert standing.state is not State.ENFORCED


def test_a_plan_of_what_came_back_does_not_prove_a_changed_rule_to_a_mandate(make):
    world = make(MANDATED, {"contacts": contacts(2)})
    restore = backup(world)
    world.purge()
    restore()
    world.configure(MANDATED.replace("6 months", "5 months"))
    plan = again(world)["plan"]
    world.approve(plan)
    world.apply(plan)
    world.insert(**person(50))
    world.mandate()
    world.sweep()
    assert 50 in world.ids()


# --- every night ----------------------------------------------------------------------------------------------------


def test_each_sweep_tells_how_many_of_what_is_due_had_been_erased_before(make, kind):
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    restore = backup(world)
    world.purge()
    world.sweep()
    assert not restored(world)
    restore()
    world.insert(**person(50))
    world.clock.forward(days=1)
    world.sweep()
    ((entry, source, message),) = restored(world)
    assert (entry, source) == ("crm.contacts", "plan")
    assert message.startswith("3 records")
    world.purge()
    world.clock.forward(days=1)
    world.sweep()
    assert not restored(world)


def test_children_that_came_back_with_their_parents_are_told_by_the_sweep(make):
    tables = {"contacts": contacts(2), "letters": [{"id": 10, "contact_id": 1}, {"id": 11, "contact_id": 2}]}
    world = make(CAPS + CONTACTS + LETTERS + PROSPECTS, tables)
    restore = backup(world)
    world.purge()
    restore()
    world.sweep()
    assert [(entry, message[0]) for entry, _, message in restored(world)] == [
        ("crm.contacts", "2"),
        ("crm.letters", "2"),
    ]


def test_on_an_ordinary_night_no_tombstone_is_read(make, monkeypatch):
    world = make(SIMPLE, {"contacts": [*contacts(3, kept=0), person(60, "2026-05-21"), person(61, "2026-05-22")]})
    world.purge()
    monkeypatch.setattr(Lookup, "matches", lambda *_: pytest.fail("looked up"))
    world.clock.forward(days=2)
    world.sweep()
    assert world.ids() == [60, 61]


# --- the end of tombstones ------------------------------------------------------------------------------------------


def days_later(world, days):
    """Let days pass as a night job does: one sweep each third day, so that no clock gate closes."""
    for _ in range(0, days, 3):
        world.clock.forward(days=3)
        world.sweep()


def test_key_and_rows_go_at_the_first_sweep_after_the_oldest_backup_has_expired(make):
    world = make(SIMPLE.replace("batch_size = 2", 'batch_size = 2\nbackups_kept = "P9D"'), {"contacts": contacts(3)})
    restore = backup(world)
    world.purge()
    (path,) = keys(world)
    secret = path.read_bytes()
    days_later(world, 18)  # 9 December: 30 November and nine days
    assert stones(world)
    assert path.exists()
    days_later(world, 3)
    assert stones(world) == {}
    assert keys(world) == []
    with Session(world.site.engine) as session:
        (row,) = session.scalars(select(TombstoneKey)).all()
    assert row.destroyed_at is not None
    mark = leaf(secret, "crm", "contacts", ("1",))[:16]
    assert mark not in world.bytes_on_disk()
    restore()
    with pytest.raises(CheckError, match="cannot be recognised any more"):
        again(world)


def test_each_month_has_a_key_of_its_own_and_goes_by_itself(make):
    world = make(SIMPLE.replace("batch_size = 2", 'batch_size = 2\nbackups_kept = "P9D"'), {"contacts": contacts(2)})
    restore = backup(world)
    world.purge()
    days_later(world, 12)
    world.insert(**person(50))
    world.purge()
    assert stones(world) == {("contacts", "2026-11"): 2, ("contacts", "2026-12"): 1}
    days_later(world, 9)
    restore()
    world.insert(**person(50))
    document = again(world)
    assert document["known_since"] == "2026-12-03"
    assert of(document) == (1, 1, {})


def test_a_destruction_that_was_cut_off_is_finished_by_the_next_sweep(make, monkeypatch):
    world = make(SIMPLE.replace("batch_size = 2", 'batch_size = 2\nbackups_kept = "P1D"'), {"contacts": contacts(2)})
    world.purge()
    days_later(world, 9)

    def dies(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(tombstones, "delete", dies)
        world.clock.forward(days=2)
        with pytest.raises(Killed):
            world.sweep()
    world.reopen()
    assert (keys(world), bool(stones(world))) == ([], True)
    world.sweep()
    assert stones(world) == {}


# --- kills ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["note_settled", "_forget_flags"])
def test_a_kill_between_receipt_and_tombstones_loses_none(make, monkeypatch, step, kind):
    world = make(SIMPLE, {"contacts": contacts(5)}, kind=kind)
    restore = backup(world)
    plan = world.plan()
    world.approve(plan)

    def dies(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Actor, step, dies)
        with pytest.raises(Killed):
            world.apply(plan)
    assert len(world.events("receipt")) == 1
    assert stones(world) == {}
    world.reopen()
    world.apply(plan)
    assert stones(world) == {("contacts", "2026-11"): 5}
    restore()
    assert of(again(world)) == (5, 5, {})


def test_a_kill_between_deletion_and_receipt_loses_none(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(3)})
    restore = backup(world)
    plan = world.plan()
    world.approve(plan)

    def dies(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Actor, "write_receipt", dies)
        with pytest.raises(Killed):
            world.apply(plan)
    world.reopen()
    world.apply(plan)
    restore()
    assert of(again(world)) == (3, 3, {})


def test_a_key_file_without_its_row_is_taken_and_not_written_over(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(2)})
    path = tombstones.key_path(world.site, "crm", "2026-11")
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(b"k" * 32)
    world.purge()
    assert path.read_bytes() == b"k" * 32
    assert stones(world) == {("contacts", "2026-11"): 2}


def test_without_room_for_the_key_nothing_is_erased(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(2)})
    plan = world.plan()
    world.approve(plan)

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tombstones, "write_durably", full)
    with pytest.raises((OSError, RefusedError)):
        world.apply(plan)
    assert world.ids() == [1, 2, 101]
    assert world.events("intent") == []
    world.is_sound = False


def test_a_receipt_that_is_settled_after_the_month_s_end_still_has_its_tombstones(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(2)})
    restore = backup(world)
    plan = world.plan()
    world.approve(plan)

    def dies(*_args, **_kwargs):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Actor, "note_settled", dies)
        with pytest.raises(Killed):
            world.apply(plan)
    world.reopen()
    for _ in range(5):
        world.clock.forward(days=2)
        world.halt()
        world.resume()
    world.sweep()
    assert stones(world) == {("contacts", "2026-12"): 2}
    restore()
    assert of(again(world)) == (2, 2, {})


# --- what cannot be known, or not now -------------------------------------------------------------------------------


def test_a_location_where_nothing_was_erased_has_nothing_that_could_come_back(make):
    world = make(SIMPLE, {"contacts": contacts(2)})
    document = again(world)
    assert (document["known_since"], document["plan"], document["datasets"]) == (None, None, [])


def test_an_unknown_location_is_a_wrong_call_that_names_the_known_ones(make):
    world = make(SIMPLE, {"contacts": contacts(2)})
    with pytest.raises(CallError, match="no location") as raised:
        again(world, "crn")
    assert "crm" in raised.value.next_step
    assert len(world.events()) == 1


def test_records_erased_before_there_were_tombstones_are_said_not_to_be_known(make):
    world = make(SIMPLE, {"contacts": contacts(2)})
    world.purge()
    world.execute("DELETE FROM tombstone")
    world.execute("DELETE FROM tombstone_key")
    with pytest.raises(CheckError, match="cannot be recognised"):
        again(world)


def test_a_location_that_is_away_leaves_no_plan(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    restore = backup(world)
    world.purge()
    restore()
    world.crm.away_for = {"check"}
    with pytest.raises(LocationError):
        again(world)
    world.crm.away_for = {"count"}  # after the listing
    with pytest.raises(LocationError):
        again(world)
    world.crm.away_for = set()
    assert not any(row["state"] == "pending" for row in plans(world))
    assert of(again(world)) == (3, 3, {})


def plans(world):
    from ropa.sweep.show import plan_list

    return plan_list(world.site)


def test_a_clock_of_the_location_that_is_off_refuses(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    world.purge()
    world.crm.skew = timedelta(minutes=6)
    with pytest.raises(RefusedError, match="clock"):
        again(world)


def test_another_run_under_way_is_waited_for_by_nobody(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    world.purge()
    raised = []
    with writing(world.site):

        def other():
            try:
                again(world)
            except BusyError as error:
                raised.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(raised) == 1


@pytest.mark.parametrize("spoil", ["missing", "short", "other"])
def test_a_lost_key_is_said_and_is_followed_by_a_new_one(make, spoil):
    world = make(SIMPLE, {"contacts": contacts(2)})
    restore = backup(world)
    world.purge()
    (path,) = keys(world)
    if spoil == "missing":
        path.unlink()
    else:
        path.write_bytes(b"x" * (31 if spoil == "short" else 32))
    with pytest.raises(CheckError, match="lost"):
        again(world)
    world.insert(**person(50))
    world.purge()  # purging goes on
    assert stones(world) == {("contacts", "2026-11"): 2, ("contacts", "2026-11.2"): 1}
    restore()
    world.insert(**person(50))
    result = reapply(world.site, "crm", by="Mia Maker")
    assert result.exit_code == 3
    assert result.document["unreadable"] == 2
    assert of(result.document) == (1, 1, {})


def test_a_key_that_others_can_read_stops_before_anything_is_erased(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    world.purge()
    (path,) = keys(world)
    world.insert(**person(50))
    plan = world.plan()
    world.approve(plan)
    path.chmod(0o640)
    before = len(world.events())
    with pytest.raises(CallError, match="closed to everyone else"):
        world.apply(plan)
    assert 50 in world.ids()
    for call in (world.plan, world.sweep, lambda: again(world)):
        with pytest.raises(CallError, match="closed to everyone else"):
            call()
    assert len(world.events()) == before
    path.chmod(0o600)
    world.apply(plan)


def test_no_key_of_a_record_stands_in_what_is_told(make):
    token = "zq7-canary"
    config = SIMPLE
    world = make(config, {"contacts": [person(1) | {"id": token}, *contacts(0)]})
    restore = backup(world)
    world.purge()
    restore()
    document = again(world)
    assert of(document)[0] == 1
    told = json.dumps(document) + json.dumps(world.events()) + repr(restored(world))
    assert token not in told


@pytest.mark.whole
def test_a_simulated_year_keeps_no_more_keys_than_backups_need(make):
    world = make(SIMPLE.replace("batch_size = 2", 'batch_size = 2\nbackups_kept = "P30D"'), {"contacts": contacts(1)})
    world.purge()
    for month in range(8):
        days_later(world, 30)
        world.insert(**person(200 + month))
        world.purge()
    assert len(keys(world)) <= 3
