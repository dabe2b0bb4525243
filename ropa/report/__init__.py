"""The report: the register as a document for the regulator, which also answers "is it adhered to, and if not, why?".

``model`` is the document, ``build`` makes it from values, ``gather`` from a project folder; ``html``, ``json`` and
``csv`` render it and query nothing; ``writing`` chooses among them and writes the file. Words stand in
``locale/<language>``; adding a language is adding a folder.
"""

from ropa.report.build import build
from ropa.report.gather import gather
from ropa.report.model import Document, Evidence, HoldCount
from ropa.report.words import languages
from ropa.report.writing import FORMATS, render, write_report

__all__ = [
    "FORMATS",
    "Document",
    "Evidence",
    "HoldCount",
    "build",
    "gather",
    "languages",
    "render",
    "write_report",
]
