"""Runs `ropa` many times without starting Python each time: one interpreter that has imported everything, and forks.

Protocol: one JSON object a line on stdin, one on stdout. ``start`` forks a child that waits at its door, then calls
``ropa.cli.main`` as the installed program does; ``go`` opens the door of one or of many at once; ``signal`` sends a
signal to a child that has not been waited for (so never to somebody else's process); ``wait`` returns how it ended.
A killed child is killed as any process is: nothing of Python runs in it any more.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

doors: dict[int, int] = {}
begun: dict[int, float] = {}


def start(request: dict[str, Any]) -> dict[str, Any]:
    door_out, door_in = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(door_in)
        _child(request, door_out)
    os.close(door_out)
    doors[pid] = door_in
    return {"pid": pid}


def _child(request: dict[str, Any], door: int) -> None:
    code = 99
    try:
        os.setsid()
        for descriptor in doors.values():
            os.close(descriptor)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        empty = os.open(os.devnull, os.O_RDONLY)
        out = os.open(request["stdout"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        err = os.open(request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for source, target in ((empty, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
            os.close(source)
        os.read(door, 1)
        os.close(door)
        sys.argv = ["ropa", *request["arguments"]]
        if request.get("before"):
            exec(request["before"], {})
        from ropa.cli import main

        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if request.get("modules"):
            Path(request["modules"]).write_text(json.dumps(sorted(sys.modules)))
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - it may only end here, never go on as a second server
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def go(request: dict[str, Any]) -> dict[str, Any]:
    for pid in request["pids"]:
        begun[pid] = time.monotonic()
        os.write(doors[pid], b"!")
        os.close(doors.pop(pid))
    return {}


def wait(request: dict[str, Any]) -> dict[str, Any]:
    """Wait for a child; after ``seconds`` (None: for ever) give up, or send ``then`` and wait on."""
    pid, watch = request["pid"], os.pidfd_open(request["pid"])
    try:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        seconds = request.get("seconds")
        ended = poll.poll(None if seconds is None else max(0.0, seconds) * 1000)
        if not ended:
            if request.get("then") is None:
                return {"code": None}
            os.kill(pid, request["then"])
    finally:
        os.close(watch)
    _, status = os.waitpid(pid, 0)
    taken = time.monotonic() - begun.pop(pid, time.monotonic())
    if pid in doors:
        os.close(doors.pop(pid))
    return {"code": os.waitstatus_to_exitcode(status), "seconds": taken}


def send(request: dict[str, Any]) -> dict[str, Any]:
    os.kill(request["pid"], request["signal"])
    return {}


def preload(request: dict[str, Any]) -> dict[str, Any]:
    """Import what a run imports, so that the children need not; what only works later is left to them."""
    for name in request["modules"]:
        if name != "__main__" and name not in sys.modules:
            try:
                importlib.import_module(name)
            except Exception:  # noqa: BLE001 - a module made at run time, such as a migration
                continue
    gc.collect()
    gc.freeze()
    return {"modules": len(sys.modules)}


OPERATIONS = {"start": start, "go": go, "wait": wait, "signal": send, "preload": preload}


def serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        request = json.loads(line)
        sys.stdout.write(json.dumps(OPERATIONS[request["do"]](request)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
