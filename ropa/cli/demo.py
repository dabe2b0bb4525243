"""``ropa demo``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ropa.cli.inputs import Json, in_folder
from ropa.cli.output import echo, result, say, use_json
from ropa.errors import CallError


def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="A new folder.")] = Path("ropa-demo"),
    as_json: Json = False,
) -> None:
    """Show the whole loop on generated people: register, rules, plan, approval, purge, ledger, report."""
    use_json(as_json)
    target = in_folder(folder)
    if os.path.lexists(target) and not target.is_dir():
        raise CallError(f"{target} is not a folder", next_step="Name a new folder: `ropa demo DIR`.")
    from ropa.clock import calendar_day, now
    from ropa.demo import story
    from ropa.register import RegisterStore, read_register
    from ropa.report import write_report
    from ropa.wiring import load_config, open_site

    try:
        story.prepare(target, say)
    except OSError as error:
        raise CallError(f"{target} cannot be made ({error.strerror})", next_step="Name a folder elsewhere.") from error
    loaded = load_config(target)
    summary = story.fill(target, say, today=calendar_day(now(), loaded.timezone))
    site = open_site(target, loaded=loaded, environ={})  # generated people never enter anybody's own state
    try:
        store = RegisterStore(site.engine)
        store.save(read_register(target / "register.toml"), by=story.OFFICER, reason="demonstration", at=site.now())
        told = story.tell(site, summary, say)
        reports = [str(write_report(site, form="html", language=language)) for language in ("nl", "en")]
    finally:
        site.close()

    def words() -> None:
        say()
        say("The report, one page a regulator could read:")
        for path in reports:
            echo(f"   {path}")
        say(f"Look around: ropa -C {target} plan show 1 | ledger show | finding list | status")

    result({**told.document, "reports": reports}, words)
    if not told.is_whole:
        raise typer.Exit(3)
