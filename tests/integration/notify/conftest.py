"""The fixtures of the heart's tests (``tests/sweep_kit.py``), and servers on loopback (``notify_kit.py``)."""

from notify_kit import certificate, hook, no_proxy
from sweep_kit import kind, make, swept_up

__all__ = ["certificate", "hook", "kind", "make", "no_proxy", "swept_up"]
