"""The report as CSV: one row per activity, data category and place, for a spreadsheet.

The first line has stable keys, the same in every language; the values are words of the chosen one, save for numbers,
keys and dates (``YYYY-MM-DD``, ``YYYY-MM-DDTHH:MM:SSZ``). Separator ``,``, quote ``"``, lines end with CR LF.
An activity without data categories has one row, with an empty category.

The columns ``*_facts`` have, as ``field=value`` with the names and values of the JSON, what concerns the row; what
concerns no row stands once, in ``document_facts`` of the first rows. So a file has every fact of the document, and no
row of another kind.

Invariant: no cell starts a formula. A cell whose text starts with ``=``, ``+``, ``-``, ``@``, tab or carriage return,
also behind blanks, gets an apostrophe in front (OWASP, "CSV Injection"); a program that reads the file takes it off.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import date, datetime

from ropa.clock import timestamp
from ropa.report.model import ActivityPart, Document, RowPart, Verdict
from ropa.report.related import Related, line_of
from ropa.report.view import COUNTED, View
from ropa.report.words import Words, shown
from ropa.sweep.adherence import Adherence
from ropa.sweep.standing import State

_FORMULA = (
    *("=", "+", "-", "@", "\t", "\r"),
    *("\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}", "\N{FULLWIDTH HYPHEN-MINUS}"),
    "\N{FULLWIDTH COMMERCIAL AT}",
)

Value = str | int | date | datetime | None


def render(document: Document, lang: str) -> str:
    """Return the rows as CSV text. Raises CallError for a language without a catalogue."""
    view = View(document, Words(lang, document.timezone))
    target = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    rows = [(activity, row) for activity in document.activities for row in activity.rows or (None,)]
    related = Related(document)
    facts = [related.of(activity, row) for activity, row in rows]
    rest = related.left_over()
    for i, (activity, row) in enumerate(rows):
        # What is too long for a cell goes on in the next row, and in the last row whatever its length.
        said = rest[i] if i < len(rows) - 1 and i < len(rest) else "; ".join(rest[i:])
        values = (
            activity_cells(view, activity)
            | row_cells(view, row)
            | facts[i]
            | _document(view)
            | {"document_facts": said}
        )
        if writer is None:
            writer = csv.DictWriter(target, list(values))
            writer.writeheader()
        writer.writerow({key: cell(value) for key, value in values.items()})
    if writer is None:
        header = activity_cells(view, NOTHING) | row_cells(view, None) | related.of(NOTHING, None) | _document(view)
        csv.writer(target).writerow([*header, "document_facts"])
    return target.getvalue()


NOTHING = ActivityPart(key="", title="", role="controller", status="active", verdict=Verdict.ADHERED)


def cell(value: Value) -> str:
    """Return a value as a cell's text: one line, never a formula."""
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, int):
        return "" if value is None else str(value)
    return f"'{shown(value)}" if starts_formula(value) else shown(value)


def starts_formula(text: str) -> bool:
    """Whether a spreadsheet could read a text as a formula."""
    return text.lstrip(" ").startswith(_FORMULA) or shown(text).lstrip().startswith(_FORMULA)


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(parts)


def activity_cells(view: View, activity: ActivityPart) -> dict[str, Value]:
    """What is said of an activity, by column."""
    words = view.words
    return {
        "activity": activity.key,
        "activity_title": activity.title,
        "role": words.word("role", activity.role),
        "status": words.word("status", activity.status),
        "ended_on": activity.ended_on,
        "replaced_by": activity.replaced_by,
        "activity_verdict": words(f"verdict.{activity.verdict}.word"),
        "activity_reasons": _joined(f"{reason.code}: {reason.count}" for reason in activity.reasons),
        "description": activity.description,
        "controllers": _joined(party.name for party in activity.controllers),
        "controller_facts": _joined(line_of(party) for party in activity.controllers),
        "processing": _joined(activity.processing),
        "activity_purposes": _joined(activity.purposes),
        "activity_legal_basis": activity.legal_basis,
        "activity_legal_reference": activity.legal_reference,
        "activity_condition": activity.condition,
        "activity_interest": activity.interest,
        "rights": _joined(view.labels("right", activity.rights)),
        "subjects": _joined(view.labels("subject", activity.subjects)),
        "recipients": _joined(view.recipient(key) for key in activity.recipients),
        "transfers": _joined(view.transfers(activity)),
        "measures": _joined(view.measures(activity.measures)),
        "systems": _joined(activity.systems),
        "automated_decisions": _yes_or_no(view, activity.automated_decisions),
        "dpia": words.word("dpia", activity.dpia) if activity.dpia else None,
        "owner": activity.owner,
        "review_on": activity.review_on,
        "recorded_on": activity.recorded_on,
        "changed_on": activity.changed_on,
        "policy_reference": activity.policy_reference,
        "activity_source": activity.source,
        "activity_criterion": activity.criterion,
        "activity_stated_period": words.period(activity.stated_period) if activity.stated_period else None,
        "activity_stated_start": activity.stated_start,
        "activity_stated_text": activity.stated_text,
        "activity_rules": _joined(activity.rules),
    }


def _yes_or_no(view: View, value: bool | None) -> str | None:
    return None if value is None else view.words("common.yes" if value else "common.no")


def _document(view: View) -> dict[str, Value]:
    """Whose report it is, and of when: in every row, so that files of several may be laid together."""
    document = view.document
    return {
        "organisation": document.organisation.parties[0].name,
        "report_as_of": document.as_of,
        "report_verdict": view.words(f"verdict.{document.summary.verdict}.word"),
    }


NOWHERE = RowPart(
    category="",
    purposes=(),
    legal_basis=None,
    legal_reference=None,
    adherence=Adherence(activity="", category="", location=None, dataset=None, state=State.NO_PLACE),
)


def row_cells(view: View, row: RowPart | None) -> dict[str, Value]:
    """What is said of a row, by column; empty for None."""
    if row is None:
        return dict.fromkeys(row_cells(view, NOWHERE))
    return data_cells(view, row) | place_cells(view, row) | period_cells(view, row) | adherence_cells(view, row)


def data_cells(view: View, row: RowPart) -> dict[str, Value]:
    """What is said of the category itself."""
    words = view.words
    marks = [words("text.special")] * row.is_special + [words("text.criminal")] * row.is_criminal
    return {
        "category": row.category,
        "category_title": view.category(row.category),
        "special": _joined(marks),
        "purposes": _joined(row.purposes),
        "legal_basis": row.legal_basis,
        "legal_reference": row.legal_reference,
        "condition": row.condition,
        "interest": row.interest,
        "source": row.source,
        "criterion": row.criterion,
        "stated_period": words.period(row.stated_period) if row.stated_period else None,
        "stated_start": row.stated_start,
        "stated_text": row.stated_text,
        "row_policy_reference": row.policy_reference,
    }


def place_cells(view: View, row: RowPart) -> dict[str, Value]:
    """Where it is stored."""
    cell_ = row.adherence
    place = view.document.place(cell_.location)
    return {
        "location": cell_.location,
        "location_title": place.title if place else None,
        "location_country": place.country if place else None,
        "location_recipient": view.recipient(place.recipient) if place else None,
        "dataset": cell_.dataset,
        "dataset_title": view.document.dataset_title(cell_.location, cell_.dataset),
        "goes_with": cell_.goes_with,
    }


def period_cells(view: View, row: RowPart) -> dict[str, Value]:
    """How long it stays, and why."""
    words, terms = view.words, view.terms(row.adherence.rules)
    return {
        "rules": _joined(row.adherence.rules),
        "period": _joined(words.term(term) for term in terms),
        "period_iso": _joined(term.period.iso for term in terms),
        "action": _joined(words.word("action", term.action) for term in terms),
        "legal_ground": _joined(term.legal_ground or words("text.no_ground") for term in terms),
        "reason": _joined(term.reason for term in terms if term.reason),
        "only_where": _joined(", ".join(term.conditions) for term in terms if term.conditions),
        "masks": _joined(view.masks(term) for term in terms if term.masks),
        "also_needed_by": _joined(row.adherence.also_needed_by),
    }


def adherence_cells(view: View, row: RowPart) -> dict[str, Value]:
    """How that is kept."""
    cell_, words = row.adherence, view.words
    return {
        "state": str(cell_.state),
        "state_title": words.word("state", cell_.state),
        "stopped_by": words.word("stop", cell_.stopped_by) if cell_.stopped_by else None,
        "worst_late_days": cell_.worst_late_days,
        **{name: getattr(cell_.counts, name) for name in COUNTED},
        "as_of": cell_.as_of,
        "scanned_at": cell_.scanned_at,
        "plan": cell_.plan,
        "scanned_by": cell_.scanned_by,
        "register_revision": cell_.register_revision,
        "last_run": cell_.last_run,
        "targets": _joined(cell_.targets),
        "missed_nights": cell_.missed_nights,
        "gaps": _joined(f"{gap.from_on.isoformat()}/{gap.to_on.isoformat()} ({gap.nights})" for gap in cell_.gaps),
    }
