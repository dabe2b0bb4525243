"""Lines of web logs after a restore: keys are numbers, which pass to other lines, so lines are known by what they say."""

import os
from datetime import date, timedelta

import pytest
from sweep_kit import CAPS, World

from ropa.sweep.findings import open_findings
from ropa.sweep.restored import reapply
from ropa.wiring import open_location

WEB = """
[location.web]
connector = "weblog"
root = "{root}"
backups_kept = "90 days"

[location.web.dataset.access]
source = "."
pattern = "access*"
subject = ["ip"]
data.ip = ["ip"]

[rule.logs]
activity = "intake"
dataset = "web.access"
data = "*"
anchor = "line"
period = "10 days"
action = "purge"
reason = "security, no longer needed"
"""
FIRST = date(2026, 11, 10)
"""The first day of the logs; its lines are due on 2026-11-21, which is the clock's."""


class LogWorld(World):
    """A world that is judged by its files: keys do not tell what went."""

    def _open(self, location):
        return open_location(location, self.loaded)


@pytest.fixture
def world(make, tmp_path):
    (tmp_path / ".ropa-root").touch()
    made = make(CAPS + WEB.replace("{root}", str(tmp_path)), cls=LogWorld)
    made.logs = tmp_path
    return made


def log(world, days, *, name="access.log-1", size=3, ip="192.0.2.7"):
    """Write a log with so many lines of each of some days from ``FIRST`` on."""
    return put(world.logs / name, "".join(lines(day, size, ip) for day in range(days)))


def put(path, text):
    """Write a log as one that nobody has written to for long."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def lines(day, size=3, ip="192.0.2.7"):
    when = (FIRST + timedelta(days=day)).strftime("%d/%b/%Y")
    return "".join(f'{ip} - - [{when}:10:00:0{n} +0100] "GET / HTTP/1.1" 200 5\n' for n in range(size))


def again(world):
    document = reapply(world.site, "web", by="Mia Maker").document
    (found,) = document["datasets"]
    return document["plan"], found["tombstones"], found["came_back"], found["planned"]


def restored(world):
    return [row for row in open_findings(world.site) if row.code == "restored"]


def two_nights(world, path):
    """Purge the first day's lines, and on the next night those of the second, which have their numbers by then."""
    for night in range(2):
        assert world.purge().document["outcomes"] == {"purged": 1}
        assert not path.read_text().startswith(lines(night))
        world.clock.forward(days=1)


def test_lines_that_two_nights_erased_under_the_same_numbers_are_planned_both(world):
    path = log(world, 5)
    backup = path.read_text()
    two_nights(world, path)
    assert again(world) == (None, 2, 0, 0)
    put(path, backup)
    plan, *counts = again(world)
    assert counts == [2, 2, 2]
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 2}
    assert path.read_text() == lines(2) + lines(3) + lines(4)
    assert again(world)[2:] == (0, 0)


def test_lines_that_moved_up_to_numbers_erased_before_did_not_come_back(world):
    path = log(world, 12)
    two_nights(world, path)
    # Days without a night: all that is due by then stands where erased lines stood.
    world.clock.forward(days=2)
    world.sweep()
    assert restored(world) == []
    assert again(world)[2:] == (0, 0)


@pytest.mark.parametrize("name", ["access.log-2", "restored/access.log-1"])
def test_lines_that_come_back_under_another_name_are_recognised(world, name):
    path = log(world, 4)
    backup = path.read_text()
    two_nights(world, path)
    put(world.logs / name, backup)
    world.sweep()
    assert [row.message[0] for row in restored(world)] == ["2"]
    plan, *counts = again(world)
    assert counts == [2, 2, 2]
    assert world.planned(plan) == [("web.access", f"{name},1-3"), ("web.access", f"{name},4-6")]


def test_two_copies_of_one_log_come_back_both(world):
    paths = [log(world, 3, name=f"access.log-{number}") for number in (1, 2)]
    backup = paths[0].read_text()
    assert world.purge().document["outcomes"] == {"purged": 2}
    for path in paths:
        put(path, backup)
    plan, *counts = again(world)
    assert counts == [2, 2, 2]
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 2}
    assert {path.read_text() for path in paths} == {lines(1) + lines(2)}


def test_lines_beside_those_of_a_held_person_are_recognised_where_that_is_still_held(world):
    path = world.logs / "access.log-1"
    backup = put(path, lines(0) + lines(0, 1, "192.0.2.9") + lines(0, 2) + lines(1)).read_text()
    world.hold("subject", "192.0.2.9")
    assert world.purge().document["outcomes"] == {"purged": 2}
    assert path.read_text() == lines(0, 1, "192.0.2.9") + lines(1)
    put(path, backup)
    plan, *counts = again(world)
    assert counts == [2, 2, 2]
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 2}
    assert path.read_text() == lines(0, 1, "192.0.2.9") + lines(1)


def test_lines_of_a_log_that_was_renamed_since_the_plan_did_not_come_back(world):
    path = log(world, 3)
    plan = world.plan()
    world.approve(plan)
    moved = path.rename(world.logs / "access.log-2")
    assert world.apply(plan).document["outcomes"] == {"absent": 1}
    world.clock.forward(days=1)
    world.sweep()
    assert restored(world) == []
    assert reapply(world.site, "web", by="Mia Maker").document["datasets"] == []
    assert world.purge().document["outcomes"] == {"purged": 2}
    assert moved.read_text() == lines(2)
