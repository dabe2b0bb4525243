"""``ropa explain``."""

from __future__ import annotations

from typing import Annotated

import typer

from ropa.cli.inputs import Json, read_date, read_key
from ropa.cli.output import result, site, table, use_json


def explain(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="location.dataset")],
    key: Annotated[list[str], typer.Argument(metavar="KEY...", help="The record's key, a part each.")],
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="Reason as of this date.")] = None,
    as_json: Json = False,
) -> None:
    """Tell for one record, per data category, which rule holds it until when, and why."""
    use_json(as_json)
    day = read_date(as_of, "--as-of")
    with site() as opened:
        from ropa.sweep.explain import explain as explain_record

        document = explain_record(opened, dataset, read_key(key), day or opened.today())
    rows = [
        (
            e["category"],
            e["state"],
            e["due_on"] or "",
            e["rule"] or "",
            f"{e['anchor']} {e['anchored_on'] or '(no date)'}" if e["anchor"] else "",
            ", ".join(e["held_by"]),
        )
        for e in document["data"]
    ]
    result(
        document,
        lambda: table(("data", "state", "kept until", "rule", "runs from", "holds"), rows, empty="no data mapped"),
    )
