"""Starting, killing and waiting for real `ropa` processes on real project folders."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
PROGRAM = Path(sys.executable).with_name("ropa")


def environment(**more: str) -> dict[str, str]:
    """What a process gets: nothing of this machine's ropa, nothing of the one who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "LANG"}}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "PYTHONHASHSEED": "0", **more}


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    """Exit code; minus the signal's number where a signal ended it."""
    out: str
    err: str
    seconds: float = 0.0

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


class Child:
    """A `ropa` that waits at its door, runs, or has ended."""

    def __init__(self, server: Server, pid: int, stdout: Path, stderr: Path) -> None:
        self.server, self.pid, self.stdout, self.stderr = server, pid, stdout, stderr
        self._is_over = False

    def go(self) -> Child:
        self.server.ask("go", pids=[self.pid])
        return self

    def signal(self, number: int) -> None:
        self.server.ask("signal", pid=self.pid, signal=int(number))

    def wait(self, seconds: float | None = 120.0, then: int | None = None) -> Ended | None:
        """Return how it ended; None where it still runs after ``seconds`` and ``then`` names no signal to send."""
        answer = self.server.ask("wait", pid=self.pid, seconds=seconds, then=then)
        if answer["code"] is None:
            return None
        self._is_over = True
        return Ended(answer["code"], self.stdout.read_text(), self.stderr.read_text(), answer["seconds"])

    def said(self) -> str:
        """What it has written to stdout so far, as whole lines."""
        return self.stdout.read_text().rpartition("\n")[0]

    def end(self) -> None:
        """End it, whatever it does, where nobody has waited for it."""
        if not self._is_over:
            self.wait(0, signal.SIGKILL)

    def ended(self) -> Ended:
        found = self.wait()
        if found is None:
            self.wait(0, signal.SIGKILL)
            raise AssertionError("ropa still runs after 120 seconds")
        return found


def dying(function: str, *, when: str = "True", after: bool = False) -> str:
    """Return Python that lets a process kill itself with SIGKILL in a call: ``module:Class.method``, ``module:function``,
    where ``when`` is true of ``args`` and ``kwargs`` (``self`` is ``args[0]``), before or after it did its work."""
    module, _, name = function.partition(":")
    owner, _, method = name.rpartition(".")
    return f"""
import importlib, os, signal
owner = importlib.import_module({module!r})
owner = getattr(owner, {owner!r}) if {owner!r} else owner
real = getattr(owner, {method!r})
def patched(*args, **kwargs):
    if not {after} and ({when}):
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*args, **kwargs)
    if {after} and ({when}):
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(owner, {method!r}, patched)
"""


class Server:
    """The fork server (forkserver.py) and its children."""

    def __init__(self, folder: Path, *through: str, env: dict[str, str] | None = None) -> None:
        """``through``: the command that starts it; ``env``: what it gets besides, and what its children get by
        default."""
        self.folder, self._count, self._env = folder, 0, env or {}
        folder.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [*through, sys.executable, str(Path(__file__).with_name("forkserver.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(**self._env),
            text=True,
        )

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def start(
        self,
        *arguments: str | Path,
        env: dict[str, str] | None = None,
        modules: Path | None = None,
        before: str | None = None,
    ) -> Child:
        """Fork a `ropa` with these arguments; it does nothing before ``go``. ``before``: Python that it runs first."""
        self._count += 1
        stdout, stderr = (self.folder / f"{self._count}.{name}" for name in ("out", "err"))
        stdout.touch()
        stderr.touch()
        answer = self.ask(
            "start",
            arguments=[str(argument) for argument in arguments],
            cwd="/",
            env=environment(**{**self._env, **(env or {})}),
            stdout=str(stdout),
            stderr=str(stderr),
            modules=str(modules) if modules else None,
            before=before,
        )
        return Child(self, answer["pid"], stdout, stderr)

    def run(self, *arguments: str | Path, env: dict[str, str] | None = None) -> Ended:
        """Run a `ropa` to its end."""
        return self.start(*arguments, env=env).go().ended()

    def run_until(self, where: str, *arguments: str | Path) -> Ended:
        """Run a `ropa` that kills itself where ``dying`` says, and make sure that it did."""
        ended = self.start(*arguments, before=where).go().ended()
        assert ended.code == -signal.SIGKILL, f"it never came to that moment: {ended}"
        return ended

    def warm(self, *arguments: str | Path) -> Ended:
        """Run a `ropa`, and import beforehand, for all that follow, what it had imported at its end."""
        modules = self.folder / "modules"
        ended = self.start(*arguments, modules=modules).go().ended()
        self.ask("preload", modules=json.loads(modules.read_text()))
        return ended

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


def run_program(*arguments: str | Path, seconds: float = 120, cwd: Path | None = None, **env: str) -> Ended:
    """Run the installed program itself."""
    began = time.monotonic()
    done = subprocess.run(
        [str(PROGRAM), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment(**env),
        cwd=cwd or "/",
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - began)


DURABLE = "fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,ftruncate,write,pwrite64,openat"
"""What a process asks of the disk. ``openat`` only counts where it creates (the pattern below)."""
_CALL = re.compile(r"^(?:(?:\[pid +)?(\d+)\]? +)?(\w+)\((.*)")


@dataclass(frozen=True)
class Point:
    """Just before the n-th call of one kind by one thread, as strace counts them."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"{self.call} #{self.number}"


class Tracer:
    """strace on a child that waits at its door."""

    def __init__(self, child: Child, log: Path, *options: str) -> None:
        self._log, self._said = log, log.with_suffix(".said")
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                ["strace", "-f", "-o", str(log), "-p", str(child.pid), *options], stderr=said
            )
        until = time.monotonic() + 20
        while "attached" not in self._said.read_text():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"strace cannot attach: {self._said.read_text().strip()}")
            time.sleep(0.002)

    def ended(self) -> str:
        """Wait for strace to end, as it does with the child; return what it noted."""
        self._process.wait(timeout=60)
        with suppress(UnicodeDecodeError):
            return self._log.read_text()
        return self._log.read_text(errors="replace")


def points_of(log: str) -> list[Point]:
    """Return every durable call that a trace shows, in order."""
    counts: dict[tuple[str, str], int] = {}
    points = []
    for line in log.splitlines():
        found = _CALL.match(line)
        if not found:
            continue
        thread, call, rest = found.groups(default="")
        counts[thread, call] = counts.get((thread, call), 0) + 1
        if call == "openat" and "O_CREAT" not in rest:
            continue
        points.append(Point(call, counts[thread, call]))
    return points
