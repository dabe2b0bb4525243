"""``ropa halt`` and ``ropa resume``."""

from __future__ import annotations

from typing import Annotated

import typer

from ropa.cli.output import By, Json, Reason, person, read_date, result, say, site, use_json


def halt(reason: Reason = "", by: By = None, as_json: Json = False) -> None:
    """Stop a run within one batch, and allow no other until `ropa resume`."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import halting

        halting.halt(opened, by=person(by), reason=reason)
    result({"schema": "ropa.halt/1", "halted": True}, lambda: say("halted: no run acts until `ropa resume`"))


def resume(
    reason: Reason,
    by: By = None,
    accept_clock: Annotated[
        str | None,
        typer.Option(
            "--accept-clock", metavar="DATE", help="Say that today's date is right after a gap of over 72 hours."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Allow runs again, after a halt or after a gap in time that a person has looked at."""
    use_json(as_json)
    day = read_date(accept_clock, "--accept-clock")
    with site() as opened:
        from ropa.sweep import halting

        halting.resume(opened, by=person(by), reason=reason, accepted_day=day)
    result({"schema": "ropa.halt/1", "halted": False}, lambda: say("runs are allowed again"))
