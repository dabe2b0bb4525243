"""``ropa finding``: what a person must look at."""

from __future__ import annotations

from typing import Annotated

import typer

from ropa.cli.inputs import LARGEST, By, Json, Reason
from ropa.cli.output import echo, person, result, say, site, table, use_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Findings: list, show, resolve.")
Id = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=LARGEST, help="The finding's number, as `ropa finding list` shows it.")
]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the open findings, errors first."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import findings

        listed = [findings.document(row) for row in findings.open_findings(opened)]
    rows = [(f["id"], f["severity"], f["entry"], f["message"], f["nights"]) for f in listed]
    result(
        {"schema": "ropa.findings/1", "findings": listed},
        lambda: table(("id", "severity", "entry", "message", "nights"), rows, empty="no open findings"),
    )


@app.command()
def show(finding_id: Id, as_json: Json = False) -> None:
    """Show one finding and what to do about it."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import findings

        found = findings.document(findings.get(opened, finding_id))

    def words() -> None:
        echo(f"{found['severity']} {found['entry']} [{found['code']}]")
        echo(found["message"])
        echo(f"-> {found['fix']}")
        echo(f"since {found['first_seen_at']}, {found['nights']} nights")
        if found["resolved_at"]:
            echo(f"resolved {found['resolved_at']} by {found['resolved_by']}: {found['resolution']}")

    result({"schema": "ropa.finding/1", **found}, words)


@app.command()
def resolve(finding_id: Id, reason: Reason, by: By = None, as_json: Json = False) -> None:
    """Close a finding by a person's word; the next check opens it again if it is still true."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import findings

        found = findings.document(findings.resolve(opened, finding_id, by=person(by), reason=reason))
    result({"schema": "ropa.finding/1", **found}, lambda: say(f"finding {finding_id} is resolved"))
