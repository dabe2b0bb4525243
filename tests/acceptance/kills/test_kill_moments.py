"""SIGKILL at random moments and before durable system calls: whatever was under way, the evidence and the places agree.

A sample runs by default; ROPA_CAMPAIGN asks for 1,000 moments and for every call. Seeds and moments are printed.
"""

from __future__ import annotations

import random
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from judging import Judge, finish, records
from kill_project import Project, approve, campaign_share, expect
from ropa_runs import DURABLE, Point, Server, Tracer, points_of

MOMENTS = 1000 if campaign_share() else 14
MIXED_MOMENTS = 250 if campaign_share() else 8
POINTS = None if campaign_share() else 24
pytestmark = pytest.mark.campaign


@pytest.fixture
def seed(capsys: pytest.CaptureFixture[str]) -> Iterator[int]:
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
    finish(server, judge, what, first=draw.choice(["sweep", "apply"]))
    judge.check(what, is_finished=True)
    if draw.random() < 0.4:
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


@pytest.fixture(scope="session")
def traceable(server: Server, planless: Project, tmp_path_factory: pytest.TempPathFactory) -> list[Point]:
    """Every durable call of one apply over the database and the files, in order."""
    if shutil.which("strace") is None:
        pytest.skip("strace: not installed")
    folder = tmp_path_factory.mktemp("trace")
    project = approve(server, planless.copy(folder / "p"))
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
    server: Server, planless: Project, tmp_path: Path, seed: int, traceable: list[Point]
) -> None:
    draw = random.Random(seed)
    chosen = traceable if POINTS is None else spread_over(traceable, POINTS, draw)
    print(f"{len(chosen)} of {len(traceable)} calls")
    killed = 0
    for number, point in enumerate(chosen):
        what = f"seed {seed}, killed before {point}"
        project = approve(server, planless.copy(tmp_path / str(number)))
        judge = Judge(project)
        ended = kill_before(server, project, point, tmp_path / f"{number}.log")
        killed += ended == -signal.SIGKILL
        judge.check(f"{what}, just killed", is_finished=False)
        finish(server, judge, what, first=draw.choice(["sweep", "apply"]))
        judge.check(what, is_finished=True)
        shutil.rmtree(project.folder)
    assert killed >= len(chosen) * 2 // 3


def kill_before(server: Server, project: Project, point: Point, log: Path) -> int:
    child = server.start("-C", project.folder, "apply", str(project.plan))
    inject = f"inject={point.call}:signal=SIGKILL:when={point.number}"
    tracer = Tracer(child, log, "-e", f"trace={point.call}", "-e", inject)
    ended = child.go().ended()
    tracer.ended()
    return ended.code


def spread_over(points: list[Point], count: int, draw: random.Random) -> list[Point]:
    """Return so many points, one from each of as many equal stretches: what happens seldom is not passed over."""
    size = len(points) / count
    return [draw.choice(points[int(i * size) : max(int((i + 1) * size), int(i * size) + 1)]) for i in range(count)]
