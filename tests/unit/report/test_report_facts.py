"""Each fact of the document stands in every format: in words, or as it is.

Every number, date, instant, period and free text of the document is one that stands nowhere else in it, so that what is
found is that fact and no other. A format joins with a renderer and with its text in ``extract``.
"""

import re
from dataclasses import replace
from datetime import date, datetime
from enum import StrEnum
from functools import cache

import extract
import leaves
import pytest
import report_sample as sample

from ropa.clock import Period, timestamp
from ropa.report.facts import NO_FORMAT_HAS, SAME, facts
from ropa.report.words import Words
from ropa.report.writing import RENDERERS
from ropa.vocabulary import label

KINDS = ("category", "basis", "condition", "subject", "right", "safeguard", "measure")


def full():
    """The sample, with a value in each field of the model that it leaves empty."""
    return leaves.filled(sample.document())


DOCUMENT = leaves.Marker().mark(full())
WORDS = Words("nl", DOCUMENT.timezone)


@cache
def text_of(form):
    return squeezed(extract.TEXT_OF[form](RENDERERS[form](DOCUMENT, "nl")))


def squeezed(text):
    """Without blanks, line ends and hyphens: how a format breaks its lines is no fact, and pdftotext takes every hyphen
    at the end of a line for one that was put there."""
    return re.sub(r"[\s\u00ad\u200b-]+", "", text).casefold()


def spellings(value):
    """The ways in which a value may stand in a report in Dutch."""
    if isinstance(value, datetime):
        local = value.astimezone(WORDS.zone).replace(tzinfo=None)
        return [timestamp(value), WORDS.instant(value), str(local), str(value.replace(tzinfo=None))]
    if isinstance(value, date):
        return [value.isoformat(), WORDS.day(value), WORDS.month(value)]
    if isinstance(value, Period):
        return [value.iso, WORDS.period(value)]
    if isinstance(value, int):
        return [str(value), WORDS.number(value)]
    return [str(value), *_in_words(str(value))]


def _in_words(value):
    """What a key means: in the catalogue, in the vocabulary, as a country or a language, and a sentence around it."""
    found = [WORDS("text.row")] if value == "*" else []
    if re.fullmatch(r"zq\d+x\.zq\d+x", value):
        found.append(DOCUMENT.dataset_title(*value.split(".")))
    found += [text for key, text in WORDS.texts.items() if key.endswith((f".{value}", f".{value}.word"))]
    found += [label(kind, value, "nl") for kind in _kinds_with(value)]
    found += [WORDS.country(value), WORDS.language(value), WORDS.measure(value), WORDS.anchor(value)]
    return [piece for text in found for piece in [max(re.split(r"\{[a-z]+(?::[^}]*)?\}", text), key=len)]]


def _kinds_with(value):
    for kind in KINDS:
        try:
            label(kind, value, "nl")
        except (KeyError, LookupError, ValueError):
            continue
        yield kind


def missing_from(form):
    text = text_of(form)
    return [
        f"{fact.owner}.{fact.name} at {fact.path}: {spellings(fact.value)}"
        for fact in facts(DOCUMENT)
        if not isinstance(fact.value, bool)
        and (fact.owner, fact.name) not in leaves.CHOICES
        and (fact.around, fact.owner, fact.name) not in SAME
        and form not in NO_FORMAT_HAS.get((fact.around, fact.owner, fact.name), {})
        and not any(squeezed(spelled) in text for spelled in spellings(fact.value))
    ]


@pytest.mark.parametrize("form", RENDERERS)
def test_each_fact_of_the_document_stands_in_the_format(form):
    assert missing_from(form) == []


def test_the_facts_are_every_leaf_of_the_model_and_each_is_looked_for():
    leaves_of = {(type(found[1]).__name__, found[3]) for found in leaves.places(DOCUMENT)}
    assert {(fact.owner, fact.name) for fact in facts(DOCUMENT)} == leaves_of


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_truth_and_a_choice_change_what_is_said(form):
    document = sample.document()
    said = RENDERERS[form](document, "nl")
    for number, (path, part, around, name, kind) in enumerate(leaves.places(document), 1):
        old = getattr(part, name)
        is_choice = isinstance(old, (bool, StrEnum)) or (type(part).__name__, name) in leaves.CHOICES
        if is_choice and (around, type(part).__name__, name) not in SAME:
            value = leaves.fresh(number, type(part).__name__, name, kind, old)
            changed = RENDERERS[form](leaves.changed(document, path, name, value), "nl")
            assert changed != said, f"{type(part).__name__}.{name}"


def test_a_fact_that_is_taken_away_is_missed():
    document = replace(DOCUMENT, evidence=replace(DOCUMENT.evidence, root=""))
    root = DOCUMENT.evidence.root
    for form in ("csv", "json"):
        text = squeezed(extract.TEXT_OF[form](RENDERERS[form](document, "nl")))
        assert root not in text
        assert root in text_of(form)
