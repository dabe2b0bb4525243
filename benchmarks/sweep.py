"""Time of the sweep itself: plan and apply over a place that costs nothing, against the floor of its evidence.

    python benchmarks/sweep.py [--rows 300000] [--batch 20000] [--times 3] [--profile plan|apply]

The place gives keys from memory and says that all went. What is left is ours: writing the plan down, its digest,
intents, leaves, roots, receipts, the run database (SQLite, on a disk, synchronised). The floor is what the evidence is
made of, for the same keys in the same batches: an HMAC-SHA256 each and the Merkle root. Prints microseconds a record
and peak memory; with --cpu the processor's time instead of the clock's.
"""

from __future__ import annotations

import argparse
import cProfile
import hmac
import pstats
import resource
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ropa import config as configuration
from ropa.connector import Batch, Capabilities, Health, Outcomes, OutcomeWord, Tally
from ropa.database import migrate, open_database
from ropa.ledger.merkle import root
from ropa.register.parse import parse
from ropa.register.store import RegisterStore
from ropa.sweep import journal, night, review
from ropa.sweep.scope import Scope
from ropa.sweep.site import Site
from ropa.wiring import connector_types

RULES = """
timezone = "Europe/Brussels"
[safety]
max_share = 0.9
max_records = 100_000_000
max_records_7_days = 100_000_000
[location.crm]
connector = "memory"
batch_size = {batch}
[location.crm.dataset.customers]
source = "customer"
key = ["id"]
anchor.last-contact = "last_contact"
data.name = ["name"]
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
data = ["name"]
"""
CLOCK = time.process_time if "--cpu" in sys.argv else time.perf_counter
FIRST = date(2010, 1, 1)


class Place:
    """A connector that finds every third number and erases at no cost."""

    capabilities = Capabilities()

    def __init__(self, rows: int, batch: int) -> None:
        self.rows, self.size = rows, batch
        self.seconds = 0.0
        """Spent in here, making up keys."""

    def check(self):
        return Health(is_reachable=True)

    def datasets(self):
        return []

    def problems(self, _dataset, _selection=None):
        return []

    def batches(self) -> Iterator[Batch]:
        for start in range(0, self.rows, self.size):
            numbers = range(start, min(start + self.size, self.rows))
            yield Batch(
                "customers",
                [(str(1_000_000 + 3 * n),) for n in numbers],
                [f"{n * 2654435761 % 2**64:016x}" for n in numbers],
                [(FIRST + timedelta(days=n * 7 % 4000),) for n in numbers],
            )

    def find(self, _selection):
        batches = self.batches()
        while True:
            started = CLOCK()
            batch = next(batches, None)
            self.seconds += CLOCK() - started
            if batch is None:
                return Tally(self.rows * 3, 0)
            yield batch

    def act(self, _selection, batch, _action):
        return Outcomes(batch.keys, OutcomeWord.PURGED)

    def settle(self, _dataset):
        return "logical"

    def finish(self, _dataset):
        return "physical"

    def remaining(self, _selection, _batch):
        return set()

    def close(self):
        pass


def open_site(home: Path, rows: int, batch: int) -> tuple[Site, Place]:
    """Make a project folder with a register and an empty ledger."""
    (home / "config").mkdir()
    (home / "var").mkdir(mode=0o700)
    path = home / "config" / "retention.toml"
    path.write_text(RULES.format(batch=batch))
    path.chmod(0o600)
    place = Place(rows, batch)
    engine = open_database(f"sqlite:///{home / 'var' / 'ropa.db'}")
    migrate(engine)
    loaded = configuration.load(home, connector_types())
    site = Site(home, home / "var", loaded, engine, lambda _: place, frozenset(loaded.locations))
    RegisterStore(engine).save(parse(REGISTER), by="An", reason="benchmark", at=datetime.now(UTC))
    journal.create(site, origin="ropa.example/benchmark")
    return site, place


def floor(rows: int, batch: int) -> float:
    """Return the seconds that the evidence of the same keys takes at least."""
    spent = 0.0
    for part in Place(rows, batch).batches():
        texts = [f'["crm","customers",["{key}"]]'.encode() for (key,) in part.keys]
        secret = secrets.token_bytes(32)
        started = CLOCK()
        digest = hmac.new(secret, b"", "sha256").copy
        leaves = []
        for text in texts:
            one = digest()
            one.update(text)
            leaves.append(one.digest())
        root(leaves)
        spent += CLOCK() - started
    return spent


def once(rows: int, batch: int, profiled: str | None) -> tuple[float, float, float]:
    """Return the seconds of plan, of apply, and of the floor."""
    with tempfile.TemporaryDirectory() as name:
        site, place = open_site(Path(name), rows, batch)
        seconds = {}

        def timed(what, call):
            profile = cProfile.Profile() if profiled == what else None
            started = CLOCK()
            result = profile.runcall(call) if profile else call()
            seconds[what] = CLOCK() - started
            if profile:
                pstats.Stats(profile).sort_stats("tottime").print_stats(45)
            return result

        plan = timed("plan", lambda: night.make_plan(site, Scope(site.today()), by="An"))
        with journal.writing(site) as open_journal:
            digest = review.get_plan(site, plan).digest
            review.approve(open_journal, plan, by="Piet", reason="benchmark", digest=digest)
            open_journal.checkpoint()
        result = timed("apply", lambda: night.apply_plan(site, plan))
        assert result.document["outcomes"] == {"purged": rows}, result.document
        site.close()
        return seconds["plan"] - place.seconds, seconds["apply"], floor(rows, batch)


def main() -> None:
    """Run it some times and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--batch", type=int, default=20_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--profile", choices=("plan", "apply"))
    given = parser.parse_args()
    runs = [once(given.rows, given.batch, given.profile) for _ in range(given.times)]
    plan, apply, least = (statistics.median(column) / given.rows * 1e6 for column in zip(*runs, strict=True))
    print(f"{given.rows:,} records in batches of {given.batch:,}; microseconds a record")
    print(f"plan             {plan:7.2f}")
    print(f"apply            {apply:7.2f}")
    print(f"floor            {least:7.2f}   (HMAC + Merkle root)")
    print(f"plan + apply = {(plan + apply) / least:.2f} x the floor")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
