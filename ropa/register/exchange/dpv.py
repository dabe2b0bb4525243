"""A register in DPV or DPCat, of any version since 2019, in Turtle, N-Triples, RDF/XML or JSON-LD.

Each ``dpcat:ROPARecord``, ``dpv:Process`` (before: ``PersonalDataHandling``) or ``dcat:Dataset`` that says what DPV
says of processing becomes an activity. Terms that the vocabulary maps to one of our keys become that key; others become
categories and subjects of the file's own. Invariants: one file at a time, and nothing outside of it is looked at;
what is not carried over is listed by subject and predicate, never by value; nothing is chosen among several.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rdflib import BNode
from rdflib.term import Node

from ropa.register.exchange import dpv_own
from ropa.register.exchange.dpv_parties import Parties
from ropa.register.exchange.dpv_storage import Stay, settled, stays
from ropa.register.exchange.dpv_terms import (
    basis_of,
    category_of,
    condition_of,
    measure_by,
    readable,
    short,
    subject_of,
)
from ropa.register.exchange.dpv_words import Labels, usable
from ropa.register.exchange.incoming import Incoming, key_of
from ropa.register.exchange.rdf import Source, Triple, parse, refused
from ropa.register.parse import LONGEST_LIST, LONGEST_TEXT, MOST_ENTRIES, from_data
from ropa.vocabulary import categories

_SAYS = frozenset(
    f"dpv:has{name}"
    for name in (
        *("Purpose", "PersonalData", "Processing", "LegalBasis", "DataSubject", "StorageCondition", "Recipient"),
        *("DataController", "DataProcessor", "DataSource", "TechnicalOrganisationalMeasure", "TechnicalMeasure"),
        "OrganisationalMeasure",
    )
)
_MEASURES = ("dpv:hasTechnicalMeasure", "dpv:hasOrganisationalMeasure", "dpv:hasTechnicalOrganisationalMeasure")
_MEASURED = ("dpv:TechnicalMeasure", "dpv:OrganisationalMeasure", "dpv:TechnicalOrganisationalMeasure")
_MOST_ABOVE = 50
"""Things that one thing is narrower than, which are looked at."""
_SEVERAL = "it says several and not which is for what; say it in the register"
_FROM_THE_PERSON = frozenset({"dpv:DataSubjectDataSource", "dpv:DataSubject"})
_OUTSIDE = "it is described outside of the file; its name alone was taken over"


def read(data: bytes, name: str, form: str) -> Incoming:
    """Read a register in RDF; ``form``: ``turtle`` (of N3 only what is Turtle), ``nt``, ``xml``, ``json-ld``.

    Raises RegisterError for what cannot be read or holds no record of processing.
    """
    source = Source(parse(data, name, form))
    own = dpv_own.register(source)
    document = own if own is not None else _Reader(source).document(name)
    left = dpv_own.left(source) if own is not None else source.left()
    return Incoming("dpv", from_data(document, name), is_whole=False, left=left)


class _Reader:
    """The records of one file."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.labels = Labels(source)
        self.categories: dict[str, dict[str, Any]] = {}
        self._category_keys: dict[Node, str] = {}
        self._subject_keys: dict[Node, str] = {}
        self._known_names: dict[Node, dict[str, list[Triple]]] = {}

    def document(self, name: str) -> dict[str, Any]:
        """The register as ``from_data`` reads it. Raises RegisterError where there is no record."""
        records = [node for node in self.source.subjects() if self._is_record(node)]
        if not records:
            raise refused(
                name,
                "holds no record of processing",
                "Give a file with dpcat:ROPARecord or dpv:Process; a vocabulary alone is no register.",
            )
        if len(records) > MOST_ENTRIES:
            raise refused(name, f"holds more than {MOST_ENTRIES:,} records; import it in parts")
        self.parties = Parties(self.source, self.labels, records)
        activities: dict[str, dict[str, Any]] = {}
        for record in records:
            title = self.labels.take(record) or self._place(record)
            activities[key_of(title, activities, fallback="activity")] = self._activity(record, title)
        found = {"recipient": self.parties.recipients, "category": self.categories, "activity": activities}
        organisation = self.parties.organisation()
        return ({"organisation": organisation} if organisation else {}) | {k: v for k, v in found.items() if v}

    def _is_record(self, node: Node) -> bool:
        types, says = self.source.types(node), self.source.says(node)
        if "dpcat:ROPARecord" in types:
            return True
        parent = self.source.parent(node)
        if parent is not None and any(one.startswith("dpv:Right") for one in self.source.types(parent)):
            return False
        is_listed = "dcat:Dataset" in types and not types & {"dcat:Catalog", "dpcat:ROPA"}
        return ("dpv:Process" in types or is_listed) and bool(says & _SAYS)

    def _place(self, record: Node) -> str:
        parent = self.source.parent(record)
        if isinstance(record, BNode) and parent is not None:
            return self.labels.text(parent) or readable(str(parent))
        return readable(str(record)) if not isinstance(record, BNode) else "Processing"

    def _activity(self, record: Node, title: str) -> dict[str, Any]:
        source = self.source
        source.use_types(record, "dpcat:ROPARecord", "dpv:Process", "dcat:Dataset")
        found: dict[str, Any] = {"title": title} | self._texts(record) | self._bases(record)
        found["purposes"] = self._named(source.of(record, "dpv:hasPurpose"), "dpv:Purpose")
        found["subjects"] = self._subjects(record)
        found["measures"] = self._named(source.of(record, *_MEASURES), *_MEASURED)
        found["source"] = "; ".join(self._sources(record))[:LONGEST_TEXT]
        found |= self.parties.of(record)
        if found.get("role") == "processor":
            found["processing"] = self._processing(record)
        data: dict[str, Any] = {
            self._category(triple): {} for triple in source.of(record, "dpv:hasPersonalData")[:LONGEST_LIST]
        }
        data.pop("", None)
        found["data"] = data
        self._periods(record, found)
        return {key: value for key, value in found.items() if value not in ("", [], {})}

    def _texts(self, record: Node) -> dict[str, str]:
        found: dict[str, str] = {}
        for field, predicates in (
            ("description", ["dct:description"]),
            ("note", ["skos:editorialNote", "rdfs:comment"]),
        ):
            for triple in self.source.of(record, *predicates):
                if field not in found and (text := usable(triple[2])):
                    found[field] = text
                    self.source.use(triple)
        for triple in self.source.of(record, "dcat:contactPoint"):
            if "owner" not in found and (text := self.labels.take(triple[2])):
                found["owner"] = text
                self.source.use(triple)
        return found

    def _bases(self, record: Node) -> dict[str, str]:
        bases: dict[str, list[Triple]] = {}
        conditions: dict[str, list[Triple]] = {}
        law: list[str] = []
        for triple in self.source.of(record, "dpv:hasLegalBasis"):
            names = self._names(triple[2])
            for found, meant in ((bases, basis_of), (conditions, condition_of)):
                for name, ways in names.items():
                    if key := meant(name):
                        found.setdefault(key, []).extend([triple, *ways])
            if short(str(triple[2])) not in names or len(names) > 1:
                law += filter(None, [self.labels.text(triple[2])])
        said: dict[str, str] = {}
        for field, found in (("legal_basis", bases), ("condition", conditions)):
            if len(found) == 1:
                ((said[field], triples),) = found.items()
                self.source.use(*triples)
            for triple in [one for triples in found.values() for one in triples] if len(found) > 1 else []:
                self.source.leave(triple, _SEVERAL)
        if len(law) == 1 and said.get("legal_basis"):
            for triple in self.source.of(record, "dpv:hasLegalBasis"):
                if self.labels.text(triple[2]) == law[0] and (text := self.labels.take(triple[2])):
                    said["legal_reference"] = text
                    self.source.use_types(triple[2], "dpv:LegalBasis")
        return said

    def _names(self, node: Node) -> dict[str, list[Triple]]:
        """A node's own name, its types and what it is narrower than, with the triples that say so."""
        if node in self._known_names:
            return self._known_names[node]
        found: dict[str, list[Triple]] = {short(str(node)): []} if not isinstance(node, BNode) else {}
        waiting: list[tuple[Node, list[Triple]]] = [(node, [])]
        seen = {node}
        while waiting and len(seen) < _MOST_ABOVE:
            at, way = waiting.pop(0)
            for triple in self.source.of(at, "rdf:type", "skos:broader"):
                name = short(str(triple[2]))
                if name not in found:
                    found[name] = [*way, triple]
                if triple[2] not in seen:
                    seen.add(triple[2])
                    waiting.append((triple[2], [*way, triple]))
        self._known_names[node] = found
        return found

    def _named(self, triples: Sequence[Triple], *types: str) -> list[str]:
        """Texts for what triples lead to: labels, literals, and names as words."""
        found: dict[str, None] = {}
        for triple in triples[:LONGEST_LIST]:
            node = triple[2]
            name = short(str(node))
            text = measure_by().get(name) or usable(node) or self.labels.take(node)
            if text is None and not isinstance(node, BNode):
                text = self._plain(triple)
            if text is None:
                text = next((readable(one) for one in sorted(self._names(node)) if one not in types), None)
            if text:
                found[text] = None
                self.source.use(triple)
                self.source.use_types(node, *types)
        return list(found)

    def _processing(self, record: Node) -> list[str]:
        """The kinds of processing, also where a node without a name has several as its types."""
        found: dict[str, None] = {}
        for triple in self.source.of(record, "dpv:hasProcessing")[:LONGEST_LIST]:
            if isinstance(triple[2], BNode) and self.labels.text(triple[2]) is None:
                types = sorted(self.source.types(triple[2]) - {"dpv:Processing"})
                self.source.use_types(triple[2], *types)
                self.source.use(triple)
                found |= dict.fromkeys(readable(name) for name in types)
            else:
                found |= dict.fromkeys(self._named([triple], "dpv:Processing"))
        return list(found)[:LONGEST_LIST]

    def _plain(self, triple: Triple) -> str:
        node = triple[2]
        if short(str(node)) == str(node) and not self.source.has(node):
            self.source.note(node, _OUTSIDE)
        return readable(str(node))

    def _sources(self, record: Node) -> list[str]:
        found = []
        for triple in self.source.of(record, "dpv:hasDataSource"):
            if short(str(triple[2])) in _FROM_THE_PERSON:
                self.source.use(triple)
                found.append("data subject")
            else:
                found += self._named([triple], "dpv:DataSource")
        return list(dict.fromkeys(found))

    # --- keys -----------------------------------------------------------------------------------------------------

    def _subjects(self, record: Node) -> list[str]:
        found: dict[str, None] = {}
        for triple in self.source.of(record, "dpv:hasDataSubject")[:LONGEST_LIST]:
            node = triple[2]
            if short(str(node)) == "dpv:DataSubject":
                continue
            if node not in self._subject_keys:
                self._subject_keys[node] = self._key(node, subject_of(), "subject", self._subject_keys)
            if key := self._subject_keys[node]:
                found[key] = None
                self.source.use(triple)
                self.source.use_types(node, "dpv:DataSubject")
        return list(found)

    def _key(self, node: Node, known: Any, fallback: str, taken: dict[Node, str]) -> str:
        """One of our keys where exactly one is meant; else one of its own, from its title."""
        names = self._names(node)
        meant = {known[name] for name in names if name in known}
        if len(meant) == 1:
            for name, ways in names.items():
                self.source.use(*(ways if name in known else ()))
            return str(meant.pop())
        if isinstance(node, BNode) and self.labels.text(node) is None:
            return ""
        if fallback == "data":
            title = usable(node) or self.labels.take(node) or self._plain((node, node, node))
            return key_of(title, {*taken.values(), *categories()}, fallback=fallback)
        title = usable(node) or self.labels.text(node) or self._plain((node, node, node))
        key = key_of(title, set(taken.values()), fallback=fallback)
        if key == title:
            self.labels.take(node)
        return key

    def _category(self, triple: Triple) -> str:
        node = triple[2]
        name = short(str(node))
        if name in {"dpv:PersonalData", "dpv:SpecialCategoryPersonalData"} or not str(node).strip():
            return ""
        if node not in self._category_keys:
            title = usable(node) or self.labels.text(node) or readable(str(node))
            key = self._key(node, category_of(), "data", self._category_keys)
            self._category_keys[node] = key
            if key and key not in categories():
                self.categories[key] = {"title": title} | self._marks(node)
        if self._category_keys[node]:
            self.source.use(triple)
            self.source.use_types(node, "dpv:PersonalData")
        return self._category_keys[node]

    def _marks(self, node: Node) -> dict[str, bool]:
        ways = self._names(node).get("dpv:SpecialCategoryPersonalData")
        if ways is None:
            return {}
        self.source.use(*ways)
        return {"special": True}

    # --- periods --------------------------------------------------------------------------------------------------

    def _periods(self, record: Node, found: dict[str, Any]) -> None:
        """The periods of the whole activity, and of the categories that a period names."""
        data: dict[str, dict[str, str]] = found["data"]
        by_target: dict[str, list[Stay]] = {}
        for stay in stays(self.source, record):
            keys = [self._category((node, node, node)) for node in stay.categories]
            for key in dict.fromkeys(key for key in keys if key) or [""]:
                by_target.setdefault(key, []).append(stay)
        for key, group in by_target.items():
            said = settled(group)
            if any(len(text) > LONGEST_TEXT for text in said.values()):
                for triple in [one for stay in group for one in stay.triples]:
                    self.source.leave(triple, f"its words are longer than {LONGEST_TEXT:,} characters together")
                continue
            (data.setdefault(key, {}) if key else found).update(said)
            for stay in group:
                self.source.use(*stay.triples)
