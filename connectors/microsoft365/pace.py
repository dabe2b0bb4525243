"""How fast an application may ask: what one thread is told to wait, all wait; and no more at once than is allowed.

Invariant: one pace for each application at each origin in this process, because that is what services count by.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ropa import clock


class Pace:
    """When the next request may be sent: after what the service asked, and not more at once than it allows."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._under_way = 0
        self._condition = threading.Condition()
        self._not_before = 0.0

    @contextmanager
    def turn(self, weight: int = 1) -> Iterator[None]:
        """Wait until ``weight`` more requests may be under way (a parallel batch counts as many as it runs)."""
        weight = min(weight, self._at_once)
        with self._condition:
            self._condition.wait_for(lambda: self._under_way + weight <= self._at_once)
            self._under_way += weight
        try:
            yield
        finally:
            with self._condition:
                self._under_way -= weight
                self._condition.notify_all()

    def delay(self) -> float:
        """Return how many seconds the service has asked everybody to wait still."""
        with self._condition:
            return max(0.0, self._not_before - clock.monotonic())

    def put_off(self, seconds: float) -> None:
        """Let nobody send before so many seconds have passed."""
        with self._condition:
            self._not_before = max(self._not_before, clock.monotonic() + seconds)


_PACES: dict[tuple[str, str, str], Pace] = {}
_PACES_LOCK = threading.Lock()


def pace_of(origin: str, app: str, kind: str, at_once: int) -> Pace:
    """Return the one pace of an application at an origin in this process: services count by application."""
    with _PACES_LOCK:
        return _PACES.setdefault((origin, app, kind), Pace(at_once))
