"""Spans of a run for whoever watches the program that hosts us, and the id of the run that is open, for logs.

Invariant: nothing is loaded and nothing leaves this process unless its host has brought OpenTelemetry along and
configured it; a span carries ids, counts, codes and names of the configuration, and never the text of an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from ropa.errors import RopaError

_open_runs: list[str] = []
_is_beside: ContextVar[bool] = ContextVar("is_beside", default=False)


def run_opened(run: str) -> None:
    """Note that this process has a run open: what is logged from now on, in whatever thread, belongs to it."""
    _open_runs[:] = [run]


def run_closed() -> None:
    """Note that it is over."""
    _open_runs.clear()


def open_run() -> str | None:
    """Return the id of the run that this process has open."""
    return _open_runs[0] if _open_runs and not _is_beside.get() else None


@contextmanager
def beside_runs() -> Iterator[None]:
    """For the time of the block, what this thread does is no part of the run that another has open."""
    token = _is_beside.set(True)
    try:
        yield
    finally:
        _is_beside.reset(token)


@contextmanager
def span(name: str, *, is_current: bool = True, **attributes: str | int) -> Iterator[Any]:
    """Open a span, where the host of this process looks at spans; give it, or None.

    ``attributes`` are named ``ropa.…``. Of work that goes on by turns with other work ``is_current`` is false.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        yield None
        return
    named = {f"ropa.{key}": value for key, value in attributes.items()}
    tracer = trace.get_tracer("ropa")
    # What the library would record of an exception by itself is its text.
    start = tracer.start_as_current_span if is_current else _beside(tracer)
    with start(name, attributes=named, record_exception=False, set_status_on_exception=False) as opened:
        try:
            yield opened
        except Exception as error:
            opened.set_attribute("error.type", (isinstance(error, RopaError) and error.code) or type(error).__name__)
            opened.set_status(trace.StatusCode.ERROR)
            raise


def _beside(tracer: Any) -> Any:
    @contextmanager
    def start(name: str, **how: Any) -> Iterator[Any]:
        opened = tracer.start_span(name, **how)
        try:
            yield opened
        finally:
            opened.end()

    return start
