"""Printing: documents for programs on stdout, words for people, errors on stderr.

Invariant: with ``--json`` exactly one document (or, where the contract says so, one object a line) is on stdout, also
when the command fails; no colour and no progress bar off a terminal.
"""

from __future__ import annotations

import getpass
import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ropa.errors import CallError, RopaError

if TYPE_CHECKING:
    from ropa.sweep.site import Site

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="Who decides; default: the operating-system user.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")]


@dataclass
class Settings:
    """What stands before the command."""

    folder: Path = Path()
    is_verbose: bool = False
    is_quiet: bool = False
    is_json: bool = False


SETTINGS = Settings()


def use_json(value: bool) -> None:
    """Remember whether this command prints a document."""
    SETTINGS.is_json = value


def say(text: str = "") -> None:
    """Print words for people: on stdout, or on stderr when stdout belongs to a document; not with ``-q``."""
    if not SETTINGS.is_quiet:
        typer.echo(text, err=SETTINGS.is_json)


def result(document: dict[str, Any], words: Callable[[], None]) -> None:
    """Print a document (``--json``) or call what prints it in words."""
    if SETTINGS.is_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
    else:
        words()


def line(document: dict[str, Any]) -> None:
    """Print one object of a stream."""
    typer.echo(json.dumps(document, ensure_ascii=False))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "none") -> None:
    """Print a table for people; plain text off a terminal."""
    if not rows:
        typer.echo(empty)
        return
    cells = [[str(h) for h in headers], *[["" if c is None else str(c) for c in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_error(error: RopaError) -> int:
    """Print what happened and what to do next; return the exit code."""
    from ropa.errors import ConfigurationError, RegisterError

    problems = error.problems if isinstance(error, ConfigurationError | RegisterError) else ()
    code = 128 + getattr(error, "signum", 0) if hasattr(error, "signum") else error.exit_code
    if SETTINGS.is_json:
        line(
            {
                "schema": "ropa.error/1",
                "exit_code": code,
                "code": error.code,
                "message": error.message,
                "next_step": error.next_step,
                "problems": [{"path": p.path, "message": p.message, "suggestion": p.suggestion} for p in problems],
            }
        )
    typer.echo(f"ropa: {error.message}", err=True)
    for problem in problems:
        typer.echo(f"  {problem}", err=True)
    if error.next_step:
        typer.echo(f"  {error.next_step}", err=True)
    return code


def print_unexpected(error: Exception) -> int:
    """Print the kind of an unexpected error and, with ``-v``, where it came from: never its text, which may hold
    data."""
    typer.echo(f"ropa: unexpected error ({type(error).__name__}); nothing further was done. -v says where.", err=True)
    if SETTINGS.is_verbose:
        for frame in traceback.extract_tb(error.__traceback__):
            typer.echo(f"  {frame.filename}:{frame.lineno} {frame.name}", err=True)
    return 1


@contextmanager
def site() -> Iterator[Site]:
    """Open the project folder for the time of the block."""
    from ropa.wiring import open_site

    opened = open_site(SETTINGS.folder)
    try:
        yield opened
    finally:
        opened.close()


def person(by: str | None, *, needed: int = 1) -> str:
    """Return who decides. Raises CallError when two are asked and nobody is named."""
    if by is None and needed > 1:
        raise CallError("--by is needed where more than one person must approve", next_step="Add --by NAME.")
    return by if by is not None else getpass.getuser()


def read_date(text: str | None, option: str) -> date | None:
    """Read ``YYYY-MM-DD``. Raises CallError for anything else."""
    if text is None:
        return None
    try:
        read = date.fromisoformat(text) if len(text) == len("2026-11-22") else None
    except ValueError:
        read = None
    if read is None:
        raise CallError(f"{option} takes a date such as 2026-11-22", next_step="Write it as YYYY-MM-DD.")
    return read


def read_key(texts: Sequence[str]) -> tuple[str, ...]:
    """Read a record's key: one text a part, or one JSON array as ``ropa plan show --records`` prints it."""
    if len(texts) == 1 and texts[0].startswith("["):
        try:
            parts = json.loads(texts[0])
        except ValueError:
            return (texts[0],)
        if isinstance(parts, list) and parts and all(isinstance(part, str) for part in parts):
            return tuple(parts)
    return tuple(texts)


@contextmanager
def progress(what: str) -> Iterator[Callable[..., None]]:
    """Yield a function that shows progress on a terminal's stderr, and nothing elsewhere."""
    if not sys.stderr.isatty() or SETTINGS.is_quiet:
        yield lambda *_args: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as shown:

        def update(name: str, done: int, of: int | None = None) -> None:
            shown.update(f"{what} {name}: {done:,}" + (f" of {of:,}" if of else ""))

        yield update
