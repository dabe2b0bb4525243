"""Logs as JSON (``--log-json``): one line an event on stderr, each with the id of the run that it belongs to.

Invariant: a value cannot end a line or steer a terminal; of what a library logs only its name and its level are kept,
and of an exception only its kind, because their texts may hold data.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

_OURS = ("ropa", "connectors")
_KEPT = {"level", "logger", "time", "error", "_record", "_from_structlog"}


def log_as_json() -> None:
    """Send every log line of this process to stderr as JSON, ours from INFO and others' from WARNING."""
    import structlog
    from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name

    shared: list[Any] = [
        add_log_level,
        add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*shared, ExtraAdder(), _without_texts],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                _with_run,
                structlog.processors.JSONRenderer(ensure_ascii=True, default=lambda value: type(value).__name__),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a line that cannot be written is not written in another form


def log_event(event: str, *, level: int = logging.INFO, **facts: object) -> None:
    """Log one event with its facts."""
    import structlog

    structlog.get_logger("ropa.cli").log(level, event, **facts)


def _with_run(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    from ropa.sweep.tracing import open_run

    return {"run": open_run()} | dict(line)


def _without_texts(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if (raised := line.pop("exc_info", None)) and isinstance(raised, tuple) and raised[0] is not None:
        line["error"] = raised[0].__name__
    for name in ("stack_info", "exc_text", "exception"):
        line.pop(name, None)
    if str(line.get("logger", "")).partition(".")[0] not in _OURS:
        for name in line.keys() - _KEPT:
            del line[name]
        line["event"] = "library"
    return line
