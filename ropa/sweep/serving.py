"""A worker of a fleet: a process that does items until it is told to end.

Invariant: a signal ends it after the item in hand, whose outcome is handed over first; nothing but the name of an item
comes in, and nothing that is logged here has a key or a value of a record in it.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ropa import clock
from ropa.sweep.engine import CONNECT_SECONDS, label, load, security
from ropa.sweep.helping import Helper
from ropa.sweep.site import Site

_WAIT_SECONDS = 5.0
"""How often a scheduler is asked for that is not there."""
_LEAVE_SECONDS = 0.05
_FETCH_SECONDS = 2.0
"""How long the outcome of the last item waits to be fetched."""
LAST_CALL_SECONDS = 60.0
"""How long the item in hand may take once a worker is to end."""

_HELPER: list[Helper] = []
"""The helper of this process, where it is a worker."""


def do_item(name: str) -> dict[str, Any]:
    """Do an item; what the engine calls in a worker."""
    if not _HELPER:
        return {"error": {"kind": "LocationError", "message": "this process is not a worker of ropa"}}
    told = _HELPER[0].do(name)
    if _HELPER[0].is_stopping.is_set() and told.get("error", {}).get("code") == "item-held":
        raise load().Reschedule  # another worker waits for whoever holds it
    return told


def serve(open_site: Callable[[], Site], address: str, tell: Callable[[str, dict[str, object]], None]) -> int:
    """Work for a fleet until SIGTERM or SIGINT; the item in hand is done before. Returns the signal's number.

    A scheduler that is not there, or goes away, is waited for. Raises ConfigurationError where the extra is missing.
    """
    engine = load()
    helper = Helper(open_site)
    _HELPER[:] = [helper]
    try:
        with tempfile.TemporaryDirectory(prefix="ropa-worker-") as scratch:
            return asyncio.run(_serve(engine, helper, address, scratch, tell))
    finally:
        helper.close()
        _HELPER.clear()


async def _serve(
    engine: Any, helper: Helper, address: str, scratch: str, tell: Callable[[str, dict[str, object]], None]
) -> int:
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def stop(signum: int) -> None:
        helper.is_stopping.set()
        if not stopped.done():
            stopped.set_result(signum)

    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop, int(signum))
    is_waiting = False
    while not stopped.done():
        try:
            worker = await engine.Worker(
                address,
                nthreads=1,  # a place is asked by one thread of a process at a time
                resources={label(helper.site): 1},
                security=security(engine, address, "worker"),
                host="127.0.0.1" if address.startswith("tcp://") else None,
                death_timeout=CONNECT_SECONDS,
                memory_limit=0,  # nothing is ever written to disk for want of room
                local_directory=scratch,
                dashboard=False,
            )
        except (OSError, TimeoutError) as error:
            if not is_waiting:
                tell("waiting", {"scheduler": address, "why": type(error).__name__})
            is_waiting = True
            await asyncio.wait([stopped], timeout=_WAIT_SECONDS)
            continue
        is_waiting = False
        tell("connected", {"scheduler": address})
        over = asyncio.ensure_future(worker.finished())
        await asyncio.wait([stopped, over], return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            with suppress(OSError, TimeoutError):  # the scheduler may be gone already
                await _leave(worker, helper)
        else:
            tell("disconnected", {"scheduler": address})
    return stopped.result()


async def _leave(worker: Any, helper: Helper) -> None:
    """Take nothing new, end the item in hand, hand over what came of it, then go."""
    from distributed.core import Status

    worker.status = Status.paused
    await asyncio.to_thread(helper.wait, LAST_CALL_SECONDS)
    until = clock.monotonic() + _FETCH_SECONDS
    while (worker.state.executing or worker.data) and clock.monotonic() < until:  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(_LEAVE_SECONDS)
    with suppress(OSError, TimeoutError):  # a scheduler that is going too does not answer
        gone = {"workers": [worker.address], "close_workers": False, "remove": True, "stimulus_id": "ropa-worker-ends"}
        await asyncio.wait_for(worker.scheduler.retire_workers(**gone), _FETCH_SECONDS)
    await asyncio.wait_for(worker.close(timeout=_FETCH_SECONDS, executor_wait=False, nanny=False), 2 * _FETCH_SECONDS)
