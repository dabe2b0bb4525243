"""``ropa halt`` and ``ropa resume``."""

from __future__ import annotations

from typing import Annotated

import typer

from ropa.cli.inputs import By, Json, MaybeReason, read_date
from ropa.cli.output import person, result, say, site, use_json
from ropa.errors import RefusedError


def halt(reason: MaybeReason = None, by: By = None, as_json: Json = False) -> None:
    """Stop a run within one batch, and allow no other until `ropa resume`."""
    use_json(as_json)
    with site(makes_state=True) as opened:
        from ropa.sweep import halting

        halting.halt(opened, by=person(by), reason=reason or "")
    result({"schema": "ropa.halt/1", "halted": True}, lambda: say("halted: no run acts until `ropa resume`"))


def resume(
    reason: MaybeReason = None,
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

        if day is not None and not opened.ledger_folder.exists():
            raise RefusedError("there is no ledger yet, so no gap in it to accept", code="not-halted")
        halting.resume(opened, by=person(by), reason=reason or "resumed", accepted_day=day)
    result({"schema": "ropa.halt/1", "halted": False}, lambda: say("runs are allowed again"))
