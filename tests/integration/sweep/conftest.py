"""The fixtures of the heart's tests (``tests/sweep_kit.py``)."""

from sweep_kit import kind, make

__all__ = ["kind", "make"]
