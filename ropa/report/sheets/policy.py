"""The policy's sheets: periods, places and their datasets, recipients, cookies."""

from __future__ import annotations

from collections.abc import Iterator

from ropa.report.model import CookiePart, PlacePart, RecipientPart, TermPart
from ropa.report.phrases import answer, is_known, truth
from ropa.report.sheets.columns import alarming, table
from ropa.report.view import View
from ropa.report.workbook import BAD, Cell, Table, Value

Row = tuple[Value | Cell, ...]

_TERM = ("activity", "period", "period_iso", "anchor", "action", "masks", "ground", "reason", "only_where", "rule")
_PLACE = ("place", "connector", "country", "recipient", "enforcement", "key")
_DATASET = ("place", "dataset_title", "source_name", "data", "dataset")
_RECIPIENT = (
    *("recipient", "role", "country", "contract", "systems", "contact"),
    *("transfer", "safeguard", "safeguard_ended_on", "transfer_evidence", "key"),
)
_COOKIE = ("cookie", "setter", "lifetime", "period_iso", "purpose", "consent", "activity")


def tables(view: View) -> Iterator[Table]:
    """Yield periods, places, datasets, recipients and cookies."""
    document = view.document
    yield table(view, "terms", _TERM, (_term(view, term) for term in document.terms), empty="empty.terms")
    yield table(view, "places", _PLACE, (_place(view, place) for place in document.places), empty="empty.places")
    yield table(view, "datasets", _DATASET, _datasets(view), empty="empty.places")
    found = (_recipient(view, recipient) for recipient in document.recipients)
    yield table(view, "recipients", _RECIPIENT, found, empty="empty.recipients")
    yield table(view, "cookies", _COOKIE, (_cookie(view, cookie) for cookie in document.cookies), empty="empty.cookies")


def _term(view: View, term: TermPart) -> Row:
    words = view.words
    return (
        view.activity(term.activity),
        words.term(term),
        term.period.iso,
        term.anchor,
        words.word("action", term.action),
        view.masks(term),
        term.legal_ground or Cell(words("text.no_ground"), BAD),
        term.reason,
        term.conditions,
        term.rule,
    )


def _place(view: View, place: PlacePart) -> Row:
    return (
        place.title,
        view.words.word("connector", place.connector),
        view.country(place.country),
        view.recipient(place.recipient),
        view.words("text.enforced" if place.is_enforced else "text.not_enforced"),
        place.key,
    )


def _datasets(view: View) -> Iterator[Row]:
    for place in view.document.places:
        for dataset in place.datasets:
            labels = tuple(view.category(key) for key in dataset.data)
            yield place.title, dataset.title or dataset.name, dataset.source, labels, f"{place.key}.{dataset.name}"


def _recipient(view: View, recipient: RecipientPart) -> Row:
    words = view.words
    country = view.country(recipient.transfer_country) if recipient.transfer_country else None
    safeguard: Value | Cell = None
    if recipient.safeguard:
        is_bad = recipient.safeguard_ended_on is not None or not is_known(recipient.safeguard)
        safeguard = alarming(view.safeguard(recipient), is_bad=is_bad)
    elif recipient.transfer_country:
        safeguard = Cell(words("text.no_safeguard"), BAD)
    return (
        recipient.name,
        words.word("role", recipient.role),
        view.country(recipient.country),
        answer(view, recipient.contract),
        recipient.systems,
        recipient.contact,
        country,
        safeguard,
        recipient.safeguard_ended_on,
        recipient.transfer_evidence,
        recipient.key,
    )


def _cookie(view: View, cookie: CookiePart) -> Row:
    words = view.words
    lifetime: Value | Cell = Cell(words("text.no_lifetime"), BAD)
    if cookie.lifetime:
        lifetime = words.period(cookie.lifetime)
    elif cookie.is_session:
        lifetime = words("text.session")
    return (
        cookie.name,
        view.recipient(cookie.setter) if cookie.setter else words("common.unknown"),
        lifetime,
        cookie.lifetime.iso if cookie.lifetime else None,
        words.label("purpose", cookie.purpose),
        truth(view, cookie.consent),
        view.activity(cookie.activity) if cookie.activity else None,
    )
