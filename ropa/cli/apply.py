"""``ropa apply`` and ``ropa sweep``: carrying out, by day and by night."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ropa.cli.inputs import LARGEST, By, Fleet, Json, MaybeReason
from ropa.cli.output import echo, person, progress, result, site, table, use_json

if TYPE_CHECKING:
    from ropa.sweep.site import Site


def _listen() -> Any:
    from ropa.sweep.run import Interruption

    interruption = Interruption()

    def note(signum: int, _frame: object) -> None:
        interruption.signum = signum

    signal.signal(signal.SIGINT, note)
    signal.signal(signal.SIGTERM, note)
    return interruption


def apply(
    plan_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=LARGEST, help="The plan's number, as `ropa plan list` shows it.")
    ],
    by: By = None,
    reason: MaybeReason = None,
    fleet: Fleet = None,
    as_json: Json = False,
) -> None:
    """Carry out an approved plan, or go on with one that was interrupted. Erases just its records, with evidence."""
    use_json(as_json)
    interruption = _listen()
    with site(fleet=fleet) as opened, progress("applying") as show:
        from ropa.sweep import night

        done = night.apply_plan(opened, plan_id, by=person(by), reason=reason, interruption=interruption, progress=show)
    result(done.document, lambda: _print(done.document))
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def sweep(by: By = None, reason: MaybeReason = None, fleet: Fleet = None, as_json: Json = False) -> None:
    """The nightly job, once: reconcile, plan, apply what needs no person, refresh findings, sign a checkpoint."""
    use_json(as_json)
    interruption = _listen()
    from ropa.sweep.scope import Scope, check_call

    def check(opened: Site) -> None:
        check_call(opened, Scope(as_of=opened.today(), is_nightly=True))

    with site(makes_state=True, check=check, fleet=fleet) as opened, progress("sweeping") as show:
        from ropa.notify import heard
        from ropa.sweep import night
        from ropa.wiring import open_teller

        with heard(opened, open_teller(opened.config).look):
            done = night.sweep(opened, by=person(by), reason=reason, interruption=interruption, progress=show)
    result(done.document, lambda: _print(done.document))
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _print(document: dict[str, Any]) -> None:
    echo(f"run {document['run']} of plan {document['plan']}: {document['state']}")
    rows = [
        (
            t["dataset"],
            t["action"],
            "whole records" if t["scope"] == "row" else ", ".join(t["data"]),
            ", ".join(f"{count:,} {word}" for word, count in t["outcomes"].items()) or "-",
            t["refused_by"] or "",
        )
        for t in document["targets"]
    ]
    table(("dataset", "action", "what", "outcomes", "refused by"), rows, empty="nothing to do")
    echo(f"checkpoint: {document['checkpoint']['size']} lines, root {document['checkpoint']['root'][:16]}…")
