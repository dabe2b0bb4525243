"""``ropa location``: the places."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ropa.cli.inputs import Json
from ropa.cli.output import echo, result, site, table, use_json
from ropa.errors import CallError

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
    """Check one location: reachable, as whom, with which rights, what of the configuration does not exist there.

    With [location.NAME.apply] also the credentials that apply, where they can be looked up.
    """
    use_json(as_json)
    with site() as opened:
        from ropa.clock import timestamp
        from ropa.sweep.rights import ask_rights

        opened.connector(name)  # an unknown name is the call's fault
        rights = ask_rights(opened, name)
        connector, health = rights.connector, rights.health
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
        "planning_may_delete": health.planning_may_delete,
        "applying": rights.applying,
        "clock": timestamp(health.now) if health.now else None,
        "notes": list(health.notes),
        "problems": found,
    }

    def words() -> None:
        reached = "reachable" if health.is_reachable else "not reachable"
        echo(f"{name}: {reached} as {health.identity or 'nobody in particular'}")
        echo(f"  may read: {_said(health.may_read)}; may delete: {_said(health.may_delete)}")
        if rights.applying != "same" or health.planning_may_delete:  # a file has no credentials to speak of
            echo(f"  {_APPLYING[rights.applying]}; planning may delete: {_said(health.planning_may_delete)}")
        for note in health.notes:
            echo(f"  {note}")
        for problem in found:
            echo(f"  {problem['dataset']}: {problem['message']}")

    result(document, words)
    if found:
        raise typer.Exit(1)


_APPLYING = {
    "same": "the same credentials plan and apply",
    "here": "other credentials apply, and were asked too",
    "elsewhere": "other credentials apply, and cannot be looked up here",
}


def _said(value: bool | None) -> str:
    return "not known" if value is None else "yes" if value else "no"


@app.command()
def discover(
    name: Name,
    rows: Annotated[
        int | None, typer.Argument(metavar="[N]", help="With --sample: how many records of each source; default: 200.")
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Look at values too, where they are: N records of each source.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List what exists at a location, name what is not declared, and propose data categories as TOML to paste.

    Names and types decide, and no value is read. With --sample (or --sample N) the values of some records are looked
    at; they are neither printed nor kept: what is told are counts.
    """
    use_json(as_json)
    if rows is not None and not sample:
        raise CallError("a number of records was given without --sample", next_step="Write --sample N.")
    from ropa.sweep.discover import SAMPLE
    from ropa.sweep.discover import discover as discover_place

    with site() as opened:
        document = discover_place(opened, name, sample=(SAMPLE if rows is None else rows) if sample else None)
    result(document, lambda: _print(document))


def _print(document: dict[str, Any]) -> None:
    for place in document["sources"]:
        declared = f"declared as {place['declared_as']}" if place["declared_as"] else "not declared"
        echo(f"{place['source']} ({place['kind']}, {declared})")
        if place["history_of"]:
            echo(f"  looks like {_kin(place['history_of'])}: what is purged there lives on here")
        if place["not_looked_into"]:
            echo(f"  could not be looked into: {place['not_looked_into']}")
        rows = [("  " + c["name"], c["type"], _told(c)) for c in place["columns"]]
        table(("  column", "type", ""), rows, empty="  no columns")
    if document["sampled"] and all(c["seen"] is None for place in document["sources"] for c in place["columns"]):
        echo("\nNothing was looked into: no values, or a kind of place where that cannot be done.")
    if document["toml"]:
        typer.echo("\n# proposal for config/retention.toml, to be checked by a person:")
        typer.echo(document["toml"])


def _kin(dataset: str) -> str:
    return "a trail of the changes of any table" if dataset == "*" else f"a history, an archive or a copy of {dataset}"


def _told(column: dict[str, Any]) -> str:
    """Say what a column is mapped to, what it looks like, and why."""
    parts = ["mapped to " + ", ".join(column["mapped"])] if column["mapped"] else []
    by_content = [found for found in column["evidence"] if found["by"] == "content"]
    if column["proposed"]:
        parts.append(f"looks like {column['proposed']}")
    if by_content:
        parts.append(", ".join(_counted(found) for found in by_content))
    elif column["proposed"] and column["seen"] is not None:
        parts.append("by its name")
    return "; ".join(parts)


def _counted(found: dict[str, Any]) -> str:
    kind = "fields named so" if found["patterns"] == ["field"] else f"values ({', '.join(found['patterns'])})"
    return f"{found['category']} in {found['matched']} of {found['seen']} {kind}"
