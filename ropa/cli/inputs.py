"""What a user types, read strictly: options that many commands share, dates, keys, file names.

Invariant: what cannot be meant (blank, a control character, a number that no database holds) is refused with exit 2
before anything is opened; a value that is refused is not repeated where it may be personal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from ropa.cli.output import SETTINGS
from ropa.errors import CallError

LARGEST = 2**31 - 1
"""Of a number that a user types: every database holds it."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LONGEST_NAME = 200
_LONGEST_REASON = 2000


Fleet = Annotated[
    str | None,
    typer.Option(
        "--fleet",
        metavar="ADDRESS",
        envvar="ROPA_FLEET",
        help="The scheduler of a fleet whose workers do the work: tls://HOST:PORT, or tcp://127.0.0.1:PORT.",
    ),
]


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise CallError for an argument that is not text, or that would steer a terminal where it is shown."""
    for number, argument in enumerate(arguments, start=1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise CallError(
                f"argument {number} is not UTF-8 text", next_step="Write it in UTF-8, or a key as a JSON array."
            ) from None
        if _CONTROL.search(argument):
            raise CallError(
                f"argument {number} has a control character in it",
                next_step="Leave it out; a key that has one can be given as a JSON array.",
            )


def _named(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise typer.BadParameter("a name is needed; it is blank")
    if value is not None and (len(value) > _LONGEST_NAME or "\n" in value):
        raise typer.BadParameter(f"a name is one line of at most {_LONGEST_NAME} characters")
    return value.strip() if value is not None else None


def _said(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise typer.BadParameter("say why; it is blank")
    if value is not None and len(value) > _LONGEST_REASON:
        raise typer.BadParameter(f"a reason has at most {_LONGEST_REASON:,} characters")
    return value


Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", callback=_named, help="Who decides; default: the operating-system user."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", callback=_said, help="Why.")]
MaybeReason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", callback=_said, help="Why.")]


def read_date(text: str | None, option: str) -> date | None:
    """Read ``YYYY-MM-DD``. Raises CallError for anything else."""
    if text is None:
        return None
    try:
        read = date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        read = None
    if read is None:
        raise CallError(f"{option} takes a date such as 2026-11-22", next_step="Write it as YYYY-MM-DD.")
    return read


def read_key(texts: Sequence[str]) -> tuple[str, ...]:
    """Read a record's key: one text a part, or one JSON array as ``ropa plan show --records`` prints it."""
    parts: object = list(texts)
    if len(texts) == 1 and texts[0].startswith("["):
        try:
            parts = json.loads(texts[0])
        except (ValueError, RecursionError):
            parts = None
        if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
            parts = list(texts)
    key = tuple(str(part) for part in parts) if isinstance(parts, list) else ()
    if any("\ud800" <= c <= "\udfff" for part in key for c in part):
        raise CallError("the key is not Unicode text", next_step="Give it as `ropa plan show --records` prints it.")
    return key


def in_folder(path: Path) -> Path:
    """Return a path that was typed: relative to the project folder (``-C DIR``), as git reads paths."""
    return SETTINGS.folder / path
