"""The report as a workbook: a sheet per part of the document, to sort, filter and count in.

Invariant: as in ``workbook``: a text is never a formula, a link or a number; the same document gives the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ropa.report.model import Document
from ropa.report.sheets import tables
from ropa.report.view import View
from ropa.report.words import Words
from ropa.report.workbook import write

if TYPE_CHECKING:
    from ropa.register.models import Register


def render(document: Document, lang: str, register: Register | None = None) -> bytes:
    """Return the workbook, and in it the register itself, to be edited and imported again, where it is given.

    Raises CallError for a language without a catalogue, or more rows than a sheet takes."""
    words = Words(lang, document.timezone)
    view = View(document, words)
    name = document.organisation.parties[0].name
    return write(
        tables(view),
        words,
        title=f"{words('title.document')}: {name}",
        subject=words("title.basis"),
        created=document.generated_at,
        register=register,
    )
