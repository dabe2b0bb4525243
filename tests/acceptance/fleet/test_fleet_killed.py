"""Workers, schedulers and coordinators that die at the worst moment: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from fleet_kit import SHORT, Bed, People, open_intents, receipts, until

from ropa.sweep import holds
from ropa.sweep.halting import halt

IMPATIENT = "import ropa.sweep.fleet as f; f.PATIENCE_SECONDS = 1.0; f._COUNT_SECONDS = 0.5\n"


@pytest.fixture
def people(tmp_path: Path) -> People:
    return People.make(tmp_path / "p")


def attempts(people: People, kind: str) -> list[int]:
    state = people.state
    found = [row.attempts for row in state.ask("SELECT attempts FROM work_item WHERE kind = :kind", kind=kind)]
    state.close()
    return found


def planned(people: People) -> list[tuple[int, int]]:
    """Of each target of each plan how many are due, and how many have been written down."""
    state = people.state
    rows = state.ask(
        "SELECT t.due, (SELECT sum(b.count) FROM planned_block b WHERE b.target_id = t.id) AS written FROM plan_target t"
    )
    state.close()
    return [(row.due, row.written) for row in rows]


@pytest.mark.whole
def test_a_worker_that_is_killed_in_mid_list_is_replaced_by_another(fleet: Bed, address: str, people: People) -> None:
    before = people.shut() + SHORT
    for _ in range(2):
        fleet.worker(people.folder, address, before=before)
    run = fleet.start(people.folder, "plan", "--by", "An", address=address)
    first = people.stopped("list")
    fleet.of(first).end()
    people.stopped("list", beside=first)
    people.open()
    assert run.ended().code == 0
    assert attempts(people, "list") == [2]
    assert planned(people) == [(8, 8)]


def test_a_worker_that_is_killed_in_mid_act_is_replaced_by_another(fleet: Bed, address: str, people: People) -> None:
    plan = people.approve()
    before = people.shut() + SHORT
    for _ in range(2):
        fleet.worker(people.folder, address, before=before)
    run = fleet.start(people.folder, "apply", str(plan), address=address)
    first = people.stopped("act")
    assert people.left() == 6
    fleet.of(first).end()
    people.stopped("act", beside=first)
    people.open()
    ended = run.ended()
    assert (ended.code, ended.document["outcomes"]) == (0, {"absent": 2, "purged": 6})
    assert max(attempts(people, "act")) == 2
    assert people.left() == 0
    people.is_sound()


@pytest.mark.whole
def test_a_worker_that_slept_beyond_its_lease_commits_nothing_any_more(
    fleet: Bed, address: str, people: People
) -> None:
    before = people.shut() + SHORT
    for _ in range(2):
        fleet.worker(people.folder, address, before=before)
    run = fleet.start(people.folder, "plan", "--by", "An", address=address)
    first = people.stopped("list")
    fleet.of(first).signal(signal.SIGSTOP)
    people.stopped("list", beside=first)
    people.open()
    assert run.ended().code == 0
    assert (attempts(people, "list"), planned(people)) == ([2], [(8, 8)])
    before_it_woke = planned(people), people.state.ask("SELECT fencing, owner FROM work_item")
    fleet.of(first).signal(signal.SIGCONT)
    until(lambda: fleet.of(first).said.count('"connected"') == 2, "the sleeper is a worker again")
    assert (planned(people), people.state.ask("SELECT fencing, owner FROM work_item")) == before_it_woke


@pytest.mark.whole
def test_without_its_scheduler_a_run_ends_with_5_and_the_next_one_settles_it(fleet: Bed, people: People) -> None:
    plan = people.approve()
    scheduler = fleet.scheduler()
    worker = fleet.worker(people.folder, scheduler.address, before=people.shut())
    run = fleet.start(people.folder, "apply", str(plan), address=scheduler.address)
    people.stopped("act")
    scheduler.end(signal.SIGKILL)
    ended = run.ended()
    assert ended.code == 5, ended.err
    assert len(open_intents(people.ledger)) == 1
    people.open()
    until(lambda: '"disconnected"' in worker.said, "the worker notices")
    result = people.apply(plan)
    assert (result.exit_code, people.left()) == (0, 0)
    assert sum(people.state.totals().values()) == 8
    people.is_sound()


def test_the_run_after_a_killed_one_waits_for_a_worker_that_is_still_at_work(
    fleet: Bed, address: str, people: People
) -> None:
    plan = people.approve()
    worker = fleet.worker(people.folder, address, before=people.shut())
    run = fleet.start(people.folder, "apply", str(plan), address=address)
    people.stopped("act")
    run.end()
    again = fleet.start(people.folder, "apply", str(plan), address=address)
    state = people.state
    until(
        lambda: state.ask("SELECT id FROM run WHERE state = 'open'") and len(state.ask("SELECT id FROM run")) > 2,
        "it runs",
    )
    time.sleep(1.5)
    assert again.is_running()
    assert not receipts(people.ledger)
    people.open()
    ended = again.ended()
    assert (ended.code, people.left(), sum(state.totals().values())) == (0, 0, 8), ended.err
    assert worker.is_running()
    people.is_sound()
    state.close()


@pytest.mark.whole
def test_a_fleet_without_workers_is_given_up_and_what_was_begun_is_settled_by_the_next_run(
    fleet: Bed, address: str, people: People
) -> None:
    plan = people.approve()
    worker = fleet.worker(people.folder, address, before=people.shut())
    run = fleet.start(people.folder, "apply", str(plan), address=address, before=IMPATIENT)
    people.stopped("act")
    worker.end()
    ended = run.ended()
    assert ended.code == 5, ended.err
    result = people.apply(plan)
    assert (result.exit_code, people.left(), result.document["outcomes"]) == (0, 0, {"absent": 2, "purged": 6})
    people.is_sound()


@pytest.mark.whole
def test_a_worker_that_is_told_to_end_does_its_item_first(fleet: Bed, address: str, people: People) -> None:
    plan = people.approve()
    before = people.shut()
    for _ in range(2):
        fleet.worker(people.folder, address, before=before)
    run = fleet.start(people.folder, "apply", str(plan), address=address)
    first = people.stopped("act")
    fleet.of(first).signal(signal.SIGTERM)
    time.sleep(0.5)
    assert fleet.of(first).is_running()
    people.open()
    assert fleet.of(first).ended().code == 143
    ended = run.ended()
    assert (ended.code, ended.document["outcomes"]) == (0, {"purged": 8})
    assert max(attempts(people, "act")) == 1
    people.is_sound()


@pytest.mark.whole
def test_a_run_that_is_told_to_end_settles_what_workers_have_in_hand(fleet: Bed, address: str, people: People) -> None:
    plan = people.approve()
    fleet.worker(people.folder, address, before=people.shut())
    run = fleet.start(people.folder, "apply", str(plan), address=address)
    people.stopped("act")
    run.signal(signal.SIGTERM)
    time.sleep(0.3)
    people.open()
    assert run.ended().code == 143
    assert (open_intents(people.ledger), people.left()) == (set(), 6)
    assert people.apply(plan).document["outcomes"] == {"purged": 6}
    people.is_sound()


@pytest.mark.whole
def test_a_sweep_that_is_told_to_end_while_it_plans_leaves_the_place_at_its_next_batch(
    fleet: Bed, address: str, people: People
) -> None:
    fleet.worker(people.folder, address, before=people.shut())
    run = fleet.start(people.folder, "sweep", "--by", "An", address=address)
    people.stopped("list")
    run.signal(signal.SIGTERM)
    assert run.ended().code == 143
    people.open()
    assert people.apply(people.approve()).document["outcomes"] == {"purged": 8}


def test_a_hold_that_is_placed_while_workers_act_is_honoured_in_the_next_batch(
    fleet: Bed, address: str, people: People
) -> None:
    plan = people.approve()
    fleet.worker(people.folder, address, before=people.shut())
    run = fleet.start(people.folder, "apply", str(plan), address=address)
    people.stopped("act")
    with people.site() as site:
        holds.add(site, kind="record", target="crm.people", key=("5",), reason="litigation", by="Lies Legal")
    people.open()
    assert run.ended().document["outcomes"] == {"held": 1, "purged": 7}
    assert people.left() == 1
    people.is_sound()


def test_a_halt_stops_a_fleet_within_the_batch_in_hand(fleet: Bed, address: str, people: People) -> None:
    plan = people.approve()
    fleet.worker(people.folder, address, before=people.shut())
    run = fleet.start(people.folder, "apply", str(plan), address=address)
    people.stopped("act")
    with people.site() as site:
        halt(site, by="Ops", reason="stop")
    people.open()
    assert run.ended().code == 4
    assert (open_intents(people.ledger), people.left()) == (set(), 6)
    people.is_sound()
