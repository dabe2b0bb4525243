"""Our own report in JSON-LD, read back: the facts of the register that it holds, under the names that it gives them.

What comes from rules, runs and the ledger is evidence and no fact of the register; it is listed, and so are the terms
of DPV, which say again what our own terms say. Not in a report, and so not back: notes, references of data categories,
what a policy says of cookies, third parties and identification. Periods come back as people write them ("30 days").
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rdflib.term import Node

from ropa.clock import parse_period
from ropa.register.exchange.dpv_terms import own_term
from ropa.register.exchange.incoming import NotCarried
from ropa.register.exchange.rdf import Source, lexical, named
from ropa.register.models import SESSION, Activity, Contact, Cookie, DataUse, Organisation, Recipient
from ropa.register.specs import LISTS, Kind, specs

_STANDARD = {"name": "dpv:hasName", "title": "dct:title", "description": "dct:description"}
_RENAMED = {
    "ActivityPart": {},
    "Party": {"address": "dpv:hasAddress", "registration": "dpv:hasIdentifier"},
    "RecipientPart": {"contact": "dpv:hasContact"},
}
_DERIVED = "the report says it from rules, runs and the ledger, or says it again in DPV; the register does not hold it"


def register(source: Source) -> dict[str, Any] | None:
    """Return the register as ``from_data`` reads it; None where the file is not a report of ours."""
    reports = list(_of_kind(source, "Document"))
    if not reports:
        return None
    read = _Own(source)
    found = {
        "organisation": read.organisation(),
        "recipient": read.entries("RecipientPart", read.recipient),
        "cookie": read.entries("CookiePart", read.cookie, key="ropa:name"),
        "category": read.entries("CategoryPart", read.category),
        "activity": read.entries("ActivityPart", read.activity),
    }
    return {key: value for key, value in found.items() if value}


def left(source: Source) -> tuple[NotCarried, ...]:
    """Return what was not carried over: by kind of node and predicate, because a report says much of little."""
    found: dict[tuple[str, str], int] = {}
    for triple in source.triples:
        if triple not in source.used:
            kinds = sorted(source.types(triple[0]), key=lambda name: (not name.startswith("ropa:"), name))
            at = (kinds[0] if kinds else "other", named(triple[1]))
            found[at] = found.get(at, 0) + 1
    return tuple(NotCarried(f"{kind} > {predicate} ({count})", _DERIVED) for (kind, predicate), count in found.items())


def _of_kind(source: Source, kind: str) -> Iterator[Node]:
    return (node for node in source.subjects() if f"ropa:{kind}" in source.types(node))


class _Own:
    def __init__(self, source: Source) -> None:
        self.source = source

    def _texts(self, node: Node, term: str) -> list[str]:
        triples = self.source.of(node, term)
        self.source.use(*triples)
        return [text for triple in triples if (text := lexical(triple[2])) is not None]

    def _fields(self, node: Node, table: type[Any], renamed: dict[str, str]) -> dict[str, Any]:
        """Every field of a table that the node says."""
        found: dict[str, Any] = {}
        for key, (field, spec) in specs(table).items():
            texts = self._texts(node, renamed.get(field) or _STANDARD.get(field) or own_term(field))
            if not texts:
                continue
            if spec.kind in LISTS:
                found[key] = texts
            elif spec.kind is Kind.FLAG:
                found[key] = texts[0] == "true"
            elif spec.kind in {Kind.PERIOD, Kind.LIFETIME}:
                found[key] = _worded(texts[0])
            else:
                found[key] = texts[0]
        return found

    def entries(self, kind: str, read: Any, key: str = "ropa:key") -> dict[str, Any]:
        """Every entry of a kind, by key."""
        found = {}
        for node in _of_kind(self.source, kind):
            for name in self._texts(node, key)[:1]:
                self.source.use_types(node, f"ropa:{kind}")
                found[name] = read(node)
        return found

    def _contact(self, node: Node) -> dict[str, Any]:
        self.source.use_types(node, "ropa:Party")
        return self._fields(node, Contact, _RENAMED["Party"])

    def organisation(self) -> dict[str, Any]:
        """The organisation with its policy, its officer and its representative."""
        found: dict[str, Any] = {}
        joint = []
        for node in _of_kind(self.source, "Party"):
            role = next(iter(self._texts(node, "ropa:role")), "")
            if "ropa:OrganisationPart" in self.source.types(node):
                self.source.use_types(node, "ropa:OrganisationPart", "ropa:Party")
                found |= self._fields(node, Organisation, _RENAMED["Party"])
                terms = {"url": "policy_url", "dated_on": "policy_dated_on", "version": "policy_version"}
                terms |= {"stated_period": "policy_period", "stated_start": "policy_start"}
                policy = {key: text for key, name in terms.items() for text in self._texts(node, own_term(name))[:1]}
                if "stated_period" in policy:
                    policy["stated_period"] = _worded(policy["stated_period"])
                found |= {"policy": policy} if policy else {}
            elif role in {"dpo", "representative"}:
                found[role] = self._contact(node)
            elif role == "joint-controller":
                joint.append(self._contact(node))
        return found | ({"joint_controller": joint} if joint else {})

    def recipient(self, node: Node) -> dict[str, Any]:
        """A recipient and its transfer."""
        found = self._fields(node, Recipient, _RENAMED["RecipientPart"])
        terms = {"country": "transfer_country", "safeguard": "safeguard", "evidence": "transfer_evidence"}
        transfer = {key: text for key, name in terms.items() for text in self._texts(node, own_term(name))[:1]}
        return found | ({"transfer": transfer} if transfer else {})

    def cookie(self, node: Node) -> dict[str, Any]:
        """A cookie."""
        found = self._fields(node, Cookie, {})
        if self._texts(node, "ropa:isSession") == ["true"]:
            found["lifetime"] = SESSION
        return found

    def category(self, node: Node) -> dict[str, Any]:
        """A data category of the organisation's own."""
        found: dict[str, Any] = {"title": next(iter(self._texts(node, "skos:prefLabel")), "")}
        for key, term in (("special", "ropa:isSpecial"), ("criminal", "ropa:isCriminal")):
            found |= {key: True} if self._texts(node, term) == ["true"] else {}
        note = self._texts(node, "skos:definition")
        return found | ({"note": note[0]} if note else {})

    def activity(self, node: Node) -> dict[str, Any]:
        """An activity with its data categories."""
        found = self._fields(node, Activity, {})
        if found.get("role") == "processor":
            controllers = self.source.of(node, "dpv:hasDataController")
            self.source.use(*controllers)
            found["controllers"] = [self._contact(triple[2]) for triple in controllers]
            found.pop("legal_basis", None)
        data: dict[str, Any] = {}
        for triple in self.source.of(node, "dpv:hasProcess"):
            self.source.use(triple)
            for category in self._texts(triple[2], "ropa:category")[:1]:
                self.source.use_types(triple[2], "ropa:RowPart")
                said = self._fields(triple[2], DataUse, {})
                data[category] = {key: value for key, value in said.items() if value != found.get(key)}
        return found | ({"data": data} if data else {})


def _worded(text: str) -> str:
    """A period as people write it, where it is one."""
    try:
        return str(parse_period(text))
    except ValueError:
        return text
