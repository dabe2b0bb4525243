"""One row of an activity's table: a data category in one place, its periods, and how they are adhered to.

Invariant: wordings come from the view and the catalogue; what was said for the whole activity is not said again.
"""

from __future__ import annotations

from ropa.clock import Period
from ropa.report.model import ActivityPart, RowPart, TermPart
from ropa.report.pdf.blocks import Cell, Data, capitalised, line, span
from ropa.report.view import View
from ropa.report.words import Words
from ropa.sweep.nights import Gap

HEADS = (("category", 1.15), ("place", 1.0), ("period", 1.35), ("adherence", 1.1))


def row_of(row: RowPart, categories: list[str], activity: ActivityPart, view: View) -> list[Cell]:
    """What was said for the whole activity is not said again."""
    return [
        _category(row, categories, activity, view),
        _place(row, view),
        _period(row, activity, view),
        _adherence(row, view),
    ]


def _category(row: RowPart, categories: list[str], activity: ActivityPart, view: View) -> Cell:
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
    source = row.source if row.source != activity.source else None
    for key, text in (("reference", row.legal_reference), ("interest", row.interest), ("source", source)):
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


def _period(row: RowPart, activity: ActivityPart, view: View) -> Cell:
    words, found = view.words, []
    for name in row.adherence.rules:
        term = view.document.term(name)
        found += _term(term, words) if term else [line(span(name, "code"))]
    if not row.adherence.rules:
        found.append(line(words("period.none"), look="missing"))
    if row.adherence.also_needed_by:
        found.append(line(view.longer(row.adherence), look="soft"))
    if row.criterion and row.criterion != activity.criterion:
        found.append(line(words("text.criterion", text=row.criterion), look="soft"))
    own = (row.stated_period, row.stated_start, row.stated_text)
    if own != (activity.stated_period, activity.stated_start, activity.stated_text):
        found += [line(text, look="soft") for text in stated(*own, words)]
    if row.policy_reference and row.policy_reference != activity.policy_reference:
        found.append(line(f"{words('field.policy_reference')}: {row.policy_reference}", look="soft"))
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
        said += [words("text.run", id=cell.scanned_by)] if cell.scanned_by else []
        scanned = capitalised(words("text.scanned_on", day=words.instant(cell.scanned_at)))
        found.append(line(f"{scanned} ({', '.join(said)})", look="soft"))
    if cell.last_run and cell.last_run != cell.scanned_by:
        found.append(line(f"{words('field.last_run')}: ", span(cell.last_run, "code"), look="soft"))
    if cell.missed_nights:
        told = f"{words('field.missed_nights')}: {words.number(cell.missed_nights)}"
        found.append(line(span(told, "bad")))
    found += [line(capitalised(gap(lost, words)), look="soft") for lost in cell.gaps]
    return found


def counted(counts: list[tuple[str, str]], words: Words) -> Data:
    """Numbers with their words on one line; an em dash for none."""
    parts: list[str | Data] = []
    for number, word in counts:
        parts += [span(number, "strong"), f" {word}, "]
    if not parts:
        return line(words("common.none"))
    return line(*parts[:-1], str(parts[-1]).removesuffix(", "))


def gap(lost: Gap, words: Words) -> str:
    """Return "not enforced from … to …"."""
    key = "nights.one" if lost.from_on == lost.to_on else "nights.gap"
    told = words(key, start=words.day(lost.from_on), end=words.day(lost.to_on))
    return f"{told} ({words.count('pdf.nights', lost.nights)})"


def stated(period: Period | None, start: str | None, text: str | None, words: Words) -> list[str]:
    """What the published policy says of a period, and the words of an imported document."""
    found = []
    if period and start:
        found.append(words("text.stated_start", period=words.period(period), start=start))
    elif period:
        found.append(words("text.stated", period=words.period(period)))
    elif start:
        found.append(f"{words('field.stated')}: {start}")
    return found + ([f"{words('field.stated_text')}: {text}"] if text else [])
