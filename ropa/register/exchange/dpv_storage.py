"""How long data stay, as a register in DPV says it: periods, their start, and words.

Invariant: a period is taken as one only where our grammar accepts it and the event it runs from is stated; everything
else comes over in the words of the file, for a person to settle.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rdflib.term import Node

from ropa.clock import parse_period
from ropa.register.exchange.dpv_terms import local, readable, short
from ropa.register.exchange.rdf import Source, Triple, lexical
from ropa.register.parse import LONGEST_TEXT

ELSEWHERE = "where data are stored follows from the rules in config/retention.toml"
_DEEPEST = 6
_MOST = 200
"""Conditions and durations of one record that are looked at; a web of them has more ways through it than time."""
_UNITS = {"unityear": "Y", "unitmonth": "M", "unitweek": "W", "unitday": "D"}
_TIMES = {"time:years": "Y", "time:months": "M", "time:weeks": "W", "time:days": "D"}
_WHOLE = re.compile(r"(\d{1,4})(?:\.0+)?")
_WORDED = ("dct:description", "dct:title", "skos:editorialNote", "rdfs:comment", "rdfs:label", "skos:prefLabel")
_TYPES = (
    "StorageCondition",
    "StorageDuration",
    "StorageDeletion",
    "Duration",
    "TemporalDuration",
    "UntilEventDuration",
)
TYPES = (*(f"dpv:{name}" for name in _TYPES), "time:Duration", "time:GeneralDurationDescription")


@dataclass(slots=True)
class Stay:
    """One period, for some of the data."""

    iso: str | None = None
    start: str | None = None
    texts: list[str] = field(default_factory=list)
    categories: list[Node] = field(default_factory=list)
    triples: list[Triple] = field(default_factory=list)
    is_until_event: bool = False

    @property
    def words(self) -> str:
        """All of it in one line."""
        return ": ".join(one for one in (self.iso, self.start, "; ".join(dict.fromkeys(self.texts))) if one)


def stays(source: Source, record: Node) -> list[Stay]:
    """Return every period that a record states for storage."""
    into = source.of(record, "dpv:hasStorageCondition")
    into += [one for one in source.of(record, "dpv:hasDuration") if "dpv:StorageDuration" in source.types(one[2])]
    budget = [_MOST]
    return [stay for triple in into for stay in _of(source, triple, [], (), budget)]


def _of(source: Source, into: Triple, categories: list[Node], above: tuple[Node, ...], budget: list[int]) -> list[Stay]:
    node = into[2]
    if node in above or len(above) > _DEEPEST or not budget[0]:
        return []
    budget[0] -= 1
    text = lexical(node)
    if text is not None or not source.has(node):
        stay = Stay(categories=categories, triples=[into])
        _value(stay, text if text is not None else readable(str(node)))
        return [stay]
    types = source.types(node)
    if "dpv:StorageLocation" in types:
        source.leave(into, ELSEWHERE)
        return []
    named = source.of(node, "dpv:hasPersonalData")
    own = Stay(categories=[value for _, _, value in named] or categories, triples=[into, *named])
    own.is_until_event = "dpv:UntilEventDuration" in types
    _read(source, node, own)
    inner = [
        stay
        for triple in source.of(node, "dpv:hasDuration")
        for stay in _of(source, triple, own.categories, (*above, node), budget)
    ]
    for triple in source.of(node, "dpv:hasLocation"):
        source.leave(triple, ELSEWHERE)
    own.triples += [one for one in source.of(node, "rdf:type") if short(str(one[2])) in TYPES]
    if len(inner) == 1:
        return [_joined(own, inner[0])]
    return [*([own] if own.words else []), *_with(own, inner)]


def _with(own: Stay, inner: list[Stay]) -> list[Stay]:
    """The ways to several periods are carried over with the first of them."""
    if inner and not own.words:
        inner[0].triples += own.triples
    return inner


def _joined(own: Stay, inner: Stay) -> Stay:
    return Stay(
        inner.iso or own.iso,
        inner.start or own.start,
        [*own.texts, *inner.texts],
        inner.categories or own.categories,
        [*own.triples, *inner.triples],
        own.is_until_event or inner.is_until_event,
    )


def _read(source: Source, node: Node, stay: Stay) -> None:
    """What a condition or a duration says of itself."""
    for triple in source.of(node, "rdf:value"):
        if (text := lexical(triple[2])) is not None:
            stay.triples.append(triple)
            _value(stay, text)
    for triple in source.of(node, *_WORDED):
        if text := _words(triple[2]):
            stay.triples.append(triple)
            stay.texts.append(text)
    for triple in source.of(node, "dpv:isAfter"):
        if stay.start is None and (text := _words(triple[2])):
            stay.triples.append(triple)
            stay.start = text
    numbers, units = source.of(node, "time:numericDuration"), source.of(node, "time:unitType")
    if len(numbers) == len(units) == 1:
        _counted(stay, [numbers[0], units[0]], numbers[0][2], _UNITS.get(local(str(units[0][2])).lower()))
    for predicate, unit in _TIMES.items():
        for triple in source.of(node, predicate):
            _counted(stay, [triple], triple[2], unit)


def _counted(stay: Stay, triples: list[Triple], number: Node, unit: str | None) -> None:
    whole = _WHOLE.fullmatch(lexical(number) or "")
    if whole and unit and int(whole[1]) and stay.iso is None:
        stay.iso = f"P{int(whole[1])}{unit}"
        stay.triples += triples


def _value(stay: Stay, text: str) -> None:
    """A literal where a period is meant."""
    try:
        if len(text) > 64 or stay.iso is not None:
            raise ValueError  # noqa: TRY301 - read as words, like what is no period
        parse_period(text)
        stay.iso = text.strip()
    except ValueError:
        if words := text.strip()[:LONGEST_TEXT]:
            stay.texts.append(words)


def _words(node: Node) -> str | None:
    text = lexical(node)
    return (text.strip() or None) if text is not None and len(text) <= LONGEST_TEXT else None


def settled(found: list[Stay]) -> dict[str, str]:
    """Return what the register says of periods that hold for the same data: as a period, a criterion, or in words."""
    if len(found) == 1:
        (one,) = found
        if one.iso and one.start and not one.texts:
            return {"stated_period": one.iso, "stated_start": one.start}
        if one.is_until_event and not one.iso and one.words:
            return {"criterion": one.words}
    text = "; ".join(dict.fromkeys(one.words for one in found if one.words))
    return {"stated_text": text} if text else {}
