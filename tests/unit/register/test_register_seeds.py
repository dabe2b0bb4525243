"""What a careful reader finds in two published policies, the program finds too."""

from __future__ import annotations

from register_builders import TODAY, config, dataset, location

from ropa.register import from_toml
from ropa.register.completeness import check

AGENCY = """
[organisation]
name = "Webassur"
legal_name = "Archer Consulting BV"
address = "Dok-Noord 7C/405, 9000 Gent"
country = "BE"
authority = "GBA"
request_promise = "30 days"
rights = ["access", "rectification", "erasure", "restriction", "objection", "portability"]

[organisation.policy]
dated_on = 2022-12-28
no_third_parties = true
functional_cookies_session_only = true
objection_needs_reasons = true
references = ["verklaring afgelegd bij de Gegevensbeschermingautoriteit", "Wet van 8 december 1992", "EU-U.S. Privacy Shield Framework", "Belgische Privacycommissie"]

[recipient.google]
name = "Google"
role = "unknown"
country = "US"
transfer = { country = "US", safeguard = "privacy-shield" }

[recipient.cookieyes]
name = "CookieYes"

[cookie.cookieyes-consent]
setter = "cookieyes"
lifetime = "1 year"
consent = false
activity = "website"

[cookie."_pk_id.103138.71da"]
setter = "own"
lifetime = "1 year 27 days"
activity = "website"

[cookie._ga]
setter = "google"
lifetime = "2 years"
activity = "website"

[cookie._gat_gtag_UA_252708234_1]
setter = "google"
lifetime = "PT1M"
activity = "website"

[activity.website]
title = "Websiteanalyse"
purposes = ["Interne analyse"]
legal_basis = "6.1.a"
subjects = ["visitor"]
recipients = ["google"]
data = ["cookie-id", "browsing"]

[activity.birthday]
title = "Verjaardagsattentie"
purposes = ["Attentie op de verjaardag"]
legal_basis = "6.1.b"
subjects = ["customer"]
data = ["name", "birth-date"]

[activity.security]
title = "Firewall"
purposes = ["Ongewenste bezoekers weren"]
subjects = ["visitor"]
systems = ["Firewall", "Chatbot"]
data = ["ip-address"]
"""

ASSIST = """
[organisation]
name = "WeAssist"
email = "administratie@we-assist.com"
country = "unknown"
request_promise = "4 weeks"
rights = ["access", "rectification", "erasure"]

[organisation.policy]
stated_period = "6 months"
identity_check = "id-copy"
no_third_parties = true

[recipient.advertising]
name = "unknown"
country = "unknown"
transfer = { country = "unknown", safeguard = "unknown" }

[cookie.preferences]
activity = "site"

[activity.site]
title = "Website"
purposes = ["Gedrag op de website analyseren"]
subjects = ["visitor"]
recipients = ["advertising"]
data = ["browsing", "cross-site-behaviour", "ip-address"]
"""


def found(text: str, configuration=None) -> set[tuple[str, str]]:
    return {(one.code, one.entry) for one in check(from_toml(text), configuration, today=TODAY)}


def test_the_agencys_policy_raises_every_finding_of_its_reader():
    codes = found(AGENCY)
    assert {
        ("category-without-period", "activity.birthday.data.birth-date"),
        ("category-without-period", "activity.security.data.ip-address"),
        ("basis-unknown", "activity.security"),
        ("basis-unfit", "activity.birthday"),
        ("system-without-recipient", "activity.security.systems"),
        ("statement-no-third-parties", "organisation.policy.no_third_parties"),
        ("transfer-mechanism-invalid", "recipient.google.transfer"),
        ("cookie-outlives-visit", "cookie.cookieyes-consent.lifetime"),
        ("cookie-over-13-months", "cookie._ga.lifetime"),
        ("promise-over-month", "organisation.request_promise"),
        ("right-missing", "organisation.rights"),
        ("outdated-reference", "organisation.policy.references"),
        ("outdated-reference", "cookie._gat_gtag_UA_252708234_1"),
        ("objection-asks-reasons", "organisation.policy.objection_needs_reasons"),
    } <= codes
    assert ("cookie-over-13-months", "cookie._pk_id.103138.71da.lifetime") not in codes
    assert ("outdated-reference", "organisation.authority") not in codes


def test_withdrawal_and_complaint_are_the_rights_the_agency_forgot():
    missing = [one.message for one in check(from_toml(AGENCY), None, today=TODAY) if one.code == "right-missing"]
    assert len(missing) == 2
    assert any("Art. 7(3)" in message for message in missing)
    assert any("Art. 77" in message for message in missing)


def test_each_outdated_reference_of_the_agency_is_told_with_both_dates():
    told = [
        one.message
        for one in check(from_toml(AGENCY), None, today=TODAY)
        if one.code == "outdated-reference" and one.entry == "organisation.policy.references"
    ]
    assert len(told) == 5
    assert all("2022-12-28" in message for message in told)


def test_the_services_policy_raises_every_finding_of_its_reader():
    codes = found(ASSIST)
    assert {
        ("basis-unknown", "activity.site"),
        ("period-not-enforced", "activity.site.data.browsing"),
        ("period-without-start", "activity.site.data.ip-address"),
        ("statement-no-third-parties", "organisation.policy.no_third_parties"),
        ("third-country-unnamed", "recipient.advertising.transfer"),
        ("transfer-without-safeguard", "recipient.advertising.transfer"),
        ("cookie-lifetime-missing", "cookie.preferences.lifetime"),
        ("right-missing", "organisation.rights"),
        ("id-copy-by-default", "organisation.policy.identity_check"),
        ("policy-undated", "organisation.policy"),
    } <= codes
    assert not {code for code, _ in codes} & {"promise-over-month", "outdated-reference"}


def test_chat_content_in_a_connector_that_the_register_leaves_out_is_an_error():
    stored = config(locations=(location("web", datasets={"chats": dataset("chats", ("chat",))}),), rules=())
    assert ("category-not-in-register", "web.chats.data.chat") in found(AGENCY, stored)
