"""The processing activities as pieces of the PDF: the points of Art. 30, and each category with its adherence.

Invariant: wordings come from the view and the catalogue; the rows of all activities together are bounded, and how many
are left out is said where they are missing.
"""

from __future__ import annotations

from ropa.report.model import ActivityPart, Document, Party, RowPart, TermPart
from ropa.report.pdf.blocks import Cell, Data, capitalised, heading, line, listed, para, points, span, table
from ropa.report.view import View
from ropa.report.words import Words

ROWS = 3000
"""Rows of data of all activities together; Typst needs about 0.1 MiB for each."""

_HEADS = (("category", 1.15), ("place", 1.0), ("period", 1.35), ("adherence", 1.1))


def activities(document: Document, words: Words, view: View) -> list[Data]:
    """Return the section of the activities."""
    found = [heading(1, words("heading.activities")), para(line(words("intro.activities")), look="lead")]
    if not document.activities:
        return [*found, para(line(words("empty.activities"), look="none"))]
    room = ROWS
    for activity in document.activities:
        part, room = _activity(activity, words, view, room)
        found += part
    return found


def _activity(activity: ActivityPart, words: Words, view: View, room: int) -> tuple[list[Data], int]:
    is_processor = activity.role == "processor"
    over = words("article.processor") if is_processor else words("article.controller")
    found = [heading(2, activity.title or activity.key, over=over), para(_meta(activity, words, view), look="meta")]
    if activity.description:
        found.append(para(line(activity.description)))
    found.append(points(_processor(activity, words, view) if is_processor else _controller(activity, words, view)))
    found.append(heading(3, words("field.periods")))
    if not activity.rows:
        return [*found, para(line(words("empty.rows"), look="none"))], room
    groups = view.groups(activity.rows)
    rows = [_row(row, categories, view) for row, categories in groups[:room]]
    return [*found, table(words, _HEADS, rows, left_out=len(groups) - len(rows))], room - len(rows)


def _meta(activity: ActivityPart, words: Words, view: View) -> Data:
    status = words.word("status", activity.status)
    ended = f": {words.day(activity.ended_on)}" if activity.ended_on else ""
    parts = [span(activity.key, "code"), words.word("role", activity.role), f"{status}{ended}"]
    if activity.replaced_by:
        parts.append(f"{words('field.replaced_by')}: {view.activity(activity.replaced_by)}")
    if activity.owner:
        parts.append(f"{words('field.owner')}: {activity.owner}")
    if activity.review_on:
        parts.append(f"{words('field.review_on')}: {words.day(activity.review_on)}")
    spread = [piece for part in parts for piece in (span(" · "), part)]
    return line(*spread[1:])


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
    return found + _beyond(activity, words)


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
    return found + _beyond(activity, words)


def _beyond(activity: ActivityPart, words: Words) -> list[_Point]:
    found: list[_Point] = []
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


# --- rows ---------------------------------------------------------------------------------------------------------


def _row(row: RowPart, categories: list[str], view: View) -> list[Cell]:
    return [_category(row, categories, view), _place(row, view), _period(row, view), _adherence(row, view)]


def _category(row: RowPart, categories: list[str], view: View) -> Cell:
    words = view.words
    found = [line(span(capitalised(view.category(key)), "strong")) for key in categories]
    found += [line(words("text.special"), look="tag")] if row.is_special else []
    found += [line(words("text.criminal"), look="tag")] if row.is_criminal else []
    found += [line(purpose, look="soft") for purpose in row.purposes]
    if row.legal_basis:
        label = words.label("legal_basis", row.legal_basis)
        basis = label if row.legal_basis == "unknown" else f"{row.legal_basis} {label}"
        found.append(line(words("text.basis_for_row", basis=basis), look="soft"))
    if row.condition:
        said = f"{row.condition} {words.label('condition', row.condition)}"
        found.append(line(words("text.condition", text=said), look="soft"))
    for key, text in (("reference", row.legal_reference), ("interest", row.interest), ("source", row.source)):
        if text:
            found.append(line(words(f"text.{key}", text=text), look="soft"))
    return found


def _place(row: RowPart, view: View) -> Cell:
    words, cell, document = view.words, row.adherence, view.document
    if not cell.location:
        return [line(words("state.no-place"), look="missing")]
    found = [
        line(span(view.place(cell.location), "strong")),
        line(document.dataset_title(cell.location, cell.dataset), look="soft"),
    ]
    place = document.place(cell.location)
    if place:
        found.append(line(f"{view.recipient(place.recipient)}, {view.country(place.country)}", look="soft"))
    if cell.goes_with:
        found.append(line(words("text.goes_with", dataset=view.dataset(cell.goes_with)), look="soft"))
    return found


def _period(row: RowPart, view: View) -> Cell:
    words, found = view.words, []
    for name in row.adherence.rules:
        term = view.document.term(name)
        found += _term(term, words) if term else [line(span(name, "code"))]
    if not row.adherence.rules:
        found.append(line(words("period.none"), look="missing"))
    if row.adherence.also_needed_by:
        found.append(line(view.longer(row), look="soft"))
    if row.criterion:
        found.append(line(words("text.criterion", text=row.criterion), look="soft"))
    if row.stated_period and row.stated_start:
        said = words("text.stated_start", period=words.period(row.stated_period), start=row.stated_start)
        found.append(line(said, look="soft"))
    elif row.stated_period:
        found.append(line(words("text.stated", period=words.period(row.stated_period)), look="soft"))
    elif row.stated_start:
        found.append(line(f"{words('field.stated')}: {row.stated_start}", look="soft"))
    return found


def _term(term: TermPart, words: Words) -> Cell:
    then = words("text.kept") if term.action == "keep" else words("text.then", action=words.word("action", term.action))
    ground = words("text.ground", text=term.legal_ground) if term.legal_ground else words("text.no_ground")
    found = [
        line(span(capitalised(words.term(term)), "strong"), f", {then}"),
        line(f"{capitalised(ground)} · ", span(term.rule, "code"), look="soft"),
    ]
    if term.conditions:
        found.append(line(words("text.only_where", text=", ".join(term.conditions)), look="soft"))
    return found


def _adherence(row: RowPart, view: View) -> Cell:
    words, cell = view.words, row.adherence
    found = [line(span(words(f"state.{cell.state}"), "strong"), mark=cell.state, tone=view.tone(cell.state))]
    if cell.worst_late_days:
        found.append(line(span(capitalised(words.days_late(cell.worst_late_days)), "strong")))
    if cell.stopped_by:
        found.append(line(f"{words('field.stopped_by')}: {words.word('stop', cell.stopped_by)}"))
    if cell.scanned_at:
        found.append(counted(view.counts(cell.counts), words))
        said = [words("text.as_of", day=words.day(cell.as_of))] if cell.as_of != view.day_of(cell.scanned_at) else []
        said += [words("text.plan", n=words.number(cell.plan))] if cell.plan is not None else []
        if cell.register_revision is not None:
            said.append(words("text.revision", n=words.number(cell.register_revision)))
        said += [words("text.run", id=cell.last_run)] if cell.last_run else []
        scanned = capitalised(words("text.scanned_on", day=words.instant(cell.scanned_at)))
        found.append(line(f"{scanned} ({', '.join(said)})", look="soft"))
    return found


def counted(counts: list[tuple[str, str]], words: Words) -> Data:
    """Numbers with their words on one line; an em dash for none."""
    parts: list[str | Data] = []
    for number, word in counts:
        parts += [span(number, "strong"), f" {word}, "]
    if not parts:
        return line(words("common.none"))
    return line(*parts[:-1], str(parts[-1]).removesuffix(", "))
