"""Wordings that sheets and the regulators' forms share: a basis with its label, a party on a line, a period in words.

Invariant: as in a ``View``, no fact is added; what is not known is said to be not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ropa.report.model import Party, Reason, RowPart
from ropa.report.view import View
from ropa.sweep.nights import Gap
from ropa.vocabulary import UNKNOWN


def labelled(view: View, key: str, text: str) -> str:
    """Return "label: text", the label by its key."""
    return view.words("form.line", label=view.words(key), text=text)


def coded(view: View, kind: str, code: str | None) -> str | None:
    """Return "6.1.b performance of a contract"; None where nothing was said."""
    if code is None:
        return None
    label = view.words.label(kind, code)
    return label if code in {UNKNOWN, label} else f"{code} {label}"


def is_known(code: str | None) -> bool:
    """Whether something was said, and it is not "unknown"."""
    return code not in {None, "", UNKNOWN}


def truth(view: View, value: bool | None) -> str:
    """Return yes, no, or not known."""
    return view.words("common.unknown") if value is None else view.words("common.yes" if value else "common.no")


def answer(view: View, word: str | None) -> str | None:
    """Return ``yes``, ``no`` and ``unknown`` in words; what is another word as it stands."""
    known = {"yes": "common.yes", "no": "common.no", UNKNOWN: "common.unknown"}
    return view.words(known[word]) if word in known else word


def dpia(view: View, word: str | None) -> str | None:
    """Return the state of the impact assessment in words."""
    return view.words("common.unknown") if word == UNKNOWN else view.words.word("dpia", word) if word else None


def party(view: View, found: Party) -> str:
    """Return name and contact details on a line."""
    country = view.country(found.country) if found.country else None
    parts = (found.name, found.legal_name, found.registration, found.address, country, found.email, found.telephone)
    return ", ".join(part for part in parts if part)


def receiver(view: View, key: str) -> str:
    """Return a recipient's name with role and country."""
    found = view.party(key)
    if found is None:
        return view.recipient(key)
    more = [view.words.word("role", found.role)] if found.role else []
    more += [view.country(found.country)] if is_known(found.country) else []
    return f"{found.name} ({', '.join(more)})" if more else found.name


def retention(view: View, row: RowPart) -> tuple[str, ...]:
    """Return how long a row stays: each rule with what then happens and its ground, then what else is said of it; empty
    where nothing says how long."""
    words, found = view.words, []
    for term in view.terms(row.adherence.rules):
        then = (
            words("text.kept")
            if term.action == "keep"
            else words("text.then", action=words.word("action", term.action))
        )
        ground = words("text.ground", text=term.legal_ground) if term.legal_ground else words("text.no_ground")
        only = words("text.only_where", text=", ".join(term.conditions)) if term.conditions else None
        found.append("; ".join(part for part in (f"{words.term(term)}, {then}", ground, only) if part))
    if row.adherence.also_needed_by:
        found.append(view.longer(row.adherence))
    if row.criterion:
        found.append(words("text.criterion", text=row.criterion))
    return (*found, *stated(view, row))


def stated(view: View, row: RowPart) -> tuple[str, ...]:
    """Return what the published policy or the imported document says of the period, where it says anything."""
    words = view.words
    if row.stated_text:
        return (labelled(view, "field.stated_text", row.stated_text), *stated(view, replace(row, stated_text=None)))
    if row.stated_period:
        period = words.period(row.stated_period)
        if row.stated_start:
            return (words("text.stated_start", period=period, start=row.stated_start),)
        return (words("text.stated", period=period),)
    return (labelled(view, "field.stated", row.stated_start),) if row.stated_start else ()


def gap(view: View, found: Gap) -> str:
    """Return "not enforced from … to …"."""
    words = view.words
    if found.from_on == found.to_on:
        return words("nights.one", start=words.day(found.from_on))
    return words("nights.gap", start=words.day(found.from_on), end=words.day(found.to_on))


def told(view: View, reasons: Iterable[Reason]) -> tuple[str, ...]:
    """Return why an answer is not a plain yes, a sentence each."""
    return tuple(view.words.count(f"reason.{reason.code}", reason.count) for reason in reasons)


def where(view: View, row: RowPart) -> str | None:
    """Return place, dataset, country and whose system it is; None where no place is known."""
    key = row.adherence.location
    if key is None:
        return None
    place = view.part(key)
    title = f"{view.place(key)}: {view.dataset_title(key, row.adherence.dataset)}"
    return f"{title} ({view.country(place.country)}, {view.recipient(place.recipient)})" if place else title
