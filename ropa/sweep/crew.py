"""Who does the work at the places: threads of this process, or a fleet of others behind the same seam.

What a place's turn consists of is a *lane*: a generator that hands work to a ``concurrent.futures.Executor`` and yields
each future it waits for. Everything between two yields (the ledger, gates, counts) runs in the one thread that drives
the lanes, which is the one that holds the run lock. Invariant: a place is asked by one thread of a process at a time,
but for units of a place that takes several at once; when a lane fails, no other begins anything new, and what is in
hand is settled before the error leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import Any, Protocol, TypeVar

from ropa.errors import RopaError
from ropa.sweep.hand import Hand, Told
from ropa.sweep.lock import Lease
from ropa.sweep.place import Listed, PlanAtPlace, Progress
from ropa.sweep.site import Site
from ropa.sweep.units import Portion


class GivenUpError(RopaError):
    """Nobody waits for this work any more: another lane failed."""

    def __init__(self) -> None:
        super().__init__("this work was given up; nothing is concluded from it", code="given-up")


T = TypeVar("T")
Lane = Generator[Future[Any], None, T]
"""One place's turn; what it returns is its result."""

THREADS = 4
"""Places that are worked on at once in one process: they wait for networks and disks more than for us."""
WIDEST = 2
"""Units of one target that are in hand at once in one process: the place deletes one while we compare another."""
SWITCH_SECONDS = 0.0005
"""How soon a thread whose place has answered gets its turn from one that computes (``sys.setswitchinterval``): a unit
asks its place some ten short questions, and at Python's own 5 ms each answer may wait so long."""
LOOK_SECONDS = 1.0
"""How often it is looked whether there is still somebody who works."""


class Crew(Protocol):
    """Does the work of lanes."""

    @property
    def lanes(self) -> int:
        """How many places are worked on at once."""

    def act(self, portions: Sequence[Portion]) -> Future[Told]:
        """Act on one unit at its place (``Hand.act``)."""

    def list_place(self, plan_id: int, location: str, *, watches: bool) -> Future[Listed]:
        """Plan one place (``PlanAtPlace``)."""

    def width(self, location: str) -> int:
        """Return how many units of one target may be in hand at once."""

    def aside(self, ask: Callable[[], T]) -> Future[T]:
        """Ask something in this process, beside the thread that drives."""

    def look(self) -> None:
        """Called again and again while work is waited for; where nobody is left to do it, it fails."""

    def give_up(self) -> None:
        """Let the places that are being listed be left at their next batch: nobody wants the plan any more."""

    def close(self) -> None:
        """Let go of everything, once nothing is in hand."""


class Threads:
    """The crew of one process."""

    def __init__(self, site: Site, lease: Lease, progress: Progress | None = None) -> None:
        self.site = site
        self._show = progress or (lambda _what, _count: None)
        self._is_given_up = False
        self._hand = Hand(site, lease.holding)
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="place")
        sys.setswitchinterval(SWITCH_SECONDS)

    @property
    def lanes(self) -> int:
        """As many as there are threads."""
        return THREADS

    def act(self, portions: Sequence[Portion]) -> Future[Told]:
        """Act on one unit at its place."""
        return self._submit(self._hand.act, portions)

    def list_place(self, plan_id: int, location: str, *, watches: bool) -> Future[Listed]:
        """Plan one place."""
        here = PlanAtPlace(self.site, plan_id, location, watches=watches, progress=self._progress)
        return self._submit(here.write)

    def width(self, location: str) -> int:
        """As many as the place takes at once, at most ``WIDEST``."""
        return min(WIDEST, self.site.connector(location).capabilities.batches_at_once)

    def aside(self, ask: Callable[[], T]) -> Future[T]:
        """Ask something beside the thread that drives."""
        return self._submit(ask)

    def look(self) -> None:
        """Nothing: its threads are there as long as this process is."""

    def give_up(self) -> None:
        """Leave the places that are being listed at their next batch."""
        self._is_given_up = True

    def _progress(self, what: str, count: int) -> None:
        if self._is_given_up:
            raise GivenUpError
        self._show(what, count)

    def _submit(self, work: Callable[..., T], *arguments: Any) -> Future[T]:
        # In the context of whoever asks: what is noted there of the run counts for its threads too.
        return self._executor.submit(copy_context().run, work, *arguments)

    def close(self) -> None:
        """Let go of the threads."""
        self._executor.shutdown()


def awaited(future: Future[T]) -> Lane[T]:
    """Wait, within a lane, for one result."""
    yield future
    return future.result()


def drive(lanes: Iterable[Lane[T]], crew: Crew, *, stop: Callable[[], None], tick: Callable[[], None]) -> list[T]:
    """Run lanes to their end, ``crew.lanes`` at a time, and return their results in the order of ``lanes``.

    ``stop`` is called at the first error of any lane, which is raised once every lane that had begun has ended;
    ``tick`` again and again while work is waited for, and what it raises counts as such an error.
    """
    coming, results = enumerate(lanes), dict[int, T]()
    waiting: dict[Future[Any], tuple[int, Lane[T]]] = {}
    failure: BaseException | None = None

    def fail(error: BaseException) -> None:
        nonlocal failure
        if failure is None:
            failure = error
            stop()

    def go_on(number: int, lane: Lane[T]) -> None:
        try:
            while (future := next(lane)).done():
                pass
            waiting[future] = number, lane
        except StopIteration as end:
            results[number] = end.value
        except Exception as error:  # noqa: BLE001 - raised below, after the other lanes have settled
            fail(error)

    while True:
        while failure is None and len(waiting) < crew.lanes and (begun := next(coming, None)) is not None:
            go_on(*begun)
        if not waiting:
            break
        try:
            done, _ = wait(waiting, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        except BaseException:  # Ctrl-C, where nobody listens for it
            stop()
            raise
        for future in done:
            go_on(*waiting.pop(future))
        try:
            crew.look()
            tick()
        except Exception as error:  # noqa: BLE001 - as above
            fail(error)
    if failure is not None:
        raise failure
    return [results[number] for number in sorted(results)]
