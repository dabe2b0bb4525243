"""Work items: one worker at a time, only for the run that holds the lock, and nothing after either is lost."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session
from sqlmodel import col
from sweep_kit import SIMPLE, contacts

from ropa.sweep import items
from ropa.sweep.items import HeldItemError, StaleItemError
from ropa.sweep.lock import run_lock
from ropa.sweep.tables import WorkItemRow

ELSEWHERE = "other-machine.1/1/1"


@pytest.fixture
def world(make):
    """A project whose run state is in either database."""
    made = make(SIMPLE, {"contacts": contacts(3)})
    if made.site.engine.dialect.name == "postgresql":
        made.clock.at = datetime.now(UTC)  # leases run by the server's clock there, from which ours must not differ
    return made


def begin(site, item):
    with items.holding(site, item):
        pass


@pytest.fixture
def lease(world):
    with run_lock(world.site) as held:
        yield held


def offered(world, lease, kind=items.LIST):
    return items.offer(world.site, lease, kind=kind, plan_id=1, location="crm", unit=1)


def let_lapse(world, name, owner=ELSEWHERE):
    """Let a worker that cannot be looked at have had the item, longer ago than its lease."""
    with Session(world.site.engine) as session, session.begin():
        session.execute(
            update(WorkItemRow)
            .where(col(WorkItemRow.id) == name)
            .values(owner=owner, leased_until=world.clock.at - timedelta(seconds=1))
        )


def hold_elsewhere(world, name, owner=ELSEWHERE):
    until = world.clock.at + items.LEASE
    with Session(world.site.engine) as session, session.begin():
        session.execute(update(WorkItemRow).where(col(WorkItemRow.id) == name).values(owner=owner, leased_until=until))


def test_of_two_that_claim_an_item_at_once_exactly_one_has_it(world, lease):
    names = [offered(world, lease) for _ in range(12)]
    door = Barrier(2)

    def claim_all(_number):
        door.wait()
        told = []
        for name in names:
            try:
                items.claim(world.site, name)
                told.append("won")
            except (HeldItemError, StaleItemError) as error:
                told.append(error.code)
        return told

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(claim_all, range(2))
    for pair in zip(first, second, strict=True):
        assert Counter(pair)["won"] == 1
        assert set(pair) <= {"won", "item-held", "item-lost"}


def test_an_item_is_taken_over_when_its_lease_has_run_out_and_its_former_owner_can_do_nothing_more(world, lease):
    name = offered(world, lease)
    first = items.claim(world.site, name)
    let_lapse(world, name, first.owner.replace(items._surroundings(), ELSEWHERE))
    second = items.claim(world.site, name)
    assert (first.is_again, second.is_again, second.attempts) == (False, True, 2)
    for forbidden in (begin, items.keep, items.let_go):
        with pytest.raises(StaleItemError, match="took this item over"):
            forbidden(world.site, first)
    with Session(world.site.engine) as session, pytest.raises(StaleItemError):
        items.guard(world.site, first, session)
    items.let_go(world.site, second)


def test_what_a_worker_told_and_was_lost_on_its_way_is_asked_of_another_until_the_run_has_heard_it(world, lease):
    name = offered(world, lease)
    items.let_go(world.site, items.claim(world.site, name))
    again = items.claim(world.site, name)
    assert again.is_again
    items.finish(world.site, name)
    with pytest.raises(StaleItemError, match="is over"):
        begin(world.site, again)
    with pytest.raises(StaleItemError, match="is over"):
        items.claim(world.site, name)


def test_an_item_of_a_dead_process_of_this_machine_is_taken_over_at_once(world, lease):
    name = offered(world, lease)
    hold_elsewhere(world, name, f"{items._surroundings()}/{os.getpid()}/1")  # our number, begun at another time
    assert items.claim(world.site, name).attempts == 1


def test_an_item_of_a_living_worker_is_left_to_it_and_kept_as_long_as_it_renews(world, lease):
    name = offered(world, lease)
    hold_elsewhere(world, name)
    with pytest.raises(HeldItemError):
        items.claim(world.site, name)


def test_what_was_done_or_withdrawn_is_not_taken_again(world, lease):
    done, withdrawn, begun = (offered(world, lease) for _ in range(3))
    answered = items.claim(world.site, done)
    items.let_go(world.site, answered)
    items.finish(world.site, done)
    items.withdraw(world.site, [withdrawn])
    item = items.claim(world.site, begun)
    items.withdraw(world.site, [begun])
    for name in (done, withdrawn):
        with pytest.raises(StaleItemError, match="is over"):
            items.claim(world.site, name)
    with pytest.raises(StaleItemError, match="is over"):
        begin(world.site, item)
    items.keep(world.site, item)  # who is at work stays known: the next run waits for it


def test_an_item_that_nobody_here_offered_is_refused(world, lease):
    with pytest.raises(StaleItemError) as refused:
        items.claim(world.site, "0" * 32)
    assert refused.value.code == "item-unknown"


def test_another_configuration_than_the_runs_is_refused(world, lease):
    name = offered(world, lease)
    world.site.config = replace(world.site.config, digest="sha256:" + "0" * 64)
    with pytest.raises(StaleItemError) as refused:
        items.claim(world.site, name)
    assert refused.value.code == "item-policy"


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_worker_whose_clock_is_an_hour_off_takes_nothing_and_begins_nothing(world, lease, hours):
    name, begun = offered(world, lease), offered(world, lease)
    item = items.claim(world.site, begun)
    world.clock.forward(hours=hours)
    with pytest.raises(StaleItemError, match="is over"):
        items.claim(world.site, name)
    with pytest.raises(StaleItemError, match="is over"):
        begin(world.site, item)


def test_what_a_worker_of_an_ended_run_writes_is_not_committed(world):
    with run_lock(world.site) as lease:
        item = items.claim(world.site, offered(world, lease))
    with Session(world.site.engine) as session, pytest.raises(StaleItemError, match="is over"):
        items.guard(world.site, item, session)


def test_the_next_run_waits_for_whoever_is_at_work_and_forgets_the_rest(world):
    with run_lock(world.site) as lease:
        idle, done, at_work = (offered(world, lease) for _ in range(3))
        items.let_go(world.site, items.claim(world.site, done))
        items.finish(world.site, done)
        hold_elsewhere(world, at_work)
    with run_lock(world.site) as lease:
        own = offered(world, lease)
        assert items.is_busy(world.site, lease.fencing)
        assert items.run_of(world.site, idle) is items.run_of(world.site, done) is None
        let_lapse(world, at_work)
        assert not items.is_busy(world.site, lease.fencing)
        assert items.run_of(world.site, at_work) is None
        assert items.run_of(world.site, own) == lease.fencing
