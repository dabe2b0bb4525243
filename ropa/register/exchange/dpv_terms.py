"""Names in registers in RDF: the Data Privacy Vocabulary under every namespace it has had, and what they mean here.

Invariant: a term becomes one of our keys only where the vocabulary maps that key to the term and to no other; what is
wider, narrower or ambiguous keeps its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from urllib.parse import unquote

from ropa.vocabulary import Term, categories, measures, subjects

OWN = "urn:ropa:terms#"
"""Namespace of what our report says besides DPV (``ropa.report.nodes``)."""

_DPV = re.compile(r"https?://(?:w3id\.org|www\.w3\.org/ns)/dpv(?P<path>[\w/-]*)[#/](?P<name>[^#/]+)")
_WRITTEN = re.compile(r"/?(?:dpv-(?:skos|owl)|owl|skos)(?=/|$)")
_PARTS = {"": "dpv", "pd": "pd", "dpv-pd": "pd", "legal/eu/gdpr": "eu-gdpr", "dpv-gdpr": "eu-gdpr", "gdpr": "eu-gdpr"}
_PARTS |= {"loc": "loc", "legal/loc": "loc", "dpv-legal": "loc", "tech": "tech", "legal/eu": "legal-eu"}
_OTHERS = {
    "http://purl.org/dc/terms/": "dct",
    "http://purl.org/dc/elements/1.1/": "dct",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
    "http://www.w3.org/2000/01/rdf-schema#": "rdfs",
    "http://www.w3.org/2002/07/owl#": "owl",
    "http://www.w3.org/2004/02/skos/core#": "skos",
    "http://www.w3.org/2006/time#": "time",
    "https://www.w3.org/TR/owl-time/": "time",
    "http://www.w3.org/2006/vcard/ns#": "vcard",
    "http://www.w3.org/ns/dcat#": "dcat",
    "http://www.w3.org/ns/org#": "org",
    "http://xmlns.com/foaf/0.1/": "foaf",
    "http://xmlns.com/foaf/spec/": "foaf",
    "https://schema.org/": "schema",
    "http://schema.org/": "schema",
    "https://w3id.org/dpcat#": "dpcat",
    OWN: "ropa",
}
HEADER: Mapping[str, str] = {
    "dpv": "https://w3id.org/dpv#",
    "pd": "https://w3id.org/dpv/pd#",
    "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
    "loc": "https://w3id.org/dpv/loc#",
    "tech": "https://w3id.org/dpv/tech#",
    "legal-eu": "https://w3id.org/dpv/legal/eu#",
    "justifications": "https://w3id.org/dpv/justifications#",
    "risk": "https://w3id.org/dpv/risk#",
    "dpcat": "https://w3id.org/dpcat#",
    "dct": "http://purl.org/dc/terms/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "time": "http://www.w3.org/2006/time#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "foaf": "http://xmlns.com/foaf/0.1/",
}
"""What a file's header may have to declare; named in an error, never supplied."""
_RENAMED = {
    "dpv:PersonalDataHandling": "dpv:Process",
    "dpv:PersonalDataProcess": "dpv:Process",
    "dpv:hasController": "dpv:hasDataController",
    "dpv:hasPersonalDataCategory": "dpv:hasPersonalData",
    "dpv:hasPersonalDataHandling": "dpv:hasProcess",
    "dpv:hasProcessor": "dpv:hasDataProcessor",
    "dpv:hasStorage": "dpv:hasStorageCondition",
    "dpv:hasTechnicalOrganisationalMeasures": "dpv:hasTechnicalOrganisationalMeasure",
    "dpv:Processor": "dpv:DataProcessor",
    "dct:contactPoint": "dcat:contactPoint",
    "pd:HealthData": "pd:Health",
    "pd:EducationalQualification": "pd:EducationQualification",
    "rdfs:subClassOf": "skos:broader",
    "skos:broadMatch": "skos:broader",
    "skos:broaderTransitive": "skos:broader",
    "skos:exactMatch": "skos:broader",
}
"""Older and equal names, by the one that is read."""
_BASES = {
    "6.1.a": ("Consent", "ExplicitlyExpressedConsent", "ExplicitConsent", "ExpressedConsent", "InformedConsent"),
    "6.1.b": ("Contract", "ContractPerformance", "EnterIntoContract"),
    "6.1.c": ("LegalObligation",),
    "6.1.d": ("VitalInterest", "VitalInterestOfDataSubject", "VitalInterestOfNaturalPerson"),
    "6.1.e": ("PublicInterest", "OfficialAuthorityOfController"),
    "6.1.f": ("LegitimateInterest", "LegitimateInterestOfController", "LegitimateInterestOfThirdParty"),
}
_AMBIGUOUS = frozenset({"pd:OfficialID"})
"""A national number, or the document it stands on: two keys of ours, under different rules (Art. 87)."""
_ARTICLE_6 = re.compile(r"A6-1-([a-f])(?:-[a-z-]+)?")
_ARTICLE_9 = re.compile(r"A9-2-([a-j])")


@cache
def short(iri: str) -> str:
    """Return ``prefix:name`` of a term of a vocabulary that is read here, by its present name; else the IRI."""
    found = _DPV.fullmatch(iri)
    if found:
        part = _PARTS.get(_WRITTEN.sub("", found["path"]).strip("/"))
        name = f"{part}:{found['name']}" if part else iri
        return _RENAMED.get(name, name)
    head = next((start for start in (iri[: iri.rfind(end) + 1] for end in "#/") if start in _OTHERS), None)
    if head is None:
        return iri
    name = f"{_OTHERS[head]}:{iri[len(head) :]}"
    return _RENAMED.get(name, name)


def local(iri: str) -> str:
    """Return the last part of an IRI, printable and not longer than people read."""
    last = unquote(re.split(r"[#/:]", iri.rstrip("#/:"))[-1], errors="replace")
    return re.sub(r"[^\w .,()+&'-]", "_", last)[:80].strip() or "unnamed"


def readable(iri: str) -> str:
    """Return the last part of an IRI as words: ``DirectMarketing`` is "Direct marketing"."""
    name = local(iri)
    if not name.isascii() or not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", name):
        return name
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    first, *rest = words or [name]
    return " ".join([first[:1].upper() + first[1:], *(word if word.isupper() else word.lower() for word in rest)])


def own_term(field: str) -> str:
    """Return our term for a field of the register or the report: ``ropa:legalBasis``."""
    head, *rest = field.split("_")
    return "ropa:" + head + "".join(word.capitalize() for word in rest)


def _by_term(terms: Iterable[Term], names: Iterable[str] | None = None) -> Mapping[str, str]:
    """Terms that mean one key: those that stand alone for it before those that stand with others."""
    found: dict[str, str] = {}
    known = [term for term in terms if not term.is_lossy]
    for term in sorted(known, key=lambda one: len(one.dpv) > 1):
        for name in term.dpv if names is None else term.dpv[:1]:
            found.setdefault(name, term.key)
    return MappingProxyType(found)


@cache
def category_of() -> Mapping[str, str]:
    """Data categories by term; DPV before 1.0 had its kinds of data under ``dpv:``."""
    found = {name: key for name, key in _by_term(categories().values()).items() if name not in _AMBIGUOUS}
    return MappingProxyType({**found, **{name.replace("pd:", "dpv:", 1): key for name, key in found.items()}})


@cache
def subject_of() -> Mapping[str, str]:
    """Categories of data subjects by term."""
    return MappingProxyType(
        {one.dpv[0]: key for key, one in subjects().items() if one.dpv[:1] != ("dpv:HumanSubject",)}
    )


@cache
def measure_by() -> Mapping[str, str]:
    """English labels of measures by term."""
    return MappingProxyType({name: one.labels["en"] for one in measures().values() for name in one.dpv[:1]})


@cache
def basis_of(name: str) -> str | None:
    """Return the legal basis of Art. 6(1) that a term is, or is a kind of."""
    prefix, _, word = name.partition(":")
    if prefix == "eu-gdpr" and (found := _ARTICLE_6.fullmatch(word)):
        return f"6.1.{found[1]}"
    return next((key for key, words in _BASES.items() if prefix == "dpv" and word in words), None)


def condition_of(name: str) -> str | None:
    """Return the condition of Art. 9(2) that a term is."""
    found = _ARTICLE_9.fullmatch(name.removeprefix("eu-gdpr:"))
    return f"9.2.{found[1]}" if found else None
