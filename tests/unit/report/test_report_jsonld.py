import json as stdlib_json
import re
from dataclasses import replace
from datetime import datetime
from functools import cache
from importlib.resources import files

import dpv_files
import leaves
import pytest
import rdflib
import report_sample as sample
from rdflib.namespace import DCTERMS, RDF, RDFS, SKOS, XSD

from ropa.clock import Period, timestamp
from ropa.report import jsonld
from ropa.report.model import CategoryPart, Document
from ropa.report.words import Words
from ropa.sweep.standing import Counts
from ropa.vocabulary import iso_countries

DPV = rdflib.Namespace("https://w3id.org/dpv#")
GDPR = rdflib.Namespace("https://w3id.org/dpv/legal/eu/gdpr#")
LOC = rdflib.Namespace("https://w3id.org/dpv/loc#")
OWN = rdflib.Namespace("urn:ropa:terms#")
HERE = rdflib.Namespace("urn:ropa:Webassur:")
DOCUMENT = sample.document()


def graph_of(document: Document, lang: str = "nl") -> rdflib.Graph:
    graph = rdflib.Graph()
    with pytest.warns(DeprecationWarning, match="ConjunctiveGraph"):  # of the parser itself
        graph.parse(data=jsonld.render(document, lang), format="json-ld")
    return graph


def whole() -> Document:
    """A register with nothing left open: two activities whose data come from the data subject."""
    kept = [one for one in DOCUMENT.activities if one.key in {"intake", "recruitment"}]
    told = [replace(one, rows=tuple(replace(row, source="betrokkene") for row in one.rows)) for one in kept]
    recipients = tuple(one for one in DOCUMENT.recipients if one.key == "microsoft")
    return replace(DOCUMENT, activities=tuple(told), recipients=recipients)


@cache
def own_shapes() -> rdflib.Graph:
    text = (files("ropa.report") / "shapes" / "ropa.ttl").read_text(encoding="utf-8")
    return rdflib.Graph().parse(data=text, format="turtle")


def broken(graph: rdflib.Graph) -> set[tuple[str, str]]:
    return dpv_files.violations(graph, dpv_files.dpcat_shapes() + own_shapes())


def changed(activity: int = 0, **changes) -> Document:
    document = whole()
    parts = list(document.activities)
    parts[activity] = replace(parts[activity], **changes)
    return replace(document, activities=tuple(parts))


# --- the file -----------------------------------------------------------------------------------------------------


def test_a_reader_needs_nothing_but_the_file():
    data = stdlib_json.loads(jsonld.render(DOCUMENT, "nl"))
    assert list(data) == ["@context", "@graph"]
    assert all(isinstance(value, str) and re.search("[#/]$", value) for value in data["@context"].values())

    def walk(value):
        if isinstance(value, dict):
            yield from value
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    assert "@context" not in set(walk(data["@graph"]))
    prefixes = {key.partition(":")[0] for key in walk(data["@graph"]) if not key.startswith("@")}
    assert prefixes <= set(data["@context"])


def test_the_register_is_a_ropa_with_a_record_for_each_activity():
    graph = graph_of(DOCUMENT)
    (register,) = graph.subjects(RDF.type, DPV.ROPA)
    assert graph.value(HERE["organisation"], DPV.hasRecordOfActivity) == register
    dpcat = rdflib.Namespace("https://w3id.org/dpcat#")
    records = set(graph.subjects(RDF.type, dpcat.ROPARecord))
    ours = {HERE[f"activity:{one.key}"] for one in DOCUMENT.activities if one.role == "controller"}
    assert records == ours
    assert set(graph.subjects(RDF.type, OWN.ProcessorRecord)) == {HERE["activity:client-sites"]}
    assert set(graph.objects(register, rdflib.DCAT.dataset)) == records | {HERE["activity:client-sites"]}


def test_the_same_document_gives_the_same_bytes_and_one_node_a_line():
    text = jsonld.render(DOCUMENT, "fr")
    assert text == jsonld.render(sample.document(), "fr")
    body = text.partition('"@graph": [\n')[2].removesuffix("\n]}\n")
    ids = [stdlib_json.loads(line.removesuffix(","))["@id"] for line in body.split("\n")]
    assert len(ids) == len(set(ids))


def spelled(value):
    """How a value stands in the file."""
    if isinstance(value, tuple):
        return [text for part in value for text in spelled(part)]
    if isinstance(value, Period):
        return [value.iso]
    return [timestamp(value) if isinstance(value, datetime) else str(value)]


def values_of(data):
    if isinstance(data, dict):
        for inner in data.values():
            yield from values_of(inner)
    elif isinstance(data, list):
        for inner in data:
            yield from values_of(inner)
    else:
        yield str(data)


DATA = stdlib_json.loads(jsonld.render(DOCUMENT, "nl"))
LEAVES = [(n, *found) for n, found in enumerate(leaves.places(DOCUMENT), 1) if found[3] != "timezone"]


@pytest.mark.sampled(one_in=4)
@pytest.mark.parametrize("found", LEAVES, ids=lambda f: f"{f[3]}.{type(f[2]).__name__}.{f[4]}")
def test_each_fact_of_the_model_stands_in_the_file_as_a_value(found):
    number, path, instance, _owner, name, kind = found
    value = leaves.fresh(number, type(instance).__name__, name, kind, getattr(instance, name))
    data = stdlib_json.loads(jsonld.render(leaves.changed(DOCUMENT, path, name, value), "nl"))
    assert data != DATA
    if not isinstance(value, bool):
        said = set(values_of(data["@graph"]))
        assert [one for one in spelled(value) if one not in said] == []


def test_every_term_of_our_own_is_described_in_the_file():
    graph = graph_of(DOCUMENT)
    used = {term for triple in graph for term in triple if str(term).startswith(str(OWN))} - {OWN.ProcessorRecord}
    assert len(used) > 100
    for term in used:
        assert graph.value(term, RDFS.label), term
        assert graph.value(term, RDF.type) in {RDF.Property, RDFS.Class}


# --- the vocabulary -----------------------------------------------------------------------------------------------


def test_every_dpv_term_exists_in_dpv_2_3_and_none_is_on_its_way_out():
    known, sunset = dpv_files.terms()
    assert "https://w3id.org/dpv#PersonalDataHandling" in sunset
    exist = set().union(*known.values())
    used = {str(term) for triple in graph_of(DOCUMENT) for term in triple if "://w3id.org/dpv" in str(term)}
    used = {term for term in used if term.startswith("http")}
    assert not used & sunset
    # DPV's countries are the codes of ISO 3166-1; its loc.csv is not among the files.
    countries = {term.removeprefix(str(LOC)) for term in used if term.startswith(str(LOC))}
    assert countries == {"BE", "IE", "US"}
    assert countries <= iso_countries()
    dpcat = {term for term in used if "/dpcat#" in term}
    assert sorted(used - exist - {str(LOC[code]) for code in countries} - dpcat) == []


def test_data_subjects_are_individuals_below_the_human_subjects_of_dpv():
    graph = graph_of(DOCUMENT)
    for subject in set(graph.objects(None, DPV.hasDataSubject)):
        assert (subject, RDF.type, DPV.DataSubject) in graph
        assert (subject, SKOS.broader, None) in graph
    assert (HERE["subject:customer"], SKOS.broader, DPV.Customer) in graph


def test_what_dpv_has_no_word_for_is_an_individual_of_our_own():
    row = replace(DOCUMENT.activities[0].rows[0], category="shoe-size", condition="10", source="de buurman")
    own = CategoryPart(key="shoe-size", title="Schoenmaat")
    graph = graph_of(replace(changed(rows=(row,)), categories=(own,)))
    assert graph.value(HERE["category:shoe-size"], SKOS.prefLabel) == rdflib.Literal("Schoenmaat")
    assert (HERE["category:shoe-size"], SKOS.broader, DPV.PersonalData) in graph
    assert (HERE["legal-basis:10"], RDF.type, DPV.LegalBasis) in graph
    assert (HERE["source:de%20buurman"], RDF.type, DPV.DataSource) in graph


def test_purposes_stand_in_their_own_words_below_the_dpv_purposes_they_name():
    graph = graph_of(DOCUMENT)
    purpose = HERE["purpose:Offerte%20voorbereiden"]
    assert graph.value(purpose, SKOS.prefLabel) == rdflib.Literal("Offerte voorbereiden")
    assert graph.value(purpose, SKOS.broader) == DPV.EstablishContractualAgreement
    assert graph.value(HERE["purpose:Vragen%20beantwoorden"], SKOS.broader) == DPV.Purpose


def test_an_unknown_legal_basis_is_no_triple_but_is_told():
    graph = graph_of(DOCUMENT)
    assert set(graph.objects(HERE["activity:birthday"], DPV.hasLegalBasis)) == set()
    assert graph.value(HERE["activity:birthday"], OWN.legalBasis) == rdflib.Literal("unknown")
    assert graph.value(HERE["activity:intake"], DPV.hasLegalBasis) == GDPR["A6-1-b"]


# --- storage ------------------------------------------------------------------------------------------------------


def storage(graph, record, kind):
    return [one for one in graph.objects(record, DPV.hasStorageCondition) if (one, RDF.type, DPV[kind]) in graph]


def test_each_category_says_how_long_where_and_how_it_goes():
    graph = graph_of(DOCUMENT)
    record = HERE["activity:invoicing"]
    (long,) = {graph.value(one, DCTERMS.description) for one in storage(graph, record, "StorageDuration")
               if graph.value(one, DPV.hasPersonalData) == rdflib.URIRef("https://w3id.org/dpv/pd#Transaction")}  # fmt: skip
    assert long == rdflib.Literal(Words("nl", DOCUMENT.timezone).term(DOCUMENT.term("invoice-tax")), lang="nl")
    lasting = {graph.value(one, DPV.hasDuration / RDF.value) for one in storage(graph, record, "StorageDuration")}
    assert lasting == {rdflib.Literal("P10Y", datatype=XSD.duration)}
    wheres = {
        where for one in storage(graph, record, "StorageLocation") for where in graph.objects(one, DPV.hasLocation)
    }
    assert {LOC.IE, HERE["place:crm"]} <= wheres
    assert {graph.value(one, DPV.hasProcessing) for one in storage(graph, record, "StorageDeletion")} == {DPV.Erase}


def test_weeks_are_days_because_xsd_has_none():
    graph = graph_of(DOCUMENT)
    durations = storage(graph, HERE["activity:recruitment"], "StorageDuration")
    assert {str(graph.value(one, DPV.hasDuration / RDF.value)) for one in durations} == {"P28D"}
    assert graph.value(HERE["rule:applicants"], OWN.period) == rdflib.Literal("P4W")


def test_what_can_come_back_is_deleted_and_the_rest_is_erased():
    graph = graph_of(DOCUMENT)
    hows = {
        how
        for one in storage(graph, HERE["activity:intake"], "StorageDeletion")
        for how in graph.objects(one, DPV.hasProcessing)
    }
    assert hows == {DPV.Erase, DPV.Delete}
    texts = {
        str(text)
        for one in storage(graph, HERE["activity:intake"], "StorageDeletion")
        for text in graph.objects(one, DCTERMS.description)
    }
    assert "40 nog terug te halen" in texts


def test_a_mask_that_leaves_the_person_is_no_anonymisation():
    graph = graph_of(DOCUMENT)
    assert graph.value(HERE["rule:access-log"], DPV.hasProcessing) == DPV.Transform
    terms = tuple(replace(t, masks=()) if t.rule == "access-log" else t for t in DOCUMENT.terms)
    wholly = graph_of(replace(DOCUMENT, terms=terms))
    assert wholly.value(HERE["rule:access-log"], DPV.hasProcessing) == DPV.Anonymise
    fields = tuple(replace(s, scope="field") if "access-log" in s.rules else s for s in DOCUMENT.standings)
    partly = graph_of(replace(DOCUMENT, terms=terms, standings=fields))
    assert partly.value(HERE["rule:access-log"], DPV.hasProcessing) == DPV.Transform


def test_a_flag_has_no_dpv_term_and_a_hold_restricts():
    graph = graph_of(DOCUMENT)
    assert graph.value(HERE["rule:subscribers"], DPV.hasProcessing) is None
    assert DPV.Restrict in set(graph.objects(HERE["activity:birthday"], DPV.hasProcessing))
    assert DPV.Restrict not in set(graph.objects(HERE["activity:recruitment"], DPV.hasProcessing))


def test_without_a_rule_the_stated_period_and_the_criterion_speak():
    row = replace(whole().activities[0].rows[0], stated_period=Period(years=7), stated_start="de ondertekening")
    free = replace(row, adherence=replace(row.adherence, rules=()))
    words = replace(free, stated_period=None, stated_text="zolang het nodig is")
    graph = graph_of(changed(rows=(free, words, replace(words, stated_text=None, criterion="tot het vertrek"))))
    first, second, third = sorted(storage(graph, HERE["activity:intake"], "StorageDuration"))
    assert graph.value(first, DPV.hasDuration / RDF.value) == rdflib.Literal("P7Y", datatype=XSD.duration)
    assert rdflib.Literal("de ondertekening") in set(graph.objects(first, DCTERMS.description))
    assert graph.value(second, DPV.hasDuration / RDF.type) == DPV.IndeterminateDuration
    assert graph.value(third, DPV.hasDuration / RDF.type) == DPV.UntilEventDuration


# --- transfers ----------------------------------------------------------------------------------------------------


def test_a_transfer_names_its_country_and_what_carries_it():
    graph = graph_of(whole())
    transfer = HERE["transfer:microsoft"]
    assert transfer in set(graph.objects(HERE["activity:intake"], DPV.hasProcessing))
    assert graph.value(transfer, DPV.hasThirdCountry) == LOC.US
    bases = set(graph.objects(transfer, DPV.hasLegalBasis))
    assert bases == {GDPR["A45-3"], GDPR.AdequacyDecision, HERE["safeguard:adequacy%3A2023%2F1795"]}


@pytest.mark.parametrize(
    "change",
    [
        {"safeguard": None},
        {"safeguard": "unknown"},
        {"safeguard": "privacy-shield"},
        {"safeguard_ended_on": sample.NOW.date()},
        {"transfer_country": None, "safeguard": None, "country": "US"},
    ],
)
def test_a_transfer_to_a_third_country_without_a_basis_is_caught(change):
    document = whole()
    recipient = replace(document.recipients[0], **change)
    found = broken(graph_of(replace(document, recipients=(recipient,))))
    assert found == {
        ("transfer:microsoft", "HasTransfer"),
        ("transfer:microsoft", "Shape_EnsureDataTransferLegalBasis"),
    }


def test_a_country_of_the_union_is_no_third_country():
    recipient = replace(whole().recipients[0], transfer_country=None, safeguard=None)
    graph = graph_of(replace(whole(), recipients=(recipient,)))
    assert set(graph.subject_objects(DPV.hasThirdCountry)) == set()


# --- shapes -------------------------------------------------------------------------------------------------------


def test_a_whole_register_conforms_to_dpcats_shapes_and_to_ours():
    assert broken(graph_of(whole())) == set()


def test_without_a_legal_basis_exactly_that_is_missing():
    document = changed(legal_basis="unknown")
    rows = tuple(replace(row, legal_basis="unknown") for row in document.activities[0].rows)
    found = broken(graph_of(changed(legal_basis="unknown", rows=rows)))
    assert found == {("activity:intake", "hasLegalBasis"), ("activity:intake", "HasLegalBasis")}


def test_the_sample_is_told_exactly_what_the_register_leaves_open():
    found = dpv_files.violations(graph_of(DOCUMENT), dpv_files.dpcat_shapes())
    ours = [one for one in DOCUMENT.activities if one.role == "controller"]
    expected = {(f"activity:{one.key}", "hasDataSource") for one in ours}
    expected |= {("activity:birthday", "hasLegalBasis"), ("transfer:google", "Shape_EnsureDataTransferLegalBasis")}
    assert found == expected


def _without(graph, subject, *predicates):
    for predicate in predicates:
        assert (subject, predicate, None) in graph
        graph.remove((subject, predicate, None))
    return graph


def _of_kind(graph, kind):
    record = HERE["activity:intake"]
    for one in storage(graph, record, kind):
        graph.remove((record, DPV.hasStorageCondition, one))
    return graph


MISSING = {
    "HasController": lambda graph: _without(graph, HERE["activity:recruitment"], DPV.hasDataController),
    "Recipients": lambda graph: _without(graph, HERE["activity:recruitment"], DPV.hasRecipient),
    "HasMeasure": lambda graph: _without(graph, HERE["activity:recruitment"], DPV.hasTechnicalMeasure),
    "HasStorageDuration": lambda graph: _of_kind(graph, "StorageDuration"),
    "HasStorageLocation": lambda graph: _of_kind(graph, "StorageLocation"),
    "StorageDeletion": lambda graph: _of_kind(graph, "StorageDeletion"),
    "HasTransfer": lambda graph: _without(graph, HERE["transfer:microsoft"], DPV.hasLegalBasis),
    "HasLegalBasis": lambda graph: _without(graph, HERE["activity:recruitment"], DPV.hasLegalBasis),
}


@pytest.mark.parametrize("shape", MISSING)
def test_each_shape_of_ours_misses_its_fact(shape):
    graph = MISSING[shape](graph_of(whole()))
    assert {name for _, name in dpv_files.violations(graph, own_shapes())} == {shape}


def test_a_controller_needs_a_name_and_a_way_to_reach_it():
    for gone in ([DPV.hasName], [DPV.hasContact, DPV.hasAddress]):
        graph = _without(graph_of(whole()), HERE["organisation"], *gone)
        assert {name for _, name in dpv_files.violations(graph, own_shapes())} == {"HasController"}


def test_a_duration_without_words_and_a_place_without_a_location_are_missed():
    graph = graph_of(whole())
    graph.remove((None, DCTERMS.description, None))
    assert "HasStorageDuration" in {name for _, name in dpv_files.violations(graph, own_shapes())}
    graph = graph_of(whole())
    for one in list(graph.subjects(RDF.type, DPV.StorageLocation)):
        graph.remove((one, DPV.hasLocation, None))
    assert {name for _, name in dpv_files.violations(graph, own_shapes())} == {"HasStorageLocation"}


def test_special_data_need_a_condition_of_article_9():
    row = replace(whole().activities[0].rows[0], category="health", is_special=True)
    assert broken(graph_of(changed(rows=(row,)))) == {("activity:intake:row:1", "SpecialCategory")}
    assert broken(graph_of(changed(rows=(replace(row, condition="9.2.a"),)))) == set()


def test_a_register_without_recipients_says_so():
    assert broken(graph_of(changed(recipients=("none",)))) == set()
    assert broken(graph_of(changed(recipients=("unknown",)))) == {("activity:intake", "Recipients")}


def test_a_processors_record_has_shapes_of_its_own():
    sites = next(one for one in DOCUMENT.activities if one.key == "client-sites")
    for change, shape in (
        ({"controllers": ()}, "HasPrincipal"),
        ({"measures": ()}, "HasMeasure"),
        ({"processing": (), "rows": ()}, "HasProcessing"),
    ):
        document = replace(whole(), activities=(replace(sites, **change),))
        found = dpv_files.violations(graph_of(document), own_shapes())
        assert ("activity:client-sites", shape) in found
        whole_one = dpv_files.violations(graph_of(replace(whole(), activities=(sites,))), own_shapes())
        assert ("activity:client-sites", shape) not in whole_one


def test_what_is_kept_needs_no_deletion():
    terms = tuple(replace(term, action="keep") for term in DOCUMENT.terms)
    assert broken(graph_of(replace(whole(), terms=terms))) == set()


# --- languages and hostile names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", ["nl", "fr", "de", "en"])
def test_words_of_the_report_carry_its_language_and_texts_of_the_register_none(lang):
    graph = graph_of(DOCUMENT, lang)
    tags = {literal.language for literal in graph.objects() if isinstance(literal, rdflib.Literal)} - {None}
    assert tags == {lang, "en"}
    labels = {o for s, o in graph.subject_objects(RDFS.label) if str(s).startswith(str(OWN))}
    english = {o for o in graph.objects() if isinstance(o, rdflib.Literal) and o.language == "en"}
    assert lang == "en" or english == labels
    assert graph.value(HERE["activity:intake"], DCTERMS.title) == rdflib.Literal("Aanvragen en offertes")


HOSTILE = (
    '"},{"@id":"dpv:ROPA"}',
    "<script>alert(1)</script>\\\"'",
    "https://evil.example/#a b{c}|^`",
    "dpv:ROPA",
    "@id",
    "_:b0",
    "\u202etxt.exe\u2066",
    "\u05d0\u05d1 عربي 漢字 \U0001f9a9",
    "line\nbreak\ttab \\n \\u0022",
    "%00%2F..%2F../",
    "*" * 3000,
)


def named(text: str) -> rdflib.Graph:
    """The graph of a register in which everything that a person words is worded so."""
    document = changed(title=text, description=text, purposes=(text,), subjects=(text,), measures=(text,), owner=text)
    parties = (replace(document.organisation.parties[0], name=text), *document.organisation.parties[1:])
    organisation = replace(document.organisation, parties=parties)
    cookies = (replace(DOCUMENT.cookies[0], name=text),)
    return graph_of(replace(document, organisation=organisation, cookies=cookies))


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_hostile_name_stays_a_text_and_its_iri_stays_one(text):
    graph = named(text)
    assert len(graph) == len(named("x"))
    assert {rdflib.Literal(text)} < set(graph.objects(None, DCTERMS.title))
    assert rdflib.Literal(text) in set(graph.objects(None, DPV.hasName))
    for iri in {term for triple in graph for term in triple if isinstance(term, rdflib.URIRef)}:
        assert re.fullmatch(r"(?:urn:ropa:|https?://(?:w3id|www\.w3|purl)\.org/)[\w:./#%~-]*", iri, re.ASCII), iri


def test_no_count_is_lost_when_it_is_nought():
    row = whole().activities[0].rows[0]
    cell = replace(row.adherence, counts=Counts())
    graph = graph_of(changed(rows=(replace(row, adherence=cell),)))
    counts = graph.value(HERE["activity:intake:row:1"], OWN.adherence / OWN.counts)
    assert graph.value(counts, OWN.due) == rdflib.Literal(0)
