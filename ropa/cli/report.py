"""``ropa report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ropa.cli.output import Json, result, say, site, use_json


def report(
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="html, json or csv.")] = "html",
    lang: Annotated[str, typer.Option("--lang", metavar="LANG", help="nl or en.")] = "en",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write there (a new file); default: the state folder's exports."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the register as a document for the regulator, with the evidence whether it is adhered to."""
    use_json(as_json)
    with site() as opened:
        from ropa.report import write_report

        path = write_report(opened, form=form, language=lang, to=output)
    result({"schema": "ropa.report-file/1", "path": str(path), "format": form, "lang": lang}, lambda: say(str(path)))
