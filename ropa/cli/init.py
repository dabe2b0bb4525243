"""``ropa init``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ropa.cli.inputs import Json, in_folder
from ropa.cli.output import result, say, use_json
from ropa.errors import CallError


def init(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="The project folder; default: the current one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a project folder: a commented config/retention.toml, the database, the signing key. Overwrites nothing."""
    use_json(as_json)
    from ropa.sweep.opening import check_state
    from ropa.wiring import open_site

    target = in_folder(folder or Path())
    path = target / "config" / "retention.toml"
    is_new = not os.path.lexists(path)
    if is_new:
        check_state(target)
        _write_template(path)
    from ropa.sweep.journal import refuse_missing_ledger

    site = open_site(target)
    try:
        refuse_missing_ledger(site)
    finally:
        site.close()
    document = {
        "schema": "ropa.init/1",
        "folder": str(target),
        "configuration": str(path),
        "configuration_is_new": is_new,
        "state": str(site.state),
    }

    def words() -> None:
        say(f"{path}: {'written; edit it' if is_new else 'kept as it was'}")
        say(f"{site.state}: database, ledger and signing key")
        say("next: `ropa register import register.toml`, then `ropa check`")

    result(document, words)


def _write_template(path: Path) -> None:
    from ropa.config import template

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise CallError(
            f"{path} cannot be written ({error.strerror})", next_step="Choose a folder that you may write to."
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(template())
