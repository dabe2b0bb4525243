"""The report's document as plain data for the Typst template: cover, pictures, sections, in the order of the pages.

Invariant: what a format shows is decided here and in the modules beside it, from the document, the view and the
catalogue; the template only sets it.
"""

from __future__ import annotations

from typing import Any

from ropa.report.model import Document, Evidence, Party
from ropa.report.pdf import drawing
from ropa.report.pdf.activities import activities, because
from ropa.report.pdf.blocks import TABLE_ROWS, Cell, Data, capitalised, facts, figure, heading, line, para, plain, span
from ropa.report.pdf.enforcement import holds, missing, standings, sweeps
from ropa.report.pdf.policy import cookies, places, terms
from ropa.report.view import View
from ropa.report.words import Words
from ropa.sweep.standing import State

ATTACHED = "report.json"
"""Name of the attachment."""

PANELS = 12
"""Panels of one picture; the tables say the same of all."""

_TILES = (
    ("due", ""),
    ("done", ""),
    ("waiting", ""),
    ("held", ""),
    ("blocked", "bad"),
    ("fell_short", "bad"),
    ("flagged", ""),
    ("findings", "bad"),
)


def content(document: Document, lang: str) -> Data:
    """Return everything that the template sets. Raises CallError for a language without a catalogue."""
    words = Words(lang, document.timezone)
    view = View(document, words)
    owner = document.organisation.parties[0].name
    title = words("title.document")
    return {
        "lang": words.locale.language,
        "region": words.locale.territory,
        "generated": list(document.generated_at.timetuple()[:6]),
        "title": plain(f"{title}: {owner}"),
        "owner": plain(owner),
        "short-owner": plain(drawing.clipped(owner, 80)),
        "head": plain(title),
        "basis": plain(words("title.basis")),
        "as_of": plain(words("title.as_of", day=words.day(document.as_of))),
        "made": plain(words("title.generated", at=words.instant(document.generated_at))),
        "revision": plain(words("title.revision", n=words.number(document.register_revision))),
        "contents": plain(words("common.contents")),
        "page": words("pdf.page"),
        "attachment": {"name": ATTACHED, "description": plain(words("pdf.attached", name=ATTACHED))},
        "cover": _cover(document, words, view),
        "sections": [
            _section(_pictures(words, view)),
            _section(_organisation(document, words, view)),
            _section(activities(document, words, view)),
            _section(terms(document, words, view)),
            _section(places(document, words, view), starts_page=False),
            _section(cookies(document, words, view), starts_page=False),
            _section(standings(document, words, view), is_wide=True),
            _section(holds(document, words)),
            _section(missing(document, words), starts_page=False),
            _section(sweeps(document, words, view), starts_page=False),
            _section(_evidence(document, words, view)),
            _section(_reading(words, view)),
        ],
    }


def _section(blocks: list[Data], *, starts_page: bool = True, is_wide: bool = False) -> Data:
    """A part of the document. ``is_wide``: on pages of their own that lie on their side."""
    return {"blocks": blocks, "starts_page": starts_page, "is_wide": is_wide}


# --- the cover ----------------------------------------------------------------------------------------------------


def _cover(document: Document, words: Words, view: View) -> Data:
    summary, evidence = document.summary, document.evidence
    sound = evidence is not None and evidence.is_sound
    proof = words("evidence.brief_none")
    if evidence is not None:
        key = "evidence.brief_sound" if sound else "evidence.brief_unsound"
        proof = words(key, lines=words.count("lines", evidence.size))
    scanned = (
        words("tile.scan_note", at=words.instant(summary.oldest_scan_at))
        if summary.oldest_scan_at
        else words("tile.never_note")
    )
    total = words("tile.total_note", n=words.number(summary.done_total))
    alarm = []
    if evidence is None:
        alarm = [line(span(words("evidence.missing"), "strong", "bad"), f" {words('evidence.missing_text')}")]
    elif not sound:
        alarm = [line(span(words("evidence.unsound"), "strong", "bad"))]
    return {
        "summary": plain(words("heading.summary")),
        "asked": plain(words("heading.asked")),
        "verdict": plain(words(f"verdict.{summary.verdict}.word")),
        "mark": view.verdict_mark(summary.verdict),
        "tone": view.verdict_tone(summary.verdict),
        "sentence": plain(words(f"verdict.{summary.verdict}.sentence")),
        "reasons": [because(reason, words, view) for reason in summary.reasons],
        "tiles": [_tile(name, tone, summary, words) for name, tone in _TILES],
        "note": plain(f"{capitalised(words('tile.unit'))}. {capitalised(total)}. {scanned}"),
        "proof": line(span(proof, "strong"), mark="enforced" if sound else "overdue", tone="good" if sound else "bad"),
        "alarm": alarm,
    }


def _tile(name: str, tone: str, summary: Any, words: Words) -> Data:
    number = getattr(summary, name)
    return {
        "number": plain(words.number(number)),
        "text": plain(words(f"tile.{name}")),
        "tone": tone if number else "",
    }


# --- pictures -----------------------------------------------------------------------------------------------------


def _pictures(words: Words, view: View) -> list[Data]:
    states = [_sign(state, words, view) for state in view.states_used()]
    found = [heading(1, words("heading.pictures"))]
    for key, panels, legend in (
        ("where", drawing.where(view), states),
        ("long", drawing.long(view), _bars(words, ("kept", "year_end", "late", "documented"))),
        ("went", drawing.went(view), _bars(words, ("went", "fell_short"))),
    ):
        title = words(f"picture.{key}_title")
        found.append(heading(2, title))
        shown_panels = panels[:PANELS]
        for number, panel in enumerate(shown_panels, 1):
            name = title
            if len(shown_panels) > 1:
                name = words("pdf.panel", title=title, n=words.number(number), total=words.number(len(shown_panels)))
            ready = _drawing(panel, view)
            signs = legend if number == len(shown_panels) else []
            found.append(figure(key, ready, f"{name}. {words(f'picture.{key}_desc')}", signs))
        if not panels:
            found.append(para(line(words("picture.nothing"), look="none")))
        if len(panels) > PANELS:
            found.append(para(line(words.count("pdf.pictures_left_out", len(panels) - PANELS), look="soft")))
    return found


def _drawing(value: Any, view: View) -> Any:
    """The geometry with its texts ready to be set, and the colour of each mark beside its state."""
    if isinstance(value, dict):
        found = {key: _drawing(part, view) for key, part in value.items()}
        return found | {"tone": view.tone(value["state"])} if "state" in value else found
    if isinstance(value, list | tuple):
        return [_drawing(part, view) for part in value]
    return plain(value) if isinstance(value, str) else value


def _sign(state: str, words: Words, view: View) -> Data:
    said = f": {words(f'meaning.{state}')}"
    name = span(capitalised(words(f"state.{state}")), "strong")
    return line(name, said, mark=state, tone=view.tone(state))


def _bars(words: Words, kinds: tuple[str, ...]) -> list[Data]:
    return [{"bar": kind, **line(words(f"picture.{kind}"))} for kind in kinds]


# --- sections -----------------------------------------------------------------------------------------------------


def _organisation(document: Document, words: Words, view: View) -> list[Data]:
    organisation = document.organisation
    asked = line(span(words("article.point_1", letter="a"), "strong"), f" {words('article30_1.a')}")
    found = [heading(1, words("heading.organisation")), para(asked, look="lead")]
    found += [
        facts(_party(party, words, view), title=words.word("party", party.role)) for party in organisation.parties
    ]
    rights = words.listing(view.labels("right", organisation.rights)) or words("common.unknown")
    rows = [
        ("website", organisation.website),
        ("policy_document", organisation.policy_url),
        ("policy_dated_on", words.day(organisation.policy_dated_on) if organisation.policy_dated_on else None),
        ("policy_version", organisation.policy_version),
        ("policy_period", words.period(organisation.policy_period) if organisation.policy_period else None),
        ("policy_start", organisation.policy_start),
        ("authority", organisation.authority or words("common.unknown")),
        ("request_promise", words.period(organisation.request_promise) if organisation.request_promise else None),
        ("rights", rights),
        ("languages", words.listing(view.language_names(organisation.languages))),
        ("systems_run", ", ".join(organisation.own_systems)),
    ]
    return [*found, facts(_said(rows, words), title=words("field.policy_document"))]


def _party(party: Party, words: Words, view: View) -> list[tuple[str, Cell]]:
    rows = [
        ("name", party.name),
        ("legal_name", party.legal_name),
        ("registration", party.registration),
        ("address", party.address),
        ("country", view.country(party.country) if party.country else None),
        ("email", party.email),
        ("telephone", party.telephone),
    ]
    return _said(rows, words)


def _said(rows: list[tuple[str, str | None]], words: Words) -> list[tuple[str, Cell]]:
    return [(words(f"field.{key}"), [line(text)]) for key, text in rows if text]


def _evidence(document: Document, words: Words, view: View) -> list[Data]:
    evidence = document.evidence
    found = [heading(1, words("heading.evidence")), para(line(words("intro.evidence")), look="lead")]
    if evidence is None:
        said = f" {words('empty.evidence')} {words('evidence.missing_text')}"
        found.append(para(line(span(f"{words('evidence.missing')}.", "strong", "bad"), said), look="alarm"))
    else:
        if evidence.is_sound:
            found.append(para(line(span(words("evidence.sound"), "strong"), mark="enforced", tone="good")))
        else:
            found.append(para(line(span(words("evidence.unsound"), "strong", "bad")), look="alarm"))
        if evidence.problems:
            told = [line(span(text, "english", "bad"), mark="overdue", tone="bad") for text in evidence.problems]
            found.append(para(*told))
        lines = [line(span(text, "code")) for text in evidence.checkpoint_text.splitlines()]
        found += [
            facts(
                [
                    (words("field.origin"), [line(evidence.origin)]),
                    (words("field.size"), [line(words.number(evidence.size))]),
                    (words("field.root"), [line(span(evidence.root, "code"))]),
                    (words("field.fingerprint"), [line(span(evidence.public_key_fingerprint, "code"))]),
                    (words("field.open_intents"), [line(words.number(evidence.open_intents))]),
                    *([(words("field.open_in"), _open(evidence, words, view))] if evidence.open_in else []),
                ]
            ),
            heading(2, words("field.checkpoint")),
            para(*lines, look="code"),
            heading(2, words("evidence.how")),
            {"kind": "steps", "items": [[line(words(f"evidence.how_{i}"))] for i in range(1, 6)]},
        ]
    return [
        *found,
        facts(
            [
                (words("field.policy"), [line(span(document.policy, "code"))]),
                (words("field.revision"), [line(words.number(document.register_revision))]),
                (words("field.timezone"), [line(document.timezone)]),
            ]
        ),
        para(line(words("pdf.attached", name=ATTACHED))),
    ]


def _open(evidence: Evidence, words: Words, view: View) -> Cell:
    return [
        line(f"{view.dataset(dataset)} ", span(dataset, "code"), f": {words.number(count)}")
        for dataset, count in evidence.open_in[:TABLE_ROWS]
    ]


def _reading(words: Words, view: View) -> list[Data]:
    found = [heading(1, words("heading.reading")), para(line(words("intro.reading")), look="lead")]
    for group, key in (("article30_1", "article.controller"), ("article30_2", "article.processor")):
        items = [{"letter": letter, "term": "", "lines": [line(text)]} for letter, text in view.points(group).items()]
        found += [heading(2, words(key)), {"kind": "legal", "items": items}]
    return [
        *found,
        heading(2, words("field.state")),
        para(*(_sign(state, words, view) for state in State)),
        para(line(words("pdf.codes"), look="soft"), line(words("text.footer"), look="soft")),
    ]
