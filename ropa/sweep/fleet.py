"""A fleet: processes, on this machine or others, that do work items for the one that holds the run lock.

The engine that carries the names of items to workers and their answers back is Dask distributed, behind the seam of
``concurrent.futures``; what must outlast a worker, or it, stands in our own table (``items``). Invariant: losing a
worker, the scheduler or this process loses no record and no outcome: an item is done by another worker, and an intent
without a receipt is settled by the next run.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa import clock
from ropa.errors import CallError, ConfigurationError, LocationError, RopaError
from ropa.sweep import items
from ropa.sweep.crew import THREADS, GivenUpError
from ropa.sweep.hand import Told
from ropa.sweep.helping import Helper, read_error, read_listing, read_told
from ropa.sweep.lock import Lease
from ropa.sweep.place import Listed, Progress
from ropa.sweep.site import Site
from ropa.sweep.tables import IssuedId
from ropa.sweep.units import Portion

T = TypeVar("T")

_ADDRESS = re.compile(r"(?P<scheme>tcp|tls)://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>\d{1,5})")
_CONNECT_SECONDS = 10
_COUNT_SECONDS = 5.0
_LAST_CALL_SECONDS = 60.0
"""How long the item in hand may take once a worker is to end."""
PATIENCE_SECONDS = 120.0
"""How long a fleet without workers is waited for; what was asked of it is then left for the next run."""
_LEFT = frozenset({"item-stale", "item-lost", "item-unknown", "item-policy", "item-held"})


def check_address(address: str) -> str:
    """Return the address of a scheduler. Raises CallError for one that cannot be used: whoever reaches a scheduler over
    ``tcp://`` can make its workers do anything, so that is for this machine alone
    (https://distributed.dask.org/en/stable/tls.html)."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise CallError(
            "the address of a fleet is tls://HOST:PORT, or tcp://127.0.0.1:PORT on one machine",
            next_step="Start its scheduler with `dask scheduler`, and give what it prints.",
            code="fleet-address",
        )
    if found["scheme"] == "tcp" and not _is_loopback(found["host"].strip("[]")):
        raise CallError(
            "a fleet of several machines is reached over tls:// only",
            next_step="Give the scheduler, the workers and this process certificates; see docs/how-to/fleet.md.",
            code="fleet-address",
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _engine() -> Any:
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ConfigurationError(
            "a fleet needs the package distributed", (), next_step="`pip install 'ropa[fleet]'`."
        ) from error
    logging.getLogger("distributed").setLevel(logging.WARNING)
    dask.config.set({"distributed.worker.http.routes": []})  # its pages would show the work to whoever asks
    return distributed


def _security(engine: Any, address: str) -> Any:
    if not address.startswith("tls://"):
        return None
    # Certificates come from Dask's own settings: DASK_DISTRIBUTED__COMM__TLS__CA_FILE and its like.
    return engine.Security(require_encryption=True)


def label(site: Site) -> str:
    """Return the word by which the workers of this project are known to a scheduler that may serve several."""
    with Session(site.engine) as session:  # the id under which its ledger was begun
        first = session.scalar(select(col(IssuedId.id)).order_by(col(IssuedId.at), col(IssuedId.id)).limit(1))
    return f"ropa-{first}"


class Fleet:
    """The crew of a run, where others do the work (``crew.Crew``)."""

    def __init__(self, site: Site, lease: Lease, address: str, progress: Progress | None = None) -> None:
        """Connect. Raises ConfigurationError (the extra is not installed), LocationError (no scheduler, no worker)."""
        engine = _engine()
        self.site = site
        self.lease = lease
        self._show = progress or (lambda _what, _count: None)
        self._label = label(site)
        try:
            self._client = engine.Client(
                address,
                timeout=_CONNECT_SECONDS,
                set_as_default=False,
                security=_security(engine, address),
                heartbeat_interval="1s",
            )
        except (OSError, TypeError, ValueError) as error:
            raise LocationError(
                "the scheduler of the fleet does not answer",
                next_step="Start it, or leave --fleet out to work in this process.",
                code="fleet",
            ) from error
        self._pending: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()
        self._seen_at = self._counted_at = clock.monotonic()
        self._done = 0
        self._workers = self._count()
        if not self._workers:
            self._client.close()
            raise LocationError(
                "the fleet has no worker of this project",
                next_step="Start some with `ropa worker`, or leave --fleet out to work in this process.",
                code="fleet",
            )
        self._executor: Executor = self._client.get_executor(pure=False, resources={self._label: 1})
        self._aside = ThreadPoolExecutor(THREADS, thread_name_prefix="aside")

    @property
    def lanes(self) -> int:
        """Twice as many places as there are workers, so that none waits for us."""
        return 2 * max(1, self._workers)

    def act(self, portions: Sequence[Portion]) -> Future[Told]:
        """Let a worker act on one unit."""
        row = portions[-1].row
        name = items.offer(
            self.site, self.lease, kind=items.ACT, plan_id=row.plan_id, location=row.location, unit=row.unit
        )
        return self._submit(name, lambda told: read_told(told, portions))

    def list_place(self, plan_id: int, location: str, *, watches: bool) -> Future[Listed]:
        """Let a worker plan one place."""
        name = items.offer(self.site, self.lease, kind=items.LIST, plan_id=plan_id, location=location, watches=watches)
        return self._submit(name, read_listing)

    def width(self, location: str) -> int:
        """As many as the place takes at once, and enough that no worker waits."""
        return min(self.site.connector(location).capabilities.batches_at_once, self.lanes)

    def aside(self, ask: Callable[[], T]) -> Future[T]:
        """Ask something in this process."""
        return self._aside.submit(ask)

    def look(self) -> None:
        """Show progress; where no worker was seen for long, let what was asked of them fail."""
        self._show("fleet", self._done)
        now = clock.monotonic()
        if now - self._counted_at < _COUNT_SECONDS:
            return
        self._counted_at, self._workers = now, self._count()
        if self._workers:
            self._seen_at = now
        elif now - self._seen_at > PATIENCE_SECONDS:
            gone = LocationError(
                "the fleet has no worker left", next_step="Start some with `ropa worker`.", code="fleet"
            )
            self._fail_all(gone)

    def give_up(self) -> None:
        """Take back what is being listed: its worker leaves it at its next batch, and commits nothing more."""
        self._fail_all(GivenUpError())

    def close(self) -> None:
        """Let go of the scheduler."""
        self._aside.shutdown()
        with suppress(OSError, TimeoutError, RuntimeError):
            self._client.close(timeout=_CONNECT_SECONDS)

    def _count(self) -> int:
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, KeyError, TypeError, ValueError):
            return 0
        return sum(1 for worker in workers.values() if worker.get("resources", {}).get(self._label))

    def _submit(self, name: str, read: Callable[[dict[str, Any]], T]) -> Future[T]:
        told: Future[T] = Future()

        def settle(answer: Future[dict[str, Any]]) -> None:
            self._done += 1
            with self._lock:
                if self._pending.pop(name, None) is None:
                    return  # nobody waits for it any more
            try:
                result = read(_expect_done(answer.result()))
            except CancelledError:
                told.set_exception(LocationError("the fleet lost its scheduler", code="fleet"))
            except RopaError as error:
                told.set_exception(error)
            except Exception as error:  # noqa: BLE001 - what Dask raises of workers that died one after the other
                lost = LocationError(f"the fleet could not do an item ({type(error).__name__})", code="fleet")
                told.set_exception(lost)
            else:
                told.set_result(result)

        with self._lock:
            self._pending[name] = told
        self._executor.submit(do_item, name).add_done_callback(settle)
        return told

    def _fail_all(self, error: RopaError) -> None:
        with self._lock:
            pending = dict(self._pending)
            self._pending.clear()
        items.withdraw(self.site, list(pending))
        for future in pending.values():
            future.set_exception(error)


def _expect_done(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a worker told. Raises LocationError for an item that was left, because its place was not worked on;
    else what the worker met."""
    if (problem := document.get("error")) is None:
        return document
    error = read_error(problem)
    if error.code in _LEFT:
        raise LocationError(f"a worker left its item: {error.message}", next_step=error.next_step, code=error.code)
    raise error


# --- the other end --------------------------------------------------------------------------------------------------

_HELPER: list[Helper] = []
"""The helper of this process, where it is a worker."""


def do_item(name: str) -> dict[str, Any]:
    """Do an item; what the engine calls in a worker."""
    if not _HELPER:
        return {"error": {"kind": "LocationError", "message": "this process is not a worker of ropa"}}
    return _HELPER[0].do(name)


def serve(open_site: Callable[[], Site], address: str, tell: Callable[[str, dict[str, object]], None]) -> int:
    """Work for a fleet until SIGTERM or SIGINT; the item in hand is done before. Returns the signal's number.

    A scheduler that is not there, or goes away, is waited for. Raises ConfigurationError where the extra is missing.
    """
    engine = _engine()
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
                security=_security(engine, address),
                host="127.0.0.1" if address.startswith("tcp://") else None,
                death_timeout=_CONNECT_SECONDS,
                memory_limit=0,  # nothing is ever written to disk for want of room
                local_directory=scratch,
                dashboard=False,
            )
        except (OSError, TimeoutError) as error:
            if not is_waiting:
                tell("waiting", {"scheduler": address, "why": type(error).__name__})
            is_waiting = True
            await asyncio.wait([stopped], timeout=_COUNT_SECONDS)
            continue
        is_waiting = False
        tell("connected", {"scheduler": address})
        over = asyncio.ensure_future(worker.finished())
        await asyncio.wait([stopped, over], return_when=asyncio.FIRST_COMPLETED)
        if stopped.done():
            with suppress(OSError, TimeoutError):  # the scheduler may be gone already
                await asyncio.wait_for(worker.close_gracefully(), _LAST_CALL_SECONDS)
        else:
            tell("disconnected", {"scheduler": address})
    return stopped.result()
