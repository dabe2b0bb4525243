"""The connector outlook: requests, time and memory for old mail, against mailboxes in this process and stand-ins.

    python benchmarks/outlook.py [--messages 10000] [--most 1000000] [--throttled 3000] [--only memory]

- ``latency``: so many old messages listed, purged and read back, each request answered after 50 ms. Limits: requests,
  and wall time as a ratio of requests x 50 ms (one parallel batch, or one page, at a time is what Outlook allows).
- ``memory``: 1,000 and so many (``--most``) simulated messages listed, each in a process of its own; the limit is on
  the difference of their peaks.
- ``stand-ins``: the servers of the beds (``ROPA_BEDS``; needs node, npm, openssl, nginx), started on ports of their own
  from a copy: 10,000 messages and 2,000 contacts, then ``--throttled`` messages while the service takes 200 requests in
  5 s. Requests are counted by the access log of the server in front, and so is how many were under way at once (a
  batch counts as four). Left out, and said, where they are not there.

Beside the figures stand the limits, each with ok or OVER; the exit code is 1 where one is OVER or a record is not told.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration" / "microsoft365")]

from outlook_graph import BEDS, INFO, NOW, Graph, days_ago, drained, opened  # noqa: E402

from connectors.microsoft365.outlook import TYPE  # noqa: E402
from ropa.clock import start_of_day  # noqa: E402
from ropa.connector import Action, Before, DatasetSpec, LocationSpec, Selection  # noqa: E402

ZONE = ZoneInfo("Europe/Brussels")
ROUND_TRIP = 0.05
LIMIT_MIB = 64
TENANT = "11111111-2222-3333-4444-555555555555"
OFFSET = 16_000
"""Added to the ports of the beds, so that others may run."""


def judge(name: str, figure: float, limit: float, unit: str = "") -> bool:
    is_ok = figure <= limit
    print(f"    {name:44} {figure:10.2f} {unit:4} limit {limit:g} {unit:4} {'ok' if is_ok else 'OVER'}", flush=True)
    return is_ok


def due(anchor: str, day: date, now: datetime = NOW) -> Selection:
    return Selection("items", ZONE, now, before=(Before(anchor, day, start_of_day(day, ZONE)),), anchors=(anchor,))


def purge(connector: Any, selection: Selection, count: Any) -> dict[str, Any]:
    """List, purge and read back; ``count`` tells how many requests there were until now."""
    started, first = time.perf_counter(), count()
    batches, tally = drained(connector.find(selection))
    listed = count()
    acted = left = 0
    told: Counter[str] = Counter()
    for batch in batches:
        before = count()
        told.update(str(one.word) for one in connector.act(selection, batch, Action.PURGE))
        acted += count() - before
        left += len(connector.remaining(selection, batch))
    found = sum(map(len, batches))
    print(f"    {found:,} of {tally.population:,}: {dict(told)}, {left} left", flush=True)
    return {
        "found": found, "told": told, "left": left, "find": listed - first, "act": acted,
        "all": count() - first, "seconds": time.perf_counter() - started,
    }  # fmt: skip


def is_whole(done: dict[str, Any]) -> bool:
    return judge("records neither purged nor told", done["found"] - done["told"]["purged"] + done["left"], 0)


def run_latency(messages: int) -> bool:
    print(f"\nlatency: {messages:,} old messages, {ROUND_TRIP * 1000:.0f} ms a request")
    graph = Graph()
    graph.is_checked = False
    for number in range(messages):
        graph.add(f"m{number:07}", days_ago(1000 + number % 3000))
    graph.latency = ROUND_TRIP
    connector = opened(graph)
    connector.check()  # signs in
    done = purge(connector, due("received", date(2026, 5, 21)), lambda: len(graph.log))
    least = -(-messages // 1000) + -(-messages // 20)
    verdicts = [
        is_whole(done),
        judge("requests to list and purge", done["find"] + done["act"], least),
        judge("requests, reading back too", done["all"], least * 1100 / 510),
        judge("time, to requests x round trip", done["seconds"] / (done["all"] * ROUND_TRIP), 1.3, "x"),
        judge("requests at once", graph.most_at_once, 4),
    ]
    graph.log.clear()
    drained(connector.find(due("received", date(2026, 5, 21))))
    verdicts.append(judge("requests of a night where nothing is due", len(graph.log), 1))
    return all(verdicts)


def simulate(count: int) -> None:
    """List so many messages that are made up page by page, and print the peak in MiB."""
    graph = Graph()
    graph.is_checked = False

    def page(url: str, _body: Any) -> Any:
        if "ge%20" in url:
            return {"value": [], "@odata.count": 0}
        at = int((re.search(r"\$skip=(\d+)", url) or ["", "0"])[1])
        rows = [
            {"id": f"AAMk{(n * 7919) % 10**9:060}=", "parentFolderId": "f" * 120, "changeKey": f"CQ{n:030}",
             "receivedDateTime": "2019-01-01T00:00:00Z"}
            for n in range(at, min(at + 1000, count))
        ]  # fmt: skip
        more = {"@odata.nextLink": f"users/{INFO}/messages?$skip={at + 1000}"} if at + 1000 < count else {}
        return {"value": rows, "@odata.count": count, **more}

    graph.changed = page
    found = sum(len(batch) for batch in opened(graph).find(due("received", date(2026, 5, 21))))
    if found != count:
        sys.exit(f"{found} of {count} were found")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def run_memory(most: int) -> bool:
    print(f"\nmemory: 1,000 and {most:,} simulated messages")
    peaks = []
    for count in (1000, most):
        command = [sys.executable, __file__, "--simulate", str(count)]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(f"    {count:,}: {peaks[-1]:.0f} MiB", flush=True)
    return judge("difference of the peaks", peaks[1] - peaks[0], LIMIT_MIB, "MiB")


class StandIns:
    """The servers of the beds, in a copy with ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(BEDS / "microsoft365", folder, symlinks=True, ignore=shutil.ignore_patterns("run"))
        for name in ("up.sh", "nginx.conf", "idp/idp-oidc.mjs"):
            file = folder / name
            ports = re.compile(r"\b(4004|4006|4010|9443|850[1-4])\b")
            file.write_text(ports.sub(lambda found: str(int(found[0]) + OFFSET), file.read_text()))

    @contextmanager
    def running(self, throttle: str = "") -> Iterator[None]:
        more = {"THROTTLE": throttle} if throttle else {}
        try:
            for _ in range(3):  # on a busy machine they may take longer than their own script waits
                shutil.rmtree(self.folder / "run" / "ngx", ignore_errors=True)
                command = subprocess.run(
                    ["./up.sh"], check=False, cwd=self.folder, env={**os.environ, **more}, stdout=subprocess.DEVNULL
                )
                if command.returncode == 0:
                    break
                self.stop()
            else:
                sys.exit("the stand-ins do not start")
            yield
        finally:
            self.stop()

    def stop(self) -> None:
        for file in (self.folder / "run").glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)
            file.unlink()
        time.sleep(1)

    def lines(self) -> list[list[str]]:
        """Return the requests for Graph: end, status, method, address, seconds."""
        text = (self.folder / "run" / "ngx" / "access.log").read_text()
        return [line.split() for line in text.splitlines() if " /v1.0/" in line]

    def requests(self) -> int:
        time.sleep(0.2)
        return len(self.lines())

    def most_at_once(self) -> int:
        moments = []
        for end, _, method, address, seconds in self.lines():
            weight = 4 if method == "POST" and "batch" in address else 1
            took = float(seconds) if seconds != "-" else 0.0
            # The end is told to the millisecond, and so is how long it took.
            moments += [(float(end) - max(took - 0.002, 0.0), weight), (float(end) - 0.001, -weight)]
        at_once = most = 0
        for _, weight in sorted(moments):
            at_once += weight
            most = max(most, at_once)
        return most

    def opened(self, mailboxes: list[str], source: str) -> Any:
        tls = self.folder / "run" / "tls"
        options = {
            "client_id": "retention-cert",
            "certificate": (tls / "app.pem").read_text() + (tls / "app.key").read_text(),
            "authority": f"https://localhost:{9443 + OFFSET}/{TENANT}/v2.0",
            "ca_file": str(tls / "ca.pem"),
            "graph_url": f"https://localhost:{8501 + OFFSET}/v1.0",
            "resource": "https://graph.microsoft.com",
            "mailboxes": mailboxes,
        }
        return TYPE.open(LocationSpec("mail", "outlook", ZONE, options, {"items": DatasetSpec("items", source, ZONE)}))


def run_stand_ins(throttled: int) -> bool:
    print("\nstand-ins: 10,000 messages, 2,000 contacts", flush=True)
    if not (BEDS / "microsoft365").is_dir() or not all(map(shutil.which, ("node", "npm", "nginx", "openssl"))):
        print("    left out: the beds, node, npm, nginx or openssl are not there")
        return True
    now = datetime.now(UTC).replace(microsecond=0)
    far = (now + timedelta(days=1)).date()
    verdicts = []
    with tempfile.TemporaryDirectory(prefix="ropa-bench-") as name:
        stand_ins = StandIns(Path(name) / "bed")
        with stand_ins.running():
            done = purge(stand_ins.opened(["u1"], "messages"), due("received", now.date(), now), stand_ins.requests)
            verdicts += [
                is_whole(done),
                judge("requests to list and purge", done["find"] + done["act"], 510),
                judge("requests, reading back too", done["all"], 1100),
            ]
            done = purge(stand_ins.opened(["u1"], "contacts"), due("created", now.date(), now), stand_ins.requests)
            verdicts += [is_whole(done), judge("requests at once", stand_ins.most_at_once(), 4)]
        print(f"\nstand-ins: about {throttled:,} messages, 200 requests in 5 s", flush=True)
        with stand_ins.running("200/5"):
            day = now.date() - timedelta(days=3650 - round(3650 * throttled / 10_000))
            done = purge(stand_ins.opened(["u1"], "messages"), due("received", min(day, far), now), stand_ins.requests)
            verdicts += [is_whole(done), judge("requests at once", stand_ins.most_at_once(), 4)]
            print(f"    {done['seconds']:.0f} s, {done['all']} requests with repeats")
    return all(verdicts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--most", type=int, default=1_000_000)
    parser.add_argument("--throttled", type=int, default=3000)
    parser.add_argument("--only", default="latency,memory,stand-ins")
    parser.add_argument("--simulate", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.simulate:
        simulate(args.simulate)
        return 0
    jobs = {
        "latency": lambda: run_latency(args.messages),
        "memory": lambda: run_memory(args.most),
        "stand-ins": lambda: run_stand_ins(args.throttled),
    }
    verdicts = [jobs[name]() for name in args.only.split(",")]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
