"""A year of nights: what happens to a project folder, drawn from a seed, and what has to be so afterwards.

The days are those of a clock that the processes see and this process does not. Nothing of ropa is imported.
"""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from clockwork import Clock, Ended, Processes, Service
from judge import Judge
from sources import BY_MANDATE, KINDS, SCHEMAS, ZONE, Item, Sources

DAY = timedelta(days=1)
GAP = timedelta(hours=72)
WEIGHTS = {
    "plain": 40,
    "down": 8,
    "killed": 10,
    "terminated": 5,
    "broken": 10,
    "by hand before": 4,
    "by hand at once": 5,
    "halted": 3,
    "ten years ahead": 4,
    "back to 2000": 4,
    "stepped in mid-run": 7,
}

EVERYTHING = sorted(WEIGHTS.keys() - {"plain"})


def at(day: date, hour: int, minute: int = 0, *, fold: int = 0) -> datetime:
    """A time of the controller's wall clock."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE, fold=fold).astimezone(UTC)


@dataclass
class Year:
    """A project folder and its days."""

    folder: Path
    seed: int
    start: date
    random: random.Random = field(init=False)
    expected: dict[date, bool] = field(default_factory=dict)
    """Whether a date must have had a sweep that ran to its end."""
    seen: Counter[str] = field(default_factory=Counter)
    service: Service | None = None
    holds: dict[int, frozenset[Item]] = field(default_factory=dict)
    mandates_until: date = date.min
    what: str = ""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.clock = Clock(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.sources = Sources(self.folder / "project", self.random)
        self.judge = Judge(self.sources)
        self.clock.set(at(self.start, 12))
        self.processes = Processes(self.sources.folder, self.clock, self.folder / "said")

    # --- the days -----------------------------------------------------------------------------------------------

    def live(self, nights: int, first: Sequence[str] = ()) -> None:
        """Live so many nights, and judge each: first those of some kinds, then what the seed draws."""
        self.set_up()
        wanted = list(first)
        night, end = self.start, self.start + nights * DAY
        while night < end:
            self.day_before(night)
            if changes(night):
                kind = "clock change"
            elif wanted:
                kind = wanted.pop()
            else:
                kind = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            self.seen[kind] += 1
            self.what = f"seed {self.seed}, night {night}, {kind}"
            night = self.down(night, end) if kind == "down" else self.live_through(night, kind)
            self.judge.nights(self.expected)
            if self.random.random() < 0.15:
                self.check_status(night)
        if self.service is not None:
            self.stop(signal.SIGTERM)
        self.check_report(night)
        self.judge.ledger(at(night, 0))  # the last night is over

    def live_through(self, night: date, kind: str) -> date:
        """Live through one night; return the next."""
        {
            "plain": self.plain,
            "clock change": self.clock_change,
            "killed": lambda on: self.ended_in_mid_run(on, signal.SIGKILL),
            "terminated": lambda on: self.ended_in_mid_run(on, signal.SIGTERM),
            "broken": self.broken,
            "by hand before": self.by_hand_before,
            "by hand at once": self.by_hand_at_once,
            "halted": self.halted,
            "ten years ahead": lambda on: self.wrong_clock(on, at(on + timedelta(days=3652), 2, 31)),
            "back to 2000": lambda on: self.wrong_clock(on, datetime(2000, 1, 1, 2, 31, tzinfo=UTC)),
            "stepped in mid-run": self.stepped,
        }[kind](night)
        return night + DAY

    def set_up(self) -> None:
        """A person plans, approves and applies the first time; then there are mandates."""
        day = self.start - DAY
        self.sources.write(day)
        self.clock.set(at(day, 10))
        self.processes.warm("init")
        self.run("register", "import", str(self.sources.folder / "register.toml"), "--by", "An", "--reason", "test")
        self.by_hand(day)
        self.judge.nothing_late(day, "the first plan", {kind.name for kind in KINDS})
        assert {dataset for dataset, _ in self.judge.gone} == {kind.name for kind in KINDS}
        self.renew(day)

    def day_before(self, night: date) -> None:
        """What people and customers do on the day before."""
        day = night - DAY
        self.clock.set(max(at(day, 11), self.judge.last_line_at() + timedelta(minutes=2)))
        self.sources.arrive(day)
        self.person_looks_at_the_clock(day)
        if night + 25 * DAY > self.mandates_until:
            self.renew(day)
        if self.random.random() < 0.12:
            self.hold()
        if self.holds and self.random.random() < 0.10:
            self.release()
        if self.random.random() < 0.06 and self.judge.due("invoices", day):
            self.by_hand(day, "--dataset", "crm.invoices")
            self.judge.nothing_late(day, f"seed {self.seed}, {day}, a plan by hand", {"invoices"})

    # --- what happens at night ----------------------------------------------------------------------------------

    def plain(self, night: date) -> None:
        """Not before its hour, once at it, and not again after it."""
        service = self.serving()
        if self.random.random() < 0.2:
            self.clock.set(at(night, 1, 50))
            service.look()
            assert not self.judge.is_done(night), self.what
        self.sweep(night)
        if self.random.random() < 0.2:
            self.clock.set(at(night, 2, 31) + timedelta(hours=self.random.randrange(1, 20)))
            service.look()

    def clock_change(self, night: date) -> None:
        """Exactly one run on the nights on which 02:30 comes twice or not at all."""
        for moment in (at(night, 1, 59), at(night, 1, 59) + timedelta(minutes=32)):
            self.clock.set(moment)
            service = self.serving()
            service.look()
        self.was_swept(night)
        for minutes in (61, 62, 91, 92, 152):
            self.clock.set(at(night, 1, 59) + timedelta(minutes=minutes))
            service.look()
        assert sum(run.night == night for run in self.judge.runs()) == 1, self.what

    def down(self, night: date, end: date) -> date:
        """Nothing runs for some days, then the service is started at any hour. Returns the next night."""
        days = self.random.choice((1, 1, 1, 2, 2, 3, 4, 5))
        if self.service is not None:
            self.stop(self.random.choice((signal.SIGTERM, signal.SIGKILL)))
        back = min(night + days * DAY, end - DAY)
        while night < back:
            self.expected[night] = False
            self.sources.arrive(night)
            night += DAY
        moment = at(night, self.random.randrange(24), 45)
        is_caught_up = moment >= at(night, 2, 30) or not self.expected.get(night - DAY, True)
        self.clock.set(moment)
        before = self.judge.there()
        if moment - self.judge.last_line_at() > GAP:
            self.seen["more than 72 hours"] += 1
            self.refuses("clock-forward" if is_caught_up else None)
            assert self.judge.there() == before, self.what
            self.person_looks_at_the_clock(night)
        if not is_caught_up:
            self.serving().look()
            assert not self.judge.is_done(night), self.what
            self.clock.set(at(night, 2, 31))
        self.serving().look()
        self.was_swept(night)
        return night + DAY

    def ended_in_mid_run(self, night: date, number: signal.Signals) -> None:
        """A signal at any moment of the run; started again, the night is swept all the same."""
        service = self.serving()
        self.sources.many(night - DAY, self.random.randrange(20))
        self.clock.set(at(night, 2, 31))
        self.begin(service)
        took = self.stop(number)
        assert number == signal.SIGKILL or took < 10, f"{self.what}: it took {took:.1f} s to end"
        self.judge.never_early(night, self.what)
        self.clock.set(at(night, 2, 31) + timedelta(minutes=self.random.randrange(1, 300)))
        self.serving().look()
        self.was_swept(night)

    def broken(self, night: date) -> None:
        """A place fails for a night; the others are swept, and it is swept the night after."""
        place = self.random.choice(("crm", "web", "cvs", "scans"))
        with self.breaking(place) as how:
            self.what += f" ({place}: {how})"
            self.judge.unread.add(place)
            others = {kind.name for kind in KINDS if kind.place != place} & BY_MANDATE
            self.clock.set(at(night, 2, 31))
            self.serving().look()
            self.was_swept(night, others)
            assert self.run("status", "--json", codes=(1,)).document["reasons"], self.what
        self.judge.unread.clear()
        self.judge.never_early(night, self.what)

    def by_hand_before(self, night: date) -> None:
        """A person sweeps before the hour: the service does not do it again."""
        self.clock.set(at(night, 1, 15))
        self.run("sweep", "--by", "An", "--reason", "by hand")
        self.was_swept(night)
        self.sweep(night)

    def by_hand_at_once(self, night: date) -> None:
        """A person sweeps while the service does: one of them waits or is refused."""
        service = self.serving()
        self.sources.many(night - DAY, 10)
        self.clock.set(at(night, 2, 31))
        first = self.processes.start("sweep", "--by", "An", "--reason", "by hand")
        time.sleep(self.random.random())
        service.ask()
        ended = self.processes.end(first)
        self.seen[f"by hand at once: exit {ended.code}"] += 1
        assert ended.code in {0, 75}, f"{self.what}: {ended}"
        self.sweep(night)

    def halted(self, night: date) -> None:
        """Somebody halts runs: nothing goes until somebody allows them again."""
        self.run("halt", "--by", "An", "--reason", "test")
        before = self.judge.there()
        self.clock.set(at(night, 2, 31))
        self.refuses("halt")
        assert self.judge.there() == before, self.what
        self.clock.set(at(night, 9))
        self.run("resume", "--by", "An", "--reason", "test")
        self.serving().look()
        self.was_swept(night)

    def wrong_clock(self, night: date, wrong: datetime) -> None:
        """Whatever is tried under a wrong clock, nothing goes; when it is right again, the night is swept."""
        if self.random.random() < 0.5 and self.service is not None:
            self.stop(self.random.choice((signal.SIGTERM, signal.SIGKILL)))
        if self.random.random() < 0.5:
            self.serving()
        self.clock.set(wrong)
        self.nothing_goes("clock-forward" if wrong > at(night, 2) else "clock-behind")
        if self.random.random() < 0.5:
            self.stop(self.random.choice((signal.SIGTERM, signal.SIGKILL)))
        self.clock.set(at(night, 2, 40))
        self.serving().look()
        self.was_swept(night)

    def stepped(self, night: date) -> None:
        """The clock is stepped while a run is under way: it stops, and nothing goes by the new time."""
        service = self.serving()
        self.sources.many(night - DAY, 20)
        self.clock.set(at(night, 2, 31))
        self.begin(service)
        wrong = self.random.choice(
            (timedelta(days=3652), timedelta(days=4), timedelta(hours=-2), timedelta(days=-9000))
        )
        is_far = abs(wrong) > DAY  # then the same hour of another day, in whatever season
        self.clock.set(at(night + wrong, 2, 31) if is_far else at(night, 2, 31) + wrong)
        service.wait_for("looked", "failed")
        self.seen["stopped in mid-run" if not self.judge.is_done(night) else "swept before the step"] += 1
        self.judge.never_early(night, self.what)
        is_known = abs(wrong) > GAP or self.judge.last_line_at() > self.clock.now() + timedelta(seconds=90)
        if is_known:  # two hours back before the first line of the night are a time as good as any
            self.nothing_goes("clock-forward" if wrong > DAY else "clock-behind", is_wanted=abs(wrong) > GAP)
        self.clock.set(at(night, 2, 50))
        self.serving().look()
        self.was_swept(night)

    def nothing_goes(self, code: str, *, is_wanted: bool = True) -> None:
        """Try what can be tried; nothing may go, no line may be written, and it must be said. ``is_wanted``: by the
        wrong clock too it is time for a sweep."""
        before, lines = self.judge.there(), self.judge.lines()
        self.refuses(code if is_wanted else None)
        for command in (("sweep", "--by", "An"), ("plan", "--by", "An")):
            self.run(*command, codes=(4,))
        said = self.run("status", "--json", codes=(0, 1)).document["reasons"]
        words = ("no sweep has succeeded", "clock")
        assert not is_wanted or any(word in reason for reason in said for word in words), f"{self.what}: {said}"
        if self.random.random() < 0.5:
            self.hold()
        assert self.judge.there() == before, self.what
        assert self.judge.lines() == lines, self.what

    def refuses(self, code: str | None) -> None:
        """The service says why it does nothing; what is heard first may still be the answer to the look before."""
        for _ in range(3):
            told = self.serving().look()
            if told[-1].get("code") == code:
                return
        raise AssertionError(f"{self.what}: {told}")

    # --- people -------------------------------------------------------------------------------------------------

    def person_looks_at_the_clock(self, day: date) -> None:
        """After more than 72 hours without a line, a person says that the clock is right."""
        if self.clock.now() - self.judge.last_line_at() > GAP:
            words = ("--by", "An", "--reason", "the machine was off")
            self.run("resume", "--accept-clock", self.clock.now().astimezone(ZONE).date().isoformat(), *words)
            assert day == self.clock.now().astimezone(ZONE).date()

    def renew(self, day: date) -> None:
        """Give a mandate for each rule that may have one."""
        self.mandates_until = day + 85 * DAY
        bounds = ("--max-records", "10000", "--max-growth", "100")
        for rule in sorted(BY_MANDATE):
            words = ("--by", "An", "--reason", "routine", "--until", self.mandates_until.isoformat())
            self.run("mandate", "add", rule, *words, *bounds)

    def by_hand(self, day: date, *scope: str) -> None:
        """A person plans, approves and applies."""
        plan = self.run("plan", *scope, "--by", "An", "--json").document
        assert plan["as_of"] == day.isoformat()
        words = ("--by", "An", "--reason", "looked at", "--digest", plan["digest"])
        self.run("approve", str(plan["plan"]), *words)
        (self.run if scope else self.processes.warm)("apply", str(plan["plan"]))

    def hold(self) -> None:
        """Put a hold on a record, or on a person."""
        free = sorted(self.judge.there() - self.judge.held)
        dataset, key = self.random.choice(free)
        place = next(kind.place for kind in KINDS if kind.name == dataset)
        whom = ("--record", f"{place}.{dataset}", key)
        if dataset == "prospects":
            whom = ("--subject", f"P{key}@Example.org", "")[:2]  # type: ignore[assignment]
        said = self.run("hold", "add", *whom, "--reason", "litigation", "--by", "An", "--json").document
        items = frozenset({(dataset, key)})
        self.holds[said["id"]] = items
        self.judge.held |= items

    def release(self) -> None:
        """Release a hold."""
        number = self.random.choice(sorted(self.holds))
        self.run("hold", "release", str(number), "--reason", "settled", "--by", "An")
        self.judge.held -= self.holds.pop(number)

    # --- processes ----------------------------------------------------------------------------------------------

    def serving(self) -> Service:
        """The service, started where it does not run."""
        if self.service is None:
            self.service = Service(self.processes)
        return self.service

    def stop(self, number: signal.Signals) -> float:
        """End the service; return how long that took."""
        assert self.service is not None
        service, self.service = self.service, None
        return service.end(number)

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Ended:
        """Run a command to its end."""
        return self.processes.run(*arguments, codes=codes)

    def sweep(self, night: date) -> None:
        """Let the hour of a night come."""
        self.clock.set(at(night, 2, 31))
        self.serving().look()
        self.was_swept(night)

    def was_swept(self, night: date, datasets: set[str] = BY_MANDATE) -> None:
        """The night has its sweep, and what had to go is gone."""
        for _ in range(3):  # what was heard may have been the answer to the look before
            if self.judge.is_done(night):
                break
            self.told = self.serving().look()
        assert self.judge.is_done(night), f"{self.what}: {self.told}"
        self.expected[night] = True
        self.judge.nothing_late(night, self.what, datasets)

    def begin(self, service: Service) -> None:
        """Let the service begin a run, and come back at some moment of it."""
        size = (self.judge.state / "ledger" / "events.jsonl").stat().st_size
        grown = self.random.choice((0, 1, 1500, 3000, 6000, 9000))
        service.ask()
        until = time.monotonic() + 2
        while (self.judge.state / "ledger" / "events.jsonl").stat().st_size < size + grown and time.monotonic() < until:
            time.sleep(0.002)
        time.sleep(self.random.random() * 0.05)

    @contextmanager
    def breaking(self, place: str) -> Iterator[str]:
        """Break a place for the time of the block; say how."""
        path, aside = self.sources.path(place), self.sources.folder / "aside"
        how = self.random.choice(
            ("moved", "forbidden", "locked", "garbage") if place in SCHEMAS else ("moved", "forbidden", "unmounted")
        )
        if how == "moved":
            path.rename(aside)
        elif how == "forbidden":
            mode = path.stat().st_mode
            path.chmod(0)
        elif how == "garbage":
            path.rename(aside)
            path.write_bytes(b"no database" * 500)
        elif how == "unmounted":
            path.rename(aside)
            path.mkdir()
        try:
            if how == "locked":
                with closing(sqlite3.connect(path)) as other:
                    other.execute("BEGIN EXCLUSIVE")
                    yield how
            else:
                yield how
        finally:
            if how == "forbidden":
                path.chmod(mode)
            elif how != "locked":
                if path.exists():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                aside.rename(path)

    # --- what ropa says -----------------------------------------------------------------------------------------

    def check_status(self, today: date) -> None:
        """`ropa status` tells the nights of the last 30 days without a sweep that ran to its end."""
        self.clock.set(at(today - DAY, 20))
        said = self.run("status", "--json", codes=(0, 1)).document["not_enforced"]
        gaps = self.judge.gaps(today - DAY, {"complete", "partial"})
        recent = [gap for gap in gaps if gap[1] >= today - 31 * DAY]
        assert [(gap["from_on"], gap["to_on"]) for gap in said] == [(a.isoformat(), b.isoformat()) for a, b in recent]

    def check_report(self, today: date) -> None:
        """The report tells every gap since the first night."""
        self.clock.set(at(today - DAY, 20))
        report = self.sources.folder / "report.json"
        self.run("report", "--format", "json", "-o", str(report))
        import json

        said = json.loads(report.read_text())["gaps"]
        gaps = self.judge.gaps(today - DAY, {"complete"})
        assert [(gap["from_on"], gap["to_on"]) for gap in said] == [(a.isoformat(), b.isoformat()) for a, b in gaps]


def changes(night: date) -> bool:
    """Whether the clock is changed on this date."""
    return at(night, 0) + DAY != at(night + DAY, 0)
