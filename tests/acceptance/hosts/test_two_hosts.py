"""Two hosts on one PostgreSQL database: no night twice, whoever is killed, and a host that lost its lease writes nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from ropa_runs import Child, Server
from servers import Postgres, PostgresDatabase
from two_hosts import LEASE_SECONDS, Hosts, signalled

KILLED = -signal.SIGKILL
INTENT = "kwargs.get('root') and 'leaves' in kwargs"
MOMENTS = {
    "before its run is told": ("ropa.sweep.run:Run.start", 1, "True", False),
    "while it plans": ("ropa.sweep.plan:Planner.write", 1, "True", False),
    "before an intent": ("ropa.sweep.journal:Journal.append", 2, INTENT, False),
    "after an intent": ("ropa.sweep.journal:Journal.append", 2, INTENT, True),
    "before it acts": ("ropa.sweep.hand:Hand.act", 2, "True", False),
    "before a receipt": ("ropa.sweep.acting:Actor.write_receipt", 2, "True", False),
    "after a receipt": ("ropa.sweep.acting:Actor.write_receipt", 2, "True", True),
    "before its end": ("ropa.sweep.run:Run.end", 1, "True", False),
    "after its end": ("ropa.sweep.run:Run.end", 1, "True", True),
    "after the line of its end": ("ropa.sweep.journal:Journal.append", 1, "args[1] == 'run_end'", True),
}
SAMPLE = ("after an intent", "before it acts", "after the line of its end")
"""The moments that run by default; ROPA_CAMPAIGN asks for all of them."""
TRIED = tuple(MOMENTS) if os.environ.get("ROPA_CAMPAIGN") else SAMPLE


@pytest.fixture(scope="module")
def founded(
    server: Server, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Hosts, PostgresDatabase]]:
    with postgres.create() as database:
        yield Hosts(server, tmp_path_factory.mktemp("founded") / "project", database.url).make().found(), database


@pytest.fixture
def hosts(founded: tuple[Hosts, PostgresDatabase], postgres: Postgres, tmp_path: Path) -> Iterator[Hosts]:
    first, template = founded
    with postgres.create(template) as database:
        made = first.copy(tmp_path / "project", database.url)
        yield made
        for child in made.children:
            child.end()


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def is_stopped(child: Child) -> bool:
    return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def events(service: Child) -> list[str]:
    """What a service has told so far."""
    return [json.loads(line)["event"] for line in service.said().splitlines()]


@pytest.mark.whole
def test_a_host_that_was_killed_keeps_the_other_out_until_its_lease_has_ended(hosts):
    hosts.add_due(6)
    hosts.lease_seconds = 600
    way = signalled("ropa.sweep.hand:Hand.act", signal.SIGKILL)
    assert hosts.run("a", "sweep", "--by", "a", before=way, code=None).code == KILLED
    lines = hosts.lines()
    for command in (("sweep", "--by", "b"), ("plan", "--by", "b"), ("hold", "list"), ("status",)):
        ended = hosts.run("b", *command, code=None)
        assert ended.code == (75 if "b" in command else ended.code), ended
    assert hosts.lines() == lines
    hosts.run("a", "sweep", "--by", "a")  # its own lock on its file says that its former holder is dead
    hosts.judge(nights=1)


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("moment", TRIED)
def test_the_other_host_takes_over_from_one_that_was_killed_when_its_lease_has_ended(hosts, moment):
    function, count, when, after = MOMENTS[moment]
    hosts.add_due(6)
    way = signalled(function, signal.SIGKILL, count=count, when=when, after=after)
    assert hosts.run("a", "sweep", "--by", "a", before=way, code=None).code == KILLED
    time.sleep(LEASE_SECONDS + 0.2)
    other = hosts.serve("b")
    until(lambda: len(hosts.complete_sweeps()) == 1 and "next" in events(other))
    other.signal(signal.SIGTERM)
    assert other.ended().code == 128 + signal.SIGTERM
    hosts.judge(nights=1)


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("moment", TRIED)
def test_a_host_that_was_stopped_for_longer_than_its_lease_writes_no_line_and_touches_no_record(hosts, moment):
    function, count, when, after = MOMENTS[moment]
    hosts.add_due(6)
    way = signalled(function, signal.SIGSTOP, count=count, when=when, after=after)
    stopped = hosts.start("a", "sweep", "--by", "a", before=way)
    until(lambda: is_stopped(stopped))
    time.sleep(LEASE_SECONDS + 0.2)
    if hosts.complete_sweeps():  # it got as far as its last line: there is no sweep left to do
        hosts.run("b", "plan", "--by", "b")
    else:
        hosts.run("b", "sweep", "--by", "b")
    hosts.add_due(1)  # something that it could still touch
    lines, there = hosts.lines(), hosts.ids()
    stopped.signal(signal.SIGCONT)
    ended = stopped.ended()
    assert hosts.lines() == lines
    assert hosts.ids() == there
    assert ended.code == 75, ended
    hosts.night += timedelta(days=1)
    hosts.run("b", "sweep", "--by", "b")
    hosts.judge(nights=2)


@pytest.mark.whole
def test_a_host_that_stands_still_in_the_middle_of_an_act_is_not_taken_over_from(hosts):
    hosts.add_due(6)
    way = signalled("connectors.sql.location:SqlLocation.act", signal.SIGSTOP, count=2)
    stopped = hosts.start("a", "sweep", "--by", "a", before=way)
    until(lambda: is_stopped(stopped))
    time.sleep(LEASE_SECONDS + 0.2)
    lines = hosts.lines()
    assert hosts.run("b", "sweep", "--by", "b", code=None).code == 75
    assert hosts.lines() == lines
    stopped.signal(signal.SIGCONT)
    assert stopped.ended().code == 0
    hosts.judge(nights=1)


@pytest.mark.whole
def test_a_host_keeps_its_lease_while_a_place_takes_longer_than_that(hosts):
    hosts.add_due(2)
    slow = f"""
import time, connectors.sql.location as place
for name in ("act", "find"):
    def patched(*args, real=getattr(place.SqlLocation, name), **kwargs):
        time.sleep({LEASE_SECONDS * 1.5})
        return real(*args, **kwargs)
    setattr(place.SqlLocation, name, patched)
"""
    first = hosts.start("a", "sweep", "--by", "a", before=slow)
    until(lambda: any(e["type"] == "run_start" and e["mode"] == "sweep" for e in hosts.lines()))
    other = hosts.serve("b")
    until(lambda: "waiting" in events(other))
    assert first.ended().code == 0
    until(lambda: "next" in events(other))
    other.signal(signal.SIGTERM)
    other.ended()
    assert list(hosts.complete_sweeps().values()) == [["host-a"]]
    hosts.judge(nights=1)


@pytest.mark.whole
def test_nights_of_two_services_that_begin_at_once_are_swept_once_each_whoever_is_killed(hosts):
    seed = 20261122
    chance = random.Random(seed)
    nights = (int(os.environ.get("ROPA_CAMPAIGN") or 0) and 100) or 5
    for number in range(1, nights + 1):
        hosts.add_due(chance.randrange(1, 8))
        services = [hosts.serve(host) for host in "ab"]
        until(lambda: any(e["type"] == "run_start" and e["at"][:10] == str(hosts.night.date()) for e in hosts.lines()))
        time.sleep(chance.random() * 0.15)
        victim = chance.randrange(2)
        services[victim].signal(signal.SIGKILL)
        assert services[victim].ended().code == KILLED
        other = services[1 - victim]
        until(lambda number=number, other=other: len(hosts.complete_sweeps()) == number and "next" in events(other))
        other.signal(signal.SIGTERM)
        assert other.ended().code == 128 + signal.SIGTERM, f"seed {seed}"
        hosts.night += timedelta(days=1)
    hosts.judge(nights)


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize(
    "command", [("sweep", "--by", "b"), ("plan", "--by", "b"), ("apply", "1", "--by", "b"), ("schedule",)]
)
def test_a_host_without_the_ledger_stops_and_says_that_the_state_folder_is_to_be_shared(hosts, command):
    hosts.state = "elsewhere"
    ended = hosts.run("b", *command, code=6)
    assert "share one state folder" in ended.err
    assert not (hosts.folder / "elsewhere" / "ledger").exists()


@pytest.mark.whole
def test_a_host_with_the_ledger_and_an_empty_database_stops_and_makes_nothing_there(hosts, postgres):
    with postgres.create() as empty:
        hosts.url = empty.url
        ended = hosts.run("b", "sweep", "--by", "b", code=6)
        assert "the run database is missing beside its ledger" in ended.err
        assert empty.tables() == []


def test_a_host_whose_database_is_an_older_copy_stops(hosts, founded, postgres):
    with postgres.create(founded[1]) as older:
        hosts.run("a", "sweep", "--by", "a")
        hosts.url = older.url
        ended = hosts.run("b", "sweep", "--by", "b", code=6)
    assert "older than the ledger" in ended.err


def test_two_hosts_that_begin_at_once_with_nothing_make_one_ledger(server, postgres, tmp_path):
    with postgres.create() as database:
        made = Hosts(server, tmp_path / "project", database.url).make()
        children = [made.start(host, "init") for host in "abcd"]
        codes = {child.ended().code for child in children}
        assert codes <= {0, 75}
        assert 0 in codes
        assert [e["type"] for e in made.lines()] == ["genesis"]
