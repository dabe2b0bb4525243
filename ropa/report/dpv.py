"""What the Data Privacy Vocabulary (DPV 2.3) can say of the report: terms for our keys, storage, transfers, outcomes.

Invariants: only terms that exist in DPV 2.3 and are not ``sunset``; nothing that is not known is claimed: an unknown
legal basis, source or safeguard gives no triple, and validation then says so. Erase is for ever, Delete is recoverable;
Anonymise only where whole records lose their link to the person. A ``flag`` has no term.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ropa.report.model import ActivityPart, Document, RecipientPart, RowPart, TermPart
from ropa.report.nodes import Iris, Node, duration, ref, refs, told
from ropa.report.words import Words
from ropa.sweep.adherence import Adherence
from ropa.vocabulary import (
    UNKNOWN,
    Safeguard,
    Term,
    categories,
    conditions,
    eea,
    iso_countries,
    legal_bases,
    measure_of,
    plain,
    purposes_in,
    rights,
    safeguards,
    subjects,
)

_LEAVES_THE_PERSON = frozenset({"year", "redact", "truncate-ip"})
_NOT_ISO = frozenset({"XK"})
_FROM_THE_PERSON = frozenset({"data subject", "betrokkene", "de betrokkene", "personne concernee", "betroffene person"})
OUTCOMES: Mapping[str, str] = {"purged": "dpv:Erase", "recoverable": "dpv:Delete", "held": "dpv:Restrict"}
"""Outcomes that DPV has a term for; ``anonymised`` depends on the rule."""
STATUS: Mapping[str, str] = {"active": "dpv:ActivityOngoing", "ended": "dpv:ActivityCompleted"}


class Readings:
    """DPV terms for what the document says; individuals of our own where DPV has none, gathered in ``minted``."""

    def __init__(self, document: Document, words: Words, iris: Iris) -> None:
        self.document = document
        self.words = words
        self.iris = iris
        self.minted: dict[str, Node] = {}
        """By IRI: what the readings refer to and nobody else describes."""
        self._whole = frozenset(
            rule for standing in document.standings if standing.scope == "row" for rule in standing.rules
        )

    def _mint(self, iri: str, kind: str, title: Node | str, broader: Iterable[str] = (), **more: object) -> str:
        node: Node = {"@id": iri, "@type": kind, "skos:prefLabel": title}
        if above := refs(list(broader)):
            node["skos:broader"] = above
        self.minted.setdefault(iri, node | more)
        return iri

    def _label(self, kind: str, key: str) -> Node:
        return told(self.words.label(kind, key), self.words.lang)

    # --- the Art. 30 points ---------------------------------------------------------------------------------------

    def purpose(self, text: str) -> str:
        """A purpose in its own words, below the DPV terms of the kinds it names."""
        terms = [purpose.dpv[0] for purpose in purposes_in(text) if purpose.dpv]
        return self._mint(self.iris("purpose", text), "dpv:Purpose", text, terms or ["dpv:Purpose"])

    def subject(self, key: str) -> str:
        """A category of data subjects: since DPV 2.1 a customer is a person, not a data subject."""
        term = subjects().get(key)
        title = self._label("subject", key) if term else key
        return self._mint(
            self.iris("subject", key), "dpv:DataSubject", title, term.dpv[:1] if term else ["dpv:HumanSubject"]
        )

    def personal_data(self, key: str) -> str:
        """A data category: its DPV term, an individual of our own where DPV says less."""
        own = self.document.category(key)
        term = categories().get(key)
        if term is not None and term.dpv and not term.is_lossy:
            return term.dpv[0]
        iri = self.iris("category", key)
        if own is not None or term is None:
            title: Node | str = own.title if own else key
            return self._mint(iri, "dpv:PersonalData", title, ["dpv:PersonalData"])
        above = [name for name in (*term.dpv, *term.related) if name.startswith("pd:")]
        return self._mint(iri, "dpv:PersonalData", self._label("category", key), above or ["dpv:PersonalData"])

    def source(self, text: str) -> str:
        """Where data come from, in its own words."""
        if plain(text) in _FROM_THE_PERSON:
            return "dpv:DataSubjectDataSource"
        return self._mint(self.iris("source", text), "dpv:DataSource", text)

    def bases(self, basis: str | None, condition: str | None) -> list[str]:
        """The legal bases that are known: Art. 6(1), 9(2), and for Art. 10, which DPV lacks, one of our own."""
        found = [*_terms(legal_bases(), basis), *_terms(conditions(), condition)]
        if condition == "10":
            found.append(self._mint(self.iris("legal-basis", "10"), "dpv:LegalBasis", self._label("condition", "10")))
        return found

    def rights(self, keys: Iterable[str]) -> list[str]:
        """The articles of rights."""
        return [term for key in keys for term in _terms(rights(), key)]

    def measures(self, texts: Iterable[str]) -> dict[str, list[Node]]:
        """Measures by property; one of our own, in its own words, where the vocabulary does not know it."""
        found: dict[str, list[str]] = {}
        for text in texts:
            measure = measure_of(text)
            if measure is None:
                iri = self._mint(self.iris("measure", text), "dpv:TechnicalOrganisationalMeasure", text)
                found.setdefault("dpv:hasTechnicalOrganisationalMeasure", []).append(iri)
            else:
                name = "dpv:hasTechnicalMeasure" if measure.kind == "technical" else "dpv:hasOrganisationalMeasure"
                found.setdefault(name, []).append(measure.dpv[0])
        return {name: refs(iris) for name, iris in found.items()}

    # --- places and transfers -------------------------------------------------------------------------------------

    def country(self, code: str | None) -> str | None:
        """A country; None where it is not known."""
        if code not in iso_countries():
            return None
        is_third = code not in eea()
        iri = self.iris("country", code) if code in _NOT_ISO else f"loc:{code}"
        kind = "dpv:ThirdCountry" if is_third else "dpv:Country"
        return self._mint(iri, kind, told(self.words.country(code), self.words.lang))

    def transfer(self, recipient: RecipientPart) -> Node | None:
        """The transfer to a third country that a recipient brings, also where the register does not call it one."""
        stated = recipient.transfer_country
        code = stated if stated not in {None, UNKNOWN} else recipient.country
        if stated is None and (code not in iso_countries() or code in eea()):
            return None
        found: Node = {
            "@id": self.iris("transfer", recipient.key),
            "@type": ["dpv:Processing", "dpv:Transfer", "dpv:CrossBorderTransfer"],
            "dpv:hasDataImporter": ref(self.iris("recipient", recipient.key)),
        }
        if where := self.country(code):
            found["dpv:hasLocation"] = ref(where)
            found |= {"dpv:hasThirdCountry": ref(where)} if code not in eea() else {}
        safeguard = safeguards().get(recipient.safeguard or "")
        if safeguard is None or recipient.safeguard_ended_on is not None:
            return found
        if safeguard.dpv:
            found["dpv:hasLegalBasis"] = refs([*safeguard.dpv, self._safeguard(safeguard)])
        if safeguard.measures:
            found["dpv:hasOrganisationalMeasure"] = refs(list(safeguard.measures))
        return found

    def _safeguard(self, safeguard: Safeguard) -> str:
        label = self._label("safeguard", safeguard.key)
        return self._mint(self.iris("safeguard", safeguard.key), "dpv:LegalBasis", label, safeguard.dpv)

    # --- storage --------------------------------------------------------------------------------------------------

    def storage(self, iri: str, row: RowPart) -> list[Node]:
        """How long, where, and how it goes: the storage conditions of one data category in one place."""
        of = {"dpv:hasPersonalData": ref(self.personal_data(row.category))}
        found = [node | of for node in self._durations(row)]
        place = self.document.place(row.adherence.location)
        if place is not None:
            where = [self.iris("place", place.key), *filter(None, [self.country(place.country)])]
            found.append({"@type": "dpv:StorageLocation", "dpv:hasLocation": refs(where)} | of)
        terms = [term for term in self.terms(row.adherence) if term.action != "keep"]
        found += [self._deletion(term, row.adherence) | of for term in terms]
        return [{"@id": f"{iri}:storage:{number}"} | node for number, node in enumerate(found, 1)]

    def terms(self, cell: Adherence) -> list[TermPart]:
        """The rules of one category in one place."""
        return [term for name in cell.rules if (term := self.document.term(name)) is not None]

    def _durations(self, row: RowPart) -> list[Node]:
        """From the rules; what a policy or a criterion says, where no rule does."""
        lang = self.words.lang
        found: list[Node] = []
        for term in self.terms(row.adherence):
            text = told(self.words.term(term), lang)
            lasting: Node = {"@type": "dpv:TemporalDuration", "rdf:value": duration(term.period)}
            node = {"dpv:hasDuration": lasting | {"dct:description": text}, "dct:description": text}
            if term.action == "keep":
                node["dpv:hasProcessing"] = ref("dpv:Store")
            found.append(node | {"dct:source": ref(self.iris("rule", term.rule))})
        if not found and row.stated_period is not None:
            texts: list[Node | str] = [told(self.words.period(row.stated_period), lang)]
            texts += [row.stated_start] if row.stated_start else []
            lasting = {"@type": "dpv:TemporalDuration", "rdf:value": duration(row.stated_period)}
            found.append({"dpv:hasDuration": lasting | {"dct:description": texts}, "dct:description": texts})
        if not found and row.stated_text:
            lasting = {"@type": "dpv:IndeterminateDuration", "dct:description": row.stated_text}
            found.append({"dpv:hasDuration": lasting, "dct:description": row.stated_text})
        if not found and row.criterion:
            lasting = {"@type": "dpv:UntilEventDuration", "dct:description": row.criterion}
            found.append({"dpv:hasDuration": lasting, "dct:description": row.criterion})
        return [{"@type": "dpv:StorageDuration"} | node for node in found]

    def _deletion(self, term: TermPart, cell: Adherence) -> Node:
        how = [self.action(term)]
        found: Node = {"@type": "dpv:StorageDeletion", "dct:source": ref(self.iris("rule", term.rule))}
        texts = [self.words.word("action", term.action)]
        if term.action == "purge" and cell.counts.recoverable:
            how.append("dpv:Delete")
            texts.append(f"{self.words.number(cell.counts.recoverable)} {self.words('counted.recoverable')}")
        if known := [name for name in how if name]:
            found["dpv:hasProcessing"] = refs(known)
        found["dct:description"] = [told(text, self.words.lang) for text in texts]
        return found

    def action(self, term: TermPart) -> str | None:
        """What a rule does to data."""
        if term.action == "anonymise":
            keeps_person = any(mask in _LEAVES_THE_PERSON for _category, mask in term.masks)
            return "dpv:Anonymise" if term.rule in self._whole and not keeps_person else "dpv:Transform"
        return {"purge": "dpv:Erase", "keep": "dpv:Store"}.get(term.action)

    def processing(self, activity: ActivityPart) -> list[str]:
        """What is done with the data: they are used, stored where there is a place, and go as the rules say."""
        found = ["dpv:Use"] if activity.rows else []
        cells = [row.adherence for row in activity.rows]
        if any(cell.location is not None for cell in cells):
            found.append("dpv:Store")
        found += [how for cell in cells for term in self.terms(cell) if (how := self.action(term))]
        found += ["dpv:Delete"] if any(cell.counts.recoverable for cell in cells) else []
        found += ["dpv:Restrict"] if any(cell.counts.held for cell in cells) else []
        return found + [
            self._mint(self.iris("processing", text), "dpv:Processing", text) for text in activity.processing
        ]


def _terms(among: Mapping[str, Term], key: str | None) -> tuple[str, ...]:
    found = among.get(key or "")
    return found.dpv if found else ()
