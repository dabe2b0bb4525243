"""Printing: documents for programs on stdout, words for people, errors on stderr; and opening the project folder.

Invariant: with ``--json`` exactly one document (or, where the contract says so, one object a line) is on stdout, also
when the command fails; no colour and no progress bar off a terminal; one fact is one line, whatever stands in a name.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ropa.errors import CallError, RopaError

if TYPE_CHECKING:
    from ropa.sweep.site import Site

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that end a line, steer a terminal or turn the direction of what follows."""


@dataclass
class Settings:
    """What stands before the command."""

    folder: Path = Path()
    is_verbose: bool = False
    is_quiet: bool = False
    is_json: bool = False
    is_log_json: bool = False

    def reset(self, *, is_json: bool) -> None:
        """Forget the call before; ``is_json`` as far as it can be seen before the call has been read."""
        self.folder, self.is_verbose, self.is_quiet, self.is_json = Path(), False, False, is_json
        self.is_log_json = False


SETTINGS = Settings()


def use_json(value: bool) -> None:
    """Remember whether this command prints a document."""
    SETTINGS.is_json = value


def escaped(text: object) -> str:
    r"""Return text for one line of a terminal: what would steer it is spelled out, as in ``\x1b``."""
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def say(text: str = "") -> None:
    """Print words for people: on stdout, or on stderr when stdout belongs to a document; not with ``-q``."""
    if not SETTINGS.is_quiet:
        typer.echo(escaped(text), err=SETTINGS.is_json)


def echo(text: str = "") -> None:
    """Print one line of a result, also with ``-q``."""
    typer.echo(escaped(text))


@contextmanager
def on_stderr() -> Iterator[None]:
    """Print results of the block on stderr where stdout belongs to a document."""
    if SETTINGS.is_json:
        with redirect_stdout(sys.stderr):
            yield
    else:
        yield


def result(document: dict[str, Any], words: Callable[[], None]) -> None:
    """Print a document (``--json``) or call what prints it in words."""
    if SETTINGS.is_json:
        line(document)
    else:
        words()


def line(document: dict[str, Any]) -> None:
    """Print one document, or one object of a stream."""
    typer.echo(_json(document))


def last_line(document: dict[str, Any]) -> None:
    """Print the document that tells of an error; whoever read our output may have left by then."""
    try:
        line(document)
    except BrokenPipeError:
        leave_pipe()


def leave_pipe() -> None:
    """Whoever read our output has left; nothing more can be said there, and the interpreter must not try."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def document_of_many(schema: str, name: str, items: Iterable[dict[str, Any]]) -> None:
    """Print one document that is mostly a long list. Nothing is printed before the last item has been read."""
    listed = ",\n".join(_json(item) for item in items)
    typer.echo(f'{{"schema": "{schema}", "{name}": [{listed}]}}')


def _json(document: dict[str, Any]) -> str:
    is_unicode = "utf" in (getattr(sys.stdout, "encoding", None) or "")
    return json.dumps(document, ensure_ascii=not is_unicode)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str = "none") -> None:
    """Print a table for people; plain text off a terminal."""
    if not rows:
        typer.echo(empty)
        return
    cells = [[str(h) for h in headers], *[["" if c is None else escaped(c) for c in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_error(error: RopaError) -> int:
    """Print what happened and what to do next; return the exit code."""
    from ropa.errors import ConfigurationError, RegisterError

    problems = error.problems if isinstance(error, ConfigurationError | RegisterError) else ()
    code = 128 + error.signum if hasattr(error, "signum") else error.exit_code
    if SETTINGS.is_json:
        last_line(
            {
                "schema": "ropa.error/1",
                "exit_code": code,
                "code": error.code,
                "message": error.message,
                "next_step": error.next_step,
                "problems": [{"path": p.path, "message": p.message, "suggestion": p.suggestion} for p in problems],
            }
        )
    if SETTINGS.is_log_json:
        from ropa.cli.logs import log_event

        facts = {"code": error.code, "message": error.message, "next_step": error.next_step}
        log_event("error", level=logging.ERROR, exit_code=code, **facts, problems=[str(one) for one in problems])
        return code
    typer.echo(f"ropa: {escaped(error.message)}", err=True)
    for problem in problems:
        typer.echo(f"  {escaped(problem)}", err=True)
    if error.next_step:
        typer.echo(f"  {escaped(error.next_step)}", err=True)
    return code


def print_unexpected(error: Exception) -> int:
    """Print the kind of an unexpected error and, with ``-v``, where it came from: never its text, which may hold
    data. What the operating system said (disk full, too many files) is no data."""
    strerror = error.strerror if isinstance(error, OSError) else None
    kind = f"{type(error).__name__}: {strerror}" if strerror else type(error).__name__
    if SETTINGS.is_verbose:
        for frame in traceback.extract_tb(error.__traceback__):
            typer.echo(f"  {frame.filename}:{frame.lineno} {frame.name}", err=True)
    unexpected = RopaError(
        f"unexpected error ({kind}); nothing further was done",
        next_step="-v before the command says where it happened.",
        code="unexpected",
    )
    return print_error(unexpected)


@contextmanager
def site(
    *, makes_state: bool = False, check: Callable[[Site], object] | None = None, fleet: str | None = None
) -> Iterator[Site]:
    """Open the project folder for the time of the block.

    ``makes_state``: the command writes, so that a folder which was never used gets its state, once ``check`` has found
    nothing wrong with the call; every other command then sees an empty state, and nothing is made. ``fleet``: the
    address of those who are to do the work.
    """
    from ropa.sweep.opening import is_used
    from ropa.wiring import fleet_at, load_config, open_places, open_site

    open_fleet = fleet_at(fleet) if fleet else None
    loaded = load_config(SETTINGS.folder)
    if not is_used(SETTINGS.folder, loaded) and (check or not makes_state):
        with open_places(SETTINGS.folder, loaded) as opened:
            if not makes_state:
                yield opened
                return
            if check is not None:
                check(opened)
    opened = open_site(SETTINGS.folder, loaded=loaded)
    opened.open_fleet = open_fleet
    try:
        yield opened
    finally:
        opened.close()


def person(by: str | None, *, needed: int = 1) -> str:
    """Return who decides. Raises CallError when two are asked and nobody is named."""
    if by is not None:
        return by
    if needed > 1:
        raise CallError("--by is needed where more than one person must approve", next_step="Add --by NAME.")
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # in a container a user may have a number and no name
        return f"uid {os.getuid()}"


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
