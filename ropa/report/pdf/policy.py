"""The policy as pieces of the PDF: periods, places, recipients, cookies.

Invariant: wordings come from the view and the catalogue; each table is bounded, and says how many rows it leaves out.
"""

from __future__ import annotations

from ropa.report.model import CategoryPart, CookiePart, Document, PlacePart, RecipientPart, TermPart
from ropa.report.pdf.blocks import TABLE_ROWS, Cell, Data, capitalised, heading, line, para, span, table
from ropa.report.view import View
from ropa.report.words import Words

_TERMS = (("rule", 1.1), ("activity", 1.1), ("period", 1.5), ("action", 0.9), ("ground", 1.2), ("only_where", 0.9))
_PLACES = (("place", 1.2), ("connector", 0.8), ("country", 0.7), ("recipient", 0.9), ("datasets", 1.9))
_RECIPIENTS = (
    ("recipient", 1.2),
    ("role", 1.0),
    ("country", 0.7),
    ("transfer", 1.5),
    ("contract", 0.9),
    ("systems", 0.9),
)
_COOKIES = (("cookie", 1.2), ("setter", 1.2), ("lifetime", 1.2), ("purpose", 1.0), ("consent", 0.8), ("activity", 1.1))


def terms(document: Document, words: Words, view: View) -> list[Data]:
    """Return the section of the retention periods."""
    found = [heading(1, words("heading.terms")), para(line(words("intro.terms")), look="lead")]
    if not document.terms:
        return [*found, para(line(words("empty.terms"), look="none"))]
    rows = [_term(term, words, view) for term in document.terms[:TABLE_ROWS]]
    return [*found, table(words, _TERMS, rows, left_out=len(document.terms) - len(rows))]


def _term(term: TermPart, words: Words, view: View) -> list[Cell]:
    action = [line(capitalised(words.word("action", term.action)))]
    action += [line(view.masks(term), look="soft")] if term.masks else []
    ground = [line(term.legal_ground) if term.legal_ground else line(words("text.no_ground"), look="missing")]
    ground += [line(words("text.why", text=term.reason), look="soft")] if term.reason else []
    return [
        [line(span(term.rule, "code"))],
        [line(view.activity(term.activity))],
        [line(capitalised(words.term(term))), line(f"{term.period.iso}, {term.anchor}", look="soft")],
        action,
        ground,
        [line(", ".join(term.conditions) or words("common.none"))],
    ]


def places(document: Document, words: Words, view: View) -> list[Data]:
    """Return the section of the places, the recipients, and the organisation's own data categories."""
    found = [heading(1, words("heading.places")), para(line(words("intro.places")), look="lead")]
    if document.places:
        rows = [_place(place, words, view) for place in document.places[:TABLE_ROWS]]
        left_out = len(document.places) - len(rows)
        found += [
            heading(2, words("field.places")),
            table(words, _PLACES, rows, left_out=left_out),
            para(line(words("text.no_backups"), look="missing")),
        ]
    else:
        found.append(para(line(words("empty.places"), look="none")))
    if document.recipients:
        rows = [_recipient(recipient, words, view) for recipient in document.recipients[:TABLE_ROWS]]
        left_out = len(document.recipients) - len(rows)
        found += [heading(2, words("field.recipients")), table(words, _RECIPIENTS, rows, left_out=left_out)]
    else:
        found.append(para(line(words("empty.recipients"), look="none")))
    own = [_own(category, words) for category in document.categories[:TABLE_ROWS]]
    return [*found, para(*own)] if own else found


def _own(category: CategoryPart, words: Words) -> Data:
    kinds = [words("text.special")] if category.is_special else []
    kinds += [words("text.criminal")] if category.is_criminal else []
    return line(
        f"{words('text.category')}: ",
        span(category.title, "strong"),
        span(f" {category.key}", "code"),
        f": {category.description}" if category.description else "",
        span(f" ({', '.join(kinds)})", "bad") if kinds else "",
    )


def _place(place: PlacePart, words: Words, view: View) -> list[Cell]:
    datasets = [
        line(
            dataset.title or dataset.name,
            span(f" {dataset.name}", "code"),
            span(f", {dataset.source}: {view.categories(dataset.data)}", "soft"),
        )
        for dataset in place.datasets
    ]
    enforcement = words("text.enforced") if place.is_enforced else words("text.not_enforced")
    return [
        [
            line(span(place.title, "strong")),
            line(span(place.key, "code")),
            line(capitalised(enforcement), look="soft"),
        ],
        [line(capitalised(words.word("connector", place.connector)))],
        [line(view.country(place.country))],
        [line(view.recipient(place.recipient))],
        datasets or [line(words("common.none"))],
    ]


def _recipient(recipient: RecipientPart, words: Words, view: View) -> list[Cell]:
    contract = {"yes": words("common.yes"), "no": words("common.no"), "unknown": words("common.unknown")}
    said = words("common.none") if recipient.contract is None else contract.get(recipient.contract, recipient.contract)
    name = [line(span(recipient.name, "strong")), line(span(recipient.key, "code"))]
    name += [line(recipient.contact, look="soft")] if recipient.contact else []
    return [
        name,
        [line(words.word("role", recipient.role))],
        [line(view.country(recipient.country))],
        _transfer(recipient, words, view),
        [line(said)],
        [line(", ".join(recipient.systems) or words("common.none"))],
    ]


def _transfer(recipient: RecipientPart, words: Words, view: View) -> Cell:
    found: Cell = []
    if recipient.transfer_country:
        found.append(line(view.country(recipient.transfer_country)))
    if recipient.safeguard:
        look = "missing" if recipient.safeguard_ended_on else ""
        found.append(line(f"{words('field.safeguard')}: {view.safeguard(recipient)}", look=look))
    elif recipient.transfer_country:
        found.append(line(f"{words('field.safeguard')}: {words('text.no_safeguard')}", look="missing"))
    if recipient.transfer_evidence:
        found.append(line(recipient.transfer_evidence, look="soft"))
    return found or [line(words("common.none"))]


def cookies(document: Document, words: Words, view: View) -> list[Data]:
    """Return the section of the cookies."""
    found = [heading(1, words("heading.cookies")), para(line(words("intro.cookies")), look="lead")]
    if not document.cookies:
        return [*found, para(line(words("empty.cookies"), look="none"))]
    rows = [_cookie(cookie, words, view) for cookie in document.cookies[:TABLE_ROWS]]
    return [*found, table(words, _COOKIES, rows, left_out=len(document.cookies) - len(rows))]


def _cookie(cookie: CookiePart, words: Words, view: View) -> list[Cell]:
    if cookie.lifetime:
        lifetime = line(words.period(cookie.lifetime), span(f" ({cookie.lifetime.iso})", "soft"))
    elif cookie.is_session:
        lifetime = line(words("text.session"))
    else:
        lifetime = line(words("text.no_lifetime"), look="missing")
    consent = {None: "common.unknown", True: "common.yes", False: "common.no"}[cookie.consent]
    return [
        [line(span(cookie.name, "code"))],
        [line(view.recipient(cookie.setter) if cookie.setter else words("common.unknown"))],
        [lifetime],
        [line(words.label("purpose", cookie.purpose))],
        [line(words(consent))],
        [line(view.activity(cookie.activity) if cookie.activity else words("common.none"))],
    ]
