"""What forms ask beside Art. 30: legal basis, rights, consent, impact assessment, the published policy.

Invariant: as in ``questions``: never a blank.
"""

from __future__ import annotations

from ropa.report.phrases import coded, is_known, labelled, truth, where
from ropa.report.profiles.questions import Entry, question
from ropa.report.workbook import OPEN, Cell


def lawful_basis(entry: Entry) -> Cell:
    """Return the legal basis with the law behind it."""
    if not is_known(entry.basis):
        return entry.open("basis")
    own = entry.row.legal_reference if entry.row else None
    return Cell(
        tuple(
            line
            for line in (coded(entry.view, "legal_basis", entry.basis), own or entry.activity.legal_reference)
            if line
        )
    )


def condition(entry: Entry) -> Cell:
    """Return the condition of Art. 9(2) or 10, where the data are special or criminal."""
    code = (entry.row.condition if entry.row else None) or entry.activity.condition
    if is_known(code):
        return Cell(coded(entry.view, "condition", code))
    return entry.open("condition") if entry.is_sensitive else entry.not_applicable()


def interest(entry: Entry) -> Cell:
    """Return the legitimate interest, where that is the basis."""
    text = (entry.row.interest if entry.row else None) or entry.activity.interest
    if text:
        return Cell(text)
    return entry.open("interest") if entry.basis == "6.1.f" else entry.not_applicable()


def assessment_of_interest(entry: Entry) -> Cell:
    """Return where the assessment of the interest is: the register does not say."""
    return entry.open("assessment") if entry.basis == "6.1.f" else entry.not_applicable()


def rights(entry: Entry) -> Cell:
    """Return the persons' rights: those that the legal bases bring, else those that the policy grants."""
    found = entry.activity.rights or entry.view.document.organisation.rights
    return entry.said(entry.view.labels("right", found), "rights")


def automated(entry: Entry) -> Cell:
    """Return whether decisions are taken by machine alone."""
    found = entry.activity.automated_decisions
    return entry.open("automated") if found is None else Cell(truth(entry.view, found))


def source(entry: Entry) -> Cell:
    """Return where the data come from."""
    return entry.said([entry.row.source if entry.row else None], "source")


def consent_record(entry: Entry) -> Cell:
    """Return where consent is recorded, where consent is the basis: the place of the activity's consent records."""
    if entry.basis != "6.1.a":
        return entry.not_applicable()
    places = [where(entry.view, row) for row in entry.activity.rows if row.category == "consent-record"]
    return entry.said(dict.fromkeys(places), "consent")


def notice(entry: Entry) -> Cell:
    """Return where the published policy is, with version and date."""
    words, part = entry.view.words, entry.view.document.organisation
    if not part.policy_url:
        return entry.open("notice")
    version = labelled(entry.view, "field.policy_version", part.policy_version) if part.policy_version else None
    dated = None
    if part.policy_dated_on:
        dated = labelled(entry.view, "field.policy_dated_on", words.day(part.policy_dated_on))
    return Cell(tuple(line for line in (part.policy_url, version, dated) if line))


def dpia_required(entry: Entry) -> Cell:
    """Return whether an impact assessment is required."""
    answers = {"not-required": False, "required": True, "done": True}
    found = entry.activity.dpia
    return Cell(truth(entry.view, answers[found])) if found in answers else entry.open("dpia")


def dpia_progress(entry: Entry) -> Cell:
    """Return how far it is."""
    found = entry.activity.dpia
    if found == "not-required":
        return entry.not_applicable()
    return Cell(entry.view.words.word("dpia", found)) if is_known(found) else entry.open("dpia")


def dpia_link(entry: Entry) -> Cell:
    """Return where it is: the register does not say."""
    return entry.not_applicable() if entry.activity.dpia == "not-required" else entry.open("dpia_link")


def created(entry: Entry) -> Cell:
    """Return the day on which this entry came into the register."""
    day = entry.activity.recorded_on
    return entry.open("created") if day is None else Cell(entry.view.words.day(day))


def updated(entry: Entry) -> Cell:
    """Return the day on which this entry changed last, with the register's revision and day."""
    words, document = entry.view.words, entry.view.document
    revision = words("title.revision", n=words.number(document.register_revision))
    known = revision, words("title.as_of", day=words.day(document.as_of))
    if entry.activity.changed_on is None:
        return Cell((*known, question(entry.view, "updated")), OPEN)
    return Cell((words.day(entry.activity.changed_on), *known))
