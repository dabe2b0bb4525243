"""The last sheets: what the evidence is worth and how to verify it, and how to read the others."""

from __future__ import annotations

from collections.abc import Iterator

from ropa.report.sheets.columns import alarming, table
from ropa.report.view import View
from ropa.report.workbook import BAD, GOOD, Cell, Table, Value
from ropa.sweep.standing import State

Rows = Iterator[tuple[Value | Cell, ...]]

_STEPS = range(1, 6)


def tables(view: View) -> Iterator[Table]:
    """Yield the evidence and the explanations."""
    yield table(view, "evidence", ("what", "answer"), _evidence(view))
    yield table(view, "reading", ("what", "point", "meaning"), _reading(view))


def _evidence(view: View) -> Rows:
    words, document, evidence = view.words, view.document, view.document.evidence
    if evidence is None:
        yield words("heading.evidence"), Cell((words("evidence.missing"), words("evidence.missing_text")), BAD)
    else:
        verdict = words("evidence.sound" if evidence.is_sound else "evidence.unsound")
        yield words("heading.evidence"), Cell(verdict, GOOD if evidence.is_sound else BAD)
        for problem in evidence.problems:
            yield words("field.problems"), Cell(problem, BAD)
        yield words("field.origin"), evidence.origin
        yield words("field.size"), evidence.size
        yield words("field.root"), evidence.root
        yield words("field.fingerprint"), evidence.public_key_fingerprint
        yield words("field.open_intents"), alarming(evidence.open_intents, is_bad=bool(evidence.open_intents))
        for name, count in evidence.open_in:
            yield words("field.open_in"), Cell(f"{view.dataset(name)} ({name}): {words.number(count)}", BAD)
        yield words("field.checkpoint"), tuple(evidence.checkpoint_text.splitlines())
        for step in _STEPS:
            yield words("evidence.how"), words(f"evidence.how_{step}")
    yield words("field.policy"), document.policy
    yield words("field.revision"), document.register_revision
    yield words("field.timezone"), document.timezone


def _reading(view: View) -> Rows:
    words = view.words
    for group, who in (("1", "article.controller"), ("2", "article.processor")):
        for letter, text in view.points(f"article30_{group}").items():
            yield words(who), words(f"article.point_{group}", letter=letter), text
    for state in State:
        yield words("field.state"), Cell(words.word("state", state), view.tone(state)), words(f"meaning.{state}")
