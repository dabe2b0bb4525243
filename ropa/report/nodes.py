"""The parts of JSON-LD: names of things, literals, and the facts of a part of the model under names of our own.

DPV has no words for much of what a report with evidence says. Every field of the document model therefore stands in
the file as ``ropa:<field>`` (``worst_late_days``: ``ropa:worstLateDays``), or under the standard term that says just
that; what DPV can say besides is added by ``ropa.report.dpv``. Invariants: a field that the model gains is in the file
without further work; every name is percent-encoded, so that no text of a register can end or change an IRI.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from ropa.clock import Period, timestamp
from ropa.register.exchange.dpv_terms import own_term

Node = dict[str, Any]

STANDARD = {
    ("ActivityPart", "title"): "dct:title",
    ("ActivityPart", "description"): "dct:description",
    ("CategoryPart", "description"): "skos:definition",
    ("CategoryPart", "title"): "skos:prefLabel",
    ("DatasetPart", "title"): "dct:title",
    ("Document", "generated_at"): "dct:issued",
    ("Party", "address"): "dpv:hasAddress",
    ("Party", "name"): "dpv:hasName",
    ("Party", "registration"): "dpv:hasIdentifier",
    ("PlacePart", "title"): "dct:title",
    ("RecipientPart", "contact"): "dpv:hasContact",
    ("RecipientPart", "name"): "dpv:hasName",
}
"""Fields that a standard term says exactly."""


class Iris:
    """Names for what one register speaks of: ``urn:ropa:<organisation>:<kind>:<key>``."""

    def __init__(self, organisation: str) -> None:
        self.base = f"urn:ropa:{_part(organisation) or 'register'}"

    def __call__(self, kind: str, *keys: str | int) -> str:
        """Return the IRI of a thing of a kind."""
        return ":".join([self.base, kind, *(_part(str(key)) for key in keys)])


def _part(text: str) -> str:
    return quote(text.encode("utf-8", "replace"), safe="")


def ref(iri: str) -> Node:
    """Return a reference to a node."""
    return {"@id": iri}


def refs(iris: list[str]) -> list[Node]:
    """Return references, each once."""
    return [ref(iri) for iri in dict.fromkeys(iris)]


def told(text: str, lang: str) -> Node:
    """Return words of the report, in its language. A text from the register has no language that we know."""
    return {"@value": text, "@language": lang}


def duration(period: Period) -> Node:
    """Return a period as ``xsd:duration``, which has no weeks: a week is seven days."""
    return {"@type": "xsd:duration", "@value": replace(period, weeks=0, days=period.days + 7 * period.weeks).iso}


class Facts:
    """Parts of the model as nodes; remembers which terms of ours it used, so that the file can describe them."""

    def __init__(self) -> None:
        self.properties: dict[str, str] = {}
        """Term and the words of its field."""
        self.classes: dict[str, str] = {}

    def node(self, part: Any, *types: str, iri: str | None = None, without: tuple[str, ...] = ()) -> Node:
        """Return every field of a part that says something, save ``without``, whose nodes the caller links."""
        kind = type(part).__name__
        self.classes[f"ropa:{kind}"] = _words(kind)
        found: Node = {"@id": iri} if iri else {}
        found["@type"] = [*types, f"ropa:{kind}"]
        for field in fields(part):
            value = getattr(part, field.name)
            if value is None or value == () or field.name in without:
                continue
            found[self.term(kind, field.name)] = self._value(value)
        return found

    def term(self, kind: str, field: str) -> str:
        """Return the term of a field: the standard one where there is one, else ours."""
        standard = STANDARD.get((kind, field))
        if standard is not None:
            return standard
        return self.own(field)

    def own(self, field: str) -> str:
        """Return our term for a field, and remember it."""
        term = own_term(field)
        self.properties[term] = field.replace("_", " ")
        return term

    def _value(self, value: Any) -> Any:
        if isinstance(value, Period):
            return value.iso
        if isinstance(value, StrEnum):
            return str(value)
        if isinstance(value, datetime):
            return {"@type": "xsd:dateTime", "@value": timestamp(value)}
        if isinstance(value, date):
            return {"@type": "xsd:date", "@value": value.isoformat()}
        if is_dataclass(value):
            return self.node(value)
        if isinstance(value, tuple):
            return [self._pair(*one) if isinstance(one, tuple) else self._value(one) for one in value]
        return value

    def _pair(self, word: str, number: str | int) -> Node:
        """A word with its count (outcomes, blockers) or with what goes with it (masks)."""
        return {self.own("word"): word, self.own("count" if isinstance(number, int) else "value"): number}

    def described(self) -> list[Node]:
        """Return what our terms are, one node each."""
        return [
            {"@id": term, "@type": kind, "rdfs:label": told(words, "en")}
            for kind, terms in (("rdfs:Class", self.classes), ("rdf:Property", self.properties))
            for term, words in sorted(terms.items())
        ]


def _words(kind: str) -> str:
    return "".join(f" {c.lower()}" if c.isupper() else c for c in kind).strip().removesuffix(" part")
