"""Real `ropa` processes under a wall clock that is set from outside.

`wall_clock.c`, preloaded, adds an offset that stands in a file to what the kernel says. Only the wall clock is another:
what a process waits for and how long it takes goes by the kernel's own monotonic clock. (libfaketime would not do: it
also takes waiting in hand, and what Python waits with then fails or never wakes.)
"""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from os import geteuid
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "kills"))

from ropa_runs import Child, Ended, Server

__all__ = ["Clock", "Ended", "Processes", "Service"]

UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root reads whatever a file's mode says; without these capabilities it does not."""
SERVICE_MODULES = (
    "apscheduler.executors.pool",
    "apscheduler.schedulers.background",
    "apscheduler.triggers.interval",
    "ropa.cli.schedule",
    "ropa.notify.metrics",
    "ropa.schedule",
)


class Clock:
    """A wall clock for processes: real time and an offset that they read at each question."""

    def __init__(self, folder: Path) -> None:
        self.path, self.library, self._offset = folder / "clock", folder / "wall_clock.so", 0
        folder.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(bytes(8))
        source = Path(__file__).with_name("wall_clock.c")
        subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", self.library, source], check=True)

    def set(self, moment: datetime) -> None:
        """Put it to a moment, also for processes that run; it goes on from there."""
        self._offset = round(moment.timestamp() - time.time())
        with self.path.open("r+b") as file:
            file.write(struct.pack("=q", self._offset))

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._offset)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "WALL_CLOCK": str(self.path)}


@dataclass
class Processes:
    """Everything that is started on one project folder."""

    folder: Path
    clock: Clock
    said: Path
    """Where what they say is kept."""
    started: list[Child] = field(default_factory=list)

    def __post_init__(self) -> None:
        through = UNPRIVILEGED if geteuid() == 0 else ()
        self.server = Server(self.said, *through, env=self.clock.environment)
        self.server.ask("preload", modules=SERVICE_MODULES)

    def start(self, *arguments: str, before: str | None = None) -> Child:
        """Start a `ropa`. ``before``: Python that it runs first."""
        child = self.server.start("-C", self.folder, *arguments, before=before).go()
        self.started.append(child)
        return child

    def end(self, child: Child) -> Ended:
        """Wait until a `ropa` has ended."""
        ended = child.ended()
        self.started.remove(child)
        return ended

    def run(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> Ended:
        """Run a `ropa` to its end; fail, with what it said, at another exit code."""
        ended = self.end(self.start(*arguments))
        assert ended.code in codes, f"{' '.join(arguments)}: exit {ended.code}\n{ended.out}\n{ended.err}"
        return ended

    def warm(self, *arguments: str) -> None:
        """Run a `ropa` to its end, and let those that follow need not import what it did."""
        ended = self.server.warm("-C", self.folder, *arguments)
        assert ended.code == 0, f"{' '.join(arguments)}: exit {ended.code}\n{ended.err}"

    def close(self) -> None:
        """End what still runs."""
        for child in self.started:
            child.wait(0, signal.SIGKILL)
        self.server.close()


class Service:
    """A `ropa schedule` and what it says."""

    def __init__(self, processes: Processes, *, before: str | None = None) -> None:
        self.processes = processes
        self.child = processes.start("schedule", "--at", "02:30", "--by", "night", "--json", before=before)
        self._heard = 0
        self.wait_for("started")

    def _lines(self) -> list[str]:
        return [line for line in self.child.stdout.read_text().splitlines(keepends=True) if line.endswith("\n")]

    @property
    def errors(self) -> str:
        return str(self.child.stderr.read_text())

    def wait_for(self, *events: str, seconds: float = 60) -> list[dict[str, Any]]:
        """Return what it said, since it was last listened to, up to one of these events."""
        until = time.monotonic() + seconds
        while True:
            told = [json.loads(line) for line in self._lines()]
            for number in range(self._heard, len(told)):
                if told[number]["event"] in events:
                    fresh, self._heard = told[self._heard : number + 1], number + 1
                    return fresh
            assert time.monotonic() < until, f"none of {events} in {seconds} s: {told[self._heard :]} {self.errors}"
            time.sleep(0.02)

    def ask(self) -> None:
        """Let it look at once."""
        self.child.signal(signal.SIGUSR1)

    def look(self) -> list[dict[str, Any]]:
        """Let it look at once, and return what it said to that."""
        self._heard = len(self._lines())
        self.ask()
        return self.wait_for("looked", "failed", "waiting")

    def end(self, number: signal.Signals) -> float:
        """Send a signal, and return how long it took to end."""
        began = time.monotonic()
        self.child.signal(number)
        code = self.processes.end(self.child).code
        expected = 128 + number if number == signal.SIGTERM else -number
        assert code == expected, f"the service ended with {code}: {self.errors}"
        return time.monotonic() - began
