"""The nightly job as a service: it wakes, asks the run table whether tonight is done, and calls what ``ropa sweep``
calls.

APScheduler only wakes; when there is something to do is decided here, from the clock on the wall and the run table.
Invariant: the service remembers nothing that matters, so it may be killed at any moment and started again; a night
(a calendar date in the controller's zone) has one sweep, and another run is waited for, never run beside.
"""

from __future__ import annotations

import logging
import select
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ropa.clock import calendar_day, monotonic, timestamp
from ropa.errors import BusyError, RefusedError, RopaError
from ropa.notify import heard
from ropa.sweep import night, tracing
from ropa.sweep.nights import nights_done
from ropa.sweep.run import InterruptedRunError, Interruption
from ropa.sweep.site import Site
from ropa.sweep.state import get_state, set_state

AT = time(3, 30)
"""The hour of a night where none is given: after both changes of the clock in Europe."""
LOOK_SECONDS = 30
WATCH_SECONDS = 300
"""What people must hear is looked for so often, and after each sweep."""
PAUSES = (300, 900, 3600)
"""Seconds to wait after the first, the second and every later failure of a night."""
LAST_CALL_SECONDS = 10
"""How long the batch in hand may take to settle after SIGTERM."""

Tell = Callable[[str, Mapping[str, object]], None]
"""Called with what happened (``sweep``, ``failed``, ``waiting`` …) and facts of it: counts, codes and ids."""


def instant_of(night_on: date, at: time, zone: ZoneInfo) -> datetime:
    """Return when a night's sweep is due, as UTC: exactly one instant a date.

    Of an hour that comes twice the first; an hour that the clock skips is read as if it had not been changed yet.
    """
    return datetime.combine(night_on, at, zone).astimezone(UTC)


def night_wanted(now: datetime, at: time, zone: ZoneInfo, done: Collection[date]) -> date | None:
    """Return the night that is to be swept now; None where there is nothing to do.

    ``done``: the nights that had a sweep. Tonight's hour has come and its date is not done; or nights before it were
    missed: then it is caught up at once, one sweep for all of them.
    """
    today = calendar_day(now, zone)
    if today in done:
        return None
    has_missed = bool(done) and max(done) < today - timedelta(days=1)
    return today if has_missed or now >= instant_of(today, at, zone) else None


def next_instant(now: datetime, at: time, zone: ZoneInfo, done: Collection[date]) -> datetime:
    """Return when the next sweep is due: now, where one is wanted."""
    if night_wanted(now, at, zone, done) is not None:
        return now
    today = calendar_day(now, zone)
    return instant_of(today + timedelta(days=1) if today in done else today, at, zone)


@dataclass
class Schedule:
    """The service. ``look`` is one waking; ``serve`` wakes until it is stopped."""

    open_site: Callable[[], AbstractContextManager[Site]]
    """Opens the project folder afresh, so that a changed configuration counts from the next look."""
    at: time
    by: str
    tell: Tell
    watch: Callable[[Site], None] = lambda _site: None
    """Called every ``WATCH_SECONDS``, also while a sweep runs, and after each: tells people what they must hear."""
    seconds: Callable[[], float] = monotonic
    interruption: Interruption = field(default_factory=Interruption)
    _failures: int = 0
    _wait_until: float = 0.0
    _is_waiting_for_other: bool = False
    _is_asked: bool = False
    _is_called: bool = False

    def look(self) -> None:
        """Sweep if tonight asks for it; whatever goes wrong is told, never raised."""
        is_asked, self._is_asked = self._is_asked, False
        if self.interruption.signum is not None or self.seconds() < self._wait_until:
            return
        try:
            with self.open_site() as site:
                self._look(site, is_asked=is_asked)
        except BusyError as error:
            if is_asked or not self._is_waiting_for_other:
                self.tell("waiting", {"code": error.code or "busy", "message": error.message})
            self._is_waiting_for_other = True
            return
        except InterruptedRunError:
            self.tell("interrupted", {"signal": self.interruption.signum})
        except RopaError as error:
            self._pause()
            facts = {"code": error.code or type(error).__name__, "message": error.message, "next_step": error.next_step}
            self.tell("failed", {**facts, "exit_code": error.exit_code, "failures": self._failures})
        except Exception as error:  # noqa: BLE001 - the service outlives a night that went wrong; its text may hold data
            self._pause()
            self.tell("failed", {"code": "unexpected", "message": type(error).__name__, "failures": self._failures})
        self._is_waiting_for_other = False

    def look_after(self) -> None:
        """Tell people what they must hear; whatever goes wrong is told here, never raised."""
        try:
            with tracing.beside_runs(), self.open_site() as site:
                self.watch(site)
        except RopaError as error:
            self.tell("watch-failed", {"code": error.code or type(error).__name__, "message": error.message})
        except Exception as error:  # noqa: BLE001 - as above
            self.tell("watch-failed", {"code": "unexpected", "message": type(error).__name__})

    def _look(self, site: Site, *, is_asked: bool) -> None:
        zone, done = site.config.timezone, nights_done(site.engine, site.config.timezone)
        wanted = night_wanted(site.now(), self.at, zone, done)
        if wanted is not None:
            try:
                with heard(site, self.watch, is_service=True):
                    result = night.sweep(
                        site, by=self.by, reason="nightly", interruption=self.interruption, is_once_a_night=True
                    )
            except RefusedError as error:
                if error.code != night.NIGHT_DONE:
                    raise
            else:
                self._failures, self._wait_until = 0, 0.0
                told = {name: result.document[name] for name in ("run", "plan", "state", "outcomes")}
                self.tell("sweep", {"night": wanted.isoformat(), **told, "exit_code": result.exit_code})
            done = nights_done(site.engine, zone)
        due = timestamp(next_instant(site.now(), self.at, zone, done))
        if get_state(site, "next_sweep_at") != due:
            set_state(site, next_sweep_at=due)
            self.tell("next", {"next_sweep_at": due})
        if is_asked:
            self.tell("looked", {"next_sweep_at": due})

    def _pause(self) -> None:
        self._wait_until = self.seconds() + PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1

    def serve(self) -> int:
        """Wake until ``stop`` is called. Returns the number of the signal; a batch in hand is settled before, within
        ``LAST_CALL_SECONDS``."""
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        logging.getLogger("apscheduler").setLevel(logging.ERROR)  # it warns of each look that a long sweep leaves out
        # Looks that could not be had in time melt into one; never two at once; none is dropped for being late.
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(2)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        idle = threading.Event()
        idle.set()

        def look() -> None:
            idle.clear()
            try:
                self.look()
                if self._is_asked:  # in the meantime, when no other look could begin
                    self.look()
            finally:
                idle.set()

        self.tell("started", {"at": self.at.isoformat("minutes")})
        now = datetime.now(UTC)
        scheduler.add_job(look, _after_each(LOOK_SECONDS), id="look", next_run_time=now)
        scheduler.add_job(self.look_after, _after_each(WATCH_SECONDS), id="watch", next_run_time=now)
        scheduler.start()
        with _signals_heard() as heard:
            while self.interruption.signum is None:
                self._keep_waking(scheduler, heard)
        scheduler.remove_all_jobs()
        idle.wait(LAST_CALL_SECONDS)
        scheduler.shutdown(wait=False)
        return self.interruption.signum or 0

    def _keep_waking(self, scheduler: Any, heard: socket.socket) -> None:
        """Wait for a signal, then for as long as a look may take to come, by a clock that nobody can set.

        APScheduler knows its next waking as a time of the wall clock: set back by a year, it would sleep for a year.
        """
        if select.select([heard], [], [], LOOK_SECONDS)[0]:
            heard.recv(4096)
        is_called, self._is_called = self._is_called, False
        if is_called:
            self._is_asked, self._wait_until = True, 0.0
        now = datetime.now(UTC)
        for job in scheduler.get_jobs():
            if is_called or job.next_run_time - now > job.trigger.interval:
                job.modify(next_run_time=now)

    def stop(self, signum: int) -> None:
        """End ``serve``: called by a signal handler."""
        self.interruption.signum = signum

    def look_now(self) -> None:
        """Look at once, whatever pause a failure asked for, and tell when the next sweep is due: called by a signal
        handler."""
        self._is_called = True


@contextmanager
def _signals_heard() -> Iterator[socket.socket]:
    """Give a socket that can be read when a signal has come.

    The kernel may hand a signal to any thread; a main thread that waits for anything else would then sleep on.
    """
    heard, written = socket.socketpair()
    written.setblocking(False)
    before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(before)
        heard.close()
        written.close()


def _after_each(seconds: int) -> Any:
    """Return a trigger that counts from the present waking and not from the one before.

    So a clock that is put ten years ahead gives one look, and not a list of ten million that were missed.
    """
    from apscheduler.triggers.interval import IntervalTrigger

    class AfterEach(IntervalTrigger):  # type: ignore[misc]
        def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
            return now if previous_fire_time is None else now + timedelta(seconds=seconds)

    return AfterEach(seconds=seconds, timezone=UTC)
