"""The ICO's documentation template for controllers: its 30 columns, in their order and words.

Source: ico.org.uk, "gdpr-documentation-controller-template.xlsx", sheet "Template". It was written against the UK GDPR;
columns 26 to 30 come from the Data Protection Act 2018. A line is an activity and those of its data that share place,
period and numbers. The template has the contact details above the table; here they stand on a sheet of their own, so
that the header is the first row. What we do as a processor stands on a third sheet, by the points of Article 30(2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ropa.report.profiles import keeping, notices, questions, record
from ropa.report.profiles.questions import Entry, FormView
from ropa.report.workbook import Cell, Table, Value


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and where its answer comes from."""

    group: str
    heading: str
    answer: Callable[[Entry], Cell]
    is_for_processors: bool = False
    """Whether the question also arises where we act for another controller."""


_RECORD = "Article 30 record of processing activities"
_NOTICES = "Privacy notices"
_DPIA = "Data Protection Impact Assessments"
_BREACHES = "Personal data breaches"
_ACT = "Data Protection Act 2018 - special category or criminal conviction and offence data"

COLUMNS = (
    Column(_RECORD, "Business function", record.title, is_for_processors=True),
    Column(_RECORD, "Purpose of processing", record.purposes, is_for_processors=True),
    Column(_RECORD, "Name and contact details of joint controller (if applicable)", record.joint),
    Column(_RECORD, "Categories of individuals", record.subjects, is_for_processors=True),
    Column(_RECORD, "Categories of personal data", record.data, is_for_processors=True),
    Column(_RECORD, "Categories of recipients", record.recipients, is_for_processors=True),
    Column(_RECORD, "Link to contract with processor", record.contracts, is_for_processors=True),
    Column(
        _RECORD,
        "Names of third countries or international organisations that personal data are transferred to (if applicable)",
        record.countries,
        is_for_processors=True,
    ),
    Column(
        _RECORD,
        "Safeguards for exceptional transfers of personal data to third countries or international organisations "
        "(if applicable)",
        record.safeguards,
        is_for_processors=True,
    ),
    Column(_RECORD, "Retention schedule (if possible)", keeping.period, is_for_processors=True),
    Column(
        _RECORD,
        "General description of technical and organisational security measures (if possible)",
        record.measures,
        is_for_processors=True,
    ),
    Column(_NOTICES, "Article 6 lawful basis for processing personal data", notices.lawful_basis),
    Column(_NOTICES, "Article 9 condition for processing special category data", notices.condition),
    Column(_NOTICES, "Legitimate interests for the processing (if applicable)", notices.interest),
    Column(
        _NOTICES,
        "Link to record of legitimate interests assessment (if applicable)",
        notices.assessment_of_interest,
    ),
    Column(_NOTICES, "Rights available to individuals", notices.rights),
    Column(_NOTICES, "Existence of automated decision-making, including profiling (if applicable)", notices.automated),
    Column(_NOTICES, "The source of the personal data (if applicable)", notices.source),
    Column("Consent", "Link to record of consent", notices.consent_record),
    Column("Access requests", "Location of personal data", keeping.place, is_for_processors=True),
    Column(_DPIA, "Data Protection Impact Assessment required?", notices.dpia_required),
    Column(_DPIA, "Data Protection Impact Assessment progress", notices.dpia_progress),
    Column(_DPIA, "Link to Data Protection Impact Assessment", notices.dpia_link),
    Column(
        _BREACHES, "Has a personal data breach occurred?", lambda entry: entry.open("breach"), is_for_processors=True
    ),
    Column(
        _BREACHES,
        "Link to record of personal data breach",
        lambda entry: entry.open("breach_link"),
        is_for_processors=True,
    ),
    Column(
        _ACT,
        "Data Protection Act 2018 Schedule 1 Condition for processing",
        lambda entry: entry.open("schedule_1") if entry.is_sensitive else entry.not_applicable(),
    ),
    Column(
        _ACT,
        "GDPR Article 6 lawful basis for processing",
        lambda entry: notices.lawful_basis(entry) if entry.is_sensitive else entry.not_applicable(),
    ),
    Column(_ACT, "Link to retention and erasure policy document", notices.notice, is_for_processors=True),
    Column(
        _ACT,
        "Is personal data retained and erased in accordance with the policy document?",
        keeping.adherence,
        is_for_processors=True,
    ),
    Column(
        _ACT, "Reasons for not adhering to policy document (if applicable)", keeping.reasons, is_for_processors=True
    ),
)

_PROCESSOR = (
    Column(_RECORD, "Business function", record.title),
    Column(_RECORD, "Name and contact details of each controller", record.controller),
    Column(_RECORD, "Categories of processing carried out on behalf of each controller", record.processing),
    COLUMNS[7],
    COLUMNS[8],
    COLUMNS[10],
)


def table(view: FormView, *, with_processors: bool = True) -> Table:
    """Return the 30 columns; ``with_processors``: also what we do for other controllers."""
    return Table("Template", [column.heading for column in COLUMNS], _rows(view, with_processors=with_processors))


def tables(view: FormView) -> Iterator[Table]:
    """Yield the sheets."""
    yield table(view, with_processors=False)
    yield Table("Contact details", ("Who", "Name", "Address", "Email", "Telephone"), _contacts(view))
    heads = [column.heading for column in _PROCESSOR]
    yield Table("Article 30(2) processor", heads, _processors(view), view.words("form.none"))
    guide = ((number, column.group, column.heading) for number, column in enumerate(COLUMNS, 1))
    yield Table("Columns", ("Nr.", "Group", "Column"), guide)


def _rows(view: FormView, *, with_processors: bool) -> Iterator[list[Cell]]:
    for activity in view.document.activities:
        for entry in questions.entries(view, activity):
            if entry.is_processor and not with_processors:
                continue
            yield [
                entry.not_applicable() if entry.is_processor and not column.is_for_processors else column.answer(entry)
                for column in COLUMNS
            ]


def _processors(view: FormView) -> Iterator[list[Cell]]:
    for activity in view.document.activities:
        entry = Entry(view, activity)
        if entry.is_processor:
            yield [column.answer(entry) for column in _PROCESSOR]


def _contacts(view: FormView) -> Iterator[tuple[Value | Cell, ...]]:
    for role, who in _ROLES.items():
        found = [party for party in view.document.organisation.parties if party.role == role]
        for party in found:
            yield (
                who,
                party.name,
                *(questions.detail(view, text) for text in (party.address, party.email, party.telephone)),
            )
        if not found:
            yield who, questions.nobody(view, role), *[Cell(view.words("text.not_applicable"))] * 3


_ROLES = {"controller": "Controller", "dpo": "Data protection officer", "representative": "Representative"}
