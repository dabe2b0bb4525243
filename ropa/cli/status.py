"""``ropa status``."""

from __future__ import annotations

from typing import Any

import typer

from ropa.cli.output import Json, result, site, use_json


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
    typer.echo("healthy" if document["healthy"] else "NOT healthy")
    typer.echo(f"  overdue     {document['overdue']:,}")
    typer.echo(f"  blocked     {document['blocked']:,}")
    typer.echo(f"  held        {document['held']:,}")
    typer.echo(f"  findings    {document['findings']['error']} errors, {document['findings']['warning']} warnings")
    typer.echo(f"  waiting     {document['plans_waiting']} plans for approval")
    typer.echo(f"  last sweep  {document['last_sweep_at'] or 'never'}")
    typer.echo(f"  next sweep  {document['next_sweep_at'] or 'not scheduled'}")
    for reason in document["reasons"]:
        typer.echo(f"  - {reason}")
