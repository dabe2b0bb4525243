"""``ropa location``: the places."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ropa.cli.inputs import Json
from ropa.cli.output import echo, result, site, table, use_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The places where data are: list, check, discover.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="A location of config/retention.toml.")]


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the locations and their datasets."""
    use_json(as_json)
    with site() as opened:
        config = opened.config
        enforcing = opened.enforcing
    locations: list[dict[str, Any]] = [
        {
            "name": loc.name,
            "title": loc.title,
            "connector": loc.connector,
            "country": loc.country,
            "recipient": loc.recipient,
            "enforced": loc.name in enforcing,
            "datasets": [f"{loc.name}.{name}" for name in loc.datasets],
        }
        for loc in config.locations.values()
    ]
    rows = [
        (
            place["name"],
            place["connector"],
            place["title"],
            place["country"] or "?",
            "yes" if place["enforced"] else "by hand",
            len(place["datasets"]),
        )
        for place in locations
    ]
    result(
        {"schema": "ropa.locations/1", "locations": locations},
        lambda: table(("name", "connector", "title", "country", "enforced", "datasets"), rows, empty="no locations"),
    )


@app.command()
def check(name: Name, as_json: Json = False) -> None:
    """Check one location: reachable, as whom, with which rights, what of the configuration does not exist there."""
    use_json(as_json)
    with site() as opened:
        from ropa.clock import timestamp

        connector = opened.connector(name)
        health = connector.check()
        problems = {
            f"{name}.{dataset}": connector.problems(dataset)
            for dataset in opened.config.locations[name].datasets
            if connector.capabilities.is_enforcing
        }
    found = [{"dataset": dataset, "message": message} for dataset, texts in problems.items() for message in texts]
    document = {
        "schema": "ropa.location/1",
        "name": name,
        "reachable": health.is_reachable,
        "identity": health.identity,
        "may_read": health.may_read,
        "may_delete": health.may_delete,
        "clock": timestamp(health.now) if health.now else None,
        "notes": list(health.notes),
        "problems": found,
    }

    def words() -> None:
        reached = "reachable" if health.is_reachable else "not reachable"
        echo(f"{name}: {reached} as {health.identity or 'nobody in particular'}")
        echo(f"  may read: {_said(health.may_read)}; may delete: {_said(health.may_delete)}")
        for note in health.notes:
            echo(f"  {note}")
        for problem in found:
            echo(f"  {problem['dataset']}: {problem['message']}")

    result(document, words)
    if found:
        raise typer.Exit(1)


def _said(value: bool | None) -> str:
    return "not known" if value is None else "yes" if value else "no"


@app.command()
def discover(name: Name, as_json: Json = False) -> None:
    """List what exists at a location, name what is not declared, and propose data categories as TOML to paste."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep.discover import discover as discover_place

        document = discover_place(opened, name)
    result(document, lambda: _print(document))


def _print(document: dict[str, Any]) -> None:
    for place in document["sources"]:
        declared = f"declared as {place['declared_as']}" if place["declared_as"] else "not declared"
        echo(f"{place['source']} ({place['kind']}, {declared})")
        rows = [
            (
                "  " + c["name"],
                c["type"],
                "mapped to " + ", ".join(c["mapped"])
                if c["mapped"]
                else (f"looks like {c['proposed']}" if c["proposed"] else ""),
            )
            for c in place["columns"]
        ]
        table(("  column", "type", ""), rows, empty="  no columns")
    if document["toml"]:
        typer.echo("\n# proposal for config/retention.toml, to be checked by a person:")
        typer.echo(document["toml"])
