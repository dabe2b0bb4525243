"""``ropa hold``: what may not be disposed of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ropa.cli.inputs import LARGEST, By, Json, Reason, read_date, read_key
from ropa.cli.output import person, result, say, site, table, use_json
from ropa.errors import CallError

if TYPE_CHECKING:
    from ropa.sweep.site import Site

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Legal holds: add, list, release.")


def _with_key(context: typer.Context, value: tuple[str, str] | None) -> tuple[str, str] | None:
    """Where the key was left out, the next option was taken for it."""
    options = {name for parameter in context.command.params for name in parameter.opts}
    if value is not None and (taken := value[1].partition("=")[0]) in options:
        raise CallError(
            f"--record takes a dataset and a key, and {taken} stands where the key should",
            next_step=f"For example: --record {value[0]} 42. A key that is spelled so is written as '[\"{taken}\"]'.",
        )
    return value


@app.command()
def add(
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            metavar="CODE",
            help="litigation, investigation, authority-request, legal-obligation, restriction, objection or other.",
        ),
    ],
    record: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--record",
            metavar="DATASET KEY",
            callback=_with_key,
            help="One record (a key of several parts as a JSON array).",
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            metavar="ID",
            help="A person, by an identifier: whatever its case, spacing, Unicode form or spelling of an IPv6 address.",
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="DATASET", help="A whole dataset (location.dataset).")
    ] = None,
    location: Annotated[str | None, typer.Option("--location", metavar="LOCATION", help="A whole location.")] = None,
    activity: Annotated[
        str | None, typer.Option("--activity", metavar="ACTIVITY", help="Everything that rules of this activity cover.")
    ] = None,
    review: Annotated[
        str | None, typer.Option("--review", metavar="DATE", help="When to look at it again; it stays in force.")
    ] = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Place a hold. In force at once, also in the middle of a run; covers what descends from what it names."""
    use_json(as_json)
    named = {"record": record, "subject": subject, "dataset": dataset, "location": location, "activity": activity}
    given = [(kind, value) for kind, value in named.items() if value is not None]
    if len(given) != 1:
        raise CallError(
            "a hold names one thing", next_step="Give one of --record --subject --dataset --location --activity."
        )
    kind, value = given[0]
    day = read_date(review, "--review")
    from ropa.sweep import holds

    target = value[0] if isinstance(value, tuple) else value
    key = read_key([value[1]]) if isinstance(value, tuple) else None

    def check(opened: Site) -> None:
        holds.check(opened, kind=kind, target=target, key=key, reason=reason, review_on=day)

    with site(makes_state=True, check=check) as opened:
        check(opened)
        is_there = None
        if key is not None:
            key, is_there = _spelled(opened, target, key)
        row = holds.add(opened, kind=kind, target=target, key=key, reason=reason, by=person(by), review_on=day)
        listed = next(hold for hold in holds.listing(opened) if hold["id"] == row.id)
    if is_there is False:
        say(f"{target} has no record with this key now: if that is not what you expected, look at the key again")
    if key is not None and target.partition(".")[0] in opened.lasting_keys:
        say(
            f"keys of {target} pass to other records: what is held is whatever bears this key then; "
            "a hold on the person or the dataset stays with what it names"
        )
    result({"schema": "ropa.hold/1", **listed, "record_found": is_there}, lambda: say(f"hold {row.id} is in force"))


def _spelled(opened: Site, dataset: str, key: tuple[str, ...]) -> tuple[tuple[str, ...], bool | None]:
    """The key as the place spells it (a database takes 01 for 1), and whether the record is there; None: not known,
    because nothing is enforced there or it does not answer. The hold is placed all the same."""
    from ropa.errors import LocationError
    from ropa.sweep.explain import find_key

    if dataset.partition(".")[0] not in opened.enforcing:
        return key, None
    try:
        found = find_key(opened, dataset, key)
    except LocationError:
        return key, None
    return found or key, found is not None


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the holds. What a hold on a person names is not shown."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import holds

        listed = holds.listing(opened)
    rows = [
        (
            h["id"],
            h["state"],
            h["kind"],
            h["scope"] or "(a person)",
            h["reason"],
            h["by"],
            h["since"],
            h["review_on"] or "",
        )
        for h in listed
    ]
    result(
        {"schema": "ropa.holds/1", "holds": listed},
        lambda: table(("hold", "state", "kind", "on", "reason", "by", "since", "review"), rows, empty="no holds"),
    )


@app.command()
def release(
    hold_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=LARGEST, help="The hold's number, as `ropa hold list` shows it.")
    ],
    reason: Reason,
    by: By = None,
    as_json: Json = False,
) -> None:
    """End a hold. What it held needs a new plan."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import holds

        holds.release(opened, hold_id, by=person(by), reason=reason)
        listed = next(hold for hold in holds.listing(opened) if hold["id"] == hold_id)
    result({"schema": "ropa.hold/1", **listed}, lambda: say(f"hold {hold_id} is released"))
