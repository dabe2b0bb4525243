"""Profiles: the document in the form of a regulator's own template, as a workbook or as CSV.

A profile is a module with ``tables`` (the workbook's sheets) and ``table`` (the one table of the CSV): data and small
functions over the document. Headings are in the language of the authority's template, answers in the reader's.

Invariant: a profile adds no fact. What the register does not say stands there as an open question, never as a blank.
"""

from __future__ import annotations

import csv as stdlib_csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ropa.errors import CallError
from ropa.report.csv import cell
from ropa.report.model import Document
from ropa.report.profiles.questions import FormView
from ropa.report.words import Words
from ropa.report.workbook import Cell, Table, Value, write

ART30 = "art30"
"""The report as it is, by Art. 30 GDPR."""

FORMS = ("xlsx", "csv")
"""Formats that a regulator's form exists in."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One authority's form."""

    title: str
    tables: Callable[[FormView], Iterator[Table]]
    """The workbook's sheets."""
    table: Callable[[FormView], Table]
    """The table of the CSV."""
    has_many_sheets: bool = False
    """A sheet for each activity."""


def _profiles() -> Mapping[str, Profile | None]:
    from ropa.report.profiles import cnil, edps, ico  # they need this package

    return {
        ART30: None,
        "ico": Profile("ICO: documentation template for controllers", ico.tables, ico.table),
        "cnil": Profile("CNIL : registre simplifié", cnil.tables, cnil.table, has_many_sheets=True),
        "edps": Profile("EDPS: record of processing activity", edps.tables, edps.table),
    }


def names() -> tuple[str, ...]:
    """Return the names of the profiles, the default first."""
    return tuple(_profiles())


def check(profile: str, form: str) -> None:
    """Raise CallError for a profile that is not there, or not in this format."""
    if profile not in _profiles():
        raise CallError(f"there is no profile {profile!r}", next_step=f"Choose one of: {', '.join(names())}.")
    if profile != ART30 and form not in FORMS:
        raise CallError(
            f"the profile {profile!r} is not written as {form!r}", next_step=f"Choose one of: {', '.join(FORMS)}."
        )


def render(document: Document, profile: str, form: str, lang: str) -> bytes:
    """Return the document in the form of an authority.

    Raises CallError as ``check`` does, for a language without a catalogue, and for more rows than a sheet takes.
    """
    check(profile, form)
    chosen = _profiles()[profile]
    if chosen is None:
        raise CallError(f"the profile {ART30!r} is the report itself", next_step="Render it as such.")
    words = Words(lang, document.timezone)
    view = FormView(document, words)
    if form == "csv":
        return _csv(chosen.table(view))
    return write(
        chosen.tables(view),
        words,
        title=f"{words('title.document')}: {document.organisation.parties[0].name}",
        subject=chosen.title,
        created=document.generated_at,
        is_large=not chosen.has_many_sheets,
    )


def _csv(table: Table) -> bytes:
    """Return a table as CSV, its cells as ``ropa.report.csv`` writes them: one line each, never a formula."""
    target = io.StringIO()
    writer = stdlib_csv.writer(target)
    writer.writerow([cell(head) for head in table.heads])
    for row in table.rows:
        writer.writerow([_text(found.value if isinstance(found, Cell) else found) for found in row])
    return target.getvalue().encode()


def _text(value: Value) -> str:
    return cell("; ".join(value) if isinstance(value, tuple) else value)
