"""The vocabulary is complete, its terms exist, and its patterns find what they are for and nothing beside it."""

from __future__ import annotations

import csv
import os
import re
from datetime import date
from pathlib import Path

import pytest

from ropa import vocabulary
from ropa.vocabulary import LANGUAGES, hint_category, plain, purposes_in

DPV = Path(os.environ.get("ROPA_DPV") or Path(__file__).parents[4] / "shared" / "data" / "dpv") / "dpv-2.3"
"""DPV 2.3 as csv and ttl; not part of the project (W3C Software and Document licence)."""
CONTRACT_KEYS = [
    "name", "birth-date", "telephone", "email", "bank-account", "address", "ip-address", "cookie-id", "location",
    "browsing", "device", "cv", "photo", "national-id", "identity-document", "correspondence", "invoice", "credentials",
    "preferences",
]  # fmt: skip
KINDS = {
    "category": vocabulary.categories,
    "subject": vocabulary.subjects,
    "legal_basis": vocabulary.legal_bases,
    "condition": vocabulary.conditions,
    "measure": vocabulary.measures,
    "purpose": vocabulary.purposes,
    "right": vocabulary.rights,
    "safeguard": vocabulary.safeguards,
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_has_a_label_in_four_languages(kind):
    for key, term in KINDS[kind]().items():
        assert set(term.labels) == set(LANGUAGES), key
        assert all(label.strip() for label in term.labels.values()), key
        for lang in LANGUAGES:
            assert vocabulary.label(kind, key, lang) == term.labels[lang]


def test_a_key_that_is_not_known_is_its_own_label():
    assert vocabulary.label("category", "shoe-size", "nl") == "shoe-size"
    with pytest.raises(KeyError):
        vocabulary.label("nonsense", "name", "nl")


def test_the_keys_of_the_contract_are_there():
    assert set(CONTRACT_KEYS) <= set(vocabulary.categories())
    assert list(vocabulary.legal_bases()) == [f"6.1.{letter}" for letter in "abcdef"]
    assert list(vocabulary.conditions()) == [*(f"9.2.{letter}" for letter in "abcdefghij"), "10"]


def test_article_9_is_complete_and_nothing_else_is_special():
    special = {key for key, category in vocabulary.categories().items() if category.is_special}
    assert special == {
        "health", "ethnic-origin", "political-opinion", "religious-belief", "trade-union", "genetic", "biometric",
        "sex-life",
    }  # fmt: skip
    assert [key for key, category in vocabulary.categories().items() if category.is_criminal] == ["criminal"]


def _terms() -> dict[str, set[str]]:
    if not DPV.exists():
        pytest.skip(f"the DPV files are not at {DPV}")
    found = {}
    for prefix in ("dpv", "pd", "eu-gdpr", "tech", "legal-eu"):
        with (DPV / f"{prefix}.csv").open(encoding="utf-8", newline="") as file:
            found[prefix] = {row["term"] for row in csv.DictReader(file)}
    return found


def test_every_dpv_term_exists_in_dpv_2_3_and_none_is_sunset():
    terms = _terms()
    sunset = set()
    for prefix in ("dpv", "pd", "eu-gdpr"):
        blocks = (DPV / f"{prefix}.ttl").read_text(encoding="utf-8").split("\n\n")
        sunset |= {
            re.split(r"\s", one)[0].partition(":")[2] for one in blocks if re.search(r'term_status\s+"sunset"', one)
        }
    assert "PersonalDataHandling" in sunset
    for kind, read in KINDS.items():
        for key, term in read().items():
            further = (*getattr(term, "related", ()), *getattr(term, "measures", ()))
            for name in (*term.dpv, *further):
                prefix, _, local = name.partition(":")
                assert local in terms[prefix], f"{kind} {key}: {name}"
                assert local not in sunset, f"{kind} {key}: {name}"


def test_rights_per_basis_agree_with_dpv():
    _terms()
    expected: dict[str, set[str]] = {}
    with (DPV / "legal_basis_rights_mapping.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            basis, right = (row[column].partition("#")[2] for column in ("legal_basis", "right"))
            expected.setdefault(basis, set()).add(right)
    for key, basis in vocabulary.legal_bases().items():
        ours = {term.partition(":")[2] for right in basis.rights for term in vocabulary.rights()[right].dpv}
        assert ours == expected[f"A{key.replace('.', '-')}"] - {"A13", "A14"}, key


def test_privacy_shield_carries_nothing_from_the_day_of_the_judgment():
    shield = vocabulary.safeguards()["privacy-shield"]
    assert shield.is_valid(date(2020, 7, 15))
    assert not shield.is_valid(date(2020, 7, 16))
    framework = vocabulary.safeguards()["adequacy:2023/1795"]
    assert not framework.is_valid(date(2023, 7, 9))
    assert framework.is_valid(date(2023, 7, 10))
    assert framework.is_listed


def test_the_united_states_have_no_adequacy_decision_for_the_whole_country():
    assert vocabulary.adequacy("US", date(2026, 11, 1)) is None
    swiss = vocabulary.adequacy("CH", date(2026, 11, 1))
    assert swiss is not None
    assert swiss.key == "adequacy:2000/518"
    assert vocabulary.adequacy("GB", date(2032, 1, 1)) is None


def test_every_adequacy_decision_that_dpv_knows_is_known():
    terms = _terms()["legal-eu"]
    countries = {term.rpartition("-")[2] for term in terms if term.startswith("Adequacy-EU-")}
    ours = {country for one in vocabulary.safeguards().values() if one.is_adequacy for country in one.countries}
    assert countries <= ours


def test_the_eea_has_thirty_countries_and_the_kingdom_is_not_among_them():
    assert len(vocabulary.eea()) == 30
    assert vocabulary.eea() <= vocabulary.iso_countries()
    assert "GB" not in vocabulary.eea()
    assert vocabulary.meant_country("UK") == "GB"
    assert vocabulary.meant_country("be") == "BE"
    assert vocabulary.meant_country("Narnia") is None


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("verklaring afgelegd bij de Gegevensbeschermingautoriteit", "prior-declaration"),
        ("Gegevensbeschermingautoriteit", "gba-spelling"),
        ("Wet van 8 december 1992 tot bescherming van de persoonlijke levenssfeer", "law-1992"),
        ("loi du 8 décembre 1992", "law-1992"),
        ("zoals gewijzigd door de Wet van 11 december 1998", "law-1992"),
        ("Commissie voor de Bescherming van de Persoonlijke Levenssfeer", "privacycommissie"),
        ("de Belgische Privacycommissie", "privacycommissie"),
        ("Commission de la protection de la vie privée", "privacycommissie"),
        ("EU-U.S. Privacy Shield Framework", "privacy-shield"),
        ("EU-US-Datenschutzschild", "privacy-shield"),
        ("College bescherming persoonsgegevens", "cbp"),
        ("art. 16 Vrijstellingsbesluit Wbp", "wbp"),
        ("Richtlijn 95/46/EG", "directive-95-46"),
        ("_gat_gtag_UA_252708234_1", "universal-analytics"),
        ("_gid", "universal-analytics"),
    ],
)
def test_what_is_out_of_date_is_recognised(text, fact):
    assert fact in {one.key for one in vocabulary.legal_facts() if one.pattern.search(plain(text))}


@pytest.mark.parametrize(
    "text",
    [
        "Gegevensbeschermingsautoriteit",
        "GBA",
        "wet van 30 juli 2018",
        "EU-US Data Privacy Framework, besluit (EU) 2023/1795",
        "Autoriteit Persoonsgegevens",
        "_ga",
        "_ga_9L9BHW16GZ",
        "art. 315 WIB 92",
        "art. 60 WBTW",
    ],
)
def test_what_still_stands_is_left_alone(text):
    assert [one.key for one in vocabulary.legal_facts() if one.pattern.search(plain(text))] == []


def test_each_dated_fact_says_what_it_was_what_it_is_and_what_to_do():
    for fact in vocabulary.legal_facts():
        assert fact.was
        assert fact.now
        assert fact.fix.endswith(".")
        assert fact.source
        assert fact.pattern.search("") is None, fact.key


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Verjaardag van de klant", "birthday"),
        ("cadeau d\N{RIGHT SINGLE QUOTATION MARK}anniversaire", "birthday"),
        ("Geburtstagsgruß", "birthday"),
        ("birthday card", "birthday"),
        ("Kleine attentie versturen", "gift"),
        ("Nieuwsbrief versturen", "newsletter"),
        ("Envoi de la newsletter", "newsletter"),
        ("E-mailmarketing", "marketing"),
        ("Mesure d'audience", "analytics"),
        ("Website analytics", "analytics"),
        ("Offerte voorbereiden", "quote"),
        ("Prélèvement: facturation", "invoicing"),
        ("Recrutement", "recruitment"),
    ],
)
def test_a_purpose_is_recognised_in_four_languages(text, kind):
    assert kind in {purpose.key for purpose in purposes_in(text)}


def test_plain_purposes_are_not_taken_for_marketing():
    for text in ("Offerte voorbereiden", "Contact opnemen", "Uitvoering van de overeenkomst", "Factureren", "Support"):
        assert not any(purpose.is_direct_marketing for purpose in purposes_in(text)), text


def test_no_kind_of_purpose_matches_everything():
    for purpose in vocabulary.purposes().values():
        assert purpose.pattern.search("") is None, purpose.key
        assert set(purpose.unfit) <= set(vocabulary.legal_bases())


@pytest.mark.parametrize(
    ("column", "category"),
    [
        ("naam", "name"), ("voornaam", "name"), ("familienaam", "name"), ("firstname", "name"), ("LastName", "name"),
        ("Prénom", "name"), ("Nachname", "name"), ("klantnaam", "name"), ("geboortedatum", "birth-date"),
        ("birth_date", "birth-date"), ("dateNaissance", "birth-date"), ("Geburtsdatum", "birth-date"),
        ("emailaddress1", "email"), ("e-mail", "email"), ("courriel", "email"), ("tel", "telephone"),
        ("gsm", "telephone"), ("telephone1", "telephone"), ("iban", "bank-account"), ("rekening", "bank-account"),
        ("compte_bancaire", "bank-account"), ("straat", "address"), ("postcode", "address"), ("gemeente", "address"),
        ("address1_line1", "address"), ("PLZ", "address"), ("ip", "ip-address"), ("ip_adres", "ip-address"),
        ("remote_addr", "ip-address"), ("rijksregister", "national-id"), ("BSN", "national-id"), ("niss", "national-id"),
        ("factuur", "invoice"), ("factuurnummer", "invoice"), ("user_agent", "device"), ("password_hash", "credentials"),
        ("username", "account"), ("bedrijfsnaam", "organisation-name"), ("company_name", "organisation-name"),
        ("taal", "language"), ("cv_path", "cv"), ("diagnose", "health"), ("straße", "address"), ("opmerkingen", "correspondence"),
    ],
)  # fmt: skip
def test_a_column_name_suggests_its_category(column, category):
    assert hint_category(column) == category


@pytest.mark.parametrize(
    "column", ["id", "created_on", "modifiedon", "status", "file_name", "hostname", "product_name", "", "_", "x1", "🜁"]
)
def test_a_column_name_that_says_nothing_suggests_nothing(column):
    assert hint_category(column) is None


def test_every_hint_leads_to_a_category_that_exists():
    from ropa.vocabulary.hints import _hints

    known = _hints()
    assert {*known.words.values(), *known.ends.values()} <= set(vocabulary.categories())
    assert "" not in {*known.words, *known.ends, *known.never, *known.weak, *known.persons, *known.keys, *known.values}
    assert known.weak <= set(known.words) | {""}, "a weak word is a word"


def test_a_measure_is_found_by_key_label_or_usual_word():
    for text in ("TLS", "https", "versleuteling tijdens transport (TLS)", " tls "):
        found = vocabulary.measure_of(text)
        assert found is not None
        assert found.key == "tls"
    assert vocabulary.measure_of("a very large dog") is None
