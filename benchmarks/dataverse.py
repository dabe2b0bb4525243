"""The connector to Dataverse: requests counted by a server's own access log, time at 50 ms a request, memory.

    python benchmarks/dataverse.py [--rows 10000] [--memory 1000,1000000] [--without stand-ins]

- ``stand-ins``: the server in the shape of Dataverse (tests/microsoft365_bed.py starts it): 10,000 contacts are found
  and purged, then leads behind a limit of 20 requests a second, one deletion a batch. Requests are those that nginx
  noted.
- ``latency``: a simulated service that takes 50 ms for each request, at most ``at_once`` at a time, and gives 1,000
  rows a page, as the stand-in does. The limit is 1.3 times what the bare requests take, sent again in the same run by
  as many threads that do nothing with the answers: requests x 50 ms / requests at a time, and what this machine adds.
  Time in which the main thread was ready and others had the processors is taken off (Linux).
- ``memory``: simulated listings of few and many rows, each in a process of its own.

Beside the figures stand the limits, each with ok or OVER; the exit code is 1 where one is OVER or a part could not run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import unquote
from zoneinfo import ZoneInfo

import httpx

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from connectors.microsoft365.dataverse.location import DataverseLocation  # noqa: E402
from ropa.clock import start_of_day  # noqa: E402
from ropa.connector import (  # noqa: E402
    Action,
    Anchor,
    AnchorPart,
    Before,
    DatasetSpec,
    LocationSpec,
    OutcomeWord,
    Selection,
)

ZONE = ZoneInfo("Europe/Brussels")
ROUND_TRIP = 0.05
PARTS = 100
"""parts_per_batch of the connector."""
AT_ONCE = 4
MOST_REQUESTS = 1.1
MOST_TIME = 1.3
MOST_GROWTH = 40
"""MiB that a thousand times more rows may take besides: runs of the sort are larger than a short listing."""


def judge(name: str, figure: float, limit: float, unit: str = "") -> bool:
    is_ok = figure <= limit
    print(f"    {name:44} {figure:9.2f} {unit:4} limit {limit:9.2f} {unit:4} {'ok' if is_ok else 'OVER'}", flush=True)
    return is_ok


def dataset(name: str, source: str, anchor: str) -> DatasetSpec:
    return DatasetSpec(name, source, ZONE, anchors={"anchor": Anchor("anchor", (AnchorPart(anchor),))})


def due(name: str, day: date) -> Selection:
    before = (Before("anchor", day, start_of_day(day, ZONE)),)
    return Selection(name, ZONE, datetime.now(UTC).replace(microsecond=0), before=before, anchors=("anchor",))


def purge(location: DataverseLocation, selection: Selection, batches: list) -> Counter:
    words: Counter = Counter()
    for batch in batches:
        words.update(outcome.word for outcome in location.act(selection, batch, Action.PURGE))
    return words


# --- stand-ins ----------------------------------------------------------------------------------------------------


def run_stand_ins(rows: int) -> bool:
    from microsoft365_bed import CLIENT, TENANT, Bed

    datasets = {"contacts": dataset("contacts", "contact", "createdon"), "leads": dataset("leads", "lead", "createdon")}
    with Bed.start() as bed:
        options = {
            "url": bed.dataverse,
            "resource": bed.dataverse_resource,
            "authority": bed.authority,
            "ca_file": str(bed.ca_file),
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "certificate": bed.certificate,
        }
        spec = LocationSpec("crm", "dataverse", ZONE, options, datasets)
        is_well = _count_requests(bed, DataverseLocation(spec), rows)
        throttled = replace(
            spec, options=options | {"url": bed.throttled_dataverse, "parts_per_batch": 1, "at_once": 40}
        )
        return _be_throttled(bed, DataverseLocation(throttled)) and is_well


def _count_requests(bed, location: DataverseLocation, rows: int) -> bool:
    def asked() -> int:
        return sum("/api/data/" in request.path for request in bed.requests())

    print("\n10,000 contacts of the stand-in, 1,800 of them with notes that keep them")
    location.count("contacts")
    location.problems("contacts")  # reads what tables there are, once for a location
    start = asked()
    nothing = list(location.find(due("contacts", date(1990, 1, 1))))
    idle = asked() - start
    selection = due("contacts", date(2027, 1, 1))
    start = asked()
    batches = list(location.find(selection))
    found, listing = sum(map(len, batches)), asked() - start
    start = asked()
    words = purge(location, selection, batches)
    acting = asked() - start
    start = asked()
    left = sum(len(location.remaining(selection, batch)) for batch in batches)
    reading = asked() - start
    sent = found - words[OutcomeWord.BLOCKED]
    print(f"    {dict(words)}, left {left}, in the table {location.count('contacts')}")
    is_sound = not nothing and found == rows and words[OutcomeWord.PURGED] == sent and left == rows - sent
    print(f"    every record is accounted for {'ok' if is_sound else 'OVER'}")
    return all(
        [
            is_sound,
            judge("nothing due: requests", idle, 2),
            judge("finding: requests", listing, MOST_REQUESTS * found / PARTS),
            judge("acting: requests", acting, MOST_REQUESTS * found / PARTS),
            judge("reading back: requests", reading, MOST_REQUESTS * found / PARTS),
        ]
    )


def _be_throttled(bed, location: DataverseLocation) -> bool:
    print("\nleads of the stand-in, behind 20 requests a second and one deletion a request")
    selection = due("leads", date(2025, 1, 1))
    before = location.count("leads")
    batches = list(location.find(selection))
    found = sum(map(len, batches))
    words = purge(location, selection, batches)
    throttled = sum(request.status == 429 for request in bed.requests())
    lost = found - words[OutcomeWord.PURGED]
    twice = location.count("leads") - (before - found)
    print(f"    {found} due, {dict(words)}, {throttled} times 429")
    return all(
        [judge("lost", lost, 0), judge("counted twice", abs(twice), 0), judge("never throttled", throttled == 0, 0)]
    )


# --- simulations --------------------------------------------------------------------------------------------------


class Simulated:
    """A Dataverse of one table whose rows are made as they are asked for: all due, each with one version."""

    def __init__(self, rows: int, latency: float, at_once: int, page: int) -> None:
        self.rows, self.latency, self.page = rows, latency, page
        self.sent: list[httpx.Request] = []
        self.late = 0.0
        self._places = threading.Semaphore(at_once)
        self._lock = threading.Lock()
        self.transport = httpx.MockTransport(self.handle)

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "login.microsoftonline.com":
            base = "https://login.microsoftonline.com/t"
            known = {"authorization_endpoint": f"{base}/a", "token_endpoint": f"{base}/token", "issuer": f"{base}/v2.0"}
            token = {"access_token": "x", "expires_in": 3600, "token_type": "Bearer"}
            return httpx.Response(200, json=known if request.method == "GET" else token)
        with self._places:
            with self._lock:
                self.sent.append(request)
            started = time.perf_counter()
            response = self._answer(request)
            # Making up an answer is no part of what is measured: it is taken out of the round trip.
            spent = time.perf_counter() - started
            with self._lock:
                self.late += max(0.0, spent - self.latency)
            time.sleep(max(0.0, self.latency - spent))
        response.headers["date"] = format_datetime(datetime.now(UTC), usegmt=True)
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        url = unquote(str(request.url))
        if "EntityDefinitions" in url:
            return httpx.Response(200, json=self._definitions(url))
        if "aggregate" in url:
            return httpx.Response(200, json={"value": [{"n": self.rows}]})
        if "/contacts?" in url:
            start = int(url.rpartition("$skiptoken=")[2]) if "$skiptoken=" in url else 0
            return httpx.Response(200, content=self._page(start))
        if not url.endswith("$batch"):
            return httpx.Response(404, json={"error": {"code": "x"}})
        answers = [self._part(method, unquote(path)) for method, path in _PART.findall(request.content.decode())]
        head = b"--b\r\nContent-Type: application/http\r\n\r\n"
        content = b"\r\n".join([head + answer for answer in answers]) + b"\r\n--b--\r\n"
        return httpx.Response(200, headers={"content-type": "multipart/mixed; boundary=b"}, content=content)

    def _part(self, method: str, path: str) -> bytes:
        if method == "DELETE":
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        keys = re.findall(r"contactid eq ([0-9a-f-]{36})", path)
        body = b'{"value":[' + ",".join(_row(key) for key in keys).encode() + b"]}"
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body

    def _page(self, start: int) -> bytes:
        # In no order, as a service gives them.
        numbers = ((number * 7919) % self.rows for number in range(start, min(start + self.page, self.rows)))
        rows = ",".join([_row(f"00000000-0000-4000-8000-{number:012d}") for number in numbers])
        more = f',"@odata.nextLink":"contacts?$skiptoken={start + self.page}"' if start + self.page < self.rows else ""
        return f'{{"value":[{rows}]{more}}}'.encode()

    @staticmethod
    def _definitions(url: str) -> dict:
        if "DateTimeAttributeMetadata" in url:
            return {"value": [{"LogicalName": "createdon", "DateTimeBehavior": {"Value": "UserLocal"}}]}
        if "(" not in url:
            head = {"LogicalName": "contact", "EntitySetName": "contacts", "PrimaryIdAttribute": "contactid"}
            return {"value": [head]}
        kinds = {"contactid": "Uniqueidentifier", "createdon": "DateTime"}
        return {"Attributes": [{"LogicalName": name, "AttributeType": kind} for name, kind in kinds.items()]}


_PART = re.compile(r"^(GET|DELETE) /api/data/v9\.2/(\S+) HTTP", re.MULTILINE)


def _row(key: str) -> str:
    return f'{{"@odata.etag":"W/\\"7\\"","contactid":"{key}","createdon":"2020-02-03T10:00:00Z"}}'


def simulated(rows: int, latency: float, page: int = 5000) -> tuple[Simulated, DataverseLocation]:
    place = Simulated(rows, latency, AT_ONCE, page)
    options = {"url": "https://simulated.crm4.dynamics.com", "tenant_id": "t", "client_id": "a", "client_secret": "s"}
    spec = LocationSpec("crm", "dataverse", ZONE, options, {"contacts": dataset("contacts", "contact", "createdon")})
    location = DataverseLocation(spec, transport=place.transport)
    location.count("contacts")
    return place, location


def delay() -> float:
    """Return how many seconds this thread was ready and did not run, where the system tells."""
    try:
        told = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text()
    except OSError:
        return 0.0
    return int(told.split()[1]) / 1e9


def replay(place: Simulated, requests: list[httpx.Request], at_once: int) -> float:
    """Return how long it takes to send the same requests once more and to do nothing with the answers."""
    client = httpx.Client(transport=place.transport)
    place.late = 0.0

    def send(request: httpx.Request) -> None:
        client.request(request.method, request.url, headers=request.headers, content=request.content)

    started = time.perf_counter()
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        list(pool.map(send, requests))
    return time.perf_counter() - started - place.late


def run_latency(rows: int) -> bool:
    print(f"\n{rows:,} simulated rows at {ROUND_TRIP * 1000:.0f} ms a request, {AT_ONCE} at a time")
    place, location = simulated(rows, ROUND_TRIP, 1000)
    selection = due("contacts", date(2026, 1, 1))

    def timed(name: str, at_once: int, work) -> tuple[bool, object]:
        place.sent, place.late = [], 0.0
        started, delayed = time.perf_counter(), delay()
        found = work()
        seconds = time.perf_counter() - started - place.late - (delay() - delayed)
        asked = list(place.sent)
        bare = max(replay(place, asked, at_once), len(asked) * ROUND_TRIP / at_once)
        waiting = len(asked) * ROUND_TRIP / at_once
        print(f"    {name}: {len(asked)} requests, {waiting:.2f} s of waiting, {bare:.2f} s bare")
        return judge(f"{name}: seconds", seconds, bare * MOST_TIME, "s"), found

    is_found, batches = timed("finding", 1, lambda: list(location.find(selection)))
    is_purged, words = timed("acting", AT_ONCE, lambda: purge(location, selection, batches))
    is_sound = words == {OutcomeWord.PURGED: rows}
    print(f"    every record is accounted for {'ok' if is_sound else 'OVER'}")
    return is_found and is_purged and is_sound


def run_memory(sizes: list[int]) -> bool:
    print("\nmemory of a listing, by rows")
    found = {}
    for size in sizes:
        told = subprocess.run(
            [sys.executable, __file__, "--list", str(size)], check=True, capture_output=True, text=True, cwd=ROOT
        )
        found[size] = json.loads(told.stdout)
        print(f"    {size:>9,} rows {found[size]['mib']:8.1f} MiB {found[size]['cpu']:8.2f} s of processor time")
    growth = found[sizes[-1]]["mib"] - found[sizes[0]]["mib"]
    return judge(f"growth from {sizes[0]:,} to {sizes[-1]:,} rows", growth, MOST_GROWTH, "MiB")


def list_once(rows: int) -> None:
    """Find simulated rows, and print what that took."""
    import resource

    _, location = simulated(rows, 0.0)
    last, found = "", 0
    for batch in location.find(due("contacts", date(2026, 1, 1))):
        assert last < batch.keys[0][0]
        last, found = batch.keys[-1][0], found + len(batch)
    assert found == rows
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"mib": used.ru_maxrss / 1024, "cpu": used.ru_utime + used.ru_stime}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000, help="simulated rows for the time")
    parser.add_argument("--memory", default="1000,1000000", help="simulated rows for the memory")
    parser.add_argument("--without", choices=["stand-ins", "latency", "memory"], action="append", default=[])
    parser.add_argument("--list", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.list is not None:
        list_once(args.list)
        return 0
    parts = {
        "latency": lambda: run_latency(args.rows),
        "memory": lambda: run_memory([int(size) for size in args.memory.split(",")]),
        "stand-ins": lambda: run_stand_ins(10_000),
    }
    is_well = True
    for name, run in parts.items():
        if name in args.without:
            continue
        try:
            is_well &= run()
        except Exception as error:  # noqa: BLE001 - one part that is missing or fails stops no other
            print(f"\n{name} FAILED: {type(error).__name__}: {error}")
            is_well = False
    print(f"\n{'all limits are kept' if is_well else 'a limit is OVER, or a part could not run'}")
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
