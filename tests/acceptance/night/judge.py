"""Judges a simulated year from outside: what stands in the places, in the run table and in the ledger's lines.

Invariant: nothing of ropa is imported and nothing that it says is believed; what it says is compared with what is.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sources import BY_MANDATE, PLACE_OF, Item, Sources, day_of

VERIFIER = Path(__file__).parents[3] / "ropa" / "ledger" / "verifier" / "verify_ledger.py"
GONE = ("purged", "anonymised")


@dataclass(frozen=True)
class Run:
    """A row of the run table."""

    night: date
    state: str
    is_nightly: bool
    started_at: datetime


@dataclass
class Judge:
    """Knows what was in the places, what was held, and what was gone at each look."""

    sources: Sources
    held: set[Item] = field(default_factory=set)
    gone: set[Item] = field(default_factory=set)
    unread: set[str] = field(default_factory=set)
    """Places that cannot be read at present."""

    @property
    def state(self) -> Path:
        return self.sources.folder / "var"

    def there(self) -> set[Item]:
        """What is in the places that can be read."""
        return self.sources.there(frozenset(self.unread))

    def never_early(self, today: date, what: str) -> None:
        """Nothing is gone before its day, nothing held is gone, and nothing that was gone is back. A record that goes
        is only gone for good at the next look."""
        there = self.there()
        readable = {item for item in self.sources.last_day if PLACE_OF[item[0]] not in self.unread}
        went = readable - there - self.gone
        early = sorted(item for item in went if not self.sources.last_day[item] < today)
        assert not early, f"{what}: gone early, on {today}: {[(item, self.sources.last_day[item]) for item in early]}"
        assert not went & self.held, f"{what}: held and gone: {sorted(went & self.held)}"
        assert not there & self.gone, f"{what}: came back: {sorted(there & self.gone)}"
        assert there <= set(self.sources.last_day), f"{what}: nobody put them there"
        self.gone |= went

    def nothing_late(self, night: date, what: str, datasets: set[str] = BY_MANDATE) -> None:
        """After a good night: what had to be gone is gone."""
        self.never_early(night, what)
        late = sorted(
            item for item in self.there() - self.held if item[0] in datasets and self.sources.last_day[item] < night
        )
        assert not late, f"{what}: late on {night}: {[(item, self.sources.last_day[item]) for item in late]}"

    def due(self, dataset: str, today: date) -> set[Item]:
        """What of a dataset is there, past its last day and free."""
        return {item for item in self.there() - self.held if item[0] == dataset and self.sources.last_day[item] < today}

    def runs(self) -> list[Run]:
        """Every sweep of the run table."""
        with closing(sqlite3.connect(f"file:{self.state / 'ropa.db'}?mode=ro", uri=True, timeout=30)) as database:
            rows = database.execute(
                "SELECT swept_on, state, reason, started_at FROM run WHERE mode = 'sweep' ORDER BY started_at"
            ).fetchall()
        return [
            Run(date.fromisoformat(on), state, reason == "nightly", datetime.fromisoformat(at).replace(tzinfo=UTC))
            for on, state, reason, at in rows
        ]

    def is_done(self, night: date) -> bool:
        """Whether a night had a sweep that ran to its end."""
        return any(run.night == night and run.state in {"complete", "partial"} for run in self.runs())

    def nights(self, expected: dict[date, bool]) -> None:
        """One nightly sweep a date at most, none after a sweep by hand, on the dates that were not down and no other."""
        ended = [run for run in self.runs() if run.state in {"complete", "partial"}]
        twice = [night for night, count in Counter(run.night for run in ended if run.is_nightly).items() if count > 1]
        assert not twice, f"swept twice: {twice}"
        for night in {run.night for run in ended if not run.is_nightly}:
            by_hand = min(run.started_at for run in ended if run.night == night and not run.is_nightly)
            after = [run for run in ended if run.night == night and run.is_nightly and run.started_at > by_hand]
            assert not after, f"the service swept {night} although it was done by hand"
        assert all(day_of(run.started_at) == run.night for run in ended)
        had = {run.night for run in ended}
        wanted = {night for night, is_done in expected.items() if is_done}
        assert had == wanted, f"swept {sorted(had - wanted)} beside, {sorted(wanted - had)} not"

    def gaps(self, today: date, states: set[str]) -> list[tuple[date, date]]:
        """Dates in a row, from the first sweep to yesterday, without a sweep in one of these states; the newest first."""
        runs = self.runs()
        had = {run.night for run in runs if run.state in states}
        found: list[tuple[date, date]] = []
        day = min(run.night for run in runs)
        while day < today:
            if day not in had:
                follows = found and found[-1][1] + timedelta(days=1) == day
                found[-1:] = [(found[-1][0], day)] if follows else [*found[-1:], (day, day)]
            day += timedelta(days=1)
        return found[::-1]

    def lines(self, *kinds: str) -> list[dict[str, Any]]:
        """The lines of the ledger of some types; a last line that is cut short is left out."""
        text = (self.state / "ledger" / "events.jsonl").read_text()
        events = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [event for event in events if not kinds or event["type"] in kinds]

    def last_line_at(self) -> datetime:
        """When the newest line says that it was written."""
        return datetime.fromisoformat(self.lines()[-1]["at"])

    def ledger(self, now: datetime) -> None:
        """It verifies without ropa, no line is of another time, and what it tells adds up to what went."""
        assert self.last_line_at() <= now + timedelta(seconds=60), "a line of the future"
        alone = self.sources.folder / "verify_ledger.py"
        shutil.copy(VERIFIER, alone)
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(alone), str(self.state / "ledger")],
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
            check=False,
        )
        assert done.returncode == 0, f"the verifier says {done.returncode}: {done.stdout}{done.stderr}"
        told: Counter[str] = Counter()
        for receipt in self.lines("receipt"):
            told.update(receipt["counts"])
        cleared = sum(1 for dataset, _ in self.gone if dataset == "visits")
        assert told["anonymised"] == cleared, f"{told} told, {cleared} cleared"
        # A killed batch may have gone before its receipt; the next run tells of it as absent.
        assert told["purged"] <= len(self.gone) - cleared <= told["purged"] + told["absent"], (
            f"{told}, {len(self.gone)} gone"
        )
        intents = sum(event["leaves"] for event in self.lines("intent"))
        assert intents == sum(told.values()), f"{intents} intended, {told} told"
