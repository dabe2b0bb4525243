"""SIGKILL at random moments and before durable system calls: whatever was under way, the evidence and the places agree.

A sample runs by default; ROPA_CAMPAIGN asks for 1,000 moments and for every call. Seeds and moments are printed.
"""

from __future__ import annotations

import random
import secrets
import shutil
import signal
from pathlib import Path

import pytest
from judging import Judge, finish, records
from kill_project import Project, approve, cases, expect
from ropa_runs import DURABLE, Point, Server, Tracer, points_of

MOMENTS = cases(4, 1000)
MIXED_MOMENTS = cases(4, 250)
POINTS = cases(6, 1_000_000)
FILE_POINTS = cases(4, 1_000_000)
pytestmark = pytest.mark.campaign


@pytest.fixture
def seed() -> int:
    number = secrets.randbits(32)
    print(f"seed {number}")
    return number


def kill_and_finish(server: Server, project: Project, after: float, draw: random.Random, what: str) -> bool:
    """Kill one apply, judge what it left, let it be finished, judge again. Returns whether the kill came in time."""
    judge = Judge(project)
    child = server.start("-C", project.folder, "apply", str(project.plan)).go()
    ended = child.wait(after, then=signal.SIGKILL)
    assert ended is not None
    assert ended.code in {0, -signal.SIGKILL}, f"{what}: {ended}"
    judge.check(f"{what}, just killed", is_finished=False)
    finish(server, judge, what, first=draw.choice(["sweep", "apply", "apply"]))
    judge.check(what, is_finished=True)
    if draw.random() < 0.25:
        before = records(project)
        expect(server.run("-C", project.folder, "sweep"))
        assert records(project) == before, f"{what}: I8 another sweep changed something"
        judge.check(f"{what}, swept again", is_finished=True)
    shutil.rmtree(project.folder)
    return ended.code != 0


def measured(server: Server, project: Project) -> float:
    """How long an apply takes when nobody kills it."""
    ended = expect(server.run("-C", project.folder, "apply", str(project.plan)))
    shutil.rmtree(project.folder)
    return ended.seconds


def test_a_run_killed_at_any_moment_leaves_evidence_that_agrees(
    server: Server, approved: Project, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    seconds = measured(server, approved.copy(tmp_path / "measured"))
    killed = 0
    for number in range(MOMENTS):
        after = draw.uniform(0, seconds)
        what = f"seed {seed}, kill {number} after {after * 1000:.1f} of {seconds * 1000:.0f} ms"
        killed += kill_and_finish(server, approved.copy(tmp_path / str(number)), after, draw, what)
    print(f"{killed} of {MOMENTS} kills came in time")
    assert killed >= MOMENTS // 2


@pytest.mark.whole
def test_a_run_over_a_database_and_files_killed_at_any_moment_leaves_evidence_that_agrees(
    server: Server, planless: Project, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    seconds = measured(server, approve(server, planless.copy(tmp_path / "measured")))
    killed = 0
    for number in range(MIXED_MOMENTS):
        after = draw.uniform(0, seconds)
        what = f"seed {seed}, kill {number} after {after * 1000:.1f} of {seconds * 1000:.0f} ms"
        project = approve(server, planless.copy(tmp_path / str(number)))
        killed += kill_and_finish(server, project, after, draw, what)
    print(f"{killed} of {MIXED_MOMENTS} kills came in time")
    assert killed >= MIXED_MOMENTS // 2


def traced(server: Server, project: Project, folder: Path) -> list[Point]:
    """Every durable call of one apply that nobody kills, in order."""
    if shutil.which("strace") is None:
        pytest.skip("strace: not installed")
    child = server.start("-C", project.folder, "apply", str(project.plan))
    try:
        tracer = Tracer(child, folder / "log", "-e", f"trace={DURABLE}")
    except RuntimeError as error:
        child.go().wait()
        pytest.skip(f"strace: {error}")
    expect(child.go().ended())
    points = points_of(tracer.ended())
    assert len(points) > 200
    return points


def test_a_run_killed_before_a_durable_call_leaves_evidence_that_agrees(
    server: Server, approved: Project, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    points = traced(server, approved.copy(tmp_path / "traced"), tmp_path)
    chosen = spread_over(points, POINTS, draw)
    print(f"{len(chosen)} of {len(points)} calls")
    killed = 0
    for number, point in enumerate(chosen):
        project = approved.copy(tmp_path / str(number))
        killed += kill_before(server, project, point, draw, f"seed {seed}, killed before {point}")
    assert killed >= len(chosen) * 2 // 3


@pytest.mark.whole
def test_a_run_killed_while_it_removes_files_leaves_evidence_that_agrees(
    server: Server, planless: Project, tmp_path: Path, seed: int
) -> None:
    draw = random.Random(seed)
    points = traced(server, approve(server, planless.copy(tmp_path / "traced")), tmp_path)
    removals = [i for i, point in enumerate(points) if point.call == "unlinkat"]
    near = points[max(0, removals[0] - 15) : removals[-1] + 25]
    chosen = [points[removals[1]], *spread_over(near, FILE_POINTS, draw)]
    print(f"{len(chosen)} of {len(near)} calls")
    killed = 0
    for number, point in enumerate(chosen):
        project = approve(server, planless.copy(tmp_path / str(number)))
        killed += kill_before(server, project, point, draw, f"seed {seed}, killed before {point}")
    assert killed >= len(chosen) * 2 // 3


def kill_before(server: Server, project: Project, point: Point, draw: random.Random, what: str) -> bool:
    judge = Judge(project)
    child = server.start("-C", project.folder, "apply", str(project.plan))
    inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
    tracer = Tracer(child, project.folder.with_suffix(".log"), "-e", f"trace={point.call}", "-e", inject)
    ended = child.go().ended()
    tracer.ended()
    assert ended.code in {0, -signal.SIGKILL}, f"{what}: {ended}"
    judge.check(f"{what}, just killed", is_finished=False)
    finish(server, judge, what, first=draw.choice(["sweep", "apply", "apply"]))
    judge.check(what, is_finished=True)
    shutil.rmtree(project.folder)
    return ended.code != 0


def spread_over(points: list[Point], count: int, draw: random.Random) -> list[Point]:
    """Return so many points, one from each of as many equal stretches: what happens seldom is not passed over. All of
    them where there are not so many."""
    if count >= len(points):
        return points
    size = len(points) / count
    return [draw.choice(points[int(i * size) : max(int((i + 1) * size), int(i * size) + 1)]) for i in range(count)]
