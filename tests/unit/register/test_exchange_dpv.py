"""Registers in RDF from elsewhere come over as far as our register can hold them; the rest is listed; nothing is fetched."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pace import within

from ropa.errors import ConfigurationError, RegisterError
from ropa.register import differences
from ropa.register.exchange import merged, read_incoming
from ropa.register.exchange.dpv import _Reader
from ropa.register.exchange.dpv_terms import HEADER, category_of, readable, short
from ropa.register.exchange.rdf import MOST_TRIPLES, Source, lexical, named, parse
from ropa.register.exchange.reading import READERS
from ropa.register.models import Register
from ropa.register.parse import from_data
from ropa.register.text import from_toml, plain_data, to_toml

FILES = Path(os.environ.get("ROPA_DPV") or Path(__file__).parents[4] / "shared" / "data" / "dpv")
HEAD = "".join(f"@prefix {prefix}: <{iri}> .\n" for prefix, iri in HEADER.items())
HEAD += "@prefix ex: <https://example.org/> .\n@prefix : <https://example.org/#> .\n@prefix schema: <https://schema.org/> .\n"
EDPS = ("U01a", "U05", "U13", "U57")


def outside(*parts: str) -> Path:
    path = FILES.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"beds absent: {FILES}")
    return path


def read(text: str, ending: str = ".ttl", *, head: bool = True):
    return READERS[ending](((HEAD if head else "") + text).encode(), f"file{ending}")


def only(text: str):
    (activity,) = read(text).register.activities.values()
    return activity


def values(register: Register) -> str:
    def walk(data):
        if isinstance(data, dict):
            for inner in data.values():
                yield from walk(inner)
        elif isinstance(data, list):
            for inner in data:
                yield from walk(inner)
        else:
            yield str(data)

    return "\n".join(walk(plain_data(register)))


# --- real registers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EDPS)
def test_the_records_of_the_edps_come_over(name):
    incoming = read_incoming(outside("dpcat", "edps", f"{name}.ttl"))
    register = incoming.register
    assert incoming.form == "dpv"
    assert not incoming.is_whole
    assert register.organisation.name == "European Data Protection Supervisor (EDPS)"
    assert len(register.activities) == {"U01a": 3, "U05": 4, "U13": 1, "U57": 3}[name]
    assert all(activity.purposes and activity.data for activity in register.activities.values())
    assert from_toml(to_toml(merged(Register(), incoming))) == merged(Register(), incoming)


def test_what_the_edps_says_of_a_selection_stands_where_the_register_has_it():
    register = read_incoming(outside("dpcat", "edps", "U01a.ttl")).register
    activity = register.activities["selection-of-staff-up-to-head-of-unit"]
    assert activity.legal_basis == "6.1.c"
    assert (activity.legal_reference or "").startswith("The Staff Regulations")
    assert activity.purposes == ("Select staff for the EDPS Secretariat and the EDPB Secretariat",)
    assert activity.data["health"].stated_period == "P2Y"
    assert activity.data["health"].stated_start == "Closure of selection process for applicants not recruited"
    words = activity.data["data-of-staff-candidates"]
    assert words.stated_period is None
    assert words.stated_text is not None
    assert words.stated_text.startswith("P2Y: Closure of selection process")
    assert (register.organisation.dpo and register.organisation.dpo.email) == "dpo@edps.europa.eu"


def test_a_record_of_another_controller_is_a_draft():
    incoming = read_incoming(outside("dpcat", "edps", "U57.ttl"))
    assert [one.status for one in incoming.register.activities.values()] == ["active", "draft", "draft"]
    assert any("another than the organisation" in item.why for item in incoming.left)


@pytest.mark.parametrize(
    "name",
    [f"edps/{one}" for one in EDPS]
    + [f"semantics2021/{one}" for one in ("beta", "customer_service", "hr", "marketing")],
)
def test_every_triple_is_carried_over_or_listed(name):
    path = outside("dpcat", *f"{name}.ttl".split("/"))
    source = Source(parse(path.read_bytes(), path.name, "turtle"))
    register = from_data(_Reader(source).document(path.name))
    listed = {item.where for item in source.left()}
    assert {f"{source.where(s)} > {named(p)}" for s, p, o in source.triples if (s, p, o) not in source.used} <= listed
    said = values(register)
    carried = [(named(p), text) for _, p, o in source.used if (text := lexical(o)) is not None]
    assert carried
    for predicate, text in carried:
        if not predicate.startswith("time:"):
            assert text.strip() in said or text.strip().partition(": ")[2] in said, predicate
    # The values themselves stand in no message.
    for _, _, value in source.triples:
        text = lexical(value)
        assert text is None or len(text) < 12 or all(text not in item.where + item.why for item in source.left())


def test_a_processors_record_names_its_controller():
    register = read_incoming(outside("dpcat", "semantics2021", "beta.ttl")).register
    (activity,) = register.activities.values()
    assert (activity.role, [one.name for one in activity.controllers]) == ("processor", ["Alpha Inc."])
    assert activity.processing == ("Obtain", "Organise", "Store", "Transform")
    assert register.organisation.name == "Beta Ltd."
    assert register.organisation.dpo is not None


def test_a_vocabulary_or_a_catalogue_alone_is_no_register():
    for parts in (("edps", "vocab.ttl"), ("semantics2021", "alpha.ttl")):
        with pytest.raises(RegisterError, match="holds no record of processing"):
            read_incoming(outside("dpcat", *parts))


@pytest.mark.parametrize(
    "number", ["0005", "0006", "0011", "0023", "0031", "0041", "0044", "0048", "0050", "0055", "0060"]
)
def test_the_examples_of_dpv_come_over_once_they_have_a_header(number):
    text = outside("dpv-examples", f"E{number}.ttl").read_text(encoding="utf-8")
    with pytest.raises(RegisterError, match="prefix"):
        read(text, head=False)
    if number == "0055":
        with pytest.raises(RegisterError, match="holds no record"):
            read(text)
        return
    incoming = read(text)
    assert len(incoming.register.activities) == {"0006": 2, "0031": 2, "0041": 5}.get(number, 1)


@pytest.mark.parametrize("number", ["0059", "0061"])
def test_an_example_that_is_no_turtle_is_refused_with_its_line(number):
    text = outside("dpv-examples", f"E{number}.ttl").read_text(encoding="utf-8")
    with pytest.raises(RegisterError, match=r"line \d+: is not Turtle"):
        read(text)


def test_a_prefix_that_is_not_declared_is_named_with_the_line_to_add():
    with pytest.raises(RegisterError) as caught:
        read("<x> a dpv:Process .", head=False)
    assert 'line 1: the prefix "dpv:" is not declared' in caught.value.message
    assert "@prefix dpv: <https://w3id.org/dpv#> ." in (caught.value.next_step or "")


# --- what the words mean ------------------------------------------------------------------------------------------


def test_namespaces_of_every_age_mean_the_same():
    for iri in (
        "https://w3id.org/dpv#",
        "http://w3id.org/dpv#",
        "https://w3id.org/dpv/dpv-skos#",
        "https://w3id.org/dpv/dpv-owl#",
        "http://www.w3.org/ns/dpv#",
        "https://w3id.org/dpv/owl#",
    ):
        assert short(f"{iri}hasStorage") == "dpv:hasStorageCondition"
        assert short(f"{iri}PersonalDataHandling") == "dpv:Process"
    for iri in (
        "https://w3id.org/dpv/pd#",
        "https://w3id.org/dpv/dpv-pd#",
        "https://w3id.org/dpv/dpv-skos/dpv-pd#",
        "https://w3id.org/dpv/pd/owl#",
    ):
        assert short(f"{iri}Name") == "pd:Name"
    assert short("https://w3id.org/dpv/dpv-skos/dpv-gdpr#A6-1-a") == "eu-gdpr:A6-1-a"
    assert short("https://example.org/dpv#Name") == "https://example.org/dpv#Name"
    assert readable("https://w3id.org/dpv#DirectMarketing") == "Direct marketing"


def test_a_term_becomes_our_key_only_where_it_means_that_alone():
    found = category_of()
    assert found["pd:EmailAddress"] == "email"
    assert found["pd:BrowsingBehaviour"] == "browsing"
    assert found["pd:Passport"] == "identity-document"
    for ambiguous in ("pd:OfficialID", "pd:Identifier", "pd:EmploymentHistory"):
        assert ambiguous not in found


RECORD = "ex:r a dpv:Process ; dct:title 'R' ; dpv:hasPurpose dpv:DirectMarketing ; dpv:hasPersonalData pd:Name "


@pytest.mark.parametrize(
    ("triples", "said"),
    [
        ("[dpv:hasDuration [rdf:value 'P6M'^^xsd:duration ; dpv:isAfter 'last contact']]", ("P6M", "last contact", None)),
        ("[dpv:hasDuration [rdf:value 'P6M'^^xsd:duration]]", (None, None, "P6M")),
        ("[dpv:hasDuration [rdf:value 'P6M'^^xsd:duration ; dct:description 'after the call']]", (None, None, "P6M: after the call")),
        ("[dpv:hasDuration 'six months or so']", (None, None, "six months or so")),
        ("[dpv:hasDuration 63115200]", (None, None, "63115200")),
        ("[dpv:hasDuration [time:numericDuration 1.0 ; time:unitType time:unitYear ; dpv:isAfter 'x']]", ("P1Y", "x", None)),
        ("[dpv:hasDuration [time:numericDuration 1.5 ; time:unitType time:unitYear ; dpv:isAfter 'x']]", (None, None, "x")),
        ("[dpv:hasDuration [rdf:value 'P0D'^^xsd:duration ; dpv:isAfter 'x']]", (None, None, "x: P0D")),
    ],
)  # fmt: skip
def test_a_period_is_one_only_with_its_start_and_words_stay_words(triples, said):
    activity = only(f"{RECORD}; dpv:hasStorageCondition {triples} .")
    assert (activity.stated_period, activity.stated_start, activity.stated_text) == said


def test_until_an_event_is_a_criterion():
    activity = only(
        f"{RECORD}; dpv:hasStorageCondition [dpv:hasDuration [a dpv:UntilEventDuration ; dct:description 'the account closes']] ."
    )
    assert (activity.criterion, activity.stated_text) == ("the account closes", None)


def test_two_periods_for_the_same_data_are_not_chosen_among():
    one = "[dpv:hasDuration [rdf:value 'P{}Y'^^xsd:duration ; dpv:isAfter '{}']]"
    activity = only(f"{RECORD}; dpv:hasStorageCondition {one.format(2, 'refusal')}, {one.format(5, 'appeal')} .")
    assert (activity.stated_period, activity.stated_text) == (None, "P2Y: refusal; P5Y: appeal")


def test_several_legal_bases_leave_the_basis_unknown_and_are_listed():
    incoming = read(f"{RECORD}; dpv:hasLegalBasis eu-gdpr:A6-1-a, eu-gdpr:A6-1-f, eu-gdpr:A9-2-a .")
    (activity,) = incoming.register.activities.values()
    assert (activity.legal_basis, activity.condition) == ("unknown", "9.2.a")
    assert any("hasLegalBasis" in item.where and "several" in item.why for item in incoming.left)


def test_a_category_of_their_own_gets_its_title_and_a_special_one_its_mark():
    incoming = read(f"{RECORD}, ex:Shoe . ex:Shoe a dpv:SpecialCategoryPersonalData ; skos:prefLabel 'Schoenmaat' .")
    assert incoming.register.categories["schoenmaat"].title == "Schoenmaat"
    assert incoming.register.categories["schoenmaat"].special
    assert list(incoming.register.activities["r"].data) == ["name", "schoenmaat"]


def test_what_is_described_elsewhere_keeps_its_name_and_is_listed():
    incoming = read(f"{RECORD}, ex:ThingElsewhere .")
    assert incoming.register.categories["thing-elsewhere"].title == "Thing elsewhere"
    assert any(item.where == "ThingElsewhere" and "outside" in item.why for item in incoming.left)


def test_a_transfer_goes_to_the_recipient_with_the_one_safeguard_that_fits():
    text = f"{RECORD}; dpv:hasProcessing [a dpv:CrossBorderTransfer ; dpv:hasDataImporter ex:I ; dpv:hasThirdCountry loc:US ; dpv:hasLegalBasis eu-gdpr:A46-2-c] . ex:I dpv:hasName 'Importer' ; a dpv:DataProcessor ."
    (recipient,) = read(text).register.recipients.values()
    assert (recipient.name, recipient.role) == ("Importer", "processor")
    assert recipient.transfer is not None
    assert (recipient.transfer.country, recipient.transfer.safeguard) == ("US", "scc")
    (recipient,) = read(
        text.replace("eu-gdpr:A46-2-c", "ex:Pact").replace("loc:US", "dpv:ThirdCountry")
    ).register.recipients.values()
    assert recipient.transfer is not None
    assert (recipient.transfer.country, recipient.transfer.safeguard) == ("unknown", None)


def test_among_several_controllers_none_is_made_the_organisation():
    incoming = read(
        "ex:a a dpv:Process ; dpv:hasDataController ex:A . ex:b a dpv:Process ; dpv:hasDataController ex:B ."
    )
    assert incoming.register.organisation.name == ""
    assert any("several controllers" in item.why for item in incoming.left)


# --- our own report -----------------------------------------------------------------------------------------------


def _sample():
    sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
    try:
        import report_sample
    finally:
        sys.path.pop(0)
    return report_sample


def test_our_own_report_gives_the_register_back():
    from ropa.report import jsonld

    sample = _sample()
    incoming = read(jsonld.render(sample.document(), "nl"), ".jsonld", head=False)
    changed = {change.path: change for change in differences(sample.register(), incoming.register)}
    # Periods are worded the same way; of a cookie's lifetime "unknown" is nothing said; places bring in recipients.
    assert {path for path in changed if not path.endswith(".recipients")} == {
        *("cookie._pk_id.lifetime", "cookie._pk_ses.lifetime", "cookie.chat.lifetime"),
    }
    for path, change in changed.items():
        assert not path.endswith(".recipients") or set(change.before or ()) < set(change.after)
    listed = {item.where.partition(" (")[0] for item in incoming.left}
    assert {"ropa:Evidence > ropa:root", "ropa:Adherence > ropa:state", "ropa:RowPart > dpv:hasPersonalData"} <= listed


def test_a_json_file_with_a_context_is_json_ld_and_without_one_a_register():
    document = {
        "@context": {"dpv": HEADER["dpv"], "dct": HEADER["dct"]},
        "@id": "https://x.example/r",
        "@type": "dpv:Process",
        "dct:title": "R",
        "dpv:hasPurpose": {"@id": "dpv:Payment"},
    }
    assert list(read(json.dumps(document), ".json", head=False).register.activities) == ["r"]
    with pytest.raises(RegisterError, match="is not a register"):
        read('{"activity": {}}', ".json", head=False)


# --- hostile files ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_arguments, **_more):
        raise AssertionError("something was to be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "context",
    [
        "https://w3id.org/dpv/context.jsonld",
        ["https://w3id.org/dpv/context.jsonld"],
        [{"dpv": "https://w3id.org/dpv#"}, "file:///etc/passwd"],
        {"@import": "https://evil.example/"},
        {"a": {"@id": "https://x.example/a", "@context": "https://evil.example/"}},
        {"a": {"@id": "https://x.example/a", "@context": {}}},
    ],
)
def test_a_context_elsewhere_is_refused_and_never_fetched(context):
    for document in (
        {"@context": context},
        {"@graph": [{"@context": context, "@id": "https://x.example/a"}]},
        [{"@context": context}],
    ):
        with pytest.raises(RegisterError, match="context"):
            read(json.dumps(document), ".jsonld", head=False)


@pytest.mark.usefixtures("no_network")
def test_imports_and_see_also_are_not_followed():
    owl = "@prefix owl: <http://www.w3.org/2002/07/owl#> .\n"
    incoming = read(f"{owl}{RECORD}; rdfs:seeAlso <https://evil.example/> . <> owl:imports <https://evil.example/o> .")
    assert any("imports" in item.where for item in incoming.left)


RDF = '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dpv="https://w3id.org/dpv#">'
RDF += '<dpv:Process rdf:about="https://x.example/Sales"><dpv:hasPurpose rdf:resource="https://w3id.org/dpv#Payment"/></dpv:Process></rdf:RDF>'


def test_rdf_xml_is_read_without_document_types_and_in_utf_8_only():
    assert list(read(RDF, ".rdf", head=False).register.activities) == ["sales"]
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + RDF.replace("Sales", "&b;")
    with pytest.raises(RegisterError, match="document type"):
        read(bomb, ".rdf", head=False)
    with pytest.raises(RegisterError, match="another encoding"):
        read('<?xml version="1.0" encoding="utf-16"?>' + RDF, ".rdf", head=False)
    with pytest.raises(RegisterError, match="not UTF-8"):
        READERS[".rdf"](('<?xml version="1.0" encoding="utf-16"?>' + RDF).encode("utf-16"), "f.rdf")


def test_n_triples_and_n3_are_read_too():
    assert list(
        read(
            "<https://x.example/Sales> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://w3id.org/dpcat#ROPARecord> .",
            ".nt",
            head=False,
        ).register.activities
    ) == ["sales"]
    assert list(read(f"{RECORD} .", ".n3").register.activities) == ["r"]


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(
    ("text", "ending", "trouble"),
    [
        ("[" * 200, ".ttl", "nested deeper than 100"),
        ("[" * 200, ".jsonld", "nested deeper than 100"),
        ("# " + "x" * 70_000, ".ttl", "is longer than 65,536 characters"),
        ("# x\n" * 300_000, ".ttl", "is larger than 1,048,576 bytes"),
        ("".join(f":a{i} :p 1 .\n" for i in range(MOST_TRIPLES + 1)), ".ttl", "says more than 50,000 things"),
        ("{", ".jsonld", "cannot be read as JSON-LD"),
        ("<a", ".rdf", "cannot be read as RDF/XML"),
        ("<a> <b>", ".nt", "cannot be read as N-Triples"),
        ("", ".ttl", "holds no record"),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_file_past_a_bound_is_refused_in_good_time(text, ending, trouble):
    with within(loops=20000), pytest.raises(RegisterError, match=trouble):
        read(text, ending, head=ending == ".ttl")


def test_cycles_and_webs_end():
    chain = "".join(f"ex:s{i} dpv:hasDuration {', '.join(f'ex:s{j}' for j in range(30))} .\n" for i in range(30))
    circle = "_:a dpv:hasDuration _:b . _:b dpv:hasDuration _:a ; dct:description 'words' . ex:c skos:broader ex:c ."
    with within(loops=10000):
        incoming = read(f"{RECORD}, ex:c ; dpv:hasStorageCondition ex:s0, _:a .\n{chain}{circle}")
    assert list(incoming.register.activities["r"].data) == ["name", "c"]


def test_a_hostile_text_comes_over_as_text_or_is_listed():
    texts = ("=HYPERLINK(1)", "\u202etxt", "a\nb", "<script>", "x" * 2000)
    for text in texts:
        assert only(f"ex:r a dpcat:ROPARecord ; dct:title {json.dumps(text)} .").title == text
    for text in ("x" * 2001, "\u0000", "  "):
        incoming = read(f"ex:Fallback a dpcat:ROPARecord ; dct:title {json.dumps(text)} .")
        assert incoming.register.activities["fallback"].title == "Fallback"
        assert any(item.where == "Fallback > dct:title" for item in incoming.left)


def test_without_the_library_the_extra_is_named(monkeypatch):
    for name in [
        name
        for name in sys.modules
        if name.startswith("ropa.register.exchange.dpv") or name == "ropa.register.exchange.rdf"
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rdflib", None)
    with pytest.raises(ConfigurationError) as caught:
        read(f"{RECORD} .")
    assert "ropa[rdf]" in (caught.value.next_step or "")


def test_values_the_library_cannot_convert_reach_no_log(caplog):
    only(f"{RECORD}; dct:created 'CANARY-77'^^xsd:date ; dpv:hasDuration 'CANARY-78'^^xsd:duration .")
    assert "CANARY" not in caplog.text


SEEDS = [
    (".ttl", HEAD + f"{RECORD}; dpv:hasStorageCondition [dpv:hasDuration [rdf:value 'P6M'^^xsd:duration ; dpv:isAfter 'x']] ; dpv:hasRecipient ex:I . ex:I dpv:hasName \"I\"@en ."),
    (".jsonld", json.dumps({"@context": {"dpv": HEADER["dpv"], "t": {"@id": "dpv:hasPurpose", "@type": "@id"}}, "@graph": [{"@id": "https://x.example/r", "@type": "dpv:Process", "t": ["dpv:Payment"], "dpv:hasPersonalData": [{"@value": "x", "@language": "nl"}]}]})),
    (".rdf", RDF),
    (".nt", "<https://x.example/S> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://w3id.org/dpcat#ROPARecord> .\n"),
]  # fmt: skip


def comes_over_or_is_refused(data: bytes, ending: str) -> bool:
    """Whether bytes give a register that can be written and read back, or an error that says where; nothing else."""
    try:
        register = READERS[ending](data, f"f{ending}").register
    except RegisterError as error:
        return bool(error.problems)
    return from_toml(to_toml(register)) == register


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 12), st.binary(max_size=8)), min_size=1, max_size=6
    ),
)
def test_bytes_changed_at_will_give_a_register_or_a_typed_error(seed, changes):
    ending, text = seed
    data = text.encode()
    for at, gone, new in changes:
        cut = at % (len(data) + 1)
        data = data[:cut] + new + data[cut + gone :]
    with within(loops=7000):
        assert comes_over_or_is_refused(data, ending)


TOKENS = st.sampled_from(["dpv:hasPurpose", "dpv:hasStorageCondition", "dpv:hasDuration", "dpv:hasProcess", "dpv:hasDataController", "dpv:hasRecipient", "dpv:hasProcessing", "dpv:hasLegalBasis", "dpv:hasPersonalData", "skos:broader", "dct:title", "a", "dct:publisher", "dpv:hasDataImporter"])  # fmt: skip
THINGS = st.sampled_from(["ex:a", "ex:b", "_:c", "_:d", "'words'", "''", "5", "'P6M'", "dpv:Process", "dpv:Transfer", "dpv:JointDataControllers", "dpcat:ROPA", "dpv:DataProcessor", "dpv:DataSubject", "pd:Name", "eu-gdpr:A6-1-a", "loc:US"])  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(triples=st.lists(st.tuples(st.sampled_from(["ex:a", "ex:b", "_:c", "_:d"]), TOKENS, THINGS), max_size=25))
def test_anything_said_of_anything_ends_in_a_register_that_can_be_written(triples):
    text = "ex:r a dpcat:ROPARecord ; dpv:hasPersonalData ex:a .\n" + "".join(f"{s} {p} {o} .\n" for s, p, o in triples)
    assert comes_over_or_is_refused((HEAD + text).encode(), ".ttl")
