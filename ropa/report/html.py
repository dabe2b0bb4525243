"""The report as one HTML file: no script, nothing fetched, prints well, reads well on a telephone and aloud.

Invariant: every text goes through autoescaping and ``shown``; the page's policy allows its own styles and nothing else,
so that a name in the register can never act.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from ropa.report import pictures
from ropa.report.model import Document
from ropa.report.view import View
from ropa.report.words import Words, shown
from ropa.sweep.standing import State

if TYPE_CHECKING:
    from jinja2 import Environment


def render(document: Document, lang: str) -> str:
    """Return the report as a whole HTML document. Raises CallError for a language without a catalogue."""
    words = Words(lang, document.timezone)
    view = View(document, words)
    text = (
        _environment()
        .get_template("report.html.jinja")
        .render(
            doc=document,
            t=words,
            view=view,
            State=State,
            matrices=pictures.matrices(document, words),
            axes=pictures.axes(document, words),
            stacks=pictures.stacks(document, words),
        )
    )
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalise(value: Any) -> Any:
        return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader("ropa.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalise,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cap"] = capitalised
    return environment


def capitalised(text: str) -> str:
    """Return text with a capital at its start; the rest as it stands."""
    return text[:1].upper() + text[1:]
