"""Disks that are full, read-only or lying, and ledgers and databases that are not what they were.

Where evidence cannot be written nothing is deleted; where evidence or run state is broken, missing or old, everything
stops and nothing is made anew in its place.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from checker import read_events, verify
from judging import Judge, finish, records
from kill_project import Project, approve, cases, expect
from ropa_runs import Child, Ended, Server, Tracer

pytestmark = pytest.mark.campaign


@contextmanager
def small_disk(at: Path, kilobytes: int) -> Iterator[None]:
    """Put a tmpfs of so many KiB in the place of a folder, with what the folder held."""
    kept = at.with_name(at.name + ".kept")
    shutil.copytree(at, kept)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k,mode=0700", "tmpfs", str(at)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if mounted is None or mounted.returncode:
        pytest.skip(f"tmpfs: {mounted.stderr.strip() if mounted else 'only root can mount'}")
    try:
        for path in sorted(kept.rglob("*")):
            to = at / path.relative_to(kept)
            to.mkdir(mode=0o700) if path.is_dir() else shutil.copy2(path, to)
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)


def fill(folder: Path, *, leave: int = 0) -> Path:
    """Fill the disk but for so many bytes."""
    filler = folder / ".filler"
    filler.touch(mode=0o600)
    with filler.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(bytes(4096)):
            pass
    if leave:
        os.truncate(filler, max(0, filler.stat().st_size - leave))
    return filler


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("leave", [0, 16 << 10, 64 << 10])
def test_a_full_disk_under_the_ledger_lets_nothing_go_without_an_intent(
    server: Server, approved: Project, tmp_path: Path, leave: int
) -> None:
    project = approved.copy(tmp_path / "p")
    judge = Judge(project)
    with small_disk(project.ledger, 1024):
        filler = fill(project.ledger, leave=leave)
        ended = server.run("-C", project.folder, "apply", str(project.plan))
        assert ended.code == 4, ended
        assert "Traceback" not in ended.err
        judge.check("full", is_finished=False)
        if not leave:
            assert records(project) == judge.case.before
        else:
            assert records(project) != judge.case.before
        # Telling still works, and so does asking whether it is sound.
        assert server.run("-C", project.folder, "status").code in {0, 1}
        assert server.run("-C", project.folder, "ledger", "verify").code in {0, 3}
        filler.unlink()
        finish(server, judge, "room again", first="apply")
        judge.check("room again", is_finished=True)


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize("leave", [0, 100 << 10])
def test_a_full_disk_under_all_the_state_is_a_refusal_too(
    server: Server, approved: Project, tmp_path: Path, leave: int
) -> None:
    project = approved.copy(tmp_path / "p")
    judge = Judge(project)
    with small_disk(project.state, 4096):
        filler = fill(project.state, leave=leave)
        for command in (("apply", str(project.plan)), ("plan", "--by", "An"), ("sweep",)):
            ended = server.run("-C", project.folder, *command)
            assert ended.code == 4, ended
            assert "unexpected" not in ended.err
        filler.unlink()
        judge.check("full", is_finished=False)
        finish(server, judge, "room again", first="apply")
        judge.check("room again", is_finished=True)


def test_a_read_only_ledger_lets_nothing_go(server: Server, approved: Project, tmp_path: Path) -> None:
    project = approved.copy(tmp_path / "p")
    judge = Judge(project)
    with small_disk(project.ledger, 1024):
        subprocess.run(["mount", "-o", "remount,ro", str(project.ledger)], check=True)
        for command in (("apply", str(project.plan)), ("sweep",), ("plan", "--by", "An")):
            ended = server.run("-C", project.folder, *command)
            assert ended.code == 4, ended
        assert records(project) == judge.case.before
        assert server.run("-C", project.folder, "ledger", "verify").code == 0
        subprocess.run(["mount", "-o", "remount,rw", str(project.ledger)], check=True)
        finish(server, judge, "writable again", first="apply")


def run_with_error(server: Server, project: Project, path: Path, call: str, error: str, number: int) -> Ended:
    """Apply while the n-th call of one kind on one file fails."""
    if shutil.which("strace") is None:
        pytest.skip("strace: not installed")
    child: Child = server.start("-C", project.folder, "apply", str(project.plan))
    inject = f"inject={call}:error={error}:when={number}"
    try:
        tracer = Tracer(child, project.folder.with_suffix(".log"), "-P", str(path), "-e", inject)
    except RuntimeError as problem:
        child.go().wait()
        pytest.skip(f"strace: {problem}")
    ended = child.go().ended()
    assert "(INJECTED)" in tracer.ended(), f"{call} #{number} on {path.name} was never asked for"
    return ended


ERRORS = [
    ("events.jsonl", "fsync", "EIO", 1),
    ("events.jsonl", "fsync", "EIO", 4),
    ("events.jsonl", "write", "ENOSPC", 2),
    ("events.jsonl", "write", "EIO", 7),
    ("batches", "fsync", "EIO", 2),
    ("checkpoints", "fsync", "EIO", 1),
]


@pytest.mark.sampled(one_in=6)
@pytest.mark.parametrize(("name", "call", "error", "number"), ERRORS)
def test_an_error_of_the_disk_under_the_ledger_is_the_end_of_the_run(
    server: Server, approved: Project, tmp_path: Path, name: str, call: str, error: str, number: int
) -> None:
    project = approved.copy(tmp_path / "p")
    judge = Judge(project)
    ended = run_with_error(server, project, project.ledger / name, call, error, number)
    assert ended.code == 4, ended
    judge.check("after the error", is_finished=False)
    events = read_events(project.ledger)
    done = sum(1 for event in events if event["type"] == "receipt")
    if name != "checkpoints":
        assert done <= number  # nothing went on as if the disk had done its work
        assert records(project) != judge.case.before or number <= 2
    finish(server, judge, "after the error", first="apply")
    judge.check("after the error", is_finished=True)


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(("call", "error"), [("fdatasync", "EIO"), ("pwrite64", "ENOSPC"), ("pwrite64", "EIO")])
def test_an_error_of_the_disk_under_the_run_database_is_the_end_of_the_run(
    server: Server, approved: Project, tmp_path: Path, call: str, error: str
) -> None:
    numbers = (3, 17) if cases(2, 20) == 2 else range(1, 60, 3)
    for number in numbers:
        project = approved.copy(tmp_path / str(number))
        judge = Judge(project)
        log = project.database.with_name("ropa.db-wal")
        ended = run_with_error(server, project, log, call, error, number)
        assert ended.code == 4, ended
        assert "unexpected" not in ended.err
        judge.check(f"after {call} #{number}", is_finished=False)
        finish(server, judge, f"after {call} #{number}", first="apply")
        judge.check(f"after {call} #{number}", is_finished=True)


# --- what is not what it was -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def applied(server: Server, approved: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose plan was carried out, with a hold placed, a halt and a second plan, approved."""
    project = approved.copy(tmp_path_factory.mktemp("applied") / "p")
    # One record changes, so that one batch has an outcome file.
    key = next(key for dataset, key in sorted(Judge(project).case.planned) if dataset == "prospects")
    with closing(sqlite3.connect(project.crm)) as source:
        source.execute("UPDATE prospect SET name = name || '!' WHERE email = ?", json.loads(key))
        source.commit()
    ended = server.run("-C", project.folder, "apply", str(project.plan))
    assert ended.code in {0, 3}, ended
    return approve(server, project)


COMMANDS = (("apply", "{plan}"), ("plan", "--by", "An"), ("sweep",))


def assert_everything_stops(server: Server, project: Project, *, verified: int | None = 1) -> None:
    """Runs end with 6 and change nothing, in the places or in the ledger."""
    before, ledger = records(project), (project.ledger / "events.jsonl")
    bytes_before = ledger.read_bytes() if ledger.exists() else None
    if verified is not None:
        assert server.run("-C", project.folder, "ledger", "verify").code == verified
    for command in COMMANDS:
        words = [word.format(plan=project.plan) for word in command]
        ended = server.run("-C", project.folder, *words)
        assert ended.code == 6, (words, ended)
        assert "unexpected" not in ended.err
    assert records(project) == before
    assert (ledger.read_bytes() if ledger.exists() else None) == bytes_before


def flip(path: Path, draw: random.Random, *, below: int | None = None) -> str:
    content = bytearray(path.read_bytes())
    at, bit = draw.randrange(below or len(content)), draw.randrange(8)
    content[at] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {at} of {path.name}"


def rewrite(project: Project, change: Callable[[list[bytes]], None]) -> None:
    path = project.ledger / "events.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    change(lines)
    path.write_bytes(b"".join(lines))


def signed_text(path: Path) -> int:
    """How many bytes of a checkpoint are the text and the ledger's own line: all of them, as first written."""
    return path.stat().st_size


def test_a_flipped_bit_of_the_evidence_stops_everything(server: Server, applied: Project, tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for number in range(cases(3, 100)):
        for kind in ("events", "checkpoint", "batch", "outcomes"):
            project = applied.copy(tmp_path / f"{number}{kind}")
            paths = {
                "events": [project.ledger / "events.jsonl"],
                "checkpoint": sorted((project.ledger / "checkpoints").iterdir()),
                "batch": [p for p in sorted((project.ledger / "batches").iterdir()) if not p.suffix],
                "outcomes": sorted((project.ledger / "batches").glob("*.outcomes")),
            }[kind]
            what = flip(draw.choice(paths), draw)
            print(f"{number} {what}")
            assert verify(project.ledger) == 1
            assert_everything_stops(server, project)
            shutil.rmtree(project.folder)


@pytest.mark.parametrize("kind", ["dropped", "swapped", "doubled", "cut", "last dropped", "inserted"])
def test_lines_that_are_not_as_they_were_written_stop_everything(
    server: Server, applied: Project, tmp_path: Path, kind: str
) -> None:
    project = applied.copy(tmp_path / "p")
    draw = random.Random(kind)

    def change(lines: list[bytes]) -> None:
        at = draw.randrange(1, len(lines) - 2)
        if kind == "dropped":
            del lines[at]
        elif kind == "swapped":
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        elif kind == "doubled":
            lines.insert(at, lines[at])
        elif kind == "inserted":
            lines.insert(at, lines[0])
        elif kind == "cut":
            lines[-1] = lines[-1][:-20]
        else:
            del lines[-1]

    rewrite(project, change)
    assert_everything_stops(server, project)


@pytest.mark.parametrize("part", ["checkpoints", "batches", "events.jsonl", "../keys"])
def test_a_missing_part_of_the_evidence_stops_everything(
    server: Server, applied: Project, tmp_path: Path, part: str
) -> None:
    project = applied.copy(tmp_path / "p")
    path = project.ledger / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    verified = {"events.jsonl": None, "../keys": 0}.get(part, 1)
    before = records(project)
    if verified is not None:
        assert server.run("-C", project.folder, "ledger", "verify").code == verified
    for command in COMMANDS:
        ended = server.run("-C", project.folder, *(word.format(plan=project.plan) for word in command))
        assert ended.code == 6, ended
    assert records(project) == before


def put_back(project: Project, older: Project, part: str) -> None:
    """Put a part of the state back from an older copy."""
    for path in [project.state / part, *project.state.glob(f"{part}-*")]:
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
    source = older.state / part
    if source.is_dir():
        shutil.copytree(source, project.state / part)
    else:
        for path in [source, *older.state.glob(f"{part}-*")]:
            shutil.copy2(path, project.state / path.name)


@pytest.mark.parametrize("part", ["ledger", "ropa.db"])
def test_an_older_copy_of_the_ledger_or_the_database_is_not_gone_on_with(
    server: Server, approved: Project, applied: Project, tmp_path: Path, part: str
) -> None:
    project = applied.copy(tmp_path / "p")
    put_back(project, approved, part)
    project.plan = approved.plan  # a plan that the older database knows, too
    plans = count_plans(project)
    assert_everything_stops(server, project, verified=None)
    for command in (("approve", "1", "--by", "Els", "--reason", "x", "--digest", "0" * 64), ("ledger", "checkpoint")):
        assert server.run("-C", project.folder, *command).code == 6
    assert count_plans(project) == plans


def count_plans(project: Project) -> int:
    with closing(sqlite3.connect(project.database)) as database:
        return int(database.execute("SELECT count(*) FROM plan").fetchone()[0])


def test_an_older_copy_of_the_whole_state_contradicts_a_checkpoint_kept_outside(
    server: Server, approved: Project, tmp_path: Path
) -> None:
    project = approved.copy(tmp_path / "p")
    config = project.folder / "config" / "retention.toml"
    config.write_text(config.read_text() + f'\n[ledger]\ncheckpoint_export = "{tmp_path / "outside"}"\n')
    approve(server, project)
    older = project.copy(tmp_path / "older")
    expect(server.run("-C", project.folder, "apply", str(project.plan)))
    shutil.rmtree(project.state)
    shutil.copytree(older.state, project.state)
    assert_everything_stops(server, project, verified=1)


def test_a_database_missing_beside_its_ledger_is_not_made_anew(
    server: Server, applied: Project, tmp_path: Path
) -> None:
    project = applied.copy(tmp_path / "p")
    for path in project.state.glob("ropa.db*"):
        path.unlink()
    every = (*COMMANDS, ("init",), ("status",), ("hold", "list"), ("plan", "list"), ("ledger", "show"), ("report",))
    for command in every:
        ended = server.run("-C", project.folder, *(word.format(plan=project.plan) for word in command))
        assert ended.code == 6, (command, ended)
    assert not list(project.state.glob("ropa.db*"))


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, but long enough to be one\n" * 100, b"SQLite format 3\0"]
)
def test_garbage_in_the_place_of_the_database_stops_everything_and_stays(
    server: Server, applied: Project, tmp_path: Path, content: bytes
) -> None:
    project = applied.copy(tmp_path / "p")
    for path in project.state.glob("ropa.db*"):
        path.unlink()
    project.database.write_bytes(content)
    project.database.chmod(0o600)
    for command in (*COMMANDS, ("status",), ("init",), ("hold", "list")):
        ended = server.run("-C", project.folder, *(word.format(plan=project.plan) for word in command))
        assert ended.code == 6, (command, ended)
        assert "Traceback" not in ended.err
        assert "unexpected" not in ended.err
    assert project.database.read_bytes() == content


def test_pages_of_the_database_overwritten_stop_everything(server: Server, applied: Project, tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    for number in range(cases(3, 60)):
        project = applied.copy(tmp_path / str(number))
        judge_before = records(project)
        content = bytearray(project.database.read_bytes())
        for page in draw.sample(range(1, len(content) // 4096), 30):
            content[page * 4096 : page * 4096 + 512] = draw.randbytes(512)
        project.database.write_bytes(content)
        for command in COMMANDS:
            ended = server.run("-C", project.folder, *(word.format(plan=project.plan) for word in command))
            assert ended.code == 6, (number, command, ended)
            assert "unexpected" not in ended.err
        assert records(project) == judge_before


def test_a_ledger_missing_beside_its_database_is_not_made_anew(
    server: Server, applied: Project, tmp_path: Path
) -> None:
    project = applied.copy(tmp_path / "p")
    shutil.rmtree(project.ledger)
    for command in (*COMMANDS, ("init",), ("ledger", "verify")):
        ended = server.run("-C", project.folder, *(word.format(plan=project.plan) for word in command))
        assert ended.code == 6, (command, ended)
    assert not (project.ledger / "events.jsonl").exists()
