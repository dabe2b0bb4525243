"""Time of the same work by one process and by fleets of 1, 2 and 4 workers, all on this machine.

    python benchmarks/fleet.py [--rows 40000] [--places 8] [--workers 1,2,4] [--times 1] [--only sqlite,postgres,slow]

Three kinds of source: ``sqlite``, several files (many places); ``postgres``, one big table (one place, in which
several batches are in hand at once); ``slow``, several files of which each lets one wait (`max_rows_per_second`), as a
source behind a network or an API does. Contenders take turns within each repetition. Timed are the plan and the apply
of all that is due, with every process there already. Prints seconds (medians), and ratios to one process.

A fleet is no quicker than the cores and the source allow: on two cores the workers share them with the scheduler, with
the process that writes the evidence and, on loopback, with the source itself. ``slow`` is what a fleet is for.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers import Postgres, ServerMissing, free_port

from ropa.register.parse import parse
from ropa.register.store import RegisterStore
from ropa.sweep import journal, night, review
from ropa.sweep.scope import Scope
from ropa.wiring import fleet_at, open_site

HEAD = """
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
max_records = 100_000_000
max_records_7_days = 100_000_000
"""
PLACE = """
[location.{name}]
connector = "sql"
url = "{url}"
batch_size = {batch}
{more}
[location.{name}.dataset.people]
source = "person"
anchor.seen = "seen_on"
data.name = ["name"]
[rule.{name}]
activity = "intake"
dataset = "{name}.people"
data = "*"
anchor = "seen"
period = "6 months"
action = "purge"
"""
REGISTER = """
[activity.intake]
title = "Intake"
role = "controller"
purposes = ["benchmark"]
legal_basis = "6.1.b"
subjects = ["customer"]
data = ["name"]
"""
KINDS = ("sqlite", "postgres", "slow")
SLOW_ROWS, SLOW_PACE = 400, 100
"""Four seconds that each slow place takes, whoever asks it."""


def fill_file(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path)) as source:
        source.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, seen_on TEXT)")
        source.executemany(
            "INSERT INTO person (name, seen_on) VALUES (?, '2020-01-15')", ((f"N{n}",) for n in range(rows))
        )
        source.commit()


def make(folder: Path, kind: str, rows: int, places: int, database) -> dict[str, str]:
    """Write a project of one kind; return what its processes need in their environment."""
    (folder / "config").mkdir(parents=True)
    text, batch = HEAD, max(1, rows // (places * 4))
    if kind == "postgres":
        database.execute("DROP TABLE IF EXISTS person")
        database.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, seen_on DATE)")
        database.execute(f"INSERT INTO person SELECT g, 'N' || g, '2020-01-15' FROM generate_series(1, {rows}) g")
        database.execute("ANALYZE person")
        text += PLACE.format(name="crm", url="env:ROPA_BENCHMARK_SOURCE", batch=max(1, rows // 16), more="")
    else:
        each = rows // places if kind == "sqlite" else SLOW_ROWS
        for number in range(places):
            fill_file(folder / f"p{number}.sqlite", each)
            more = f"max_rows_per_second = {SLOW_PACE}" if kind == "slow" else ""
            size = batch if kind == "sqlite" else SLOW_ROWS // 4
            text += PLACE.format(name=f"p{number}", url=f"sqlite:///p{number}.sqlite", batch=size, more=more)
    path = folder / "config" / "retention.toml"
    path.write_text(text)
    path.chmod(0o600)
    with closing(open_site(folder)) as site:
        RegisterStore(site.engine).save(parse(REGISTER), by="An", reason="benchmark", at=site.now())
    return {"ROPA_BENCHMARK_SOURCE": database.url} if kind == "postgres" else {}


@contextmanager
def processes(folder: Path, workers: int, env: dict[str, str]) -> Iterator[str]:
    """Run a scheduler and workers; give the scheduler's address once all are there."""
    address = f"tcp://127.0.0.1:{free_port()}"
    environ = {**os.environ, **env}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    bin_folder = Path(sys.executable).parent
    scheduler = [str(bin_folder / "dask"), "scheduler", "--host", address, "--no-dashboard"]
    worker = [sys.executable, "-m", "ropa", "-C", str(folder), "worker", "--fleet", address]
    started = [subprocess.Popen([*scheduler, "--dashboard-address", "127.0.0.1:0"], cwd=folder, env=environ, **quiet)]
    try:
        started += [subprocess.Popen(worker, cwd=folder, env=environ, **quiet) for _ in range(workers)]
        await_workers(address, workers)
        yield address
    finally:
        for process in reversed(started):
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(90)


def await_workers(address: str, count: int) -> None:
    from distributed import Client

    until = time.monotonic() + 90
    while True:
        try:
            with Client(address, timeout=5, set_as_default=False) as client:
                client.wait_for_workers(count, timeout=until - time.monotonic())
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def once(kind: str, workers: int, rows: int, places: int, database) -> tuple[float, float]:
    """Return the seconds of plan and of apply; ``workers`` 0: one process, by threads."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name) / "p"
        env = make(folder, kind, rows, places, database)
        os.environ.update(env)
        address = stack.enter_context(processes(folder, workers, env)) if workers else None
        site = stack.enter_context(closing(open_site(folder)))
        site.open_fleet = fleet_at(address) if address else None
        started = time.perf_counter()
        plan = night.make_plan(site, Scope(site.today()), by="An")
        planned = time.perf_counter()
        with journal.writing(site) as opened:
            review.approve(opened, plan, by="Piet", reason="benchmark", digest=review.get_plan(site, plan).digest)
            opened.checkpoint()
        begun = time.perf_counter()
        result = night.apply_plan(site, plan)
        ended = time.perf_counter()
        expected = SLOW_ROWS * places if kind == "slow" else rows // places * places if kind == "sqlite" else rows
        assert result.document["outcomes"] == {"purged": expected}, result.document["outcomes"]
        return planned - started, ended - begun


def compare(kind: str, given: argparse.Namespace, database) -> None:
    """Measure one kind with every contender, in turn, and print a table."""
    contenders = [0, *given.workers]
    taken: dict[int, list[tuple[float, float]]] = {contender: [] for contender in contenders}
    for _, contender in itertools.product(range(given.times), contenders):
        taken[contender].append(once(kind, contender, given.rows, given.places, database))
    print(f"\n{kind:10}{'plan s':>10}{'apply s':>10}{'apply, times one process':>28}")
    base = statistics.median(apply for _, apply in taken[0])
    for contender in contenders:
        plan, apply = (statistics.median(column) for column in zip(*taken[contender], strict=True))
        name = f"{contender} workers" if contender else "threads"
        print(f"{name:10}{plan:10.2f}{apply:10.2f}{apply / base:28.2f}", flush=True)


def main() -> None:
    """Run it and print a table for each kind of source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--workers", type=lambda text: [int(part) for part in text.split(",")], default=[1, 2, 4])
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(KINDS))
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{given.rows:,} records, {given.places} places, {os.cpu_count()} cores, load {load:.1f} before we began")
    for kind in given.only:
        if kind != "postgres":
            compare(kind, given, None)
            continue
        try:
            with Postgres.start() as server, server.create() as database:
                compare(kind, given, database)
        except ServerMissing as missing:
            print(f"\n{kind}: {missing}")


if __name__ == "__main__":
    main()
