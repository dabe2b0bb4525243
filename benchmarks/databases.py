"""The whole of ropa on one large table, against one plain statement and against pt-archiver, in one run.

    python benchmarks/databases.py [--rows 1000000] [--share 0.3] [--engine sqlite,postgresql,mariadb]
        [--key integer|uuid] [--anchor native|epoch] [--job purge|clear|nothing]
        [--contenders raw,ropa,pt-archiver] [--repeat 1] [--batch N] [--journal delete|wal]

Every contender works on a fresh copy of the same table, in turn, in processes of its own. The plain one is run once
before, uncounted: whoever is first has a server make its log files.

- ``raw``: one DELETE, or one UPDATE of three columns, committed at once; for ``nothing`` one SELECT count(*).
- ``ropa``: the commands ``ropa plan`` and ``ropa apply`` in a project folder: plan, holds, intents, evidence,
  read-back, receipts, checkpoint. The approval, a person's, is not counted. For ``nothing``: ``ropa plan`` alone.
- ``pt-archiver`` (MariaDB, purge): ``--purge --bulk-delete --limit 1000 --commit-each``.

Columns: ``wall`` is what a clock on the wall says. ``start`` is what the same commands take on a table of 100 rows
(best of three): starting up, opening the folder and the place; at most 1 s a command, and taken off. ``after`` is what
the engine still has to do: VACUUM on PostgreSQL, purging the history on MariaDB, cutting the log on SQLite. ``total``
is wall - start + after, and ``ratio`` its ratio to that of ``raw``: read that, seconds depend on the machine. ``cpu``
is the processor time of the processes themselves, not of a server. Of several repeats the median counts. Beside the
figures stand the limits, each with ok or OVER; the exit code is 1 where one is OVER, where a contender left a due row
or took another, or where an engine could not be measured.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench_engines import ENGINES, YEARS, Engine, Shape

ROOT = Path(__file__).parents[1]
LIMIT_MIB = 200
LIMIT_STATEMENT = 1.0
LIMIT_START = 1.0
RULES = f"""
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
max_records = 100_000_000
max_records_7_days = 100_000_000
[location.crm]
connector = "sql"
url = "%(url)s"
%(batch)s
[location.crm.dataset.customers]
source = "customer"
timezone = "UTC"
anchor.created = {{ column = "created"%(form)s }}
data.name = ["name"]
data.email = ["email"]
data.bank-account = ["iban"]
data.correspondence = ["note"]
[rule.customers]
activity = "intake"
dataset = "crm.customers"
data = %(data)s
anchor = "created"
period = "{YEARS} years"
action = "%(action)s"
"""
KEEP = """
[rule.notes]
activity = "intake"
dataset = "crm.customers"
data = ["correspondence"]
anchor = "created"
period = "90 years"
action = "keep"
reason = "benchmark"
"""
REGISTER = """
[activity.intake]
title = "Intake"
role = "controller"
purposes = ["benchmark"]
legal_basis = "6.1.b"
subjects = ["customer"]
data = ["name", "email", "bank-account", "correspondence"]
"""


class ContenderError(Exception):
    """A contender could not be measured."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one contender took: seconds, MiB."""

    wall: float
    cpu: float
    start: float
    after: float
    mib: float
    longest: float | None
    statement: str
    parts: str = ""
    commands: tuple[float, ...] = ()
    """Seconds of each command."""

    @property
    def total(self) -> float:
        return self.wall - self.start + self.after


@dataclass(frozen=True, slots=True)
class Run:
    """One process: seconds, seconds of processor time, peak MiB, and what it said."""

    seconds: float
    cpu: float
    mib: float
    said: str


def timed(command: Sequence[str]) -> Run:
    """Run a command in the checkout. Raises ContenderError."""
    with tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT)
        output = process.stdout.read() if process.stdout else ""
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.stdout:
            process.stdout.close()
        if process.returncode:
            errors.seek(0)
            reasons = re.findall(r'"(?:stopped_by|message)": "([^"]*)"', output)
            words = " ".join((errors.read() or "; ".join(reasons) or output).split())[-400:]
            raise ContenderError(f"{' '.join(command[2:7])} … ended with {process.returncode}: {words}")
    mib = usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    return Run(seconds, usage.ru_utime + usage.ru_stime, mib, output)


def run_raw(engine: Engine, _batch: int | None) -> Result:
    worker = str(Path(__file__).with_name("bench_engines.py"))
    run = timed([sys.executable, worker, engine.name, engine.address(), engine.shape.statement()])
    return Result(float(run.said), run.cpu, 0.0, 0.0, run.mib, None, "")


def run_ropa(engine: Engine, batch: int | None) -> Result:
    shape = engine.shape
    is_clear = shape.job == "clear"
    values = {
        "url": engine.url(),
        "batch": f"batch_size = {batch}" if batch else "",
        "form": ', format = "epoch"' if shape.anchor == "epoch" else "",
        "data": '["name", "email", "bank-account"]' if is_clear else '"*"',
        "action": "anonymise" if is_clear else "purge",
    }
    with tempfile.TemporaryDirectory(prefix="ropa-bench-") as name:
        folder = Path(name)
        (folder / "config").mkdir()
        (folder / "config" / "retention.toml").write_text(RULES % values + (KEEP if is_clear else ""))
        (folder / "register.toml").write_text(REGISTER)
        ropa = [sys.executable, "-m", "ropa", "-q", "-C", name]
        timed([*ropa, "register", "import", str(folder / "register.toml"), "--reason", "benchmark"])
        engine.watch()
        planned = timed([*ropa, "plan", "--json"])
        plan = json.loads(planned.said)
        records = sum(target["records"] for target in plan["targets"])
        parts = f"plan {planned.seconds:.2f} s {planned.mib:.0f} MiB"
        if shape.job == "nothing":
            if records or any(target["stopped_by"] for target in plan["targets"]):
                raise ContenderError(f"a plan of nothing has {records} records")
            commands = (planned.seconds,)
            return Result(planned.seconds, planned.cpu, 0.0, 0.0, planned.mib, None, "", parts, commands)
        number = str(plan["plan"])
        timed([*ropa, "approve", number, "--reason", "benchmark", "--digest", plan["digest"]])
        applied = timed([*ropa, "apply", number, "--json"])
        parts += f", apply {applied.seconds:.2f} s {applied.mib:.0f} MiB"
    seconds, cpu = planned.seconds + applied.seconds, planned.cpu + applied.cpu
    commands = (planned.seconds, applied.seconds)
    return Result(seconds, cpu, 0.0, 0.0, max(planned.mib, applied.mib), None, "", parts, commands)


def run_pt_archiver(engine: Engine, batch: int | None) -> Result:
    if engine.name != "mariadb" or engine.shape.job != "purge":
        raise ContenderError("pt-archiver purges MariaDB and MySQL only")
    port, name = engine.address().split()
    command = ["pt-archiver", "--source", f"h=127.0.0.1,P={port},u=root,D={name},t=customer"]
    command += ["--where", f"created < {engine.shape.literal()}", "--purge", "--bulk-delete", "--no-check-charset"]
    command += ["--limit", str(batch or 1000), "--commit-each"]
    try:
        engine.watch()
        run = timed(command)
    except FileNotFoundError:
        raise ContenderError("pt-archiver is not installed (Debian: percona-toolkit)") from None
    return Result(run.seconds, run.cpu, 0.0, 0.0, run.mib, None, "", "", (run.seconds,))


CONTENDERS = {"raw": run_raw, "ropa": run_ropa, "pt-archiver": run_pt_archiver}


def measure(engine: Engine, contender: str, batch: int | None) -> Result:
    """Run one contender on a fresh copy, and what the engine does afterwards; see that the right rows went."""
    engine.fresh()
    kept = engine.ask(engine.shape.kept())
    engine.watch()
    result = CONTENDERS[contender](engine, batch)
    longest, statement = engine.longest() or (None, "")
    result = replace(result, longest=longest, statement=statement)
    if engine.shape.job != "nothing":
        result = replace(result, after=engine.afterwards())
        left, still = engine.ask(engine.shape.left()), engine.ask(engine.shape.kept())
        if left or still != kept:
            raise ContenderError(f"{contender} left {left} due rows and changed {kept - still} others")
    return result


def start_ups(name: str, shape: Shape, contenders: Sequence[str]) -> dict[str, float]:
    """Return, by contender, the seconds that its commands take where there is next to nothing to do."""
    engine = ENGINES[name](replace(shape, rows=100))
    found: dict[str, float] = {}
    try:
        engine.make()
        for contender in contenders:
            try:
                runs = [measure(engine, contender, None).commands for _ in range(3)]
            except ContenderError:
                continue  # told by the run that counts
            found[contender] = sum(min(*each, LIMIT_START) for each in zip(*runs, strict=True))
    finally:
        engine.close()
    return found


def median(results: Sequence[Result]) -> Result:
    return sorted(results, key=lambda r: r.total)[(len(results) - 1) // 2]


def limit_of(engine: Engine) -> float:
    """The most that ropa may take, as a ratio of totals."""
    shape = engine.shape
    if shape.job == "nothing":
        return 1.2
    if shape.job == "clear":
        return 1.0 if engine.name == "sqlite" else 2.0
    if shape.key == "uuid":
        return 4.0
    if shape.share <= 0.05:
        return 2.5
    return {"postgresql": 2.2, "sqlite": 1.0, "mariadb": 1.3}[engine.name]


def judge(name: str, figure: float, limit: float, unit: str = "x") -> bool:
    is_ok = figure <= limit
    print(f"    {name:36} {figure:8.2f} {unit:4} limit {limit:g} {unit:4} {'ok' if is_ok else 'OVER'}")
    return is_ok


def show(engine: Engine, results: dict[str, list[Result]]) -> bool:
    """Print the table and the limits of one engine; return whether all are kept."""
    found = {name: median(each) for name, each in results.items() if each}
    raw, ropa, archiver = (found.get(name) for name in CONTENDERS)
    heads = f"{'wall':>8} {'start':>6} {'after':>7} {'total':>8} {'ratio':>6} {'cpu':>7} {'MiB':>5}"
    print(f"    {'':12} {heads}  longest statement")
    for name, one in found.items():
        ratio = f"{one.total / raw.total:6.2f}" if raw else "     -"
        longest = f"{one.longest:.2f} s {one.statement[:48]}" if one.longest is not None else "not known"
        times = f"{one.wall:8.2f} {one.start:6.2f} {one.after:7.2f} {one.total:8.2f}"
        print(f"    {name:12} {times} {ratio} {one.cpu:7.2f} {one.mib:5.0f}  {longest}")
        if one.parts:
            print(f"    {'':12} {one.parts}")
        spread = [each.total for each in results[name]]
        if len(spread) > 1:
            print(f"    {'':12} {len(spread)} runs, {min(spread):.2f} to {max(spread):.2f} s")
    verdicts = []
    if ropa and raw:
        verdicts.append(judge("total, ropa to raw", ropa.total / raw.total, limit_of(engine)))
    if ropa and archiver:
        verdicts.append(judge("total, ropa to pt-archiver", ropa.total / archiver.total, 1.0))
    if ropa:
        verdicts.append(judge("memory of ropa", ropa.mib, LIMIT_MIB, "MiB"))
    if ropa and ropa.longest is not None and engine.shape.job != "nothing":
        verdicts.append(judge("longest statement of ropa", ropa.longest, LIMIT_STATEMENT, "s"))
    return all(verdicts)


def run_engine(name: str, shape: Shape, contenders: Sequence[str], repeat: int, batch: int | None) -> bool:
    """Measure one engine; return whether every limit is kept. Raises ContenderError and what a server raises."""
    starts = start_ups(name, shape, contenders)
    engine = ENGINES[name](shape)
    try:
        print(f"\n{name}: {engine.make()}", flush=True)
        results: dict[str, list[Result]] = {each: [] for each in contenders}
        if "raw" in contenders:
            measure(engine, "raw", None)  # not counted: whoever is first has the server make its log files
        is_well = True
        for _ in range(repeat):
            for contender, found in results.items():
                if contender == "pt-archiver" and (name != "mariadb" or shape.job != "purge"):
                    continue
                try:
                    result = measure(engine, contender, batch if contender == "ropa" else None)
                    found.append(replace(result, start=starts.get(contender, 0.0)))
                except ContenderError as error:
                    print(f"    {contender} FAILED: {error}", flush=True)
                    is_well = False
        return show(engine, results) and is_well
    finally:
        engine.close()


def chosen(text: str, known: Sequence[str]) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(known)}")
    return names


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--share", type=float, default=0.3, help="of the rows, how many are due")
    parser.add_argument("--engine", type=lambda t: chosen(t, list(ENGINES)), default=list(ENGINES))
    parser.add_argument("--key", choices=["integer", "uuid"], default="integer")
    parser.add_argument("--anchor", choices=["native", "epoch"], default="native")
    parser.add_argument("--job", choices=["purge", "clear", "nothing"], default="purge")
    parser.add_argument("--contenders", type=lambda t: chosen(t, list(CONTENDERS)), default=list(CONTENDERS))
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--batch", type=int, help="batch_size of ropa; default: the connector's own")
    parser.add_argument("--journal", choices=["delete", "wal"], default="delete", help="of SQLite")
    args = parser.parse_args()
    share = 0.0 if args.job == "nothing" else args.share
    shape = Shape(args.rows, share, args.key, args.anchor, args.job, args.journal)
    print(f"{shape.job}: {shape.rows:,} rows, {share:.0%} due, key {shape.key}, anchor {shape.anchor}")
    for package in ("ropa", "connectors"):  # an installation has its bytecode
        compileall.compile_dir(str(ROOT / package), quiet=1)
    is_well = True
    for name in args.engine:
        try:
            is_well &= run_engine(name, shape, args.contenders, args.repeat, args.batch)
        except Exception as error:  # noqa: BLE001 - one engine that is missing or fails stops no other
            print(f"\n{name} FAILED: {type(error).__name__}: {error}")
            is_well = False
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
