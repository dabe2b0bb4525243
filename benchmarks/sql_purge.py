"""Purging a large SQLite table through the ``sql`` connector, against one raw DELETE of the same rows.

    python benchmarks/sql_purge.py [--rows 1000000] [--share 0.3] [--batch N] [--repeat 1] [--journal delete|wal]

Each contender runs in a process of its own on its own copy of the same file, in turn; printed are the seconds, the
peak of resident memory, and the ratio to the raw DELETE, which is what to read: seconds depend on the machine, and on
a busy one the seconds of processor time say more. The raw DELETE has what we have: foreign keys on, erased bytes
overwritten, and the log cut afterwards where there is one.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[1]))

ZONE = ZoneInfo("Europe/Brussels")
CUTOFF = date(2026, 5, 21)


def make(path: Path, rows: int, share: float, journal: str) -> None:
    chance = random.Random(7)
    due, kept = range(-60_000_000, 0), range(15_000_000)
    newest = datetime.combine(CUTOFF, datetime.min.time())
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA journal_mode={journal}")
        raw.execute(
            "CREATE TABLE contact (id INTEGER PRIMARY KEY, name TEXT, email TEXT, created TEXT NOT NULL, note TEXT)"
        )
        raw.executemany(
            "INSERT INTO contact VALUES (?, ?, ?, ?, ?)",
            (
                (
                    n,
                    f"Person {n}",
                    f"person{n}@example.org",
                    str(newest + timedelta(seconds=chance.choice(due if chance.random() < share else kept))),
                    "x" * 180,
                )
                for n in range(rows)
            ),
        )
        raw.execute("CREATE INDEX contact_created ON contact (created)")
    raw.close()


def run_raw(path: Path) -> tuple[float, int]:
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA foreign_keys=ON")
    raw.execute("PRAGMA secure_delete=ON")
    start = time.perf_counter()
    gone = raw.execute("DELETE FROM contact WHERE created < ?", (CUTOFF.isoformat(),)).rowcount
    raw.commit()
    raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    seconds = time.perf_counter() - start
    raw.close()
    return seconds, gone


def run_connector(path: Path, batch: int | None) -> tuple[float, int]:
    from connectors.sql import TYPE
    from ropa.clock import start_of_day
    from ropa.connector import Action, Anchor, AnchorPart, Before, DatasetSpec, LocationSpec, OutcomeWord, Selection

    anchors = {"created": Anchor("created", (AnchorPart("created"),))}
    dataset = DatasetSpec("contacts", "contact", ZONE, subject=("email",), anchors=anchors)
    options = {"url": f"sqlite:///{path}", "folder": str(path.parent)}
    connector = TYPE.open(LocationSpec("crm", "sql", ZONE, options, {"contacts": dataset}, batch))
    before = Before("created", CUTOFF, start_of_day(CUTOFF, ZONE))
    now = datetime(2027, 11, 22, 2, 30, tzinfo=UTC)
    selection = Selection("contacts", ZONE, now, before=(before,), anchors=("created",))
    spent = dict.fromkeys(("find", "act", "remaining", "settle"), 0.0)
    gone = 0
    start = moment = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal moment
        spent[name] += time.perf_counter() - moment
        moment = time.perf_counter()

    for found in connector.find(selection):
        lap("find")
        gone += sum(o.word is OutcomeWord.PURGED for o in connector.act(selection, found, Action.PURGE))
        lap("act")
        assert not connector.remaining(selection, found)
        lap("remaining")
    lap("find")
    assert connector.settle("contacts") == "physical"
    lap("settle")
    seconds = time.perf_counter() - start
    connector.close()
    print(" ".join(f"{name} {value:.2f} s" for name, value in spent.items()), file=sys.stderr)
    return seconds, gone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--journal", choices=["delete", "wal"], default="delete")
    parser.add_argument("--run", choices=["raw", "connector"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        begun = time.process_time()
        seconds, gone = run_raw(args.file) if args.run == "raw" else run_connector(args.file, args.batch)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "cpu": time.process_time() - begun, "gone": gone, "mib": peak}))
        return
    with tempfile.TemporaryDirectory() as folder:
        original, copy = Path(folder, "original.sqlite"), Path(folder, "copy.sqlite")
        make(original, args.rows, args.share, args.journal)
        print(f"{args.rows} rows, {original.stat().st_size / 2**20:.0f} MiB, journal {args.journal}")
        results: dict[str, list[dict[str, float]]] = {"raw": [], "connector": []}
        for _ in range(args.repeat):
            for name, found in results.items():
                shutil.copy(original, copy)
                call = [sys.executable, __file__, "--run", name, "--file", str(copy)]
                call += ["--batch", str(args.batch)] if args.batch else []
                found.append(json.loads(subprocess.run(call, check=True, stdout=subprocess.PIPE).stdout))
        assert {r["gone"] for r in results["raw"]} == {r["gone"] for r in results["connector"]}
        base, cpu_base = (statistics.median(r[key] for r in results["raw"]) for key in ("seconds", "cpu"))
        for name, found in results.items():
            seconds, cpu, peak = (statistics.median(r[key] for r in found) for key in ("seconds", "cpu", "mib"))
            gone = int(found[0]["gone"])
            ratios = f"{seconds / base:5.2f} x raw (cpu {cpu:.2f} s, {cpu / cpu_base:.2f} x)"
            print(f"{name:10} {gone} rows  {seconds:7.2f} s  {ratios}  peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
