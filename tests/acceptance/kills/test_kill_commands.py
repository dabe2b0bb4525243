"""Every command that writes, killed on the way: typed again, it does what it should have done."""

from __future__ import annotations

import random
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from judging import Judge, finish, records
from kill_project import Project, cases, expect, make
from ropa_runs import Ended, Server, run_program

ROUNDS = cases(2, 60)
KILLS = 4
pytestmark = pytest.mark.campaign


def killed_on_the_way(server: Server, draw: random.Random, command: tuple[str, ...], usual: float, *fine: int) -> None:
    """Kill the command at a random moment of its usual time, again and again; ``fine``: what it may say when it was
    quicker than that."""
    for _ in range(KILLS):
        ended = server.start(*command).go().wait(draw.uniform(0, usual), then=signal.SIGKILL)
        assert ended is not None
        assert ended.code in {0, *fine, -signal.SIGKILL}, f"{command}: {ended}"


def test_commands_killed_on_the_way_work_when_typed_again(server: Server, tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for number in range(ROUNDS):
        _one_round(server, draw, make(tmp_path / str(number), files=False))


def _one_round(server: Server, draw: random.Random, project: Project) -> None:
    c = ("-C", str(project.folder))
    by = ("--by", "An", "--reason", "test")
    prospect = next(key for dataset, key in project.held if dataset == "prospects")
    hold = (*c, "hold", "add", "--record", "crm.prospects", prospect, "--reason", "litigation", "--by", "An")

    killed_on_the_way(server, draw, (*c, "init"), 0.8)
    expect(server.run(*c, "init"))
    expect(server.run(*c, "ledger", "verify"))
    killed_on_the_way(server, draw, (*c, "register", "import", str(project.folder / "register.toml"), *by), 0.2)
    expect(server.run(*c, "register", "import", str(project.folder / "register.toml"), *by))
    killed_on_the_way(server, draw, hold, 0.2)
    expect(server.run(*hold))
    killed_on_the_way(server, draw, (*c, "plan", "--by", "An"), 0.5)
    plan = expect(server.run(*c, "plan", "--by", "An", "--json")).document
    project.plan, project.digest = plan["plan"], plan["digest"]
    approve = (*c, "approve", str(project.plan), *by, "--digest", project.digest)
    killed_on_the_way(server, draw, approve, 0.2, 4)
    again = server.run(*approve)
    assert again.code in {0, 4}, again  # 4: the one before got so far that it had been approved
    judge = Judge(project)
    finish(server, judge, "after commands that were killed", first="apply")
    judge.check("after commands that were killed", is_finished=True)
    holds = server.run(*c, "hold", "list", "--json").document["holds"]
    assert 1 <= len(holds) <= KILLS + 1
    for listed in holds:
        release = (*c, "hold", "release", str(listed["id"]), *by)
        killed_on_the_way(server, draw, release, 0.2, 2)
        assert server.run(*release).code in {0, 2}  # 2: it had been released
    expect(server.run(*c, "ledger", "verify"))
    assert all(listed["state"] == "released" for listed in server.run(*c, "hold", "list", "--json").document["holds"])


def test_a_reconcile_killed_five_times_converges(server: Server, planless: Project, tmp_path: Path) -> None:
    from kill_project import approve

    project = approve(server, planless.copy(tmp_path / "p"))
    judge = Judge(project)
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for command in ("apply", "sweep", "apply", "sweep", "sweep", "apply"):
        words = (command, str(project.plan)) if command == "apply" else (command,)
        # Long enough to get past the start, short enough to be in the middle of settling what the last one left.
        server.start("-C", project.folder, *words).go().wait(draw.uniform(0.12, 0.4), then=signal.SIGKILL)
        judge.check(f"seed {seed}, {command} killed", is_finished=False)
    finish(server, judge, f"seed {seed}")
    judge.check(f"seed {seed}", is_finished=True)
    before, lines = records(project), (project.ledger / "events.jsonl").read_text().count('"receipt"')
    expect(server.run("-C", project.folder, "sweep"))
    assert records(project) == before
    assert (project.ledger / "events.jsonl").read_text().count('"receipt"') == lines


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_lets_the_batch_in_hand_settle_and_a_later_apply_goes_on(
    server: Server, planless: Project, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    from kill_project import approve

    project = approve(server, planless.copy(tmp_path / "p"))
    judge = Judge(project)
    child = server.start("-C", project.folder, "apply", str(project.plan)).go()
    wait_until(lambda: b'"receipt"' in (project.ledger / "events.jsonl").read_bytes())
    began = time.monotonic()
    child.signal(number)
    ended = child.ended()
    assert time.monotonic() - began < 10
    assert ended.code == code, ended
    assert "Traceback" not in ended.err
    judge.check("interrupted", is_finished=False)
    lines = (project.ledger / "events.jsonl").read_text()
    assert lines.count('"type":"intent"') == lines.count('"type":"receipt"') >= 1
    assert lines.count('"type":"run_end"') == lines.count('"type":"run_start"')
    expect(server.run("-C", project.folder, "ledger", "verify"))
    assert 0 < lines.count('"type":"receipt"') < 14  # stopped on the way, not at the end
    finish(server, judge, "interrupted", first="apply")
    judge.check("finished after an interruption", is_finished=True)


def wait_until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.002)


def test_a_signal_stops_a_sweep_while_it_plans(server: Server, approved: Project, tmp_path: Path) -> None:
    project = approved.copy(tmp_path / "p")
    child = server.start("-C", project.folder, "sweep").go()
    size = (project.ledger / "events.jsonl").stat().st_size
    wait_until(lambda: (project.ledger / "events.jsonl").stat().st_size > size)  # its run has begun
    child.signal(signal.SIGTERM)
    ended = child.ended()
    assert ended.code == 143, ended
    expect(server.run("-C", project.folder, "ledger", "verify"))
    judge = Judge(project)
    finish(server, judge, "after a sweep that was stopped", first="apply")


def test_after_the_holder_of_the_lock_is_killed_the_next_start_works(
    server: Server, approved: Project, tmp_path: Path
) -> None:
    project = approved.copy(tmp_path / "p")
    child = server.start("-C", project.folder, "apply", str(project.plan)).go()
    wait_until(lambda: b'"intent"' in (project.ledger / "events.jsonl").read_bytes())
    child.signal(signal.SIGSTOP)
    busy = run_program("-C", project.folder, "sweep", "--json")
    assert busy.code == 75, busy
    assert busy.document["exit_code"] == 75
    child.signal(signal.SIGKILL)
    child.wait()
    expect(server.run("-C", project.folder, "apply", str(project.plan)))
    expect(server.run("-C", project.folder, "ledger", "verify"))


def test_a_run_that_was_stopped_beyond_everybodys_patience_looks_again_before_it_goes_on(
    server: Server, approved: Project, tmp_path: Path
) -> None:
    """Case 43: what changed while the process stood still, here a hold, counts for the next batch."""
    project = approved.copy(tmp_path / "p")
    child = server.start("-C", project.folder, "apply", str(project.plan)).go()
    wait_until(lambda: b'"intent"' in (project.ledger / "events.jsonl").read_bytes())
    child.signal(signal.SIGSTOP)
    expect(server.run("-C", project.folder, "hold", "add", "--dataset", "crm.prospects", "--reason", "other"))
    before = records(project)
    child.signal(signal.SIGCONT)
    expect(child.ended())
    now = records(project)
    assert {item for item in before if item not in now}.isdisjoint({i for i in before if i[0] == "prospects"})
    expect(server.run("-C", project.folder, "ledger", "verify"))


def test_of_twenty_processes_started_together_exactly_one_runs(
    server: Server, approved: Project, tmp_path: Path
) -> None:
    import sqlite3

    project = approved.copy(tmp_path / "p")
    judge = Judge(project)
    children = [server.start("-C", project.folder, "apply", str(project.plan)) for _ in range(20)]
    blocker = sqlite3.connect(project.crm)
    blocker.execute("BEGIN IMMEDIATE")  # whoever runs waits for this in its first batch, so nobody comes second
    server.ask("go", pids=[child.pid for child in children])
    ended: dict[int, Ended] = {}
    until = time.monotonic() + 6
    while len(ended) < 19 and time.monotonic() < until:
        for child in children:
            if child.pid not in ended and (found := child.wait(0.01)) is not None:
                ended[child.pid] = found
    blocker.rollback()
    blocker.close()
    for child in children:
        if child.pid not in ended:
            ended[child.pid] = child.ended()
    codes = sorted(one.code for one in ended.values())
    assert codes == [0, *[75] * 19], [one.err for one in ended.values() if one.code not in {0, 75}]
    events = (project.ledger / "events.jsonl").read_text()
    assert events.count('"mode":"apply"') == 1
    judge.check("twenty at once", is_finished=True)
