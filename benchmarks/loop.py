"""Time and memory of the whole loop on one big SQLite table: plan, approve, apply, against one plain DELETE.

    python benchmarks/loop.py [--rows 1000000]

Prints, in one run: seconds and peak memory of `ropa plan` and `ropa apply` as processes, seconds and peak memory of a
plain DELETE of the same rows in a process of its own, and the ratios. The claim that is checked: planning and applying
stay under 200 MiB whatever the number of rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_MIB = 200
RULES = """
timezone = "Europe/Brussels"
[safety]
max_share = 0.9
max_records = 100_000_000
max_records_7_days = 100_000_000
[location.crm]
connector = "sql"
url = "sqlite:///data/crm.sqlite"
[location.crm.dataset.customers]
source = "customer"
anchor.last-contact = "last_contact"
data.name = ["name"]
data.email = ["email"]
[rule.customers]
activity = "intake"
dataset = "crm.customers"
data = "*"
anchor = "last-contact"
period = "2 years"
action = "purge"
"""
REGISTER = """
[activity.intake]
title = "Intake"
role = "controller"
purposes = ["benchmark"]
legal_basis = "6.1.b"
subjects = ["customer"]
data = ["name", "email"]
"""
RAW = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute('PRAGMA secure_delete=ON'); "
RAW += "c.execute(\"DELETE FROM customer WHERE last_contact < '2024'\"); c.commit()"


def make_table(path: Path, rows: int) -> None:
    """Write a table of which 30 % are due, spread at random, with an index on the date."""
    chance = random.Random(7)
    connection = sqlite3.connect(path)
    columns = "id INTEGER PRIMARY KEY, name TEXT, email TEXT, note TEXT, last_contact TEXT"
    connection.execute(f"CREATE TABLE customer({columns})")

    def records():
        for i in range(rows):
            year = chance.randint(2010, 2022) if chance.random() < 0.3 else 2026
            day = f"{year}-{chance.randint(1, 9):02d}-{chance.randint(1, 28):02d} 10:00:00"
            yield i, f"Name {i}", f"p{i}@example.com", "x" * 100, day

    connection.executemany("INSERT INTO customer VALUES (?,?,?,?,?)", records())
    connection.execute("CREATE INDEX by_date ON customer(last_contact)")
    connection.commit()
    connection.close()


def timed(command: list[str]) -> tuple[float, float, str]:
    """Run a command; return its seconds, its peak memory in MiB and its output."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024, output


def main() -> None:
    """Make the folder, run both, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    ropa = [sys.executable, "-m", "ropa", "-q"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config").mkdir()
        (folder / "data").mkdir()
        (folder / "config" / "retention.toml").write_text(RULES)
        (folder / "register.toml").write_text(REGISTER)
        make_table(folder / "data" / "crm.sqlite", rows)
        shutil.copyfile(folder / "data" / "crm.sqlite", folder / "plain.sqlite")
        call = [*ropa, "-C", name]
        timed([*call, "register", "import", str(folder / "register.toml"), "--reason", "benchmark"])
        plan_seconds, plan_mib, text = timed([*call, "plan", "--json"])
        plan = json.loads(text)
        timed([*call, "approve", str(plan["plan"]), "--reason", "benchmark", "--digest", plan["digest"]])
        apply_seconds, apply_mib, _ = timed([*call, "apply", str(plan["plan"]), "--json"])
        raw_seconds, raw_mib, _ = timed([sys.executable, "-c", RAW, str(folder / "plain.sqlite")])
    due = plan["targets"][0]["records"]
    print(f"{rows:,} rows, {due:,} due")
    print(f"plan       {plan_seconds:7.1f} s  {plan_mib:6.0f} MiB")
    print(f"apply      {apply_seconds:7.1f} s  {apply_mib:6.0f} MiB")
    print(f"raw DELETE {raw_seconds:7.1f} s  {raw_mib:6.0f} MiB")
    print(f"plan + apply = {(plan_seconds + apply_seconds) / raw_seconds:.2f} x raw DELETE")
    worst = max(plan_mib, apply_mib)
    print(f"memory {'within' if worst < LIMIT_MIB else 'OVER'} {LIMIT_MIB} MiB: {worst:.0f}")
    sys.exit(worst >= LIMIT_MIB)


if __name__ == "__main__":
    main()
