"""The report as JSON-LD: a ``dpv:ROPA`` in the Data Privacy Vocabulary 2.3, valid against the SHACL shapes beside it.

One graph, one node a line, an inline context: nothing is fetched to read it. DPV terms say what DPV can say
(``ropa.report.dpv``); every fact of the document stands in the file besides, under ``urn:ropa:terms#``, which the file
describes. A record is a ``dpv:PersonalDataProcess`` and a ``dpcat:ROPARecord``, or a ``ropa:ProcessorRecord`` where we
act for others (Art. 30(2), which DPCat's shapes do not fit); each data category in each place is a process within it. A
text from the register carries no language tag, because its language is not known; words of the report carry the
report's. Shapes: ``ropa/report/shapes/ropa.ttl``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files

from ropa.report.dpv import OUTCOMES, STATUS, Readings
from ropa.report.model import ActivityPart, Document, Party, RecipientPart, RowPart
from ropa.report.nodes import Facts, Iris, Node, duration, ref, refs, told
from ropa.report.words import Words

_ROLES = {
    "joint-controller": ("dpv:DataController", None),
    "representative": ("dpv:Representative", "dpv:hasRepresentative"),
    "dpo": ("dpv:DataProtectionOfficer", "dpv:hasDataProtectionOfficer"),
}
"""Class of a party, and the property that leads to it from the organisation."""
_RECIPIENT = {
    "processor": "dpv:DataProcessor",
    "controller": "dpv:ThirdParty",
    "joint-controller": "dpv:DataController",
}
_RECIPIENT |= {"authority": "dpv:Authority"}
_LISTED = ("activities", "recipients", "places", "categories", "terms", "standings", "cookies", "runs")
"""Parts of the document with nodes of their own."""


def render(document: Document, lang: str) -> str:
    """Return the report as one JSON-LD document. Raises CallError for a language without a catalogue."""
    context = (files("ropa.report") / "shapes" / "context.json").read_text(encoding="utf-8")
    lines = ",\n".join(json.dumps(node, ensure_ascii=False) for node in _Graph(document, lang).nodes())
    return f'{{"@context": {context.strip()},\n"@graph": [\n{lines}\n]}}\n'


class _Graph:
    """The nodes of one document."""

    def __init__(self, document: Document, lang: str) -> None:
        self.document = document
        self.words = Words(lang, document.timezone)
        parties = document.organisation.parties
        self.iris = Iris(parties[0].name if parties else "")
        self.organisation = self.iris("organisation")
        self.register = self.iris("register")
        self.facts = Facts()
        self.readings = Readings(document, self.words, self.iris)

    def nodes(self) -> Iterator[Node]:
        """Every node; those that others refer to come after them."""
        yield self._register()
        yield from self._parties()
        for activity in self.document.activities:
            yield from self._activity(activity)
        for recipient in self.document.recipients:
            yield from self._recipient(recipient)
        yield from self._evidence()
        yield from self.readings.minted.values()
        yield from self.facts.described()

    def _register(self) -> Node:
        document = self.document
        node = self.facts.node(
            document, "dpv:ROPA", "dpcat:ROPA", iri=self.register, without=("organisation", *_LISTED)
        )
        linked = {
            "dct:publisher": [self.organisation],
            "dcat:dataset": [self.iris("activity", activity.key) for activity in document.activities],
            self.facts.own("recipient"): [self.iris("recipient", one.key) for one in document.recipients],
            self.facts.own("place"): [self.iris("place", one.key) for one in document.places],
            self.facts.own("own_category"): [self.iris("own-category", one.key) for one in document.categories],
            self.facts.own("rule_term"): [self.iris("rule", one.rule) for one in document.terms],
            self.facts.own("standing"): [self.iris("standing", one.identity) for one in document.standings],
            self.facts.own("cookie"): [self.iris("cookie", one.name) for one in document.cookies],
            self.facts.own("run"): [self.iris("run", one.id) for one in document.runs],
        }
        lang = self.words.lang
        node |= {"dct:title": told(self.words("title.document"), lang), "dct:language": lang}
        return node | {name: refs(iris) for name, iris in linked.items() if iris}

    # --- who ------------------------------------------------------------------------------------------------------

    def _parties(self) -> Iterator[Node]:
        part = self.document.organisation
        roles = {activity.role for activity in self.document.activities}
        types = ["dpv:DataController"] * (roles != {"processor"}) + ["dpv:DataProcessor"] * ("processor" in roles)
        node = self.facts.node(part, "dpv:Organisation", *types, iri=self.organisation, without=("parties",))
        node["dpv:hasRecordOfActivity"] = ref(self.register)
        if granted := self.readings.rights(part.rights):
            node["dpv:hasRight"] = refs(granted)
        for number, party in enumerate(part.parties):
            if number == 0:
                own = self._party(party, [])
                node |= own | {"@id": self.organisation, "@type": [*node["@type"], *own["@type"]]}
                continue
            kind, leads = _ROLES.get(party.role, ("dpv:Entity", None))
            iri = self.iris("party", number)
            if leads:
                node.setdefault(leads, []).append(ref(iri))
            yield self._party(party, [kind], iri)
        yield node
        if joint := self._joint():
            together = refs([self.organisation, *joint])
            yield {
                "@id": self.iris("joint-controllers"),
                "@type": "dpv:JointDataControllers",
                "dpv:hasDataController": together,
            }

    def _joint(self) -> list[str]:
        parties = enumerate(self.document.organisation.parties)
        return [self.iris("party", number) for number, party in parties if number and party.role == "joint-controller"]

    def _party(self, party: Party, types: list[str], iri: str | None = None) -> Node:
        node = self.facts.node(party, *types, iri=iri)
        contacts = [text for text in (party.email, party.telephone) if text]
        return node | ({"dpv:hasContact": contacts} if contacts else {})

    def _recipient(self, recipient: RecipientPart) -> Iterator[Node]:
        kind = _RECIPIENT.get(recipient.role or "", "dpv:Recipient")
        node = self.facts.node(recipient, *dict.fromkeys(["dpv:Recipient", kind]), iri=self._to(recipient.key))
        if where := self.readings.country(recipient.country):
            node["dpv:hasLocation"] = ref(where)
        yield node
        if transfer := self.readings.transfer(recipient):
            yield transfer

    def _to(self, key: str) -> str:
        return self.iris("recipient", key)

    # --- what -----------------------------------------------------------------------------------------------------

    def _activity(self, activity: ActivityPart) -> Iterator[Node]:
        iri, read = self.iris("activity", activity.key), self.readings
        is_ours = activity.role != "processor"
        types = ["dpv:PersonalDataProcess", "dpcat:ROPARecord" if is_ours else "ropa:ProcessorRecord"]
        node = self.facts.node(activity, *types, iri=iri, without=("rows", "controllers"))
        rows = [(f"{iri}:row:{number}", row) for number, row in enumerate(activity.rows, 1)]
        storage = {at: read.storage(at, row) for at, row in rows}
        bases = read.bases(activity.legal_basis, activity.condition)
        sources = [activity.source, *(row.source for row in activity.rows)]
        linked = {
            "dpv:hasPurpose": [read.purpose(text) for text in self._purposes(activity)],
            "dpv:hasLegalBasis": bases + [b for _, r in rows for b in read.bases(r.legal_basis, r.condition)],
            "dpv:hasDataSubject": [read.subject(key) for key in activity.subjects],
            "dpv:hasPersonalData": [read.personal_data(row.category) for _, row in rows],
            "dpv:hasDataSource": [read.source(source) for source in sources if source],
            "dpv:hasProcess": [at for at, _ in rows],
            "dpv:hasStorageCondition": [one["@id"] for nodes in storage.values() for one in nodes],
            "dpv:hasRight": read.rights(activity.rights),
            **self._roles(activity),
        }
        if activity.dpia == "done":
            linked["dpv:hasImpactAssessment"] = ["dpv:DPIA"]
        if activity.status in STATUS:
            linked["dpv:hasActivityStatus"] = [STATUS[activity.status]]
        node |= {name: refs(iris) for name, iris in linked.items() if iris}
        yield node | read.measures(activity.measures)
        for number, party in enumerate(activity.controllers):
            yield self._party(party, ["dpv:DataController"], f"{iri}:controller:{number}")
        for at, row in rows:
            yield self._row(at, row, [one["@id"] for one in storage[at]])
            yield from storage[at]

    def _purposes(self, activity: ActivityPart) -> list[str]:
        return [*activity.purposes, *(text for row in activity.rows for text in row.purposes)]

    def _roles(self, activity: ActivityPart) -> dict[str, list[str]]:
        """Whose it is, who receives it, and the transfers that come with that."""
        known = [one for key in activity.recipients if (one := self.document.recipient(key)) is not None]
        transfers = [found["@id"] for one in known if (found := self.readings.transfer(one)) is not None]
        processors = [self._to(one.key) for one in known if one.role == "processor"]
        iri, is_ours = self.iris("activity", activity.key), activity.role != "processor"
        behalf = [f"{iri}:controller:{number}" for number in range(len(activity.controllers))]
        return {
            "dpv:hasDataController": [self.organisation] if is_ours else behalf,
            "dpv:hasJointDataControllers": [self.iris("joint-controllers")] if is_ours and self._joint() else [],
            "dpv:hasDataProcessor": [*([] if is_ours else [self.organisation]), *processors],
            "dpv:hasRecipient": [self._to(one.key) for one in known],
            "dpv:hasProcessing": [*self.readings.processing(activity), *transfers],
        }

    def _row(self, iri: str, row: RowPart, storage: list[str]) -> Node:
        read = self.readings
        node = self.facts.node(row, "dpv:PersonalDataProcess", iri=iri)
        above = ["dpv:SpecialCategoryPersonalData"] if row.is_special else []
        linked = {
            "dpv:hasPersonalData": [read.personal_data(row.category), *above],
            "dpv:hasPurpose": [read.purpose(text) for text in row.purposes],
            "dpv:hasLegalBasis": read.bases(row.legal_basis, row.condition),
            "dpv:hasDataSource": [read.source(row.source)] if row.source else [],
            "dpv:hasStorageCondition": storage,
            "dpv:hasProcessing": [how for term in read.terms(row.adherence) if (how := read.action(term))],
        }
        return node | {name: refs(iris) for name, iris in linked.items() if iris}

    # --- where, by which rule, and what came of it ----------------------------------------------------------------

    def _evidence(self) -> Iterator[Node]:
        document, facts = self.document, self.facts
        for place in document.places:
            node = facts.node(place, "dpv:Location", iri=self.iris("place", place.key))
            where = self.readings.country(place.country)
            yield node | ({"dpv:hasCountry": ref(where)} if where else {})
        for term in document.terms:
            lasting = {"@type": "dpv:TemporalDuration", "rdf:value": duration(term.period)}
            node = facts.node(term, iri=self.iris("rule", term.rule)) | {"dpv:hasDuration": lasting}
            how = self.readings.action(term)
            yield node | ({"dpv:hasProcessing": ref(how)} if how else {})
        for category in document.categories:
            node = facts.node(category, iri=self.iris("own-category", category.key))
            yield node | {"dpv:hasPersonalData": ref(self.readings.personal_data(category.key))}
        for standing in document.standings:
            yield facts.node(standing, iri=self.iris("standing", standing.identity))
        for cookie in document.cookies:
            node = facts.node(cookie, iri=self.iris("cookie", cookie.name))
            lasting = (
                {"@type": "dpv:TemporalDuration", "rdf:value": duration(cookie.lifetime)} if cookie.lifetime else {}
            )
            yield node | ({"dpv:hasDuration": lasting} if lasting else {})
        for run in document.runs:
            node = facts.node(run, iri=self.iris("run", run.id))
            became = [OUTCOMES[word] for word, _count in run.outcomes if word in OUTCOMES]
            yield node | ({"dpv:hasProcessing": refs(became)} if became else {})
