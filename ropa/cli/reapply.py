"""``ropa reapply``: after a restore, what had been erased and came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ropa.cli.inputs import By, Json, MaybeReason
from ropa.cli.output import echo, person, progress, result, site, table, use_json

if TYPE_CHECKING:
    from ropa.sweep.site import Site


def reapply(
    location: Annotated[str, typer.Argument(metavar="LOCATION", help="The location that was restored.")],
    by: By = None,
    reason: MaybeReason = None,
    as_json: Json = False,
) -> None:
    """After a restore of a location: find what had been erased there and came back, and write a plan for it."""
    use_json(as_json)

    def check(opened: Site) -> None:
        from ropa.sweep.restored import check_location

        check_location(opened, location)

    with site(makes_state=True, check=check) as opened, progress("looking") as show:
        from ropa.sweep.restored import reapply as find

        done = find(opened, location, by=person(by), reason=reason, progress=show)
    result(done.document, lambda: _print(done.document))
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _print(document: dict[str, Any]) -> None:
    since = document["known_since"]
    if since is None:
        echo(f"nothing has been erased at {document['location']} yet, so nothing came back")
        return
    rows = [
        (
            d["dataset"],
            f"{d['tombstones']:,}",
            f"{d['came_back']:,}",
            f"{d['planned']:,}",
            ", ".join(f"{count:,} {why}" for why, count in d["left"].items()) or "-",
        )
        for d in document["datasets"]
    ]
    table(("dataset", "tombstones", "came back", "planned", "not planned"), rows, empty="nothing of it is remembered")
    echo(f"what was erased before {since} is not known here")
    if document["unreadable"]:
        echo(f"{document['unreadable']:,} erased records cannot be recognised: the key of their tombstones is lost")
    if document["plan"] is None:
        echo("nothing to plan")
        return
    if not document["complete"]:
        echo("not complete: the location could not be read wholly; nothing is concluded about it")
    echo(f"next: ropa plan show {document['plan']}, then")
    echo(f"  ropa approve {document['plan']} --by NAME --reason TEXT --digest {document['digest']}")
