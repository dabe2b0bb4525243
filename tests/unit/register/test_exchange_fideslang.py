"""fideslang manifests in and out: what is taken over, what is listed, and what hostile files cannot do."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fideslang import DEFAULT_TAXONOMY, models
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pace import within
from register_builders import registers, sound

from ropa.errors import RegisterError
from ropa.register import from_toml, to_toml
from ropa.register.exchange import merged, read_incoming
from ropa.register.exchange.fideslang import not_in_fideslang, read_fideslang, terms, to_fideslang
from ropa.register.exchange.fideslang.nodes import DEEPEST, LARGEST, MOST_NODES
from ropa.register.models import Register, Transfer
from ropa.vocabulary import categories, conditions, legal_bases, purposes, safeguards, subjects

BEDS = Path(os.environ.get("ROPA_BEDS") or Path(__file__).parents[4] / "shared" / "beds")
ROOT = Path(__file__).parents[3]
THEIRS = {
    "category": {one.fides_key for one in DEFAULT_TAXONOMY.data_category},
    "use": {one.fides_key for one in DEFAULT_TAXONOMY.data_use},
    "subject": {one.fides_key for one in DEFAULT_TAXONOMY.data_subject},
}


def read(text: str | bytes):
    return read_fideslang(text.encode() if isinstance(text, str) else text, "manifest.yml")


def left(incoming) -> dict[str, str]:
    return {item.where.partition(", ")[0]: item.why for item in incoming.left}


def system(declaration: str = "", more: str = "", key: str = "crm") -> str:
    inner = "".join(f"        {line.strip()}\n" for line in declaration.splitlines() if line.strip())
    outer = "".join(f"    {line.strip()}\n" for line in more.splitlines() if line.strip())
    return (
        f"system:\n  - fides_key: {key}\n    name: Customer system\n    system_type: Application\n{outer}"
        f"    privacy_declarations:\n      - name: Quotation\n        data_categories: [user.name]\n{inner}"
    )


def only_activity(incoming):
    (activity,) = incoming.register.activities.values()
    return activity


# --- the words ----------------------------------------------------------------------------------------------------


def test_the_words_are_those_of_the_package():
    assert THEIRS["category"] == terms.CATEGORIES
    assert THEIRS["use"] == terms.USES
    assert THEIRS["subject"] == terms.SUBJECTS


def test_every_word_of_the_vocabulary_is_a_word_of_the_package():
    for entries, theirs in ((categories(), "category"), (purposes(), "use"), (subjects(), "subject")):
        for entry in entries.values():
            assert set(entry.fideslang) <= THEIRS[theirs], entry.key
    bases = {one.value for one in models.LegalBasisForProcessingEnum}
    assert {word for one in legal_bases().values() for word in one.fideslang} == bases
    special = {one.value for one in models.SpecialCategoryLegalBasisEnum}
    assert {word for one in conditions().values() for word in one.fideslang} == special
    transfers = {one.value for one in models.LegalBasisForTransfersEnum}
    assert {word for one in safeguards().values() for word in one.fideslang} <= transfers


@pytest.mark.parametrize("key", sorted(key for key, one in categories().items() if not one.is_lossy))
def test_a_category_that_both_know_comes_back_as_itself(key):
    written, is_lossy = terms.their_categories(key)
    if not is_lossy:
        assert set(terms.our_categories(written).values()) == {key}


def test_no_term_of_theirs_becomes_a_category_of_ours_that_is_wider_or_narrower():
    assert terms.our_categories(
        ["user.contact", "user.contact.address.city", "user", "user.demographic"]
    ) == dict.fromkeys(["user.contact", "user.contact.address.city", "user", "user.demographic"])


def test_a_username_beside_credentials_is_part_of_them_and_alone_it_is_not():
    both = terms.our_categories(["user.authorization.credentials", "user.account.username"])
    assert set(both.values()) == {"credentials"}
    assert terms.our_categories(["user.account.username"]) == {"user.account.username": None}


# --- systems ------------------------------------------------------------------------------------------------------


def test_a_declaration_of_a_system_is_an_activity():
    incoming = read(
        system(
            """
            data_use: employment.recruitment
            data_subjects: [job_applicant, patient]
            legal_basis_for_processing: Legitimate interests
            """,
            more="administrating_department: Sales\nresponsibility: [Controller]\ndata_security_practices: TLS; MFA",
        )
    )
    activity = only_activity(incoming)
    assert [*incoming.register.activities] == ["crm-quotation"]
    assert (activity.title, activity.systems, activity.owner) == ("Quotation", ("Customer system",), "Sales")
    assert (activity.purposes, activity.subjects) == (("recruitment",), ("applicant", "patient"))
    assert (activity.legal_basis, activity.measures, [*activity.data]) == ("6.1.f", ("TLS", "MFA"), ["name"])
    assert left(incoming) == {"system.*.system_type": "the kind of software; the register has no key for it"}
    assert not incoming.is_whole


def test_a_purpose_that_several_of_ours_are_written_as_stays_in_their_word():
    assert only_activity(read(system("data_use: essential.service"))).purposes == ("essential.service",)
    assert only_activity(read(system("data_use: functional.service"))).purposes == ("functional.service",)


@pytest.mark.parametrize("text", ["P1Y", "6 months", "1 year 27 days"])
def test_a_period_is_a_stated_period(text):
    activity = only_activity(read(system(f"data_use: sales\nretention_period: {text}")))
    assert (activity.stated_period, activity.stated_text) == (text, None)


@pytest.mark.parametrize(
    "text", ["3-5 years", "No longer than necessary", "365", "0 days", "6 months after the last contact", "P1Y!"]
)
def test_a_period_in_words_stays_in_words(text):
    activity = only_activity(read(system(f"data_use: sales\nretention_period: {text}")))
    assert (activity.stated_period, activity.stated_text) == (None, text)


def test_a_term_that_is_not_ours_becomes_a_category_of_the_organisations_own():
    incoming = read(
        "system:\n  - fides_key: a\n    privacy_declarations:\n      - data_use: sales\n        data_categories:"
        " [user.contact, user.location.precise, user.health_and_medical.record_id]\n"
    )
    own = incoming.register.categories
    assert [*own] == ["user-contact", "user-location-precise", "user-health_and_medical-record_id"]
    assert own["user-contact"].note == "user.contact in fideslang; which data of that kind is not said"
    assert [one.special for one in own.values()] == [False, False, True]
    assert [*only_activity(incoming).data] == [*own]


def test_a_word_that_is_in_no_taxonomy_is_named_and_left_with_the_one_that_may_be_meant():
    incoming = read(
        "system:\n  - fides_key: a\n    privacy_declarations:\n      - data_use: improve.system\n"
        "        data_categories: [user.cookie_id, user.name]\n        data_subjects: [client]\n"
    )
    told = left(incoming)
    at = "system.a.privacy_declarations[0]"
    assert told[f"{at}.data_categories"] == (
        "user.cookie_id is no data category of fideslang 3.1.4 (did you mean user.device.cookie_id?)"
    )
    assert told[f"{at}.data_use"] == "improve.system is no data use of fideslang 3.1.4"
    assert told[f"{at}.data_subjects"] == "client is no data subject of fideslang 3.1.4"
    activity = only_activity(incoming)
    assert ([*activity.data], activity.purposes, activity.subjects) == (["name"], (), ())


def test_a_word_that_the_file_adds_to_the_taxonomy_is_taken_with_its_name():
    incoming = read(
        "data_category:\n  - {fides_key: user.loyalty, name: Loyalty number, description: Of the card, parent_key: user}\n"
        "  - {fides_key: user.other, name: Nobody uses it}\n"
        "data_use:\n  - {fides_key: sales.loyalty, name: Running the loyalty programme}\n"
        "data_subject:\n  - {fides_key: club_member, name: Member}\n"
        + system("data_use: sales.loyalty\ndata_subjects: [club_member]").replace("user.name", "user.loyalty")
    )
    activity = only_activity(incoming)
    assert incoming.register.categories["user-loyalty"].title == "Loyalty number"
    assert incoming.register.categories["user-loyalty"].note == "Of the card"
    assert (activity.purposes, activity.subjects) == (("Running the loyalty programme",), ("club_member",))
    assert {"data_category.user.loyalty.parent_key"} <= {where.replace('"', "") for where in left(incoming)}
    assert left(incoming)["data_category.*"] == "fideslang's own word, or one that nothing uses"


@pytest.mark.parametrize(
    ("text", "basis"),
    [
        ("Legal obligations", "6.1.c"),
        ("Legal Obligation", "6.1.c"),
        ("consent", "6.1.a"),
        ("Legitimate Interest", "6.1.f"),
    ],
)
def test_a_legal_basis_is_taken_as_this_and_earlier_releases_spell_it(text, basis):
    assert only_activity(read(system(f"data_use: sales\nlegal_basis_for_processing: {text}"))).legal_basis == basis


def test_a_legal_basis_in_other_words_is_left_and_stays_unknown():
    incoming = read(system("data_use: sales\nlegal_basis_for_processing: because"))
    assert only_activity(incoming).legal_basis == "unknown"
    assert "system.crm.privacy_declarations[0].legal_basis_for_processing" in left(incoming)


def test_data_about_no_person_are_no_data_category():
    incoming = read(system("data_use: sales").replace("user.name", "system.operations"))
    assert only_activity(incoming).data == {}
    assert "no personal data" in left(incoming)["system.crm.privacy_declarations[0].data_categories"]


def test_third_parties_are_recipients_and_a_semicolon_parts_them():
    incoming = read(
        system("data_use: sales\ndata_shared_with_third_parties: true\nthird_parties: Printer; Bank, Ghent")
    )
    assert [one.name for one in incoming.register.recipients.values()] == ["Printer", "Bank, Ghent"]
    assert only_activity(incoming).recipients == ("printer", "bank-ghent")
    unnamed = read(system("data_use: sales\ndata_shared_with_third_parties: yes"))
    assert only_activity(unnamed).recipients == ("unknown",)


def test_a_transfer_goes_to_the_one_recipient_it_can_go_to():
    alone = read(
        system(
            "data_use: sales\nthird_parties: Printer",
            more="does_international_transfers: true\nlegal_basis_for_transfers: [SCCs]",
        )
    )
    transfer = alone.register.recipients["printer"].transfer
    assert (transfer.country, transfer.safeguard) == (None, "scc")
    unsaid = read(system("data_use: sales\nthird_parties: Printer", more="does_international_transfers: true")).register
    assert unsaid.recipients["printer"].transfer == Transfer()
    assert from_toml(to_toml(unsaid)) == unsaid
    several = read(system("data_use: sales\nthird_parties: Printer; Bank", more="does_international_transfers: true"))
    assert all(one.transfer is None for one in several.register.recipients.values())
    assert "who receives cannot be told" in left(several)["system.crm.does_international_transfers"]


@pytest.mark.parametrize("words", ["[Adequacy Decision]", "[SCCs, BCRs]", "[Supplementary Measures]", "[made up]"])
def test_a_safeguard_that_the_words_do_not_settle_is_not_set_and_its_words_are_kept(words):
    incoming = read(system("data_use: sales\nthird_parties: Printer", more=f"legal_basis_for_transfers: {words}"))
    transfer = incoming.register.recipients["printer"].transfer
    assert (transfer.safeguard, transfer.note) == (None, words.strip("[]").replace(", ", "; "))


def test_the_business_that_a_system_represents_is_a_recipient_unless_it_is_the_organisation():
    vendor = system("data_use: sales", more="legal_name: Vendor Ltd\nlegal_address: 1 Road\ndpo: dpo@vendor.example")
    recipient = read(vendor).register.recipients["vendor-ltd"]
    assert (recipient.contact, recipient.systems) == ("dpo@vendor.example; 1 Road", ("Customer system",))
    named = read("organization:\n  - {fides_key: o, name: V, controller: {name: Vendor Ltd}}\n" + vendor)
    assert named.register.recipients == {}
    own = read("organization:\n  - {fides_key: o, name: Vendor Ltd}\n" + vendor)
    assert own.register.recipients == {}
    assert {"system.crm.legal_address", "system.crm.dpo"} <= left(own).keys()


def test_what_older_releases_say_of_role_and_assessment_is_taken():
    incoming = read(
        system(
            "data_use: sales\ndata_qualifier: aggregated",
            more="data_responsibility_title: Processor\nthird_country_transfers: [USA]\n"
            "data_protection_impact_assessment: {is_required: true, progress: Complete, link: null}\n"
            "joint_controller: {name: Partner, email: p@example.org}",
        )
    )
    activity = only_activity(incoming)
    assert (activity.role, activity.dpia, activity.recipients) == ("processor", "required", ("partner",))
    assert incoming.register.recipients["partner"].role == "joint-controller"
    assert {
        "system.crm.third_country_transfers",
        "system.crm.data_protection_impact_assessment.progress",
        "system.crm.joint_controller.email",
        "system.*.privacy_declarations.data_qualifier".replace("declarations.", "declarations.*."),
    } <= left(incoming).keys()


def test_special_categories_that_are_said_and_not_named_are_asked_for():
    incoming = read(system("data_use: sales\nprocesses_special_category_data: true"))
    assert "system.crm.privacy_declarations[0].processes_special_category_data" in left(incoming)
    named = read(
        system(
            "data_use: sales\nprocesses_special_category_data: true\nspecial_category_legal_basis: Explicit consent"
        ).replace("user.name", "user.health_and_medical")
    )
    assert (only_activity(named).condition, [*only_activity(named).data]) == ("9.2.a", ["health"])
    assert "system.crm.privacy_declarations[0].processes_special_category_data" not in left(named)


# --- organisation, datasets, policies -----------------------------------------------------------------------------


def test_the_organization_is_the_organisation_with_its_contacts():
    incoming = read(
        "organization:\n  - fides_key: default_organization\n    name: Shop\n    description: Sells\n"
        "    controller: {name: Shop NV, address: Street 1, email: a@example.org, phone: '+32 1'}\n"
        "    data_protection_officer: {email: dpo@example.org}\n    representative: {name: Rep, fax: 1}\n"
    )
    organisation = incoming.register.organisation
    assert (organisation.name, organisation.legal_name, organisation.telephone) == ("Shop", None, "+32 1")
    assert (organisation.dpo.name, organisation.dpo.email) == ("Data protection officer", "dpo@example.org")
    assert organisation.representative.name == "Rep"
    at = "organization.default_organization"
    assert left(incoming).keys() == {f"{at}.description", f"{at}.controller", f"{at}.representative.fax"}


def test_a_controller_without_an_organization_name_names_the_organisation():
    incoming = read("organization: [{fides_key: o, controller: {name: Shop NV}}]\n")
    assert incoming.register.organisation.name == "Shop NV"
    assert incoming.left == ()


def test_of_several_organizations_none_is_chosen():
    incoming = read("organization: [{fides_key: a, name: A}, {fides_key: b, name: B}]\n")
    assert incoming.register == Register()
    assert left(incoming).keys() == {"organization.a", "organization.b"}


def test_a_dataset_is_told_as_a_place_with_the_columns_of_each_category():
    incoming = read(
        "dataset:\n  - fides_key: shop\n    collections:\n      - name: customer\n        fields:\n"
        "          - {name: id, data_categories: [system.operations]}\n"
        "          - {name: city, data_categories: [user.contact.address.city]}\n"
        "          - {name: street, data_categories: [user.contact.address.street]}\n"
        "          - {name: who, fields: [{name: mail, data_categories: [user.contact.email]}]}\n"
    )
    assert incoming.register == Register()
    assert left(incoming)["dataset.shop.collections[0]"] == (
        'a dataset with source = "customer"; data.address = ["city", "street"]; data.email = ["who.mail"]'
    )


def test_several_documents_and_kinds_in_one_file_are_one_register():
    incoming = read("---\norganization: [{fides_key: o, name: Shop}]\n---\n" + system("data_use: sales") + "---\n")
    assert incoming.register.organisation.name == "Shop"
    assert [*incoming.register.activities] == ["crm-quotation"]


# --- everything is accounted for ----------------------------------------------------------------------------------


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif value is not None:
        yield path, value


def spelled(path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def is_listed(path, kind, key, wheres) -> bool:
    """Whether a leaf of a resource, or something it stands in, is among what was left."""
    steps = [spelled((kind, key, *path[2:end])) for end in range(2, len(path) + 1)]
    bare = [re.sub(r"\[\d+\]", ".*", step.replace(f"{kind}.{key}", f"{kind}.*", 1)) for step in steps]
    return any(step in wheres for step in (*steps, *bare))


SAID = {
    "user.name", "user.contact.email", "user.device.cookie_id", "user.contact", "user", "user.financial",
    "functional.service.improve", "essential.service", "marketing.advertising", "customer",
    "marketing.advertising.first_party.targeted",
}  # fmt: skip
"""Words of the taxonomy that the beds use and the register has in its own words."""


@pytest.mark.parametrize("name", [
    "demo_dataset", "demo_organization", "demo_policy", "demo_system", "mysql_example_test_dataset",
    "postgres_example_test_dataset", "sample_organization", "sample_policy", "sample_systems",
])  # fmt: skip
def test_every_leaf_of_a_real_manifest_is_in_the_register_or_listed(name):
    path = BEDS / "fides" / f"{name}.yml"
    if not path.is_file():
        pytest.skip(f"beds absent: {path}")
    incoming = read_incoming(path)
    text = to_toml(incoming.register)
    wheres = {item.where.partition(", ")[0] for item in incoming.left}
    document = yaml.safe_load(path.read_text())
    found = [
        (kind, resource["fides_key"], (kind, index, *inner), value)
        for kind, resources in document.items()
        for index, resource in enumerate(resources)
        for inner, value in leaves(resource)
    ]
    assert found
    lost = [
        where
        for kind, key, where, value in found
        if not is_listed(where, kind, key, wheres)
        and str(value) not in text
        and not (value in SAID and text.count("[activity."))
        and where[-1] != "fides_key"
    ]
    assert lost == []


def test_every_key_of_the_models_is_taken_or_listed_or_a_default():
    """Each field of the package's System and PrivacyDeclaration, with a value that is not its default."""
    for model, skipped in ((models.System, {"privacy_declarations"}), (models.PrivacyDeclaration, set())):
        for field in model.model_fields.keys() - skipped - {"fides_key", "name", "data_categories"}:
            value = _some_value(field)
            text = system(f"{field}: {value}" if model is models.PrivacyDeclaration else "data_use: sales")
            if model is models.System:
                text = text.replace("    system_type: Application\n", f"    {field}: {value}\n")
            incoming = read(text)
            wheres = " ".join(left(incoming))
            plain = to_toml(incoming.register)
            base = to_toml(read(system("data_use: sales")).register)
            assert field in wheres or plain != base or field == "flexible_legal_basis_for_processing", field


def _some_value(field: str) -> str:
    flags = {"processes_personal_data": "false"}
    if field in flags:
        return flags[field]
    if re.match(r"uses_|does_|requires_|exempt_|processes_|cookie_refresh|data_shared|flexible", field):
        return "true"
    return {
        "responsibility": "[Processor]", "legal_basis_for_processing": "Contract", "data_use": "finance",
        "special_category_legal_basis": "Vital interests", "data_subjects": "[customer]", "meta": "{a: 1}",
        "fidesctl_meta": "{resource_id: a}", "egress": "[{fides_key: a, type: system}]",
        "ingress": "[{fides_key: a, type: system}]", "tags": "[a]", "features": "[a]", "shared_categories": "[a]",
        "dataset_references": "[a]", "legal_basis_for_transfers": "[SCCs]", "legal_basis_for_profiling": "[Contract]",
    }.get(field, "something")  # fmt: skip


def test_what_fides_writes_by_itself_is_not_listed():
    one = models.System(
        fides_key="crm", name="CRM", system_type="Application",
        privacy_declarations=[models.PrivacyDeclaration(name="Sales", data_categories=["user.name"], data_use="sales")],
    )  # fmt: skip
    incoming = read(yaml.safe_dump({"system": [one.model_dump(mode="json")]}))
    assert left(incoming).keys() == {"system.*.system_type"}
    assert only_activity(incoming).owner is None


# --- out ----------------------------------------------------------------------------------------------------------


def validated(text: str) -> dict:
    document = yaml.safe_load(text)
    taxonomy = models.Taxonomy(**document)
    for one in taxonomy.system:
        names = [(declaration.name, declaration.data_use) for declaration in one.privacy_declarations]
        assert len(set(names)) == len(names)
        for declaration in one.privacy_declarations:
            assert set(declaration.data_categories) <= THEIRS["category"]
            assert declaration.data_use in THEIRS["use"]
            assert set(declaration.data_subjects) <= THEIRS["subject"]
    known = {"organization": models.Organization, "system": models.System}
    for kind, model in known.items():
        for resource in document[kind]:
            assert resource.keys() <= model.model_fields.keys()
            for declaration in resource.get("privacy_declarations", ()):
                assert declaration.keys() <= models.PrivacyDeclaration.model_fields.keys()
    return document


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(registers)
def test_any_register_is_written_as_a_manifest_that_fideslang_takes(register):
    text = to_fideslang(register)
    assert text == to_fideslang(register)
    document = validated(text)
    active = [key for key, activity in register.activities.items() if activity.status == "active"]
    assert [one["fides_key"] for one in document["system"]] == active
    read(text)


@pytest.mark.parametrize("example", ["webassur", "we-assist"])
def test_the_examples_are_written_as_manifests_that_fideslang_takes(example):
    register = from_toml((ROOT / "examples" / example / "register.toml").read_text())
    text = to_fideslang(register)
    document = validated(text)
    assert text.startswith("# ")
    assert "CC BY 4.0" in text.partition("organization:")[0]
    assert len(document["system"]) == sum(one.status == "active" for one in register.activities.values())
    for declaration in (one for system in document["system"] for one in system["privacy_declarations"]):
        assert declaration["flexible_legal_basis_for_processing"] is False


FULL = """
[organisation]
name = "Webshop"
address = "Kerkstraat 1"
email = "info@example.org"
telephone = "+32 9 000 00 00"

[organisation.dpo]
name = "Functionaris"
email = "dpo@example.org"

[recipient.host]
name = "Host"
transfer = { safeguard = "scc" }

[category.user-location-precise]
title = "Plaats"

[activity.intake]
title = "Aanvragen"
description = "Van formulier tot offerte"
purposes = ["Offerte voorbereiden", "Nieuwsbrief versturen", "Iets anders"]
legal_basis = "6.1.b"
subjects = ["prospect", "applicant", "patient"]
recipients = ["host"]
measures = ["TLS", "MFA"]
stated_period = "6 months"
dpia = "done"
owner = "Verkoop"

[activity.intake.data.name]
[activity.intake.data.credentials]
[activity.intake.data.user-location-precise]
[activity.intake.data.health]
legal_basis = "6.1.a"
condition = "9.2.a"
[activity.intake.data.birth-date]
purposes = ["Verjaardagskaart"]
legal_basis = "6.1.f"
stated_period = "1 year"

[activity.hosting]
title = "Sites van klanten"
role = "processor"
recipients = ["unknown"]
stated_text = "zolang als nodig"
dpia = "required"
"""


def test_what_is_written_comes_back_as_the_same_facts():
    register = from_toml(FULL)
    back = read(to_fideslang(register))
    assert back.left == ()
    assert back.register.organisation == register.organisation
    assert back.register.recipients == register.recipients
    assert [*back.register.categories] == [*register.categories]
    assert back.register.activities.keys() == register.activities.keys()
    for key, before in register.activities.items():
        after = back.register.activities[key]
        for name in ("title", "description", "role", "subjects", "recipients", "measures", "dpia", "owner"):
            assert getattr(after, name) == getattr(before, name), name
        assert after.legal_basis == before.legal_basis
        assert after.data.keys() == before.data.keys()
        for category, use in before.data.items():
            own = after.data[category]
            assert set(after.purposes_of(category)) == set(before.purposes_of(category))
            assert after.basis_of(category) == before.basis_of(category)
            assert (own.condition or after.condition) == (use.condition or before.condition)
            assert (own.stated_period or after.stated_period) == (use.stated_period or before.stated_period)
    assert back.register.activities["hosting"].stated_text == "zolang als nodig"
    assert set(register.activities["intake"].purposes) <= set(back.register.activities["intake"].purposes)
    again = merged(back.register, read(to_fideslang(back.register)))
    assert again == back.register


def test_what_a_manifest_cannot_say_is_listed_key_by_key():
    register = from_toml(
        'organisation = { name = "A", legal_name = "A NV", authority = "GBA" }\n'
        '[cookie._ga]\nlifetime = "2 years"\n'
        '[recipient.bank]\nname = "Bank"\ncountry = "BE"\n'
        '[activity.old]\ntitle = "Oud"\nstatus = "ended"\n'
        '[activity.jobs]\ntitle = "X"\npurposes = ["Iets"]\ninterest = "B"\nrecipients = ["none"]\nsubjects = ["child"]\n'
        'condition = "10"\ncriterion = "tot het einde"\ndata = { cv = { source = "x" }, kleur = {} }\n'
    )
    told = {(item.where, item.why) for item in not_in_fideslang(register)}
    assert told == {
        ("organisation", "fideslang has no key for authority"),
        ("organisation.legal_name", "stands as the name of the controller, and is not read back"),
        ("cookie._ga", "a manifest has no entry for a cookie"),
        ("recipient.bank", "fideslang has no key for country"),
        ("activity.old", "is ended; a manifest tells what is going on"),
        ("activity.jobs", "fideslang has no key for interest"),
        ("activity.jobs.purposes", "no data use is told by the words of one; operations stands in its place"),
        ("activity.jobs.recipients", "none: that there are none is not told apart from silence"),
        ("activity.jobs.subjects", "child: fideslang has no word for it"),
        ("activity.jobs.condition", "fideslang has no word for 10"),
        ("activity.jobs.criterion", "stands as the words of a period"),
        ("activity.jobs.data.cv", "fideslang has no key for source"),
        ("activity.jobs.data.cv", "is written as user.job_title, user.workplace, which says less"),
        ("activity.jobs.data.kleur", "is written as user, which says less"),
        ("config/retention.toml", "where data lie and the periods of the rules are no part of it"),
    }


def test_one_purpose_on_two_bases_is_two_declarations_and_comes_back_as_one_purpose():
    register = from_toml(
        'organisation = { name = "A" }\n[activity.x]\ntitle = "T"\npurposes = ["Nieuwsbrief"]\nlegal_basis = "6.1.a"\n'
        '[activity.x.data.name]\n[activity.x.data.email]\nlegal_basis = "6.1.f"\n'
    )
    names = [one["name"] for one in validated(to_fideslang(register))["system"][0]["privacy_declarations"]]
    assert names == ["Nieuwsbrief", "Nieuwsbrief (2)"]
    assert read(to_fideslang(register)).register == register


HOSTILE = [
    "no", "NO", "yes", "on", "null", "~", "010", "0x1F", "1e3", ".inf", "2027-01-01", "12:30:45", "=", "<<", "*alias",
    "&anchor", "!!python/object/apply:os.system ['true']", "- item", "key: value", "# remark", "'", '"', "\\", "%TAG",
    "@at", "`tick`", "{a: b}", "[a]", "|", ">", "? q", "line\nbreak", "tab\there", "  blanks  ", "\N{LINE SEPARATOR}x",
    "\N{NEXT LINE}x", "\N{ZERO WIDTH NO-BREAK SPACE}x", "\N{RIGHT-TO-LEFT OVERRIDE}x", "emoji \N{PILE OF POO}", "---", "...",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_the_same_text_for_every_reader(text):
    register = from_toml('organisation = { name = "A" }\n[activity.x]\ntitle = "T"\n')
    from dataclasses import replace

    activity = replace(register.activities["x"], title=text, purposes=(f"{text}!",), measures=(text,))
    written = to_fideslang(replace(register, activities={"x": activity}))
    document = validated(written)
    assert document["system"][0]["name"] == text
    assert document["system"][0]["privacy_declarations"][0]["name"] == f"{text}!"
    back = read(written).register.activities["x"]
    assert (back.title, back.purposes) == (text.strip(), (f"{text}!".strip(),))


@pytest.mark.parametrize("text", ["NO", "no", "010", "2027-01-01", "12:30:45", "1e3", "0x1F"])
def test_a_word_without_quotation_marks_stays_the_word_that_was_written(text):
    assert only_activity(read(system(f"data_use: sales\nthird_parties: {text}"))).title == "Quotation"
    (recipient,) = read(system(f"data_use: sales\nthird_parties: {text}")).register.recipients.values()
    assert recipient.name == text


# --- hostile files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("system: &a [x]\nb: *a\n", "line 1: has an anchor or an alias"),
        ("system:\n  - !!python/object/apply:os.system [true]\n", "line 2: has a tag"),
        ("system:\n  - !x {}\n", "line 2: has a tag"),
        ("system: []\nsystem: []\n", "line 2: a key stands twice"),
        ("system:\n  - <<: {a: b}\n", "line 2: has a merge key"),
        ("system:\n  - ? [a]\n    : b\n", "line 2: a key must be text"),
        ("system: [" + "[" * DEEPEST + "]" * DEEPEST + "]", f"nested deeper than {DEEPEST}"),
        ("system: [" + "a," * MOST_NODES + "]", f"holds more than {MOST_NODES:,} values"),
        (f"{'k' * 201}: 1\n", "a key is longer than 200"),
        ('system: "a\\x07b"\n', "has a control character"),
        ("system: a\x00b\n", "control character"),
        (b"system: \xff\n", "line 1: is not UTF-8"),
        ("system: [\n", "is not YAML"),
        ("", "is empty"),
        ("---\n---\n", "is empty"),
        ("services: {web: {image: x}}\n", "line 1: is no fideslang manifest"),
        ("- a\n", "is no fideslang manifest"),
        (b"#" * (LARGEST + 1), "is larger than"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(text, says):
    with pytest.raises(RegisterError, match=re.escape(says)):
        read(text)


def test_a_bomb_of_aliases_is_refused_before_it_grows():
    text = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{c}: &{c} [{','.join([f'*{chr(ord(c) - 1)}'] * 9)}]\n" for c in "bcdefghi"
    )
    with within(loops=1000), pytest.raises(RegisterError):
        read(text)


def test_every_problem_is_told_with_its_path_and_line():
    with pytest.raises(RegisterError) as caught:
        read(
            "system:\n  - fides_key: crm\n    name: [a]\n    privacy_declarations:\n      - data_use: [a]\n"
            "        data_categories: user.name\n        data_subjects: [{a: b}]\n        data_shared_with_third_parties: maybe\n"
            "  - fides_key: crm\n  - text\n  - fides_key: jan@example.org\n"
        )
    assert {(one.path, one.message) for one in caught.value.problems} == {
        ("system.crm.name", "line 3: must be text"),
        ("system.crm.privacy_declarations[0].data_use", "line 5: must be text"),
        ("system.crm.privacy_declarations[0].data_categories", "line 6: must be a list of at most 500 texts"),
        ("system.crm.privacy_declarations[0].data_subjects[0]", "line 7: must be text"),
        ("system.crm.privacy_declarations[0].data_shared_with_third_parties", "line 8: must be true or false"),
        ("system.crm", "line 9: stands twice"),
        ("system[2]", "line 10: must be a table"),
        ("system[3].fides_key", "line 11: must be a key of fideslang: letters, digits, . _ < > and -"),
    }
    assert "jan@" not in str(caught.value) + "".join(map(str, caught.value.problems))


def test_a_text_longer_than_the_register_takes_is_listed():
    incoming = read(system("data_use: sales", more=f"description: {'x' * 2001}"))
    assert left(incoming)["system.crm.description"] == "is longer than 2,000 characters; shorten it"


SEED = (
    "organization:\n  - {fides_key: o, name: Shop, controller: {name: N, email: a@example.org}}\n"
    "data_category: [{fides_key: user.loyalty, name: L}]\n"
    "dataset: [{fides_key: d, collections: [{name: c, fields: [{name: f, data_categories: [user.name]}]}]}]\n"
    "policy: [{fides_key: p}]\n"
    + system(
        "data_use: sales\ndata_subjects: [customer]\nretention_period: 1 year\nthird_parties: Printer; Bank",
        more="does_international_transfers: true\nlegal_name: V\nresponsibility: [Controller]\ndpo: x",
    )
)


def attempt(data: bytes) -> None:
    incoming, error = None, None
    with within(loops=3000):
        try:
            incoming = read(data)
        except RegisterError as failure:
            error = failure
    if incoming is None:
        assert error.problems
    else:
        to_fideslang(incoming.register)
        assert all(item.where and item.why for item in incoming.left)


@settings(max_examples=300)
@given(st.integers(0, 2**32), st.integers(1, 12))
def test_no_mutation_of_the_bytes_gives_anything_but_a_register_or_its_error(seed, changes):
    chance = random.Random(seed)
    data = bytearray(SEED.encode())
    for _ in range(changes):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 30)]
            case 2:
                data[at:at] = chance.choice(
                    [b"&a ", b"*a ", b"!!str ", b"<<: ", b"- ", b"? ", b"\t", b'"', b"|\n", b"{", b"["]
                )
            case _:
                data[at:at] = data[at : at + chance.randrange(1, 60)]
    attempt(bytes(data))


_KEYS = sorted(
    {*models.System.model_fields, *models.PrivacyDeclaration.model_fields, *models.Organization.model_fields}
    | {"collections", "fields", "name", "cookies", "joint_controller", "data_protection_impact_assessment"}
)
_SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.dates(), st.text(max_size=12),
    st.sampled_from([*sorted(THEIRS["category"])[:9], "sales", "customer", "SCCs", "Contract", "P1Y", "Processing activity"]),
)  # fmt: skip
_ANY = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=25,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@example({"system": {"system": 1}})
@given(
    st.dictionaries(
        st.sampled_from(
            ["system", "dataset", "organization", "policy", "data_category", "data_use", "data_subject", "x"]
        ),
        _ANY | st.lists(st.dictionaries(st.sampled_from(_KEYS), _ANY, max_size=8), max_size=4),
        max_size=4,
    )
)
def test_no_structure_gives_anything_but_a_register_or_its_error(document):
    attempt(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


@pytest.mark.sampled(one_in=6)
@pytest.mark.parametrize(
    "text",
    [
        "system:\n" + "".join(f"  - {{fides_key: k{n}, name: same, privacy_declarations: [{{data_use: sales, name: s}}]}}\n" for n in range(4900)),
        "system:\n  - privacy_declarations:\n" + "      - {data_use: sales}\n" * 4900,
        system("data_use: sales").replace("Quotation", "a") + "        third_parties: " + "é;" * 900 + "\n",
        "system: [" + ",".join(["{privacy_declarations: [{third_parties: '" + ";".join(f"{n}é{i}" for i in range(150)) + "'}]}" for n in range(400)]) + "]",
        "dataset: [{fides_key: d, collections: [{name: c, data_categories: [" + "user.name," * 9000 + "], fields: [" + "{name: x}," * 9000 + "]}]}]",
        "system: [{privacy_declarations: [{data_categories: [" + ",".join(f"user.x{n}" for n in range(500)) + "]}]}]",
        "data_category: [" + ",".join("{fides_key: 'a." + "." * (n % 50) + f"{n}'}}" for n in range(4900)) + "]",
        "a: " + "[" * 5000,
        "? " * 5000,
        "{" * 5000,
        "a: 'x" + "\n" * 100_000,
    ],
    ids=["systems", "declarations", "recipients", "many-recipients", "columns", "unknown", "taxonomy", "brackets", "keys", "braces", "open"],
)  # fmt: skip
def test_a_large_file_takes_seconds_at_most(text):
    attempt(text.encode())


def test_the_register_of_a_test_without_a_finding_is_written():
    assert validated(to_fideslang(sound()))["system"][0]["fides_key"] == "intake"


# --- from the command line ----------------------------------------------------------------------------------------


@pytest.fixture
def ropa(tmp_path):
    def call(*arguments: str, code: int = 0) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "ropa", "-C", str(tmp_path), *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        assert ran.returncode == code, ran.stderr
        return ran

    call("init")
    return call


def test_a_manifest_is_imported_as_one_revision_and_exported_with_what_is_left_beside_it(ropa, tmp_path):
    (tmp_path / "systems.yaml").write_text(system("data_use: sales\nfeatures: [x]", more="tags: [a]"))
    seen = ropa("register", "import", "systems.yaml", "--preview")
    assert "nothing was written" in seen.stdout
    assert "not carried over: system.*.tags, line 5: of use to Fides alone" in seen.stdout
    taken = json.loads(ropa("register", "import", "systems.yaml", "--by", "An", "--json").stdout)
    assert (taken["form"], taken["revision"]) == ("fideslang", 1)
    written = ropa("register", "export", "--format", "fideslang")
    assert validated(written.stdout)["system"][0]["fides_key"] == "crm-quotation"
    assert "not carried over: activity.crm-quotation: fideslang has no key for systems" in written.stderr
    document = json.loads(ropa("register", "export", "--format", "fideslang", "--json").stdout)
    assert document["text"] == written.stdout
    assert {"where": "activity.crm-quotation", "why": "fideslang has no key for systems"} in document["left"]
    (tmp_path / "back.yml").write_text(written.stdout)
    assert json.loads(ropa("register", "import", "back.yml", "--json").stdout)["is_new"] is False


def test_a_broken_manifest_changes_nothing_and_names_the_line(ropa, tmp_path):
    (tmp_path / "bad.yml").write_text(system("data_use: [sales]\nlegal_basis_for_processing: {a: b}"))
    refused = ropa("register", "import", "bad.yml", code=2)
    assert "system.crm.privacy_declarations[0].data_use: line 8: must be text" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "no revisions yet" in ropa("register", "history").stdout


def test_without_pyyaml_the_extra_to_install_is_named(monkeypatch):
    from ropa.errors import ConfigurationError

    monkeypatch.setitem(sys.modules, "yaml", None)
    for call in (lambda: read("system: []\n"), lambda: to_fideslang(Register())):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert caught.value.next_step == "Run: pip install 'ropa[fides]'"
