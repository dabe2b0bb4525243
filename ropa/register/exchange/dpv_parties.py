"""Who is who in a register in DPV: the organisation, its officer and representative, recipients and transfers.

Invariant: the organisation is the one controller of the records, or the one that publishes them; among several that
fit equally well none is chosen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rdflib import BNode
from rdflib.term import Node

from ropa.register.exchange.dpv_terms import readable, short
from ropa.register.exchange.dpv_words import Labels, usable
from ropa.register.exchange.incoming import key_of
from ropa.register.exchange.rdf import Source, Triple
from ropa.register.parse import LONGEST_LIST
from ropa.vocabulary import UNKNOWN, iso_countries, safeguards

_ABOVE = ("skos:broader", "org:subOrganizationOf", "dct:isPartOf", "owl:sameAs")
_TRANSFERS = frozenset({"dpv:Transfer", "dpv:CrossBorderTransfer"})
_RESERVED = frozenset({"none", "own", UNKNOWN})
_CONTACT = (
    ("email", re.compile(r"(?:e-?mail:\s*|mailto:)?([^\s@:<>]+@[^\s@<>]+\.[^\s@<>]+)", re.IGNORECASE)),
    ("telephone", re.compile(r"(?:tel|telephone|phone)\.?:\s*(\+?[\d ()./-]{6,30})", re.IGNORECASE)),
    ("address", re.compile(r"(?:postal |office )?address:\s*(\S.*)", re.IGNORECASE)),
    ("website", re.compile(r"(?:website:\s*)?(https?://\S+)", re.IGNORECASE)),
)
_OTHERS = "the records have several controllers, and the file does not say whose register it is; say it in organisation"
_FOREIGN = "its controller is another than the organisation; the entry is a draft until a person has looked at it"
_TYPES = ("dpv:LegalEntity", "dpv:DataController", "dpv:DataProcessor", "dpv:Recipient", "dpv:ThirdParty")
_ROLES = {"dpv:DataProcessor": "processor", "dpv:DataSubProcessor": "processor", "dpv:Authority": "authority"}
_ROLES |= {"dpv:DataController": "controller"}


class Parties:
    """The organisations and people of a file, by the records that name them."""

    def __init__(self, source: Source, labels: Labels, records: Sequence[Node]) -> None:
        self._source = source
        self._labels = labels
        self.recipients: dict[str, dict[str, Any]] = {}
        self._keys: dict[Node | str, str] = {}
        self._publishers = {record: self._processor(record) for record in records}
        self._own = self._organisation(records)

    def _identity(self, node: Node) -> Node | str:
        """What tells one from another: nodes without a name may say whom they mean."""
        for triple in self._source.of(node, "owl:sameAs"):
            return triple[2]
        if isinstance(node, BNode):
            return self._labels.text(node) or node
        return node

    def _processor(self, record: Node) -> Node | None:
        """Whoever publishes a record as a processor."""
        for triple in self._source.of(record, "dct:publisher"):
            types = self._source.types(triple[2])
            if "dpv:DataProcessor" in types and "dpv:DataController" not in types:
                return triple[2]
        return None

    def _organisation(self, records: Sequence[Node]) -> Node | None:
        found: dict[Node | str, Node] = {}
        for record in records:
            processor = self._publishers[record]
            named = [processor] if processor else [one[2] for one in self._source.of(record, "dpv:hasDataController")]
            for node in named:
                if processor or not short(str(node)).startswith("dpv:"):
                    found.setdefault(self._identity(node), node)
        if len(found) > 1:
            publishing = self._publishing()
            found = {identity: node for identity, node in found.items() if identity in publishing}
        if len(found) != 1:
            return None
        ((identity, node),) = found.items()
        return identity if isinstance(identity, Node) and self._source.has(identity) else node

    def _publishing(self) -> set[Node | str]:
        """Whoever publishes the catalogues, and what those are part of."""
        waiting: list[Node] = []
        for node in self._source.subjects():
            if self._source.types(node) & {"dpcat:ROPA", "dpv:ROPA", "dcat:Catalog"}:
                waiting += [one[2] for one in self._source.of(node, "dct:publisher")]
        seen: set[Node | str] = set()
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen |= {node, self._identity(node)}
                waiting += [one[2] for one in self._source.of(node, *_ABOVE)]
        return seen

    def organisation(self) -> dict[str, Any]:
        """The organisation as the register has it; nothing where it cannot be told."""
        if self._own is None:
            return {}
        found = self._contact(self._own)
        for triple in self._source.of(self._own, "dpv:hasRepresentative", "dpv:hasDataProtectionOfficer"):
            is_officer = "dpv:DataProtectionOfficer" in self._source.types(triple[2]) or "Officer" in str(triple[1])
            self._officer(found, "dpo" if is_officer else "representative", triple)
        for node in self._source.subjects():
            if "dpv:DataProtectionOfficer" in self._source.types(node):
                for triple in self._source.of(node, "dct:isPartOf"):
                    if self._identity(triple[2]) == self._identity(self._own):
                        self._officer(found, "dpo", (node, triple[1], node), triple)
        joint = self._joint()
        return found | ({"joint_controller": joint} if joint else {})

    def _officer(self, found: dict[str, Any], role: str, way: Triple, said: Triple | None = None) -> None:
        if role not in found:
            found[role] = self._contact(way[2], "dpv:DataProtectionOfficer", "dpv:Representative", is_site=False)
            self._source.use(said or way)

    def _joint(self) -> list[dict[str, Any]]:
        found: dict[Node | str, dict[str, Any]] = {}
        for node in self._source.subjects():
            if "dpv:JointDataControllers" not in self._source.types(node):
                continue
            for triple in self._source.of(node, "dpv:hasDataController")[:LONGEST_LIST]:
                identity = self._identity(triple[2])
                if self._own is None or identity != self._identity(self._own):
                    found.setdefault(identity, self._contact(triple[2], is_site=False))
                self._source.use(triple)
            self._source.use_types(node, "dpv:JointDataControllers")
        return list(found.values())

    def _name(self, node: Node) -> str:
        return usable(node) or self._labels.take(node) or (readable(str(node)) if not isinstance(node, BNode) else "?")

    def _contact(self, node: Node, *types: str, is_site: bool = True) -> dict[str, Any]:
        """Name and ways to reach somebody."""
        found: dict[str, Any] = {"name": self._name(node)}
        self._source.use_types(node, *_TYPES, *types)
        for triple in self._source.of(node, "dpv:hasContact", "dpv:hasAddress"):
            text = usable(triple[2])
            if text is None:
                continue
            if short(str(triple[1])) == "dpv:hasAddress":
                text = f"address: {text}"
            for field, pattern in _CONTACT:
                said = pattern.fullmatch(text)
                if said and field not in found and (is_site or field != "website"):
                    found[field] = said[1].strip()
                    self._source.use(triple)
                    break
        return found

    # --- per record -----------------------------------------------------------------------------------------------

    def of(self, record: Node) -> dict[str, Any]:
        """What a record says of roles: its recipients, and controllers where we are the processor."""
        found: dict[str, Any] = {"recipients": self._recipients(record)}
        controllers = self._source.of(record, "dpv:hasDataController")
        if self._publishers[record] is not None:
            found |= {"role": "processor", "controllers": [self._contact(one[2], is_site=False) for one in controllers]}
            self._source.use(*controllers)
        elif self._own is None:
            for triple in controllers:
                self._source.leave(triple, _OTHERS)
        else:
            mine = [one for one in controllers if self._identity(one[2]) == self._identity(self._own)]
            self._source.use(*mine)
            for triple in controllers if not mine else []:
                self._source.leave(triple, _FOREIGN)
            found |= {"status": "draft"} if controllers and not mine else {}
        for triple in self._source.of(record, "dpv:hasJointDataControllers"):
            self._source.use(*([triple] if "dpv:JointDataControllers" in self._source.types(triple[2]) else []))
        self._transfers(record, found["recipients"])
        return found

    def _recipients(self, record: Node) -> list[str]:
        found: dict[str, None] = {}
        for role, predicate in (
            ("processor", "dpv:hasDataProcessor"),
            (None, "dpv:hasRecipient"),
            (None, "dpv:hasRecipientThirdParty"),
        ):
            for triple in self._source.of(record, predicate)[:LONGEST_LIST]:
                if key := self._recipient(triple[2], role):
                    found[key] = None
                    self._source.use(triple)
        return list(found)[:LONGEST_LIST]

    def _recipient(self, node: Node, role: str | None) -> str:
        if short(str(node)).startswith("dpv:"):
            return ""
        identity = self._identity(node)
        if identity not in self._keys:
            name = self._name(node)
            key = self._keys[identity] = key_of(name, {*self.recipients, *_RESERVED}, fallback="recipient")
            self.recipients[key] = {"name": name} | self._place(node)
            self._source.use_types(node, *_TYPES)
            reach = [triple for triple in self._source.of(node, "dpv:hasContact") if usable(triple[2])]
            if len(reach) == 1:
                self.recipients[key]["contact"] = usable(reach[0][2])
                self._source.use(reach[0])
        entry = self.recipients[self._keys[identity]]
        role = role or next((said for one, said in _ROLES.items() if one in self._source.types(node)), None)
        if role and "role" not in entry:
            entry["role"] = role
        return self._keys[identity]

    def _place(self, node: Node, *predicates: str) -> dict[str, str]:
        """The country, where exactly one is named."""
        said = {
            code: triple
            for triple in self._source.of(node, *(predicates or ("dpv:hasCountry", "dpv:hasLocation")))
            if (code := short(str(triple[2])).removeprefix("loc:")) in iso_countries()
        }
        if len(said) != 1:
            return {}
        ((code, triple),) = said.items()
        self._source.use(triple)
        return {"country": code}

    def _transfers(self, record: Node, named: list[str]) -> None:
        for triple in self._source.of(record, "dpv:hasProcessing"):
            node = triple[2]
            if not self._source.types(node) & _TRANSFERS:
                continue
            importers = self._source.of(node, "dpv:hasDataImporter") or self._source.of(node, "dpv:hasRecipient")
            keys = [self._recipient(one[2], None) for one in importers]
            if len(keys) != 1 or not keys[0]:
                self._source.leave(triple, "it does not say who receives the data there; add it to the recipient")
                continue
            named += [keys[0]] if keys[0] not in named else []
            self._source.use(*importers)
            if "transfer" in self.recipients[keys[0]]:
                self._source.leave(triple, "the recipient has a transfer already; the register holds one for each")
                continue
            where = self._place(node, "dpv:hasThirdCountry") or self._place(node, "dpv:hasLocation")
            carried = self._safeguard(node, where.get("country"))
            self.recipients[keys[0]]["transfer"] = {"country": UNKNOWN} | where | carried
            self._source.use(triple)
            self._source.use_types(node, *_TRANSFERS)

    def _safeguard(self, node: Node, country: str | None) -> dict[str, str]:
        """What carries a transfer, where the term and the country mean exactly one safeguard."""
        said = self._source.of(node, "dpv:hasLegalBasis")
        names = {short(str(triple[2])) for triple in said}
        fitting = [
            key
            for key, one in safeguards().items()
            if one.invalid_from is None and set(one.dpv[:1]) & names and (not one.countries or country in one.countries)
        ]
        if len(fitting) != 1:
            return {}
        terms = safeguards()[fitting[0]].dpv
        self._source.use(*(triple for triple in said if short(str(triple[2])) in terms))
        return {"safeguard": fitting[0]}
