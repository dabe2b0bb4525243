"""Entries from elsewhere beside those that are there."""

from ropa.register import differences
from ropa.register.exchange.incoming import Incoming, key_of, merged
from ropa.register.text import from_toml

BASE = """
[organisation]
name = "Voorbeeld"
country = "BE"
[organisation.dpo]
name = "An Voorbeeld"
email = "dpo@example.org"
[recipient.host]
name = "Host"
country = "IE"
transfer = { country = "US", safeguard = "adequacy:2023/1795" }
[activity.intake]
title = "Aanvragen"
purposes = ["Offerte"]
data.name = { source = "data subject" }
data.email = { legal_basis = "6.1.f" }
"""
NEW = """
[organisation]
name = "Voorbeeld"
[organisation.dpo]
name = "Bo Voorbeeld"
[recipient.host]
name = "Host"
transfer = { evidence = "clauses" }
[recipient.other]
name = "Other"
[activity.intake]
title = "Aanvragen en offertes"
data.name = { stated_text = "3-5 years" }
data.cv = {}
"""


def test_what_a_file_does_not_say_stays_in_every_table():
    found = merged(from_toml(BASE), Incoming("fideslang", from_toml(NEW), is_whole=False))
    assert (found.organisation.country, found.organisation.dpo.name, found.organisation.dpo.email) == (
        "BE",
        "Bo Voorbeeld",
        "dpo@example.org",
    )
    transfer = found.recipients["host"].transfer
    assert (transfer.country, transfer.safeguard, transfer.evidence) == ("US", "adequacy:2023/1795", "clauses")
    assert [*found.recipients] == ["host", "other"]
    activity = found.activities["intake"]
    assert (activity.title, activity.purposes, [*activity.data]) == (
        "Aanvragen en offertes",
        ("Offerte",),
        ["name", "email", "cv"],
    )
    assert (activity.data["name"].source, activity.data["name"].stated_text) == ("data subject", "3-5 years")
    assert activity.data["email"].legal_basis == "6.1.f"


def test_a_whole_register_replaces_what_is_there():
    new = from_toml(NEW)
    assert merged(from_toml(BASE), Incoming("toml", new, is_whole=True)) == new


def test_entries_of_a_kind_that_had_none_are_told_one_by_one():
    paths = [change.path for change in differences(from_toml('[organisation]\nname = "V"\n'), from_toml(BASE))]
    assert {"recipient.host", "activity.intake"} <= set(paths)


def test_a_key_is_made_of_whole_words_and_is_numbered_where_it_is_taken():
    title = "Verwerking van persoonsgegevens van kandidaten voor de aanwerving van personeel"
    assert key_of(title) == "verwerking-van-persoonsgegevens-van-kandidaten-voor-de"
    assert key_of("Élève à l'école") == "eleve-a-l-ecole"
    assert key_of("Intake", {"intake", "intake-2"}) == "intake-3"
    assert key_of("漢字") == "entry"
