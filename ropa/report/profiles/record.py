"""What forms ask of an activity: what, why, for whom, about whom, to whom, and how it is secured (Art. 30).

Invariant: as in ``questions``: never a blank.
"""

from __future__ import annotations

from ropa.report.model import RecipientPart
from ropa.report.phrases import answer as worded
from ropa.report.phrases import is_known, labelled, party, receiver
from ropa.report.profiles.questions import Entry, joined, question
from ropa.report.workbook import BAD, OPEN, PLAIN, Cell


def title(entry: Entry) -> Cell:
    """Return its title, for whom it is done, and how it ended where it did."""
    words, activity = entry.view.words, entry.activity
    lines = [activity.title or activity.key]
    if entry.is_processor:
        lines.append(words("article.processor"))
    if activity.status != "active":
        ended = f": {words.day(activity.ended_on)}" if activity.ended_on else ""
        lines.append(f"{words.word('status', activity.status)}{ended}")
    if activity.replaced_by:
        lines.append(labelled(entry.view, "field.replaced_by", entry.view.activity(activity.replaced_by)))
    return Cell(tuple(lines))


def purposes(entry: Entry) -> Cell:
    """Return the purposes of these data, else the activity's; a processor's categories of processing."""
    activity = entry.activity
    own = entry.row.purposes if entry.row else ()
    return entry.said(own or activity.purposes or activity.processing, "purposes")


def processing(entry: Entry) -> Cell:
    """Return a processor's categories of processing."""
    return entry.said(entry.activity.processing or entry.activity.purposes, "processing")


def parties(entry: Entry, role: str) -> tuple[str, ...]:
    """Return those of a role with their contact details."""
    return tuple(party(entry.view, one) for one in entry.view.document.organisation.parties if one.role == role)


def controller(entry: Entry) -> Cell:
    """Return for whom it is done: the organisation, or the controllers that a processor acts for."""
    if entry.is_processor:
        return entry.said((party(entry.view, one) for one in entry.activity.controllers), "controllers")
    return entry.said(parties(entry, "controller"), "controller")


def joint(entry: Entry) -> Cell:
    """Return the joint controllers."""
    found = parties(entry, "joint-controller")
    return Cell(found) if found else entry.none()


def subjects(entry: Entry) -> Cell:
    """Return whose data they are."""
    return entry.said(entry.view.labels("subject", entry.activity.subjects), "subjects")


def data(entry: Entry) -> Cell:
    """Return which data they are; Art. 9 and 10 apart."""
    words = entry.view.words
    marks = [words("text.special")] * bool(entry.row and entry.row.is_special)
    marks += [words("text.criminal")] * bool(entry.row and entry.row.is_criminal)
    more = f" ({', '.join(marks)})" if marks else ""
    return entry.said((f"{entry.view.category(key)}{more}" for key in entry.categories), "data")


def recipients(entry: Entry) -> Cell:
    """Return who receives them, with role and country."""
    return entry.said((receiver(entry.view, key) for key in entry.activity.recipients if is_known(key)), "recipients")


def receivers(entry: Entry) -> list[RecipientPart]:
    """Return the recipients that the register knows."""
    known = (entry.view.party(key) for key in entry.activity.recipients)
    return [found for found in known if found is not None]


def processors(entry: Entry) -> list[RecipientPart]:
    """Return the recipients that are processors."""
    return [found for found in receivers(entry) if found.role == "processor"]


def contracts(entry: Entry) -> Cell:
    """Return of each processor whether there is a contract; where it is, the register does not say."""
    cells = [_contract(entry, found) for found in processors(entry)]
    if cells:
        return joined(cells)
    return entry.open("recipients") if _nobody_said(entry) else entry.not_applicable()


def _contract(entry: Entry, found: RecipientPart) -> Cell:
    if not is_known(found.contract):
        return entry.open("contract", name=found.name)
    said = f"{found.name}, {labelled(entry.view, 'field.contract', worded(entry.view, found.contract) or '')}"
    if found.contract == "no":
        return Cell((said,), BAD)
    return Cell((said, question(entry.view, "contract_link", name=found.name)), OPEN)


def _nobody_said(entry: Entry) -> bool:
    return not entry.activity.recipients or "unknown" in entry.activity.recipients


def transferred(entry: Entry) -> list[RecipientPart]:
    """Return the recipients whose part in it is a transfer to a third country."""
    return [found for found in receivers(entry) if found.transfer_country is not None]


def countries(entry: Entry) -> Cell:
    """Return to which third countries they go."""
    lines = [
        f"{found.name}: {entry.view.country(found.transfer_country)}"
        if is_known(found.transfer_country)
        else question(entry.view, "transfer_country", name=found.name)
        for found in transferred(entry)
    ]
    tone = PLAIN if all(is_known(found.transfer_country) for found in transferred(entry)) else OPEN
    return Cell(tuple(lines), tone) if lines else _no_transfer(entry)


def safeguards(entry: Entry) -> Cell:
    """Return what carries each transfer, since when it no longer does, and where the proof is."""
    found = transferred(entry)
    return joined([_proven(entry, one) for one in found]) if found else _no_transfer(entry)


def _proven(entry: Entry, found: RecipientPart) -> Cell:
    """With whose transfer it is, and where the proof is."""
    answer = safeguard(entry, found)
    proof = f" ({found.transfer_evidence})" if found.transfer_evidence else ""
    return answer if answer.tone == OPEN else Cell((f"{found.name}: {answer.value}{proof}",), answer.tone)


def safeguard(entry: Entry, found: RecipientPart) -> Cell:
    """Return what carries one transfer."""
    if not is_known(found.safeguard):
        return entry.open("safeguard", name=found.name)
    return Cell(entry.view.safeguard(found), PLAIN if found.safeguard_ended_on is None else BAD)


def transfers(entry: Entry) -> Cell:
    """Return transfers and what carries them, together."""
    return joined([countries(entry), safeguards(entry)]) if transferred(entry) else _no_transfer(entry)


def _no_transfer(entry: Entry) -> Cell:
    return entry.open("transfers") if _nobody_said(entry) else Cell(entry.view.words("field.no_transfer"))


def measures(entry: Entry) -> Cell:
    """Return the security measures."""
    return entry.said(entry.view.measures(entry.activity.measures), "measures")
