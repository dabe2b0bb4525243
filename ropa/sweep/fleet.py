"""A fleet: processes, on this machine or others, that do work items for the one that holds the run lock.

The engine that carries the names of items to workers and their answers back is Dask distributed, behind the seam of
``concurrent.futures``; what must outlast a worker, or it, stands in our own table (``items``). Invariant: losing a
worker, the scheduler or this process loses no record and no outcome: an item is done by another worker, and an intent
without a receipt is settled by the next run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from ropa import clock
from ropa.errors import LocationError, RopaError
from ropa.sweep import items
from ropa.sweep.crew import THREADS, GivenUpError
from ropa.sweep.engine import CONNECT_SECONDS, label, load, security
from ropa.sweep.hand import Told
from ropa.sweep.helping import read_error, read_listing, read_told
from ropa.sweep.lock import Lease
from ropa.sweep.place import Listed, Progress
from ropa.sweep.serving import do_item
from ropa.sweep.site import Site
from ropa.sweep.units import Portion

T = TypeVar("T")

_COUNT_SECONDS = 5.0
_ANSWER_SECONDS = 2.0
"""How long the scheduler may take to count: whoever asks has a lease to keep meanwhile."""
PATIENCE_SECONDS = 120.0
"""How long a fleet without workers is waited for; what was asked of it is then left for the next run."""
_LEFT = frozenset({"item-stale", "item-lost", "item-unknown", "item-policy", "item-held"})


class Fleet:
    """The crew of a run, where others do the work (``crew.Crew``)."""

    def __init__(self, site: Site, lease: Lease, address: str, progress: Progress | None = None) -> None:
        """Connect. Raises ConfigurationError (the extra is not installed), LocationError (no scheduler, no worker)."""
        engine = load()
        self.site = site
        self.lease = lease
        self._show = progress or (lambda _what, _count: None)
        self._label = label(site)
        try:
            self._client = engine.Client(
                address,
                timeout=CONNECT_SECONDS,
                set_as_default=False,
                security=security(engine, address, "client"),
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
        self._answers = ThreadPoolExecutor(1, thread_name_prefix="answers")

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
        with suppress(OSError, TimeoutError, RuntimeError):
            self._client.close(timeout=CONNECT_SECONDS)
        self._aside.shutdown()
        self._answers.shutdown()

    def _count(self) -> int:
        if (scheduler := self._client.scheduler) is None:
            return 0
        try:
            told = self._client.sync(scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_SECONDS)
            workers = told["workers"]
        except (OSError, KeyError, TypeError, ValueError, RuntimeError):
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
                document = answer.result()
                items.finish(self.site, name)
                result = read(_expect_done(document))
            except CancelledError:
                told.set_exception(_scheduler_lost())
            except RopaError as error:
                told.set_exception(error)
            except Exception as error:  # noqa: BLE001 - what Dask raises of workers that died one after the other
                lost = LocationError(f"the fleet could not do an item ({type(error).__name__})", code="fleet")
                told.set_exception(lost)
            else:
                told.set_result(result)

        with self._lock:
            self._pending[name] = told
        try:
            answered = self._executor.submit(do_item, name)
        except Exception as error:  # what Dask raises where it has given up its scheduler
            with self._lock:
                self._pending.pop(name, None)
            items.withdraw(self.site, [name])
            raise _scheduler_lost() from error
        # Not in the engine's own thread, which has to keep its connections alive.
        answered.add_done_callback(lambda answer: self._answers.submit(settle, answer))
        return told

    def _fail_all(self, error: RopaError) -> None:
        with self._lock:
            pending = dict(self._pending)
            self._pending.clear()
        items.withdraw(self.site, list(pending))
        for future in pending.values():
            future.set_exception(error)


def _scheduler_lost() -> LocationError:
    return LocationError(
        "the fleet lost its scheduler", next_step="Start it, then run the command again.", code="fleet"
    )


def _expect_done(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a worker told. Raises LocationError for an item that was left, because its place was not worked on;
    else what the worker met."""
    if (problem := document.get("error")) is None:
        return document
    error = read_error(problem)
    if error.code in _LEFT:
        raise LocationError(f"a worker left its item: {error.message}", next_step=error.next_step, code=error.code)
    raise error
