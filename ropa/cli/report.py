"""``ropa report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ropa.cli.inputs import Json, in_folder
from ropa.cli.output import echo, result, site, use_json
from ropa.errors import CallError


def report(
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="html, pdf, xlsx, csv, json or jsonld.")
    ] = "html",
    lang: Annotated[str, typer.Option("--lang", metavar="LANG", help="nl, fr, de or en.")] = "en",
    profile: Annotated[
        str,
        typer.Option(
            "--profile", metavar="NAME", help="art30, or an authority's form in xlsx or csv: ico, cnil or edps."
        ),
    ] = "art30",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Write there (a new file); default: the state folder's exports."
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            help="Write report, evidence and a verifier there instead (a new or empty folder).",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the register as a document for the regulator, with the evidence whether it is adhered to."""
    use_json(as_json)
    from ropa.report import FORMATS, languages, write_report
    from ropa.report.profiles import check

    for what, given, known in (("format", form, FORMATS), ("language", lang, languages())):
        if given not in known:
            raise CallError(f"there is no report in the {what} {given!r}", next_step=f"One of: {', '.join(known)}.")
    check(profile, form)
    if bundle is not None:
        _bundle(in_folder(bundle), lang, is_alone=output is None and (form, profile) == ("html", "art30"))
        return
    with site(makes_state=output is None) as opened:
        path = write_report(
            opened, form=form, language=lang, profile=profile, to=in_folder(output) if output is not None else None
        )
    result(
        {"schema": "ropa.report-file/1", "path": str(path), "format": form, "lang": lang, "profile": profile},
        lambda: echo(str(path)),
    )


def _bundle(folder: Path, lang: str, *, is_alone: bool) -> None:
    if not is_alone:
        raise CallError(
            "--bundle writes every format into one folder", next_step="Leave out the other options but --lang."
        )
    from ropa.report.bundle import SUMS, write_bundle

    with site() as opened:
        made = write_bundle(opened, folder, language=lang)
    sums = next(file.sha256 for file in made.files if file.name == SUMS)

    def words() -> None:
        echo(f"{len(made.files)} files in {folder}")
        echo(f"  SHA-256 of {SUMS}, to be told by another way: {sums}")
        for form in made.missing:
            echo(f"  without report.{form}: `ropa report --format {form}` says what it needs")
        if not made.is_sound:
            echo("  the evidence is NOT sound: see `ropa ledger verify`")

    document = {
        "schema": "ropa.bundle/1",
        "folder": str(folder),
        "lang": lang,
        "sound": made.is_sound,
        "sums": sums,
        "files": [{"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in made.files],
        "missing": list(made.missing),
    }
    result(document, words)
