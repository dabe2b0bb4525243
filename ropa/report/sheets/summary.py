"""The first sheets: the answer with its reasons and numbers, and whose register it is."""

from __future__ import annotations

from collections.abc import Iterator

from ropa.report.sheets.columns import alarming, head, table
from ropa.report.view import ALARMS, View
from ropa.report.workbook import BAD, GOOD, Cell, Table, Value

Rows = Iterator[tuple[Value | Cell, ...]]

_TILES = ("due", "done", "waiting", "held", "blocked", "fell_short", "flagged", "findings")
_BAD_TILES = frozenset({"blocked", "fell_short", "findings"})


def tables(view: View) -> Iterator[Table]:
    """Yield the summary and the organisation."""
    yield table(view, "summary", ("what", "answer", "explanation"), _summary(view))
    yield table(view, "organisation", ("who", "what", "answer"), _organisation(view))


def _summary(view: View) -> Rows:
    words, document, summary = view.words, view.document, view.document.summary
    yield words("title.document"), document.organisation.parties[0].name, words("title.basis")
    yield head(view, "as_of"), document.as_of
    yield head(view, "generated_at"), document.generated_at
    yield words("field.revision"), document.register_revision
    yield (
        words("heading.asked"),
        Cell(words(f"verdict.{summary.verdict}.word"), view.verdict_tone(summary.verdict)),
        words(f"verdict.{summary.verdict}.sentence"),
    )
    for reason in summary.reasons:
        told = words.count(f"reason.{reason.code}", reason.count)
        is_bad = reason.code in ALARMS
        yield words("column.why"), alarming(reason.count, is_bad=is_bad), alarming(told, is_bad=is_bad)
    for name in _TILES:
        count = getattr(summary, name)
        unit = None if name == "findings" else words("tile.unit")
        yield words(f"tile.{name}"), alarming(count, is_bad=bool(count) and name in _BAD_TILES), unit
    yield words("field.done_total"), summary.done_total, words("tile.total_note", n=words.number(summary.done_total))
    if summary.oldest_scan_at is None:
        yield head(view, "scanned_at"), Cell(words("tile.never_note"), BAD)
    else:
        note = words("tile.scan_note", at=words.instant(summary.oldest_scan_at))
        yield head(view, "scanned_at"), summary.oldest_scan_at, note
    yield from _nights(view)
    yield words("heading.evidence"), *_evidence(view)
    yield words("column.note"), words("text.footer")
    if document.places:
        yield words("column.note"), Cell(words("text.no_backups"), BAD)


def _nights(view: View) -> Rows:
    """How steadily the nightly job ran; the sheet of the nights says when it did not."""
    words, document = view.words, view.document
    first = document.first_sweep_on or Cell(words("nights.never"), BAD)
    yield words("field.first_sweep_on"), first
    if document.last_sweep_on is not None:
        yield words("field.last_sweep_on"), document.last_sweep_on
    missed = document.missed_nights
    told = words("nights.none") if document.first_sweep_on is not None and not missed else None
    yield words("field.missed_nights"), alarming(missed, is_bad=bool(missed)), told


def _evidence(view: View) -> tuple[Cell, str | None]:
    words, evidence = view.words, view.document.evidence
    if evidence is None:
        return Cell(words("evidence.brief_none"), BAD), words("evidence.missing_text")
    lines = words.count("lines", evidence.size)
    if evidence.is_sound:
        return Cell(words("evidence.brief_sound", lines=lines), GOOD), None
    return Cell(words("evidence.brief_unsound", lines=lines), BAD), words("evidence.unsound")


def _organisation(view: View) -> Rows:
    words, part = view.words, view.document.organisation
    for party in part.parties:
        who = words.word("party", party.role)
        for name in ("name", "legal_name", "registration", "address", "country", "email", "telephone"):
            value = getattr(party, name)
            if value:
                yield who, words(f"field.{name}"), view.country(value) if name == "country" else value
    who = words("heading.organisation")
    facts: dict[str, Value] = {
        "website": part.website,
        "authority": part.authority or words("common.unknown"),
        "request_promise": words.period(part.request_promise) if part.request_promise else None,
        "systems_run": part.own_systems,
        "rights": tuple(view.labels("right", part.rights)) or words("common.unknown"),
        "languages": tuple(view.language_names(part.languages)),
        "policy_document": part.policy_url,
        "policy_dated_on": part.policy_dated_on,
        "policy_version": part.policy_version,
        "policy_period": words.period(part.policy_period) if part.policy_period else None,
        "policy_start": part.policy_start,
    }
    for name, fact in facts.items():
        if fact:
            yield who, words(f"field.{name}"), fact
