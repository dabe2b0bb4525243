"""Units: where batches end, what is prepared ahead, and what a place is asked when the last one is done."""

import threading

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from sweep_kit import CAPS, CONTACTS, PROSPECTS, SIMPLE, contacts, person

from ropa.connector import Batch, Tally
from ropa.errors import LedgerError, LocationError
from ropa.sweep import show, units
from ropa.sweep.tables import BatchRow

LETTERS = """
[location.crm.dataset.letters]
source = "letters"
key = ["id"]
parent = { dataset = "crm.contacts", via = ["contact_id"], with_parent = true }
"""


def approved(world):
    plan = world.plan()
    world.approve(plan)
    return plan


# --- where batches end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listed", [1, 3, 5, 7])
def test_batches_of_the_listing_and_of_the_deletion_need_not_end_alike(make, listed):
    world = make(SIMPLE, {"contacts": contacts(7)})
    find = world.crm.inner.find

    def otherwise(selection):
        found = [record for batch in find(selection) for record in batch.records]
        for start in range(0, len(found), listed):
            yield Batch.of(selection.dataset, found[start : start + listed])

    world.crm.inner.find = otherwise
    world.hold(key=4)
    plan = world.plan()
    assert [record["key"] for record in show.records(world.site, plan)] == [[str(key)] for key in range(1, 8)]
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 6}
    assert [event["leaves"] for event in world.events("intent")] == [2, 2, 2]
    assert world.ids() == [4, 101]


@pytest.mark.parametrize("method", ["act", "remaining", "settle"])
@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_unit_that_was_cut_off_is_settled_and_the_next_run_goes_on_behind_it(make, method, done):
    world = make(SIMPLE, {"contacts": contacts(7)})
    world.hold(key=2)
    plan = approved(world)
    world.crm.after_act = world.crm.before_act = None

    def go_away(*_):
        if len(world.crm.acts) >= done:
            world.crm.away_for = {method}

    world.crm.before_act = go_away
    if done == 0 and method == "act":
        world.crm.away_for = {"act"}
    world.apply(plan)
    world.crm.away_for, world.crm.before_act = set(), None
    for _ in range(2):
        if world.state(plan) == "approved":
            world.apply(plan)
    assert world.state(plan) == "applied"
    assert sum(world.target(plan).outcomes.values()) == 6
    assert world.ids() == [2, 101]
    assert world.audit() == 0


@pytest.mark.parametrize("at_once", [1, 2, 250_000])
def test_plans_are_compared_a_share_of_the_records_at_a_time(make, monkeypatch, at_once):
    monkeypatch.setattr(show, "_AT_ONCE", at_once)
    world = make(SIMPLE, {"contacts": contacts(5)})
    before = world.plan()
    world.remove(2)
    for key in (11, 12, 13):
        world.insert(**person(key))
    after = world.plan()
    (target,) = show.plan_diff(world.site, before, after)["targets"]
    assert (target["came"], target["went"]) == (3, 1)


# --- what is prepared ahead ------------------------------------------------------------------------------------------


def test_the_next_unit_is_prepared_while_the_place_acts_and_nothing_of_it_is_written(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(4)})
    plan = approved(world)
    formatted, prepared, seen = units._formatted, threading.Semaphore(0), []

    def told(row, records):
        found = formatted(row, records)
        prepared.release()
        return found

    def look(_selection, _batch):
        assert prepared.acquire(timeout=30)
        assert len(world.crm.acts) or prepared.acquire(timeout=30), "the second unit is prepared by now"
        with Session(world.site.engine) as session:
            rows = session.scalar(select(func.count()).select_from(BatchRow))
        seen.append((len(world.events("intent")), len(list((world.site.ledger_folder / "batches").iterdir())), rows))
        prepared.release()

    monkeypatch.setattr(units, "_formatted", told)
    world.crm.before_act = look
    assert world.apply(plan).document["outcomes"] == {"purged": 4}
    assert seen == [(1, 1, 1), (2, 2, 2)]


def test_what_goes_wrong_while_the_next_unit_is_prepared_comes_after_the_receipt_of_this_one(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(5)})
    plan = approved(world)
    formatted, rows = units._formatted, []

    def broken(row, records):
        rows.append(row)
        if len(rows) == 2:
            raise LedgerError("no")
        return formatted(row, records)

    monkeypatch.setattr(units, "_formatted", broken)
    with pytest.raises(LedgerError):
        world.apply(plan)
    assert (len(world.events("intent")), len(world.events("receipt"))) == (1, 1)
    assert world.ids() == [3, 4, 5, 101]
    assert world.apply(plan).document["outcomes"] == {"purged": 3}


# --- a listing that tells more ---------------------------------------------------------------------------------------


def test_a_listing_that_saw_every_record_saves_counting_and_looking_for_the_undated(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    find, asked = world.crm.inner.find, []

    def telling(selection):
        asked.append(selection.undated)
        yield from find(selection)
        return Tally(40, 2)

    world.crm.inner.find = telling
    world.crm.away_for = {"count"}
    target = world.target(world.plan())
    assert (target.population, target.unanchored, target.records) == (40, 2, 3)
    assert asked == [False]


def test_a_place_that_goes_away_when_it_is_counted_leaves_nothing_of_its_listing(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    world.crm.away_for = {"count"}
    plan = world.plan()
    target = world.target(plan)
    assert (target.stopped_by, target.population, target.due, target.ages) == (
        "unreachable",
        None,
        0,
        {"<=30": 0, "<=365": 0, ">365": 0},
    )
    assert list(show.records(world.site, plan)) == []


# --- when the last unit is done --------------------------------------------------------------------------------------


def finishing(world, level="logical"):
    """Note each time the place is asked to finish."""
    asked = []

    def finish(dataset):
        asked.append((dataset, len(world.events("receipt"))))
        if isinstance(level, BaseException):
            raise level
        return level

    world.crm.inner.finish = finish
    return asked


def test_a_place_finishes_once_after_the_last_batch_and_what_it_says_is_shown(make):
    world = make(SIMPLE, {"contacts": contacts(5)})
    asked = finishing(world)
    plan = approved(world)
    assert show.plan_document(world.site, plan)["targets"][0]["level"] is None
    (target,) = world.apply(plan).document["targets"]
    assert asked == [("contacts", 3)]
    assert target["level"] == "logical"
    assert show.plan_document(world.site, plan)["targets"][0]["level"] == "logical"
    assert {event["level"] for event in world.events("receipt")} == {"physical"}, "what was true then"


def test_each_dataset_of_a_family_is_finished(make):
    tables = {"contacts": contacts(2), "letters": [{"id": 7, "contact_id": 1}]}
    world = make(SIMPLE + LETTERS, tables)
    asked = finishing(world)
    world.apply(approved(world))
    assert sorted(asked) == [("contacts", 2), ("letters", 2)]


def test_where_nothing_was_erased_nothing_is_finished(make):
    flag = PROSPECTS.replace('"purge"', '"flag"')
    for config, change in ((SIMPLE, {"name": "Anders"}), (CAPS + CONTACTS + flag, {})):
        world = make(config, {"contacts": contacts(1)})
        asked = finishing(world)
        plan = approved(world)
        world.update(1, **change)
        world.apply(plan)
        assert world.state(plan) == "applied"
        assert asked == []


def test_a_place_that_goes_away_while_it_finishes_is_told_and_what_was_done_stands(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    finishing(world, LocationError("crm is away"))
    plan = approved(world)
    result = world.apply(plan)
    assert (result.exit_code, result.document["outcomes"]) == (5, {"purged": 3})
    assert result.document["targets"][0]["level"] is None
    assert world.state(plan) == "applied"


def test_a_run_that_was_cut_off_before_it_finished_is_followed_by_one_that_does(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    finishing(world, KeyboardInterrupt())
    plan = approved(world)
    with pytest.raises(KeyboardInterrupt):
        world.apply(plan)
    asked = finishing(world, "physical")
    assert world.apply(plan).exit_code == 0
    assert asked == [("contacts", 2)]
    assert (world.target(plan).level, world.state(plan)) == ("physical", "applied")


def test_a_run_whose_rules_do_not_fit_in_one_line_tells_of_all_together(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(3)})
    plan = approved(world)
    monkeypatch.setattr("ropa.sweep.run._ROOM", 10)
    world.apply(plan)
    assert [event["rules"] for event in world.events("run_end")][-1] == {"*": {"purged": 3}}
