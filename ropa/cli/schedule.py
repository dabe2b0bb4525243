"""``ropa schedule``: the nightly job as a service."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from ropa.cli.inputs import By, Fleet, Json
from ropa.cli.logs import log_event
from ropa.cli.output import SETTINGS, echo, escaped, line, person, result, site, use_json
from ropa.errors import CallError, LocationError

if TYPE_CHECKING:
    from ropa.sweep.site import Site

_ADDRESS = re.compile(r"(?:(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):)?(?P<port>\d{1,5})", re.ASCII)
_LEVELS = {"failed": logging.ERROR, "watch-failed": logging.ERROR, "waiting": logging.WARNING}
_HOUR = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)


def schedule(
    at: Annotated[
        str, typer.Option("--at", metavar="HH:MM", help="The hour of the night, in the zone of the configuration.")
    ] = "03:30",
    metrics: Annotated[
        str | None,
        typer.Option(
            "--metrics", metavar="[HOST:]PORT", help="Serve numbers for Prometheus there; without a host on loopback."
        ),
    ] = None,
    test_notice: Annotated[
        bool,
        typer.Option(
            "--test-notice", help="Send one trial notice by every channel of [notify], say what became of it, and end."
        ),
    ] = False,
    by: By = None,
    fleet: Fleet = None,
    as_json: Json = False,
) -> None:
    """Sweep every night, as a service: one run a date, caught up once after downtime. Ends with SIGTERM or Ctrl-C;
    SIGUSR1 makes it look at once."""
    use_json(as_json)
    if test_notice:
        _try_channels()
        return
    from datetime import time

    from ropa.clock import now, timestamp
    from ropa.notify.metrics import Metrics, serve
    from ropa.schedule import Schedule
    from ropa.sweep.journal import refuse_missing_ledger
    from ropa.wiring import open_teller

    if _HOUR.fullmatch(at) is None:
        raise CallError("--at takes an hour, from 00:00 to 23:59", next_step="For instance --at 03:30.")
    hour, address = time.fromisoformat(at), _read_address(metrics)

    def tell(event: str, facts: Mapping[str, object]) -> None:
        document = {"schema": "ropa.schedule/1", "time": timestamp(now()), "event": event, **facts}
        if SETTINGS.is_log_json:
            log_event(event, level=_LEVELS.get(event, logging.INFO), **facts)
        if SETTINGS.is_json:
            line(document)
        elif not SETTINGS.is_log_json:
            words = ", ".join(f"{key} {_shown(value)}" for key, value in facts.items() if value is not None)
            echo(f"{document['time']} {event}: {words}")
        sys.stdout.flush()

    numbers = Metrics()

    def watch(opened: Site) -> None:
        if address is not None:
            numbers.refresh(opened)
        open_teller(opened.config).look(opened)

    service = Schedule(
        open_site=lambda: site(makes_state=True, fleet=fleet), at=hour, by=person(by), tell=tell, watch=watch
    )
    with site(makes_state=True, fleet=fleet) as opened:  # what is wrong with the folder is said now, and not at night
        refuse_missing_ledger(opened)
    if address is not None:
        serve(numbers, *address)
    signal.signal(signal.SIGINT, lambda signum, _frame: service.stop(signum))
    signal.signal(signal.SIGTERM, lambda signum, _frame: service.stop(signum))
    signal.signal(signal.SIGUSR1, lambda _signum, _frame: service.look_now())
    code = 128 + service.serve()
    sys.stdout.flush()
    # A thread that did not settle in time must not keep the process: its batch is settled by the next start.
    os._exit(code)


def _try_channels() -> None:
    """Raise CallError where no channel is configured; exit with 5 where one did not take the notice."""
    from ropa.clock import now
    from ropa.wiring import open_teller

    with site() as opened:
        teller = open_teller(opened.config)
        if not teller.channels and teller.healthcheck is None:
            raise CallError(
                "nobody is told: [notify] has no channel",
                next_step="Write [notify.mail], [notify.webhook] or healthcheck into config/retention.toml.",
            )
        found = teller.try_out(at=now(), origin=opened.config.origin)
    told = [{"channel": name, "accepted": code is None, "code": code} for name, code in found.items()]

    def show() -> None:
        for name, code in found.items():
            echo(f"{name:<11} {'accepted' if code is None else f'NOT accepted ({code})'}")

    result({"schema": "ropa.test-notice/1", "channels": told}, show)
    if any(found.values()):
        raise typer.Exit(LocationError.exit_code)


def _read_address(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    found = _ADDRESS.fullmatch(text)
    port = int(found["port"]) if found else 0
    if found is None or not 1 <= port <= 65535:
        raise CallError("--metrics takes a port, or HOST:PORT", next_step="For instance --metrics 9464.")
    return (found["host"] or "127.0.0.1").strip("[]"), port


def _shown(value: object) -> str:
    return escaped(value if isinstance(value, str) else json.dumps(value))
