"""What things in RDF are called: labels, and literals that the register can hold."""

from __future__ import annotations

import re

from rdflib import Literal
from rdflib.term import Node

from ropa.register.exchange.rdf import Source, Triple
from ropa.register.parse import LONGEST_TEXT

_LABELS = ("dct:title", "skos:prefLabel", "rdfs:label", "dpv:hasName", "foaf:name", "vcard:fn", "schema:name")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def usable(node: Node) -> str | None:
    """Return the text of a literal where the register can hold it."""
    if not isinstance(node, Literal):
        return None
    text = str(node).strip()
    return text if text and len(text) <= LONGEST_TEXT and not _UNPRINTABLE.search(text) else None


class Labels:
    """The names that a file gives to what it describes."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def text(self, node: Node) -> str | None:
        """Return a node's label; None where it has none."""
        found = self._best(node)
        return usable(found[2]) if found else None

    def take(self, node: Node) -> str | None:
        """Return a node's label and count it as carried over; of several one, English or without a language."""
        found = self._best(node)
        if found is None:
            return None
        self._source.use(found)
        return usable(found[2])

    def _best(self, node: Node) -> Triple | None:
        for name in _LABELS:
            said = [triple for triple in self._source.of(node, name) if usable(triple[2])]
            if said:
                return min(said, key=_rank)
        return None


def _rank(triple: Triple) -> tuple[int, str]:
    language = triple[2].language if isinstance(triple[2], Literal) else None
    return (0 if language is None else 1 if language.startswith("en") else 2, str(triple[2]))
