"""``ropa status``."""

from __future__ import annotations

from typing import Any

import typer

from ropa.cli.inputs import Json
from ropa.cli.output import echo, result, site, use_json


def status(as_json: Json = False) -> None:
    """One screen: overdue, blocked, findings, last sweep, next sweep. Exit 1 when something is overdue or no sweep
    succeeded in 26 hours."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep.status import status as status_of

        document = status_of(opened)
    result(document, lambda: _print(document))
    if not document["healthy"]:
        raise typer.Exit(1)


def _print(document: dict[str, Any]) -> None:
    echo("healthy" if document["healthy"] else "NOT healthy")
    echo(f"  overdue     {document['overdue']:,}")
    echo(f"  blocked     {document['blocked']:,}")
    echo(f"  held        {document['held']:,}")
    echo(f"  findings    {document['findings']['error']} errors, {document['findings']['warning']} warnings")
    echo(f"  waiting     {document['plans_waiting']} plans for approval")
    echo(f"  last sweep  {document['last_sweep_at'] or 'never'}")
    echo(f"  next sweep  {document['next_sweep_at'] or 'not scheduled'}")
    for gap in document["not_enforced"]:
        echo(f"  not enforced from {gap['from_on']} to {gap['to_on']} ({gap['nights']} nights)")
    for channel in document["channels"]:
        state = f"failing since {channel['failing_since']} ({channel['code']})" if channel["code"] else "ready"
        echo(f"  {channel['channel']:<11} {state}")
    for reason in document["reasons"]:
        echo(f"  - {reason}")
