"""The report as one HTML file: nothing fetched, no script needed, prints well, reads well on a telephone and aloud.

Invariant: every text goes through autoescaping and ``shown``; the page's policy allows its own style and its own script
by their digests and nothing else, so that a name in the register can never act. The script only narrows down what is
shown on a screen: without it, and on paper, everything stands there.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ropa.report import pictures
from ropa.report.model import Document
from ropa.report.said import PageWords
from ropa.report.view import View
from ropa.report.words import shown
from ropa.sweep.standing import State

if TYPE_CHECKING:
    from jinja2 import Environment

LARGE = 400
"""Rows of data from which on the browser lays out only what is looked at."""

_PIECE = 1 << 16


def render(document: Document, lang: str) -> str:
    """Return the report as a whole HTML document. Raises CallError for a language without a catalogue."""
    return "".join(pieces(document, lang))


def pieces(document: Document, lang: str) -> Iterator[str]:
    """Yield the document in pieces, for one that is large. Raises CallError as ``render`` does."""
    words = PageWords(lang, document.timezone)
    view = View(document, words)
    stream = (
        _environment()
        .get_template("report.html.jinja")
        .generate(
            doc=document,
            t=words,
            view=view,
            State=State,
            style=_inline("style.css"),
            script=_inline("filter.js"),
            policy=policy(),
            is_large=sum(len(activity.rows) for activity in document.activities) > LARGE,
            panels=pictures.panels(view),
            axis=pictures.axis(view),
            went=pictures.months((month.done, month.fell_short) for month in document.months),
        )
    )
    return _without_blank_lines(stream)


def policy() -> str:
    """Return the page's Content-Security-Policy."""
    style, script = (
        base64.b64encode(hashlib.sha256(_inline(name).encode()).digest()).decode()
        for name in ("style.css", "filter.js")
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; "
        "form-action 'none'"
    )


@cache
def _inline(name: str) -> str:
    """A file of the templates as it stands in the page: what the policy's digest is of."""
    from markupsafe import Markup

    text = (files("ropa.report") / "templates" / name).read_text(encoding="utf-8")
    return Markup("\n".join(line.rstrip() for line in text.splitlines() if line.strip()))  # noqa: S704 - our own file


def _without_blank_lines(stream: Iterable[str]) -> Iterator[str]:
    kept: list[str] = []
    size = 0
    for part in stream:
        kept.append(part)
        size += len(part)
        if size >= _PIECE and part.endswith("\n"):
            yield _tidied("".join(kept))
            kept, size = [], 0
    yield _tidied("".join(kept))


def _tidied(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines() if line.strip())


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalise(value: Any) -> Any:
        if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
            return value  # what can be printed neither steers nor controls
        return shown(value)

    environment = Environment(
        loader=PackageLoader("ropa.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalise,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cap"] = capitalised
    environment.filters["short"] = shortened
    return environment


def capitalised(text: str) -> str:
    """Return text with a capital at its start; the rest as it stands."""
    return text[:1].upper() + text[1:]


def shortened(text: str, length: int) -> str:
    """Return text cut to a number of characters, for a picture or a choice; the whole of it stands in the tables."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"
