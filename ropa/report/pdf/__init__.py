"""The report as one PDF file: tagged (PDF/UA-1), fit for an archive (PDF/A-3a), with the whole report as JSON attached.

Invariant: the document goes to Typst as JSON and is never read as Typst source; nothing is fetched, only the fonts of
this package and those within Typst are used, and the same document gives the same bytes.
"""

from __future__ import annotations

import json as stdlib_json
from importlib.resources import as_file, files
from typing import Literal

from ropa.errors import ConfigurationError, RopaError
from ropa.report import json
from ropa.report.model import Document
from ropa.report.pdf.content import content
from ropa.report.pdf.glyphs import FAMILIES

STANDARDS: tuple[Literal["ua-1"], Literal["a-3a"]] = ("ua-1", "a-3a")
"""ISO 14289-1 for readers who listen, ISO 19005-3 for those who read it in twenty years."""

_FIXED_WIDTH = "DejaVu Sans Mono"
"""Comes with Typst."""


def render(document: Document, lang: str) -> bytes:
    """Return the report as a PDF.

    Raises CallError for a language without a catalogue, ConfigurationError where Typst is not installed, RopaError
    where Typst cannot set the document; neither message holds a text of the document.
    """
    found = content(document, lang)
    try:
        import typst
    except ImportError:
        raise ConfigurationError(
            "a report as PDF needs Typst, which is not installed",
            (),
            next_step="Install it: pip install 'ropa[pdf]'; the other formats do without.",
        ) from None
    inputs = {
        "content": stdlib_json.dumps(found | {"fonts": list(FAMILIES), "mono": _FIXED_WIDTH}, ensure_ascii=False),
        "attachment": json.render(document),
    }
    with as_file(files("ropa.report.pdf")) as folder:
        fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True, font_paths=[folder / "fonts"])
        try:
            return typst.compile(
                folder / "template" / "report.typ",
                root=folder / "template",
                font_paths=fonts,
                format="pdf",
                sys_inputs=inputs,
                pdf_standards=list(STANDARDS),
                timestamp=document.generated_at,
            )
        except typst.TypstError:
            # Typst quotes the text that it stumbled over; that is no message's business.
            raise RopaError(
                "Typst could not set the report as a PDF",
                next_step="Take another format, and tell the makers: the document should not matter.",
                code="pdf-typesetting",
            ) from None
