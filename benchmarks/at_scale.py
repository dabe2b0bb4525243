"""The figures that docs/explanation/at-scale.md reckons with, measured on this machine.

    python benchmarks/at_scale.py [--rows 200000] [--batch 20000] [--items 200]

Plans and applies so many records of a place that costs nothing (as ``sweep.py``), and looks what was written: bytes in
the run database while the plan is alive and once it is spent, bytes of the ledger for each batch, bytes of batch files
for each record; and how long what grows takes: the start of a run by lines of the ledger, the look at the last seven
days by batches, a work item by what the run database and the engine do for it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import sweep as bare
from fleet import make, processes
from sqlalchemy import insert
from sqlalchemy.orm import Session

from ropa.sweep import items, journal, night, review, safety
from ropa.sweep.engine import label
from ropa.sweep.lock import run_lock
from ropa.sweep.scope import Scope
from ropa.sweep.serving import do_item
from ropa.sweep.tables import BatchRow
from ropa.wiring import open_site

HISTORY = 20_000
"""Batches of a week that are pretended, to see how long the cap of seven days takes to look at."""


def size(*paths: Path) -> int:
    return sum(path.stat().st_size for path in paths)


def database_bytes(site) -> int:
    """Bytes in use in the run database (pages, without the free ones)."""
    with site.engine.connect() as connection:
        pages, free, page = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * page


def timed(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def start(site) -> None:
    with journal.writing(site) as opened:
        opened.check_batches()


def written(rows: int, batch: int) -> None:
    """Plan and apply, and print what is left of each record and batch."""
    with tempfile.TemporaryDirectory() as name:
        site, _ = bare.open_site(Path(name), rows, batch)
        empty = database_bytes(site)
        plan = night.make_plan(site, Scope(site.today()), by="An")
        alive = database_bytes(site)
        with journal.writing(site) as opened:
            review.approve(opened, plan, by="Piet", reason="benchmark", digest=review.get_plan(site, plan).digest)
            opened.checkpoint()
        lines = site.ledger_folder / "events.jsonl"
        before = size(lines)
        night.apply_plan(site, plan)
        batches = -(-rows // batch)
        files = size(*(site.ledger_folder / "batches").iterdir())
        print(f"run database, a plan alive          {(alive - empty) / rows:10.1f} bytes a planned record")
        print(f"run database, once it is spent      {(database_bytes(site) - empty) / rows:10.1f} bytes a record")
        print(f"ledger lines                        {(size(lines) - before) / batches:10.0f} bytes a batch")
        print(f"batch files                         {files / rows:10.1f} bytes a record")
        first = timed(lambda: start(site))
        print(f"start of a run ({batches} batches)          {first:10.2f} s")
        template = {
            "plan_id": plan, "target_id": 1, "first_seq": 0, "last_seq": 0, "key": None, "location": "crm",
            "dataset": "customers", "leaves": 1, "run_id": "r", "created_at": datetime.now(UTC),
            "settled_at": datetime.now(UTC), "outcomes": {"purged": 1},
        }  # fmt: skip
        rows_of = [template | {"unit": n, "number": n, "root": f"{n:064x}"} for n in range(10**6, 10**6 + HISTORY)]
        with Session(site.engine) as session, session.begin():
            session.execute(insert(BatchRow), rows_of)
        week = timed(lambda: safety.disposed_in_7_days(site, site.now()))
        print(f"look at seven days, a batch         {week / HISTORY * 1e6:10.1f} microseconds")
        site.close()


def item_cost(count: int) -> None:
    """Print what a work item costs: its rows, and its way through the engine and back."""
    from distributed import Client

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "p"
        make(folder, "sqlite", 1, 1, None)
        site = open_site(folder)
        with run_lock(site) as lease:

            def one() -> None:
                offered = items.offer(site, lease, kind=items.LIST, plan_id=1, location="p0")
                item = items.claim(site, offered)
                items.begin(site, item)
                items.let_go(site, item)
                items.finish(site, offered)

            taken = timed(lambda: [one() for _ in range(count)])
        print(f"rows of a work item (SQLite)        {taken / count * 1e3:10.2f} ms")
        with processes(folder, 1, {}) as address, Client(address, set_as_default=False) as client:
            executor = client.get_executor(pure=False, resources={label(site): 1})
            taken = timed(lambda: [f.result() for f in [executor.submit(do_item, f"{n:032x}") for n in range(count)]])
        print(f"engine and back, one worker         {taken / count * 1e3:10.2f} ms")
        site.close()


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--batch", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=200)
    given = parser.parse_args()
    written(given.rows, given.batch)
    item_cost(given.items)


if __name__ == "__main__":
    main()
