"""``ropa worker``: a process that helps the runs of this project folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import typer

from ropa.cli.inputs import Fleet, Json
from ropa.cli.output import SETTINGS, echo, line, site, use_json
from ropa.errors import CallError


def worker(fleet: Fleet = None, as_json: Json = False) -> None:
    """Do work items for the runs of this folder, as a service. Ends with SIGTERM or Ctrl-C, after the item in hand."""
    use_json(as_json)
    if not fleet:
        raise CallError(
            "--fleet names the scheduler to work for",
            next_step="Start one with `dask scheduler --host 127.0.0.1`, then `ropa worker --fleet tcp://127.0.0.1:8786`.",
        )
    from ropa.clock import now, timestamp
    from ropa.sweep.engine import check_address
    from ropa.sweep.serving import serve
    from ropa.wiring import open_site

    address = check_address(fleet)

    def tell(event: str, facts: Mapping[str, object]) -> None:
        document = {"schema": "ropa.worker/1", "time": timestamp(now()), "event": event, **facts}
        if SETTINGS.is_json:
            line(document)
        else:
            echo(f"{document['time']} {event}: {', '.join(f'{key} {value}' for key, value in facts.items())}")
        sys.stdout.flush()

    with site():  # what is wrong with the folder is said now
        pass
    raise typer.Exit(128 + serve(lambda: open_site(SETTINGS.folder), address, tell))
