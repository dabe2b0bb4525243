"""``ropa check``."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ropa.cli.inputs import Json
from ropa.cli.output import SETTINGS, echo, result, say, site, use_json

if TYPE_CHECKING:
    from ropa.config import Config


def check(
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no place; only the configuration and the register.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check configuration, register (Article 30), references both ways, places and permissions. Changes nothing."""
    use_json(as_json)
    from ropa.sweep import check as checking
    from ropa.sweep.opening import is_used
    from ropa.wiring import load_config

    loaded = load_config(SETTINGS.folder)
    found = _with_state(offline) if is_used(SETTINGS.folder, loaded) else _without_state(loaded, offline)
    document = checking.document(found)
    result(document, lambda: _print(document))
    if any(finding["severity"] == "error" for finding in document["findings"]):
        raise typer.Exit(1)


def _with_state(offline: bool) -> list[Any]:
    from ropa.sweep import check as checking

    with site() as opened:
        found = checking.offline_findings(opened)
        found += checking.text_findings(opened)
        if not offline:
            found += checking.live_findings(opened)
        return found


def _without_state(loaded: Config, offline: bool) -> list[Any]:
    """Check a folder that has never been used: nothing is made, the register is read from its text."""
    from ropa.clock import calendar_day, now
    from ropa.register import Register, read_register
    from ropa.sweep import check as checking
    from ropa.wiring import open_places

    path = SETTINGS.folder / "register.toml"
    register = read_register(path) if path.exists() else Register()
    today: date = calendar_day(now(), loaded.timezone)
    found = checking.without_places(loaded, register, today)
    if not offline:
        with open_places(SETTINGS.folder, loaded) as places:
            found += checking.live_findings(places)
    return found


def _print(document: dict[str, Any]) -> None:
    for finding in document["findings"]:
        echo(f"{finding['severity']:<8} {finding['entry']}  [{finding['code']}]")
        echo(f"         {finding['message']}")
        echo(f"         -> {finding['fix']}")
    counts = [sum(1 for f in document["findings"] if f["severity"] == s) for s in ("error", "warning", "note")]
    say(f"{counts[0]} errors, {counts[1]} warnings, {counts[2]} notes")
