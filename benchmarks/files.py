"""Time and memory of planning and purging files of which 30 % are due, against `find … -delete` on the same tree.

    python benchmarks/files.py [--files 200000] [--folder DIR] [--rounds 1] [--batch N]

Files of 1 KiB in nested folders, 100 to a folder; every contender gets a copy of its own, made just before and flushed
to disk. Prints, in one run: seconds, those of the processor and peak memory of `find`; of the connector alone (find,
then act and read-back batch by batch) in a process of its own; and of `ropa plan` and `ropa apply`, evidence included,
as commands, with and without the start of a bare command. With more rounds the contenders take turns and medians are
printed. On a busy disk only the processor's time can be compared. Exit 1 when the loop took more than 0.8 times as long
as `find`, or 200 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 0.8
LIMIT_MIB = 200
PER_FOLDER = 100
RULES = """
timezone = "Europe/Brussels"
[safety]
max_share = 0.9
max_records = 100_000_000
max_records_7_days = 100_000_000
[location.share]
connector = "files"
root = "share"
[location.share.dataset.cvs]
source = "cvs"
data.cv = ["*"]
[rule.cvs]
activity = "intake"
dataset = "share.cvs"
data = "*"
anchor = "mtime"
period = "2 years"
action = "purge"
"""
REGISTER = """
[activity.intake]
title = "Intake"
role = "controller"
purposes = ["benchmark"]
legal_basis = "6.1.b"
subjects = ["applicant"]
data = ["cv"]
"""
CONNECTOR = """
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo
from connectors.files import TYPE
from ropa import clock
from ropa.connector import Action, Before, DatasetSpec, LocationSpec, OutcomeWord, Selection
zone = ZoneInfo("Europe/Brussels")
dataset = DatasetSpec("cvs", "cvs", zone, data={"cv": ("*",)})
size = int(sys.argv[2]) or None
connector = TYPE.open(LocationSpec("share", "files", zone, {"root": sys.argv[1]}, {"cvs": dataset}, size))
now = clock.now()
day = (now - timedelta(days=730)).date()
selection = Selection("cvs", zone, now, (Before("mtime", day, clock.start_of_day(day, zone)),), anchors=("mtime",))
started = clock.monotonic()
batches = list(connector.find(selection))
found = clock.monotonic()
acting = reading = 0.0
for batch in batches:
    begun = clock.monotonic()
    outcomes = connector.act(selection, batch, Action.PURGE)
    acted = clock.monotonic()
    assert outcomes.word is OutcomeWord.PURGED and not outcomes.odd
    assert not connector.remaining(selection, batch)
    acting, reading = acting + acted - begun, reading + clock.monotonic() - acted
print(clock.monotonic() - started, found - started, acting, reading, sum(map(len, batches)))
"""


def make_tree(root: Path, files: int, old: float, new: float) -> int:
    """Fill a root with files of 1 KiB, 30 % of them older than ``old``, the rest newer than ``new``; count the old."""
    chance = random.Random(7)
    due = 0
    for number in range(-(-files // PER_FOLDER)):
        folder = root / "cvs" / f"{number % 20:02d}" / f"{number // 20:04d}"
        folder.mkdir(parents=True)
        descriptor = os.open(folder, os.O_RDONLY)
        for position in range(min(PER_FOLDER, files - number * PER_FOLDER)):
            file = os.open(f"cv-{position:05d}.pdf", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=descriptor)
            os.write(file, b"x" * 1024)
            is_old = chance.random() < 0.3
            due += is_old
            moment = old - chance.randint(1, 10**8) if is_old else new + chance.randint(1, 10**6)
            os.utime(file, (moment, moment))
            os.close(file)
        os.close(descriptor)
    (root / ".ropa-root").touch()
    os.sync()
    return due


def timed(command: list[str]) -> tuple[float, float, str, float]:
    """Run a command; return its seconds, its peak memory in MiB, its output and its seconds of processor."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024, output, usage.ru_utime + usage.ru_stime


def files_below(root: Path) -> int:
    """Count what is left."""
    return sum(len(files) for _, _, files in os.walk(root / "cvs"))


class Contest:
    """The contenders, each over a tree of its own that is made for it."""

    def __init__(self, folder: Path, files: int, batch: int) -> None:
        self.folder = folder
        self.files = files
        self.batch = batch
        self.old = time.time() - 3 * 365 * 86400
        self.new = time.time() - 90 * 86400
        self.due = 0

    def make(self, root: Path) -> Path:
        """Make a tree."""
        self.due = make_tree(root, self.files, self.old, self.new)
        return root

    def check(self, root: Path) -> None:
        """Hold a contender to what it was to remove, and clear away."""
        left = files_below(root)
        if left != self.files - self.due:
            sys.exit(f"{left} files are left, {self.files - self.due} were expected")
        shutil.rmtree(root)
        os.sync()

    def find(self) -> tuple[float, float, float]:
        """`find … -delete`: seconds, MiB, seconds of processor."""
        root = self.make(self.folder / "plain")
        cut_off = time.strftime("%Y-%m-%d", time.gmtime(self.old + 365 * 86400))
        command = ["find", str(root / "cvs"), "-type", "f", "!", "-newermt", cut_off, "-delete"]
        seconds, mib, _, busy = timed(command)
        self.check(root)
        return seconds, mib, busy

    def connector(self) -> tuple[float, float, float, list[float]]:
        """The connector alone: seconds, MiB, seconds of processor with the start of Python, and of the seconds those of
        find, act and read-back."""
        root = self.make(self.folder / "alone")
        _, mib, text, busy = timed([sys.executable, "-c", CONNECTOR, str(root), str(self.batch)])
        seconds, *parts, due = map(float, text.split())
        if due != self.due:
            sys.exit(f"{due:.0f} files were found, {self.due} were expected")
        self.check(root)
        return seconds, mib, busy, parts

    def loop(self) -> tuple[float, float, float, float, float, float]:
        """`ropa plan` and `ropa apply`: seconds of each, MiB of each, the seconds of a bare command, and the seconds of
        processor of both without the start of two commands."""
        project = self.folder / "project"
        (project / "config").mkdir(parents=True)
        rules = (
            RULES.replace("[location.share.", f"batch_size = {self.batch}\n[location.share.") if self.batch else RULES
        )
        (project / "config" / "retention.toml").write_text(rules)
        (project / "register.toml").write_text(REGISTER)
        root = self.make(project / "share")
        call = [sys.executable, "-m", "ropa", "-q", "-C", str(project)]
        timed([*call, "register", "import", str(project / "register.toml"), "--reason", "benchmark"])
        starts = [timed([*call, "plan", "list", "--json"]) for _ in range(3)]
        bare, idle = min(one[0] for one in starts), min(one[3] for one in starts)
        plan_seconds, plan_mib, text, plan_busy = timed([*call, "plan", "--json"])
        plan = json.loads(text)
        timed([*call, "approve", str(plan["plan"]), "--reason", "benchmark", "--digest", plan["digest"]])
        apply_seconds, apply_mib, _, apply_busy = timed([*call, "apply", str(plan["plan"]), "--json"])
        self.check(root)
        shutil.rmtree(project)
        return plan_seconds, apply_seconds, plan_mib, apply_mib, bare, plan_busy + apply_busy - 2 * idle


def main() -> None:
    """Run the contenders in turn and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where the trees are made; default: the system's temporary folder")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--batch", type=int, default=0, help="records per batch; default: the connector's own")
    parser.add_argument("--alone", action="store_true", help="leave the whole loop out")
    call = parser.parse_args()
    plain, alone, loops = [], [], []
    with tempfile.TemporaryDirectory(dir=call.folder) as name:
        contest = Contest(Path(name), call.files, call.batch)
        for _ in range(call.rounds):
            plain.append(contest.find())
            alone.append(contest.connector())
            if not call.alone:
                loops.append(contest.loop())
    base, base_mib, base_busy = (statistics.median(figures) for figures in zip(*plain, strict=True))
    own, own_mib, own_busy = (statistics.median(one[i] for one in alone) for i in range(3))
    find, act, remaining = (statistics.median(parts[i] for *_, parts in alone) for i in range(3))
    print(f"{call.files:,} files, {contest.due:,} due; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"find -delete    {base:7.2f} s ({base_busy:.2f} of processor)  {base_mib:6.0f} MiB")
    print(f"connector alone {own:7.2f} s ({own_busy:.2f} of processor)  {own_mib:6.0f} MiB  = {own / base:.2f} x find")
    print(f"                find {find:.2f} s, act {act:.2f} s, read-back {remaining:.2f} s")
    if not loops:
        return
    plan, apply, plan_mib, apply_mib, bare, busy = (statistics.median(each) for each in zip(*loops, strict=True))
    whole = plan + apply
    ratio = (whole - 2 * bare) / base
    print(f"plan            {plan:7.2f} s  {plan_mib:6.0f} MiB")
    print(f"apply           {apply:7.2f} s  {apply_mib:6.0f} MiB")
    print(f"bare command    {bare:7.2f} s")
    print(f"plan + apply = {whole / base:.2f} x find; without the start of the two commands {ratio:.2f} x, "
          f"of processor time {busy / base_busy:.2f} x")  # fmt: skip
    worst = max(plan_mib, apply_mib)
    print(f"limit {LIMIT}: {'ok' if ratio <= LIMIT else 'OVER'}; memory {LIMIT_MIB} MiB: "
          f"{'ok' if worst < LIMIT_MIB else 'OVER'}")  # fmt: skip
    sys.exit(ratio > LIMIT or worst >= LIMIT_MIB)


if __name__ == "__main__":
    main()
