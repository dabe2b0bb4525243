"""The worlds of the heart's tests (``tests/sweep_kit.py``)."""

from sweep_kit import make, swept_up

__all__ = ["make", "swept_up"]
