"""``ropa report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ropa.cli.inputs import Json, in_folder
from ropa.cli.output import echo, result, site, use_json
from ropa.errors import CallError


def report(
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="html, csv or json.")] = "html",
    lang: Annotated[str, typer.Option("--lang", metavar="LANG", help="nl, fr, de or en.")] = "en",
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
    from ropa.report import FORMATS, languages, write_report

    for what, given, known in (("format", form, FORMATS), ("language", lang, languages())):
        if given not in known:
            raise CallError(f"there is no report in the {what} {given!r}", next_step=f"One of: {', '.join(known)}.")
    with site(makes_state=output is None) as opened:
        path = write_report(opened, form=form, language=lang, to=in_folder(output) if output is not None else None)
    result({"schema": "ropa.report-file/1", "path": str(path), "format": form, "lang": lang}, lambda: echo(str(path)))
