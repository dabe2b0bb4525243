"""Windows over the keys of a table, so that no statement of a listing looks at all of it.

Invariant: together they cover every number once, in order.
"""

from __future__ import annotations

from ropa.clock import monotonic

_SLOW_SECONDS = 0.25
"""A statement that takes longer than this looks at too much at once."""


class Windows:
    """Windows over whole numbers, from the least to the greatest, each as wide as is looked through in good time."""

    def __init__(self, low: int, high: int, width: int) -> None:
        self._low = low
        self._high = high
        self._width = width

    @property
    def is_over(self) -> bool:
        """Whether all of the numbers were looked at."""
        return self._low > self._high

    def bounds(self) -> tuple[int, int]:
        """Return the window to look at: first and last number."""
        return self._low, min(self._low + self._width - 1, self._high)

    def moved(self, last: int | None, started: float) -> None:
        """Go on after ``last``, the last that was looked at where that was not the whole window."""
        seconds = monotonic() - started
        self._low = self.bounds()[1] + 1 if last is None else last + 1
        if seconds > _SLOW_SECONDS:
            self._width = max(1, self._width // 2)
        elif seconds < _SLOW_SECONDS / 4 and last is None:
            self._width *= 2
