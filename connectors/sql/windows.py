"""Windows over the keys of a table, so that no statement of a listing looks at all of it.

Invariant: together they cover every number once, in order, also the fractions between two whole ones.
"""

from __future__ import annotations

from decimal import Decimal
from math import floor

from ropa.clock import monotonic

Number = int | float | Decimal
Bounds = tuple[Number | None, int]
"""The number after which a window begins (None: before the first there is none), and its last."""
_SLOW_SECONDS = 0.25
"""A statement that takes longer than this looks at too much at once."""


class Windows:
    """Windows over numbers, from the least to the greatest, each as wide as is looked through in good time."""

    def __init__(self, low: int, high: int, width: int) -> None:
        """``low`` and ``high``: whole numbers, not above the least and not below the greatest."""
        self._after: Number | None = None
        self._low = low
        self._high = high
        self._width = width

    @property
    def is_over(self) -> bool:
        """Whether all of the numbers were looked at."""
        return self._after is not None and self._after >= self._high

    def bounds(self) -> Bounds:
        """Return the window to look at."""
        start = self._low - 1 if self._after is None else floor(self._after)
        return self._after, min(start + self._width, self._high)

    def moved(self, last: float | Decimal | None, started: float) -> None:
        """Go on after ``last``, the last that was looked at where that was not the whole window."""
        seconds = monotonic() - started
        self._after = self.bounds()[1] if last is None else last
        if seconds > _SLOW_SECONDS:
            self._width = max(1, self._width // 2)
        elif seconds < _SLOW_SECONDS / 4 and last is None:
            self._width *= 2
