"""Guesses of what a column holds, from its name."""

import pytest

from connectors.sql.hints import hint_category

EXPECTED = {
    "name": ["naam", "voornaam", "FirstName", "last_name", "Nachname", "nom", "prénom", "contact_name", "achternaam2"],
    "birth-date": ["geboortedatum", "BirthDate", "birth_date", "date de naissance", "Geburtsdatum", "dob"],
    "email": ["email", "E-mail", "emailaddress1", "contactEmail", "courriel"],
    "telephone": ["tel", "gsm", "Phone", "telefoonnummer", "Handy", "téléphone", "mobile_phone", "Fax"],
    "bank-account": ["iban", "customer_iban", "rekeningnummer", "Kontonummer"],
    "address": ["straat", "postcode", "PostalCode", "Straße", "PLZ", "adresse", "BillingAddress", "BillingCity"],
    "ip-address": ["ip", "ip_address", "remote_addr", "ipAddress"],
    "national-id": ["rijksregisternummer", "BSN"],
    "credentials": ["password_hash", "wachtwoord"],
    "cv": ["cv", "Lebenslauf"],
}


@pytest.mark.parametrize(("category", "name"), [(c, name) for c, names in EXPECTED.items() for name in names])
def test_names_in_four_languages_are_understood(category, name):
    assert hint_category(name) == category


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "created_at",
        "ProductName",
        "table_name",
        "CompanyName",
        "statecode",
        "amount",
        "",
        "zip_file",
        "ship_date",
    ],
)
def test_other_names_suggest_nothing(name):
    assert hint_category(name) is None
