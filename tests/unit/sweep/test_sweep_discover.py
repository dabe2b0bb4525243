"""What `ropa location discover` and `ropa check` say of a place: proposals, evidence in counts, tables where records live on."""

from __future__ import annotations

import io
import json
import logging
import tomllib
from datetime import date

import pytest
from sweep_kit import CONTACTS, PROSPECTS, SIMPLE, contacts, person

from ropa.connector import Column, DatasetInfo
from ropa.errors import CallError, LocationError
from ropa.sweep.check import live_findings
from ropa.sweep.discover import LARGEST_SAMPLE, discover
from ropa.sweep.histories import Kin, kin_of

CANARY = "canary-5e21@example.org"


def columns_of(document, source):
    found = next(one for one in document["sources"] if one["source"] == source)
    return {column["name"]: column for column in found["columns"]}


def rows(column, values, **more):
    return [{"id": number, column: value} | more for number, value in enumerate(values, start=1)]


@pytest.fixture
def world(make):
    made = make(SIMPLE, {"contacts": contacts(4)})
    made.data["letters"] = rows(
        "tekst", [f"Graag antwoord aan {CANARY}", "dank u wel", "niets", "mail an@x.be", "of bo@x.be"]
    )
    made.data["refs"] = rows("code", ["111222333", "100000010", "100000022", "x"])
    made.data["usermeta"] = [
        {"id": 1, "meta_key": "first_name", "meta_value": "Voornaam"},
        {"id": 2, "meta_key": "rich_editing", "meta_value": "true"},
        *({"id": 3 + n, "meta_key": f"k{n}", "meta_value": f"p{n}@example.org"} for n in range(3)),
        *({"id": 9 + n, "meta_key": "other", "meta_value": "no"} for n in range(80)),
    ]
    made.reopen()
    return made


def test_by_default_no_value_is_read(world):
    document = discover(world.site, "crm")
    assert document["sampled"] is None
    assert not [call for call in world.crm.inner.calls if call.name in {"inspect", "find", "read", "count"}]
    assert columns_of(document, "letters")["tekst"]["proposed"] is None
    assert columns_of(document, "letters")["tekst"]["seen"] is None
    assert columns_of(document, "contacts")["email"]["mapped"] == ["email"]


def test_a_sample_looks_at_values_and_tells_counts(world):
    document = discover(world.site, "crm", sample=200)
    assert document["sampled"] == 200
    text = columns_of(document, "letters")["tekst"]
    assert (text["proposed"], text["seen"]) == ("correspondence", 5)
    assert text["evidence"] == [
        {"category": "correspondence", "by": "content", "matched": 3, "seen": 5, "patterns": ["contact-in-text"]}
    ]
    assert columns_of(document, "refs")["code"]["proposed"] is None, (
        "one number that passes a check digit is an accident"
    )
    proposal = tomllib.loads(document["toml"])["location"]["crm"]["dataset"]
    assert proposal["letters"]["data"] == {"correspondence": ["tekst"]}
    assert "contacts" not in proposal, "what is mapped needs no proposal"
    mapped = columns_of(document, "contacts")["email"]
    assert [(one["by"], one["category"]) for one in mapped["evidence"]] == [("name", "email"), ("content", "email")]


def test_a_sample_is_no_larger_than_asked(world):
    discover(world.site, "crm", sample=2)
    assert {call.records for call in world.crm.inner.calls if call.name == "inspect"} == {2}
    for number in (0, -1, LARGEST_SAMPLE + 1):
        with pytest.raises(CallError):
            discover(world.site, "crm", sample=number)


def test_key_value_tables_are_told_by_the_names_of_their_fields_and_by_their_values(world):
    found = columns_of(discover(world.site, "crm", sample=200), "usermeta")["meta_value"]
    told = {one["category"]: (one["matched"], one["seen"], one["patterns"]) for one in found["evidence"]}
    assert told == {"email": (3, 85, ["email"]), "name": (1, 85, ["field"])}
    proposal = tomllib.loads(discover(world.site, "crm", sample=200)["toml"])["location"]["crm"]["dataset"]
    assert proposal["usermeta"]["data"] == {"email": ["meta_value"], "name": ["meta_value"]}


def test_no_value_is_told_logged_or_kept(world, caplog):
    caplog.set_level(logging.DEBUG)
    out = io.StringIO()
    document = discover(world.site, "crm", sample=200)
    json.dump(document, out)
    told = out.getvalue() + caplog.text
    assert "correspondence" in told
    for value in (CANARY, "Voornaam", "p1@example.org", "Naam 1", "111222333"):
        assert value not in told
        assert value.encode() not in world.bytes_on_disk()


def test_content_adds_a_category_to_a_column_that_is_mapped_to_another(world):
    world.data["contacts"][:] = [person(n, name=f"n{n}@example.org") for n in range(1, 6)]
    name = columns_of(discover(world.site, "crm", sample=50), "contacts")["name"]
    assert (name["mapped"], name["proposed"]) == (["name"], "email")
    toml = discover(world.site, "crm", sample=50)["toml"]
    assert tomllib.loads(toml)["location"]["crm"]["dataset"]["contacts"] == {"data": {"email": ["name"]}}


def test_a_source_that_cannot_be_looked_into_is_said_and_the_rest_goes_on(world):
    inner = world.crm.inner
    look_into = inner.inspect

    def inspect(source, look, *, limit):
        if source == "letters":
            raise LocationError("no right to read letters")
        return look_into(source, look, limit=limit)

    inner.inspect = inspect
    document = discover(world.site, "crm", sample=10)
    troubles = {source["source"]: source["not_looked_into"] for source in document["sources"]}
    assert troubles == {"contacts": None, "letters": "no right to read letters", "refs": None, "usermeta": None}
    assert columns_of(document, "usermeta")["meta_value"]["proposed"] == "email"


def test_a_connector_that_cannot_be_looked_into_gives_what_the_names_say(world):
    world.crm.inner.inspect = lambda *_args, **_more: {}
    document = discover(world.site, "crm", sample=10)
    assert columns_of(document, "letters")["tekst"]["seen"] is None
    assert columns_of(document, "contacts")["email"]["evidence"][0]["by"] == "name"


def test_a_birth_date_is_told_by_its_values_with_and_without_a_word(world):
    births = [date(1930 + 2 * n, 1 + n % 12, 1 + n % 28) for n in range(30)]
    world.data["leden"] = [{"id": n, "d1": day, "jarig": day.isoformat()} for n, day in enumerate(births)]
    world.reopen()
    found = columns_of(discover(world.site, "crm", sample=100), "leden")
    assert (found["d1"]["proposed"], found["jarig"]["proposed"]) == ("birth-date", "birth-date")


# --- histories ----------------------------------------------------------------------------------------------------


def info(source, *columns, kind="table", declared_as=None):
    return DatasetInfo(source, tuple(Column(name, "text") for name in columns), kind=kind, declared_as=declared_as)


OWN = ("id", "name", "email", "created", "note")
BASE = info("contacts", *OWN, declared_as="people")


@pytest.mark.parametrize(
    "source",
    ["contacts_history", "contact_history", "ContactsHistory", "contacts_audit", "contacts_aud", "contacts_log", "contacts_archive",
     "contacts_archief", "hist_contacts", "old_contacts", "tmp_contacts_2", "audit.contacts", "archive.contacts", "contacts_2023",
     "contacts_p2022_07", "contacts_bak1", "contacts_fts", "contacts_fts_content", "contacts_fts_docsize", "historicalcontacts",
     "tbl_contacts_historiek", "audit.contacts_log", "contacts_versions", "mv_contacts", "deleted_contact"],
)  # fmt: skip
def test_a_table_named_after_a_declared_one_with_a_word_for_it_is_its_history(source):
    assert kin_of([BASE, info(source, "x")], {"people": "contacts"}) == {source: Kin("people", "name")}


@pytest.mark.parametrize(
    "source",
    ["contacts_tags", "contact_types", "public.contacts", "contracts_history", "history", "contacts2", "contactsdata", "logistics",
     "contact_item", "cont_history"],
)  # fmt: skip
def test_another_table_is_not(source):
    assert kin_of([BASE, info(source, "x", "y")], {"people": "contacts"}) == {}


def test_of_several_declared_tables_the_longest_name_counts():
    notes = info("contacts_notes", "id", declared_as="notes")
    found = kin_of([BASE, notes, info("contacts_notes_history")], {"people": "contacts", "notes": "contacts_notes"})
    assert found == {"contacts_notes_history": Kin("notes", "name")}


def test_columns_tell_a_history_a_copy_and_a_trail_of_any_table():
    tables = {
        "zz1": info("zz1", *OWN, "operation", "changed_at"),
        "zz2": info("zz2", *(name.upper() for name in OWN)),
        "zz3": info("zz3", *OWN, "price"),
        "zz4": info("zz4", *OWN[:-1], "operation"),
        "zz5": info("zz5", *OWN, "version", *(f"c{n}" for n in range(20))),
        "logged_actions": info("logged_actions", "event_id", "table_name", "row_data", "changed_fields"),
    }
    found = kin_of([BASE, *tables.values()], {"people": "contacts"})
    assert found == {
        "zz1": Kin("people", "columns"), "zz2": Kin("people", "columns"), "logged_actions": Kin("*", "columns")
    }  # fmt: skip


def test_a_materialised_view_holds_rows_and_a_view_or_a_partition_does_not():
    views = [
        info("overview", "name", "email", "note", "n", kind="materialized view"),
        info("plain_overview", *OWN, kind="view"),
        info("contacts_log_v", *OWN, kind="view"),
        info("contacts_p2024", *OWN, kind="partition"),
        info("other_overview", "city", "n", "email", kind="materialized view"),
    ]
    assert kin_of([BASE, *views], {"people": "contacts"}) == {"overview": Kin("people", "view")}


def test_folders_have_the_same_columns_and_are_no_copies_of_each_other():
    columns = ("path", "name", "folder", "extension", "size", "mtime")
    folders = [
        info("cvs", *columns, kind="folder", declared_as="cvs"),
        info("letters", *columns, kind="folder"),
        info("cvs_old", *columns, kind="folder"),
    ]
    assert kin_of(folders, {"cvs": "cvs"}) == {"cvs_old": Kin("cvs", "name")}


def test_names_of_any_script_and_length_are_looked_at():
    strange = [info("客户", "电子", *OWN), info("", *OWN[:2]), info("auditlog" * 40 + "x", "a"), info("🜁_history", "b")]
    assert kin_of([BASE, *strange, info("顾客", "x", declared_as="c")], {"people": "contacts", "c": "顾客"}) == {}
    assert kin_of([info("客户表"), info("客户表_history")], {"c": "客户表"}) == {"客户表_history": Kin("c", "name")}


# --- findings -----------------------------------------------------------------------------------------------------


def found_of(world, code):
    return {finding.entry: finding for finding in live_findings(world.site) if finding.code == code}


def test_columns_that_look_personal_make_one_finding_for_each_table(make):
    world = make(
        SIMPLE, {"contacts": [person(1, gsm="0470")], "leden": [], "goods": [{"id": 1, "name": "x", "price": 2}]}
    )
    world.data["leden"].append({"id": 1, "voornaam": "a", "geboortedatum": "b", "iban": "c"})
    world.reopen()
    found = found_of(world, "undeclared-column")
    assert set(found) == {"crm.contacts.gsm", "crm.leden"}
    assert "telephone" in found["crm.contacts.gsm"].message
    assert "voornaam (name), geboortedatum (birth-date), iban (bank-account)" in found["crm.leden"].message
    assert {finding.severity for finding in found.values()} == {"warning"}


def test_a_finding_names_a_dozen_columns_and_counts_the_others(make):
    world = make(SIMPLE, {"contacts": [], "leden": [{f"email_{chr(97 + n)}": "" for n in range(20)} | {"id": 1}]})
    message = found_of(world, "undeclared-column")["crm.leden"].message
    assert message.count("(email)") == 12
    assert "20 columns" in message
    assert "and 8 more" in message


def test_a_column_mapped_by_another_dataset_of_the_same_table_is_known(make):
    second = CONTACTS.partition("[location.crm.dataset.contacts]")[2]
    second = "[location.crm.dataset.cards]" + second.replace("data.name", "data.birth-date").replace(
        '["name"]', '["born"]'
    )
    also = PROSPECTS.replace("[rule.prospects]", "[rule.cards]").replace("crm.contacts", "crm.cards")
    config = SIMPLE + second.replace('data.email = ["email"]\n', "") + also
    world = make(config, {"contacts": [person(1, born="x")]})
    assert [finding for finding in found_of(world, "undeclared-column") if "born" in finding] == []


def test_a_history_of_a_declared_table_is_a_finding_until_it_is_declared(make):
    tables = {"contacts": contacts(1), "contacts_history": [{"id": 1, "mail": "x"}]}
    world = make(SIMPLE, tables)
    finding = found_of(world, "history-table")["crm.contacts_history"]
    assert "crm.contacts" in finding.message
    assert finding.severity == "warning"
    document = discover(world.site, "crm")
    assert {one["source"]: one["history_of"] for one in document["sources"]} == {
        "contacts": None,
        "contacts_history": "contacts",
    }
    own = CONTACTS.partition("[location.crm.dataset.contacts]")[2].replace('"contacts"', '"contacts_history"')
    own = own.replace('["email"]', '["mail"]').replace('data.name = ["name"]\n', "")
    world.configure(SIMPLE + "[location.crm.dataset.past]" + own)
    assert found_of(world, "history-table") == {}


def test_a_trail_of_any_table_is_a_finding(make):
    world = make(SIMPLE, {"contacts": contacts(1), "versions": [{"id": 1, "item_type": "a", "object_changes": "b"}]})
    assert "any table" in found_of(world, "history-table")["crm.versions"].message


def test_proposals_name_rules_of_their_own_for_a_history(make):
    world = make(SIMPLE, {"contacts": contacts(1), "contacts_log": [{"id": 1, "e_mail": "x"}]})
    toml = discover(world.site, "crm")["toml"]
    assert "give it its own" in toml
    assert tomllib.loads(toml)["location"]["crm"]["dataset"]["contacts-log"]["data"] == {"email": ["e_mail"]}
