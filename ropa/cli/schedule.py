"""``ropa schedule``: the nightly job as a service."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from typing import Annotated

import typer

from ropa.cli.inputs import By, Json
from ropa.cli.output import SETTINGS, echo, escaped, line, person, site, use_json
from ropa.errors import CallError

_HOUR = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)


def schedule(
    at: Annotated[
        str, typer.Option("--at", metavar="HH:MM", help="The hour of the night, in the zone of the configuration.")
    ] = "03:30",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Sweep every night, as a service: one run a date, caught up once after downtime. Ends with SIGTERM or Ctrl-C."""
    use_json(as_json)
    from datetime import time

    from ropa.clock import now, timestamp
    from ropa.schedule import Schedule

    if _HOUR.fullmatch(at) is None:
        raise CallError("--at takes an hour, from 00:00 to 23:59", next_step="For instance --at 03:30.")
    hour = time.fromisoformat(at)

    def tell(event: str, facts: Mapping[str, object]) -> None:
        document = {"schema": "ropa.schedule/1", "time": timestamp(now()), "event": event, **facts}
        if SETTINGS.is_json:
            line(document)
        else:
            words = ", ".join(f"{key} {_shown(value)}" for key, value in facts.items() if value is not None)
            echo(f"{document['time']} {event}: {words}")
        sys.stdout.flush()

    service = Schedule(open_site=lambda: site(makes_state=True), at=hour, by=person(by), tell=tell)
    with site(makes_state=True):  # what is wrong with the folder is said now, and not at night
        pass
    signal.signal(signal.SIGINT, lambda signum, _frame: service.stop(signum))
    signal.signal(signal.SIGTERM, lambda signum, _frame: service.stop(signum))
    code = 128 + service.serve()
    sys.stdout.flush()
    # A thread that did not settle in time must not keep the process: its batch is settled by the next start.
    os._exit(code)


def _shown(value: object) -> str:
    return escaped(value if isinstance(value, str) else json.dumps(value))
