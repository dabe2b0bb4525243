"""What the tests of Microsoft 365 share."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest


@pytest.fixture
def peak_of() -> Callable[[Callable[[], object]], int]:
    """Measure the most bytes that a call holds at a time.

    What other tests left is set aside, so that rings of references of ours are collected as soon as in a small program:
    in a large one Python lets them lie for long.
    """
    usual = gc.get_threshold()

    def measure(call: Callable[[], object]) -> int:
        gc.collect()
        gc.freeze()
        gc.set_threshold(300, 2, 1)
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            gc.set_threshold(*usual)
            gc.unfreeze()

    return measure
