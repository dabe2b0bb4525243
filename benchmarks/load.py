"""A night where nothing is due, over many places: `ropa plan` against the bare counts that it has to make.

    python benchmarks/load.py [--locations 500] [--rules 20] [--rows 10000] [--times 3] [--limit 2.0] [--cpu]
        [--keep DIR] [--profile FILE]

Makes a project of SQLite files, generated people in each: a table for each rule, an index on its anchor, every date
within the period. One file is generated and copied, so that the making takes no longer than the measuring. With the
defaults that is 10^8 records, 10 GiB in the folder for temporary files (``TMPDIR``, or --keep).

- ``bare``: what no plan can do without, in plain sqlite3, each file opened once. Of each target three statements: how
  many records are past the limit (an index seek); how many have no anchor, one that is no date or one in the future,
  because those are findings and never due (each anchor is looked at, as text and as a date of the calendar); and how
  many there are, because caps count in shares of that. Every file was read before, for both contenders alike.
- ``plan``: the command `ropa plan --json` as a process, from its start to its exit: reading and checking the whole
  policy, asking each place what exists there and whether the rules fit, holds, the clocks, the three questions above,
  the plan with its digest, findings, the ledger's line and its checkpoint. It has planned a night before.

Both in turn, the median of some times; the ratio of the two counts, not the seconds. With --cpu the processor's time
instead of the clock's: on a machine that does other work too it is the one that can be compared. ``start`` is
`ropa --version`, ``policy`` is what `ropa hold list` takes on top of that: reading and checking the policy, opening the
state. Exits with 1 where the ratio is over the limit, or where a plan tells other numbers than the bare counts.
"""

from __future__ import annotations

import argparse
import compileall
import json
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
IS_CPU = "--cpu" in sys.argv
YEARS = 10
MAIN = """
timezone = "Europe/Brussels"
"""
PLACE = """
[location.{place}]
connector = "sql"
url = "sqlite:///data/{place}.sqlite"
"""
RULE = """
[location.{place}.dataset.{table}]
source = "{table}"
timezone = "UTC"
subject = ["email"]
anchor.created = "created"
data.name = ["first_name", "last_name"]
data.email = ["email"]
data.address = ["city"]
[rule.{place}-{table}]
activity = "intake"
dataset = "{place}.{table}"
data = "*"
anchor = "created"
period = "{years} years"
action = "purge"
"""
REGISTER = """
[activity.intake]
title = "Intake"
role = "controller"
purposes = ["benchmark"]
legal_basis = "6.1.b"
subjects = ["customer"]
data = ["name", "email", "address"]
"""
TABLE = """
CREATE TABLE {table} (id INTEGER PRIMARY KEY, created TEXT NOT NULL, first_name TEXT, last_name TEXT, email TEXT,
                      city TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO {table}
SELECT i, datetime('{newest}', '-' || (i * 7919 % 31536000) || ' seconds'), 'Person', 'Number ' || i,
       'person' || i || '@example.org', 'Gent' FROM n;
CREATE INDEX {table}_created ON {table} (created);
"""
DUE = "SELECT count(*) FROM {table} WHERE created < ?"
UNDATED = (
    "SELECT count(*) FROM {table} WHERE created IS NULL OR created > ? OR datetime(created, '+0 days') IS NOT created"
)
POPULATION = "SELECT count(*) FROM {table}"


def tables(rules: int) -> list[str]:
    return [f"people_{number:02}" for number in range(1, rules + 1)]


def make_project(folder: Path, locations: int, rules: int, rows: int) -> list[Path]:
    """Make the project folder with its places, and the state of a night before. Returns the files."""
    (folder / "data").mkdir()
    further = folder / "config" / "retention.d"
    further.mkdir(parents=True)
    (folder / "config" / "retention.toml").write_text(MAIN)
    newest = (datetime.now(UTC) - timedelta(days=7)).strftime("%Y-%m-%d %H:%M:%S")
    files = []
    for number in range(1, locations + 1):
        place = f"place-{number:04}"
        parts = [PLACE.format(place=place)]
        parts += [RULE.format(place=place, table=table, years=YEARS) for table in tables(rules)]
        (further / f"{place}.toml").write_text("".join(parts))
        files.append(folder / "data" / f"{place}.sqlite")
        if number == 1:
            with sqlite3.connect(files[0]) as database:
                for table in tables(rules):
                    database.executescript(TABLE.format(table=table, rows=rows, newest=newest))
                database.execute("ANALYZE")
            database.close()
        else:
            shutil.copyfile(files[0], files[-1])
    (folder / "register.toml").write_text(REGISTER)
    ropa(folder, "register", "import", str(folder / "register.toml"), "--reason", "benchmark")
    return files


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "ropa", "-q", "-C", str(folder), *arguments]


def spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ropa(folder: Path, *arguments: str) -> tuple[float, str]:
    """Run a command. Returns its seconds and what it printed."""
    started = spent() if IS_CPU else time.perf_counter()
    done = subprocess.run(command(folder, *arguments), check=False, capture_output=True, text=True, cwd=ROOT)
    seconds = (spent() if IS_CPU else time.perf_counter()) - started
    if done.returncode:
        sys.exit(f"ropa {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return seconds, done.stdout


def bare(files: list[Path], rules: int) -> tuple[float, list[tuple[int, int, int]]]:
    """Count what a plan has to know, with nothing around it. Returns the seconds and the counts of each target."""
    clock = time.process_time if IS_CPU else time.perf_counter
    started = clock()
    now = datetime.now(UTC)
    limit, present = f"{now.year - YEARS}{now:-%m-%d}", f"{now:%Y-%m-%d %H:%M:%S}"
    found = []
    for file in files:
        database = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        for table in tables(rules):
            due = database.execute(DUE.format(table=table), (limit,)).fetchone()[0]
            undated = database.execute(UNDATED.format(table=table), (present,)).fetchone()[0]
            found.append((due, undated, database.execute(POPULATION.format(table=table)).fetchone()[0]))
        database.close()
    return clock() - started, found


def planned(folder: Path) -> tuple[float, list[tuple[int, int, int]]]:
    """Plan a night. Returns the seconds and the counts of each target."""
    seconds, said = ropa(folder, "plan", "--json")
    plan = json.loads(said)
    if not plan["complete"] or any(target["stopped_by"] for target in plan["targets"]):
        sys.exit("the plan is not complete")
    return seconds, [(target["due"], target["unanchored"], target["population"]) for target in plan["targets"]]


def measure(folder: Path, files: list[Path], rules: int, times: int) -> tuple[float, float, bool]:
    """Return the median seconds of the bare counts and of the plan, and whether both counted the same."""
    counted, plans, is_same = [], [], True
    for _ in range(times):
        seconds, expected = bare(files, rules)
        counted.append(seconds)
        seconds, found = planned(folder)
        plans.append(seconds)
        is_same = is_same and sorted(found) == sorted(expected)
    return statistics.median(counted), statistics.median(plans), is_same


def main() -> int:
    """Make the project, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--locations", type=int, default=500)
    parser.add_argument("--rules", type=int, default=20)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--limit", type=float, default=2.0)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--keep", type=Path, help="make the project here and leave it there; one that is there is used")
    parser.add_argument("--profile", type=Path, help="write the profile of one more plan to this file")
    given = parser.parse_args()
    compileall.compile_dir(str(ROOT / "ropa"), quiet=1)
    compileall.compile_dir(str(ROOT / "connectors"), quiet=1)
    with tempfile.TemporaryDirectory(prefix="ropa-load-") as name:
        folder = given.keep or Path(name)
        if (folder / "data").is_dir():
            files = sorted((folder / "data").glob("*.sqlite"))
        else:
            folder.mkdir(exist_ok=True)
            files = make_project(folder, given.locations, given.rules, given.rows)
        bare(files, given.rules)  # so that no contender reads from the disk what the other finds in memory
        planned(folder)  # the night before
        least, took, is_same = measure(folder, files, given.rules, given.times)
        start = statistics.median(ropa(folder, "--version")[0] for _ in range(3))
        policy = statistics.median(ropa(folder, "hold", "list")[0] for _ in range(3)) - start
        if given.profile:
            profiled = [sys.executable, "-m", "cProfile", "-o", str(given.profile), *command(folder, "plan")[1:]]
            subprocess.run(profiled, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
        targets = len(files) * given.rules
        size = sum(file.stat().st_size for file in files) / 2**20
    ratio = took / least
    print(f"{len(files):,} locations x {given.rules} rules x {given.rows:,} rows, {size:,.0f} MiB; {targets:,} targets")
    print(f"bare counts   {least:8.2f} s   {least / targets * 1e3:6.2f} ms a target")
    print(f"ropa plan     {took:8.2f} s   {took / targets * 1e3:6.2f} ms a target")
    print(f"  start       {start:8.2f} s")
    print(f"  policy      {policy:8.2f} s")
    print(f"  the rest    {took - start - policy:8.2f} s   {(took - start - policy) / targets * 1e3:6.2f} ms a target")
    verdict = "ok" if ratio <= given.limit else "OVER"
    print(f"ratio         {ratio:8.2f}     (limit {given.limit:g}: {verdict})")
    if not is_same:
        print("the plan tells other numbers than the bare counts")
    return 0 if ratio <= given.limit and is_same else 1


if __name__ == "__main__":
    sys.exit(main())
