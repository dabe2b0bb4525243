"""Requests, time and memory of the connector ``sharepoint``, each with its limit.

    python benchmarks/sharepoint.py [--records 4000] [--largest 1000000] [--trip 0.05] [--standin auto|no|URL]

Three parts, each in a process of its own:

- ``memory``: a list and a library of 1,000 and of ``--largest`` simulated records are planned, nothing due and a third
  due; the peak may grow by 64 MiB. A night on which nothing is due takes one request a page and two for the columns.
- ``trips``: ``--records`` records are planned, changed and read back while each request takes ``--trip`` seconds. Time
  may be 1.3 times what the requests take: pages one after the other, batches four at a time.
- ``standin``: the same on a real OData server with 3,000 files (1 in 100 on hold, 1 in 100 open) and 6,000 list items,
  where beds/microsoft365 is there (``ROPA_BEDS``, node and npm; its start installs packages), or at a URL such as
  http://127.0.0.1:4006/v1.0, whose records are then gone.

Requests are counted where they leave. Exit 1 where a limit is OVER, or where an outcome is another than it must be.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
from sharepoint_site import DRIVE, HOST, OPTIONS, Counted, Site

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from connectors.microsoft365.sharepoint.location import SharePointConnector  # noqa: E402
from ropa.clock import start_of_day  # noqa: E402
from ropa.connector import (  # noqa: E402
    Action,
    Batch,
    Before,
    DatasetSpec,
    FieldChange,
    LocationSpec,
    Selection,
)

BEDS = Path(os.environ.get("ROPA_BEDS") or ROOT.parent / "shared" / "beds")
ZONE = ZoneInfo("Europe/Brussels")
NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
LIMIT_TIME, LIMIT_GROWTH = 1.3, 64
FILES, ITEMS = 3000, 6000


def connect(transport: httpx.BaseTransport, root: str, *, library: str, items: str) -> SharePointConnector:
    """Return a connector to a library and a list."""
    datasets = {
        "cvs": DatasetSpec("cvs", library, ZONE, data={"cv": ("*",)}),
        "klanten": DatasetSpec("klanten", items, ZONE, data={"name": ("Title",)}),
    }
    options = {**OPTIONS, "graph_url": root, "site_id": "s1"}
    return SharePointConnector(LocationSpec("bench", "sharepoint", ZONE, options, datasets), transport)


def before(dataset: str, day: date, *fields: FieldChange) -> Selection:
    """Return what was created before a day."""
    cut_off = (Before("created", day, start_of_day(day, ZONE)),)
    return Selection(dataset, ZONE, NOW, before=cut_off, anchors=("created",), fields=fields)


class Table:
    """The figures as they come, and whether one is over its limit."""

    def __init__(self) -> None:
        self.is_over = False

    def limit(self, name: str, figure: float, most: float, unit: str = "") -> None:
        is_ok = figure <= most
        self.is_over |= not is_ok
        print(f"{name:<58} {figure:>9,.2f} {unit:<4} limit {most:>9,.2f}  {'ok' if is_ok else 'OVER'}")

    def equal(self, name: str, figure: object, wanted: object) -> None:
        is_ok = figure == wanted
        self.is_over |= not is_ok
        print(f"{name:<58} {figure!s}  {'ok' if is_ok else f'OVER: must be {wanted}'}")


# --- memory -----------------------------------------------------------------------------------------------------------


def memory(size: int, share: float) -> None:
    """Plan a list and a library, and print what it took as JSON."""
    site = Site(size, share=share, page=1000)
    connector = connect(site, f"{HOST}/v1.0", library=f"drive:{DRIVE}", items="list:Klanten")
    found = 0
    for dataset in ("klanten", "cvs") if share == 0 else ("klanten",):
        for batch in connector.find(before(dataset, date(2020, 1, 1))):
            found += len(batch)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    print(json.dumps({"mib": mib, "found": found, "pages": site.pages, "others": site.others + site.batches}))


def measure_memory(table: Table, largest: int) -> None:
    """Compare the peaks of a small and a large site."""
    for share, name in ((0.0, "nothing due"), (1 / 3, "a third due")):
        small, large = (_child("memory", str(size), str(share)) for size in (1000, largest))
        table.limit(
            f"growth of memory, 1,000 to {largest:,} records, {name}", large["mib"] - small["mib"], LIMIT_GROWTH, "MiB"
        )
        table.equal(f"records found, {name}", large["found"], 0 if share == 0 else -(-largest // 3))
        if share == 0:
            table.limit("pages asked for", large["pages"], 2 * -(-largest // 1000))
            table.limit("other requests (lists, columns)", large["others"], 6)


def _child(*arguments: str) -> dict[str, float]:
    run = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout))


# --- round trips ------------------------------------------------------------------------------------------------------


def measure_trips(table: Table, records: int, trip: float) -> None:
    """Plan, change and read back while each request takes its time."""
    for dataset, action, name in (
        ("klanten", Action.ANONYMISE, "clear a column of list items"),
        ("klanten", Action.PURGE, "purge list items"),
        ("cvs", Action.PURGE, "purge files"),
    ):
        site = Site(records, trip=trip)
        connector = connect(site, f"{HOST}/v1.0", library=f"drive:{DRIVE}", items="list:Klanten")
        selection = before(dataset, date(2020, 1, 1), *([FieldChange("Title")] if action is Action.ANONYMISE else []))
        connector.problems(dataset, selection)
        pages, batches, others, started = site.pages, site.batches, site.others, time.perf_counter()
        counts = work(connector, selection, action)[1]
        seconds = time.perf_counter() - started
        ideal = (site.pages - pages + site.others - others + (site.batches - batches) / 4) * trip
        table.limit(f"{name}: time over requests x round trip", seconds / ideal, LIMIT_TIME, "x")
        table.equal(f"{name}: outcomes", sum(counts.values()), records)
        table.limit(f"{name}: requests under way at once", site.most, 4)


def work(
    connector: SharePointConnector, selection: Selection, action: Action, note: Callable[[str], None] = lambda _: None
) -> tuple[int, Counter[str], int]:
    """Plan, change and read back; return how many were found, what became of them, and how many remain."""
    batches: list[Batch] = list(connector.find(selection))
    note("find")
    counts: Counter[str] = Counter()
    for batch in batches:
        outcomes = connector.act(selection, batch, action)
        counts.update(f"{one.word}{':' + one.code if one.code else ''}" for one in outcomes)
    note("act")
    remaining = sum(len(connector.remaining(selection, batch)) for batch in batches)
    note("read back")
    return sum(map(len, batches)), counts, remaining


# --- stand-in ---------------------------------------------------------------------------------------------------------


def measure_standin(table: Table, root: str) -> None:
    """Do the same on a real server, and count."""
    counted = Counted(httpx.HTTPTransport())
    connector = connect(counted, root, library="drive:d1", items="list:l1")
    for dataset in ("cvs", "klanten"):
        start, pages = counted.requests, counted.pages
        found = list(connector.find(before(dataset, date(2001, 1, 1))))
        table.equal(f"{dataset}: nothing due, found", len(found), 0)
        print(f"{dataset}: nothing due: {counted.requests - start} requests, {counted.pages - pages} of them pages")
    far, held = date(2026, 11, 20), FILES // 100
    for dataset, action, size, most in (
        # A page is 1,000 here. Files: labels to plan; file, label, deletion to act. Items: a listing a batch, a change.
        ("cvs", Action.PURGE, FILES, {"find": 6 + FILES / 20, "act": 3 * FILES / 20, "read back": FILES / 20}),
        ("klanten", Action.ANONYMISE, ITEMS, {"find": 8, "act": 2 * ITEMS / 20 + 42, "read back": ITEMS / 20}),
        ("klanten", Action.PURGE, ITEMS, {"find": 8, "act": ITEMS / 20 + 44, "read back": ITEMS / 20}),
    ):
        fields = [FieldChange("Geburtsdatum")] if action is Action.ANONYMISE else []
        last = [counted.requests]

        def note(step: str, dataset: str = dataset, action: Action = action, most: dict[str, float] = most,
                 last: list[int] = last) -> None:  # fmt: skip
            table.limit(f"{dataset}: {action}: {step}, requests", counted.requests - last[0], most[step])
            last[0] = counted.requests

        found_count, counts, remaining = work(connector, before(dataset, far, *fields), action, note)
        table.equal(f"{dataset}: {action}: found", found_count, size)
        table.equal(f"{dataset}: {action}: remaining", remaining, 2 * held if dataset == "cvs" else 0)
        wanted = {"cvs": {"purged": size - 2 * held, "refused:on-hold": held, "failed:locked": held}}.get(
            dataset, {"anonymised" if fields else "recoverable": size}
        )
        table.equal(f"{dataset}: {action}: outcomes", dict(sorted(counts.items())), dict(sorted(wanted.items())))


@contextmanager
def standin() -> Iterator[str]:
    """Start a copy of the server in the shape of Graph, on a free port, and stop it again."""
    with tempfile.TemporaryDirectory(prefix="ropa-graph-") as name:
        bed = Path(name) / "bed"
        shutil.copytree(BEDS / "microsoft365", bed)
        for part in ("dataverse", "graph"):  # node itself comes with the first
            subprocess.run(
                ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=bed / part, check=True
            )
        graph = bed / "graph"
        subprocess.run([sys.executable, "seed.py"], cwd=graph, check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        node = bed / "dataverse" / "node_modules" / ".bin" / "node"
        command = [str(node), "node_modules/.bin/cds-serve", "--port", str(port)]
        with (graph / "log").open("w") as log:
            server = subprocess.Popen(command, cwd=graph, stdout=log, stderr=log, start_new_session=True)
        root = f"http://127.0.0.1:{port}/v1.0"
        try:
            for _ in range(120):
                try:
                    if httpx.get(f"{root}/sites", timeout=5).status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.5)
            yield root
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def main() -> None:
    """Run the parts and print the figures."""
    if sys.argv[1:2] == ["memory"]:
        memory(int(sys.argv[2]), float(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--trip", type=float, default=0.05)
    parser.add_argument("--standin", default="auto")
    call = parser.parse_args()
    table = Table()
    measure_trips(table, call.records, call.trip)
    if call.standin.startswith("http"):
        measure_standin(table, call.standin)
    elif call.standin == "auto" and (BEDS / "microsoft365").is_dir() and shutil.which("npm"):
        with standin() as root:
            measure_standin(table, root)
    else:
        print("no stand-in: beds/microsoft365 is not there, or npm is not")
    measure_memory(table, call.largest)
    sys.exit(table.is_over)


if __name__ == "__main__":
    main()
