"""Purging a third of a large plain access log by date through the ``weblog`` connector, against ``grep -v``.

    python benchmarks/weblog.py [--mb 1000] [--repeat 3]

Each contender runs in a process of its own, in turn: ``grep -v`` writes the lines that stay to another file, flushed to
disk; ours finds the due ranges, acts on them (a new log beside the old one, flushed, exchanged for it) and reads back
what is left; the start of Python is left out. Both leave the same bytes, which is checked. Printed are seconds, memory
at its highest, and the ratio of the best times, which is what to read; on a busy machine that of processor time. The
people in the log are made up. Ends with 1 where ours takes more than twice as long as grep, or 100 MiB or more.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[1]))

MOST_RATIO = 2.0
MOST_MIB = 100
STEPS = ("find", "act", "remaining")
ZONE = ZoneInfo("Europe/Brussels")
FIRST = date(2026, 1, 1)
DAYS = 100
DUE_DAYS = 31
"""January, so that the plainest pattern finds them."""
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15",
    "curl/8.0",
)


def make_log(path: Path, megabytes: int) -> None:
    """Write a log of 100 days in order, all of them as busy."""
    chance = random.Random(7)
    started = datetime.combine(FIRST, datetime.min.time(), UTC)
    seconds = DAYS * 86400 / (megabytes * 5300)
    size = number = 0
    with path.open("w") as file:
        while size < megabytes * 1_000_000:
            lines = []
            for _ in range(5000):
                moment = started + timedelta(seconds=min(number * seconds, DAYS * 86400 - 1))
                number += 1
                address = ".".join(str(chance.randrange(1, 255)) for _ in range(4))
                lines.append(
                    f"{address} - - [{moment:%d/%b/%Y:%H:%M:%S} +0100] "
                    f'"GET /page/{chance.randrange(100_000)}?q={chance.randrange(10**9)} HTTP/1.1" 200 '
                    f'{chance.randrange(99_999)} "https://example.org/{chance.randrange(9999)}" '
                    f'"{chance.choice(AGENTS)}"\n'
                )
            text = "".join(lines)
            size += len(text)
            file.write(text)
    os.utime(path, (0, 1_700_000_000))


def run_ours(folder: Path) -> dict[str, float]:
    """Find, act and read back; in this process."""
    from connectors.weblog import TYPE
    from ropa.clock import start_of_day
    from ropa.connector import Action, Before, DatasetSpec, LocationSpec, OutcomeWord, Selection

    options = {"root": str(folder), "pattern": "*.log", "format": "combined"}
    spec = LocationSpec("web", "weblog", ZONE, options, {"access": DatasetSpec("access", ".", ZONE)})
    cut_off = FIRST + timedelta(days=DUE_DAYS)
    before = Before("line", cut_off, start_of_day(cut_off, ZONE))
    selection = Selection("access", ZONE, datetime(2026, 11, 22, tzinfo=UTC), (before,), anchors=("line",))
    connector = TYPE.open(spec)
    marks, busy = [time.perf_counter()], time.process_time()
    batches = list(connector.find(selection))
    marks.append(time.perf_counter())
    outcomes = [outcome for batch in batches for outcome in connector.act(selection, batch, Action.PURGE)]
    marks.append(time.perf_counter())
    left = [key for batch in batches for key in connector.remaining(selection, batch)]
    marks.append(time.perf_counter())
    if left or any(outcome.word is not OutcomeWord.PURGED for outcome in outcomes):
        sys.exit("not everything went")
    return {name: after - since for name, since, after in zip(STEPS, marks, marks[1:], strict=False)} | {
        "ranges": len(outcomes),
        "busy": time.process_time() - busy,
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def timed(command: list[str]) -> tuple[float, float, str]:
    """Run a command; return its seconds, those of the processor, and its output."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return seconds, busy, done.stdout


def make_room(path: Path, size: int) -> None:
    """Use and free as much memory for files as a contender will need: a virtual machine has to ask its host for memory
    that was not used lately, and whoever comes first would pay for it."""
    with path.open("wb") as file:
        for _ in range(0, size, 1 << 20):
            file.write(bytes(1 << 20))
    os.sync()
    path.unlink()


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_grep(log: Path, out: Path) -> tuple[float, float]:
    """Write what stays."""
    command = 'LC_ALL=C grep -v -F /Jan/2026: "$1" > "$2" && sync "$2"'
    return timed(["sh", "-c", command, "sh", str(log), str(out)])[:2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ours:
        print(json.dumps(run_ours(given.ours)))
        return
    with tempfile.TemporaryDirectory(prefix="ropa-weblog-") as name:
        place = Path(name) / "place"
        place.mkdir()
        (place / ".ropa-root").touch()
        source, out, log = Path(name) / "source", Path(name) / "out", place / "access.log"
        make_log(source, given.mb)
        run_grep(source, out)
        greps, ours, peak = [], [], 0.0
        for _ in range(given.repeat):
            size = out.stat().st_size
            out.unlink()
            make_room(Path(name) / "room", size)
            greps.append(run_grep(source, out))
            shutil.copy2(source, log)
            make_room(Path(name) / "room", size)
            parts = json.loads(timed([sys.executable, __file__, "--ours", str(place)])[2])
            ours.append((sum(parts[step] for step in STEPS), parts["busy"]))
            peak = max(peak, parts["mib"])
            steps = "  ".join(f"{step} {parts[step]:.2f}" for step in STEPS)
            print(
                f"grep -v {greps[-1][0]:6.2f} s ({greps[-1][1]:.2f} of processor)   ours {ours[-1][0]:6.2f} s "
                f"({ours[-1][1]:.2f}; {steps}; {parts['ranges']} ranges)",
                flush=True,
            )
            if digest(log) != digest(out):
                sys.exit("the two did not leave the same lines")
    ratio, busy = (min(one[at] for one in ours) / min(one[at] for one in greps) for at in (0, 1))
    print(f"{given.mb} MB: ours takes {ratio:.2f} x grep -v (at most {MOST_RATIO}); of processor time {busy:.2f} x")
    print(f"memory: {peak:.0f} MiB (under {MOST_MIB})")
    sys.exit(ratio > MOST_RATIO or peak >= MOST_MIB)


if __name__ == "__main__":
    main()
