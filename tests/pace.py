"""A bound on how long something takes that holds on a slow machine too: so many times a plain loop, here and now.

For what must not be drawn out by whoever wrote the input. How fast something is, is a question for ``benchmarks/``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

STEPS = 100_000


def _loop() -> float:
    started = time.process_time()
    for _ in range(STEPS):
        pass
    return time.process_time() - started


@contextmanager
def within(loops: float) -> Iterator[None]:
    """Fail where the block takes more processor time than ``loops`` times counting to a hundred thousand (3 to 5 ms).

    The loop is timed before and after, and the slower counts: other work on the machine slows down both.
    """
    before = _loop()
    started = time.process_time()
    yield
    taken = time.process_time() - started
    allowed = loops * max(before, _loop())
    assert taken <= allowed, f"{taken:.2f} s of processor time; {allowed:.2f} s would have been in good time"
