"""``ropa mandate``: standing approvals, bounded in scope, size and time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ropa.cli.inputs import LARGEST, By, Json, MaybeReason, Reason, read_date
from ropa.cli.output import person, result, say, site, table, use_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Mandates: add, list, revoke.")


def _document(row: Any, state: str) -> dict[str, Any]:
    from ropa.clock import timestamp

    return {
        "id": row.id,
        "rule": row.rule,
        "location": row.location,
        "max_records": row.max_records,
        "max_growth": 1 + row.growth_pct / 100,
        "created_at": timestamp(row.created_at),
        "expires_at": timestamp(row.expires_at),
        "reason": row.reason,
        "state": state,
    }


@app.command()
def add(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="A rule of config/retention.toml.")],
    reason: Reason,
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="Last day, at most 90 days ahead.")],
    by: By = None,
    max_records: Annotated[
        int | None, typer.Option("--max-records", metavar="N", min=1, max=LARGEST, help="Records per night at most.")
    ] = None,
    max_growth: Annotated[
        float | None, typer.Option("--max-growth", metavar="F", help="At most F times the plan before; default 2.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Approve in advance the nightly plans of one rule, as it is now, within bounds."""
    use_json(as_json)
    day = read_date(until, "--until")
    with site() as opened:
        from ropa.sweep import mandates
        from ropa.sweep.journal import writing
        from ropa.sweep.scope import check_register

        bounds: dict[str, Any] = {
            "reason": reason,
            "until": day or opened.today(),
            "max_records": max_records,
            "max_growth": max_growth,
        }
        mandates.check(opened, rule, **bounds)
        check_register(opened)  # before there is a register, and so a state, nothing can be approved in advance
        approver = person(by, needed=opened.config.safety.approvals)
        with writing(opened) as journal:
            row = mandates.add(journal, rule, by=approver, **bounds)
            journal.checkpoint()
        document = _document(row, "active")
    result({"schema": "ropa.mandate/1", **document}, lambda: say(f"mandate {row.id} covers rule {rule} until {until}"))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the mandates, newest first."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import mandates

        listed = [_document(row, mandates.state(row, opened.now())) for row in mandates.listing(opened)]
    rows = [(m["id"], m["state"], m["rule"], m["max_records"], m["max_growth"], m["expires_at"]) for m in listed]
    result(
        {"schema": "ropa.mandates/1", "mandates": listed},
        lambda: table(("mandate", "state", "rule", "max records", "max growth", "expires"), rows, empty="no mandates"),
    )


@app.command()
def revoke(
    mandate_id: Annotated[
        int,
        typer.Argument(metavar="ID", min=1, max=LARGEST, help="The mandate's number, as `ropa mandate list` shows it."),
    ],
    by: By = None,
    reason: MaybeReason = None,
    as_json: Json = False,
) -> None:
    """End a mandate at once."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import mandates
        from ropa.sweep.journal import writing

        mandates.get_active(opened, mandate_id)
        revoker = person(by)
        with writing(opened) as journal:
            row = mandates.revoke(journal, mandate_id, by=revoker, reason=reason)
            journal.checkpoint()
        document = _document(row, "revoked")
    result({"schema": "ropa.mandate/1", **document}, lambda: say(f"mandate {mandate_id} is revoked"))
