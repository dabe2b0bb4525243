"""The processing activities as pieces of the PDF: the points of Art. 30, and each category with its adherence.

Invariant: wordings come from the view and the catalogue; the rows of all activities together are bounded, and how many
are left out is said where they are missing.
"""

from __future__ import annotations

from ropa.report.model import ActivityPart, Document, Party, Reason, Verdict
from ropa.report.pdf.blocks import Cell, Data, capitalised, heading, line, listed, para, points, span, table
from ropa.report.pdf.rows import HEADS, row_of, stated
from ropa.report.view import View
from ropa.report.words import Words

ROWS = 800
"""Rows of data of all activities together: Typst holds about 0.6 MiB for each, and a page holds four."""

ACTIVITIES = 150
"""Activities told; what is left out is in the attached JSON and in the workbook."""


def activities(document: Document, words: Words, view: View) -> list[Data]:
    """Return the section of the activities."""
    found = [heading(1, words("heading.activities")), para(line(words("intro.activities")), look="lead")]
    if not document.activities:
        return [*found, para(line(words("empty.activities"), look="none"))]
    room = ROWS
    for activity in document.activities[:ACTIVITIES]:
        part, room = _activity(activity, words, view, room)
        found += part
    left_out = len(document.activities) - ACTIVITIES
    if left_out > 0:
        found.append(para(line(words.count("pdf.activities_left_out", left_out), look="missing")))
    return found


def _activity(activity: ActivityPart, words: Words, view: View, room: int) -> tuple[list[Data], int]:
    is_processor = activity.role == "processor"
    over = words("article.processor") if is_processor else words("article.controller")
    found = [heading(2, activity.title or activity.key, over=over), para(_meta(activity, words, view), look="meta")]
    if activity.description:
        found.append(para(line(activity.description)))
    found.append(para(*answer(activity.verdict, activity.reasons, words, view)))
    found.append(points(_processor(activity, words, view) if is_processor else _controller(activity, words, view)))
    found.append(heading(3, words("field.periods")))
    if not activity.rows:
        return [*found, para(line(words("empty.rows"), look="none"))], room
    groups = view.groups(activity.rows)
    rows = [row_of(row, categories, activity, view) for row, categories in groups[:room]]
    return [*found, table(words, HEADS, rows, left_out=len(groups) - len(rows))], room - len(rows)


def _meta(activity: ActivityPart, words: Words, view: View) -> Data:
    status = words.word("status", activity.status)
    ended = f": {words.day(activity.ended_on)}" if activity.ended_on else ""
    parts: list[str | Data] = [span(activity.key, "code"), words.word("role", activity.role), f"{status}{ended}"]
    if activity.replaced_by:
        parts.append(f"{words('field.replaced_by')}: {view.activity(activity.replaced_by)}")
    if activity.owner:
        parts.append(f"{words('field.owner')}: {activity.owner}")
    days = ((name, getattr(activity, name)) for name in ("review_on", "recorded_on", "changed_on"))
    parts += [f"{words(f'field.{name}')}: {words.day(day)}" for name, day in days if day]
    spread: list[str | Data] = [piece for part in parts for piece in (" · ", part)]
    return line(*spread[1:])


def answer(verdict: Verdict, reasons: tuple[Reason, ...], words: Words, view: View) -> Cell:
    """Return whether it is adhered to, in words, and why not."""
    said = span(f"{words('field.adherence')}: {words(f'verdict.{verdict}.word').lower()}", "strong")
    sentence = f". {words(f'verdict.{verdict}.sentence')}"
    return [
        line(said, sentence, mark=view.verdict_mark(verdict), tone=view.verdict_tone(verdict)),
        *(because(reason, words, view) for reason in reasons),
    ]


def because(reason: Reason, words: Words, view: View) -> Data:
    """Return a reason in words, in red where it is an alarm."""
    is_alarm = reason.code in view.alarms
    said = span(words.count(f"reason.{reason.code}", reason.count), *(["bad"] if is_alarm else []))
    return line(said, mark="overdue" if is_alarm else "waiting", tone="bad" if is_alarm else "plain")


# --- the points of Art. 30 ----------------------------------------------------------------------------------------

_Point = tuple[str, str, Cell]


def _controller(activity: ActivityPart, words: Words, view: View) -> list[_Point]:
    """Art. 30(1), and beside it what a regulator asks next."""
    found = [("b", words("field.purposes"), listed(words, activity.purposes))]
    if activity.processing:
        found.append(("+", words("field.processing"), listed(words, activity.processing)))
    if activity.controllers:
        found.append(("+", words("field.controllers"), [_party(party, view) for party in activity.controllers]))
    found += [
        ("+", words("field.legal_basis"), _basis(activity, words)),
        ("c", words("field.subjects"), listed(words, view.labels("subject", activity.subjects))),
        ("d", words("field.recipients"), _recipients(activity, words, view)),
        ("e", words("field.transfers"), _transfers(activity, words, view)),
        ("g", words("field.measures"), listed(words, view.measures(activity.measures))),
    ]
    return found + _beyond(activity, words, view)


def _processor(activity: ActivityPart, words: Words, view: View) -> list[_Point]:
    """Art. 30(2), and beside it what the register says more."""
    parties = [_party(party, view) for party in activity.controllers]
    found = [
        ("a", words("field.controllers"), parties or listed(words, ())),
        ("b", words("field.processing"), listed(words, activity.processing or activity.purposes)),
    ]
    if activity.processing and activity.purposes:
        found.append(("+", words("field.purposes"), listed(words, activity.purposes)))
    has_more = activity.legal_reference or activity.condition or activity.interest
    if activity.legal_basis not in {None, "unknown"} or has_more:
        found.append(("+", words("field.legal_basis"), _basis(activity, words)))
    found += [
        ("+", words("field.subjects"), listed(words, view.labels("subject", activity.subjects))),
        ("+", words("field.recipients"), _recipients(activity, words, view)),
        ("c", words("field.transfers"), _transfers(activity, words, view)),
        ("d", words("field.measures"), listed(words, view.measures(activity.measures))),
    ]
    return found + _beyond(activity, words, view)


def _beyond(activity: ActivityPart, words: Words, view: View) -> list[_Point]:
    """What the article does not ask, and a regulator does."""
    found: list[_Point] = []
    if activity.rights:
        rights = capitalised(words.listing(view.labels("right", activity.rights)))
        found.append(("+", words("field.rights_by_basis"), [line(rights)]))
    told = stated(activity.stated_period, activity.stated_start, activity.stated_text, words)
    for key, cell in (
        ("source", [line(activity.source)] if activity.source else []),
        ("stated", [line(text) for text in told]),
        ("criterion", [line(activity.criterion)] if activity.criterion else []),
        ("policy_reference", [line(activity.policy_reference)] if activity.policy_reference else []),
        ("rules", [line(span(", ".join(activity.rules), "code"))] if activity.rules else []),
    ):
        if cell:
            found.append(("+", words(f"field.{key}"), cell))
    if activity.systems:
        found.append(("+", words("field.systems"), listed(words, activity.systems)))
    if activity.dpia:
        said = words("common.unknown") if activity.dpia == "unknown" else words.word("dpia", activity.dpia)
        found.append(("+", words("field.dpia"), [line(said)]))
    if activity.automated_decisions is not None:
        said = words("common.yes") if activity.automated_decisions else words("common.no")
        found.append(("+", words("field.automated_decisions"), [line(said)]))
    return found


def _party(party: Party, view: View) -> Data:
    country = view.country(party.country) if party.country else None
    said = (party.name, party.legal_name, party.registration, party.address, country, party.email, party.telephone)
    return line(", ".join(part for part in said if part))


def _basis(activity: ActivityPart, words: Words) -> Cell:
    if activity.legal_basis in {None, "unknown"}:
        found = [line(words("common.unknown"), look="missing")]
    else:
        label = words.label("legal_basis", activity.legal_basis)
        found = [line(span(activity.legal_basis or "", "strong"), f" {label}")]
    if activity.legal_reference:
        found.append(line(f"{words('field.legal_reference')}: {activity.legal_reference}"))
    if activity.condition:
        label = words.label("condition", activity.condition)
        found.append(line(f"{words('field.condition')}: ", span(activity.condition, "strong"), f" {label}"))
    if activity.interest:
        found.append(line(f"{words('field.interest')}: {activity.interest}"))
    return found


def _recipients(activity: ActivityPart, words: Words, view: View) -> Cell:
    found: Cell = []
    for key in activity.recipients:
        recipient = view.document.recipient(key)
        if key == "unknown":
            found.append(line(words("common.unknown"), look="missing"))
        elif recipient is None:
            found.append(line(view.recipient(key)))
        else:
            known = recipient.country and recipient.country != "unknown"
            country = f", {view.country(recipient.country)}" if known else ""
            found.append(line(recipient.name, span(f" ({words.word('role', recipient.role)}{country})", "soft")))
    return found or listed(words, ())


def _transfers(activity: ActivityPart, words: Words, view: View) -> Cell:
    return [line(text) for text in view.transfers(activity) or [words("field.no_transfer")]]
