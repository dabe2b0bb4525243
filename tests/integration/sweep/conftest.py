"""The fixtures of the heart's tests (``tests/sweep_kit.py``)."""

from sweep_kit import kind, make, swept_up

__all__ = ["kind", "make", "swept_up"]
