"""Both worked examples load, and everything that the two published policies say stands in them.

The checklists are written from the policies' own articles; they are compared with the examples, not made from them.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest

from connectors.files import TYPE as FILES
from connectors.manual import TYPE as MANUAL
from connectors.sql import TYPE as SQL
from connectors.weblog import TYPE as WEBLOG
from ropa.clock import parse_period
from ropa.config.load import load
from ropa.config.models import Config
from ropa.connector import Action
from ropa.demo.example import example_folder
from ropa.errors import CallError
from ropa.register.completeness import check
from ropa.register.models import Register
from ropa.register.text import from_toml, to_toml
from ropa.retention.compile import compile_policy, conflicts
from ropa.retention.coverage import partly_covered, uncovered
from ropa.vocabulary import categories, subjects

TYPES = {"sql": SQL, "files": FILES, "weblog": WEBLOG, "manual": MANUAL}
NAMES = ("webassur", "we-assist")
PUBLISHED = {
    "webassur": {"info@webassur.be"},
    "we-assist": {"administratie@we-assist.com", "vraag@we-assist.com"},
}


def register_of(name: str) -> Register:
    return from_toml((example_folder(name) / "register.toml").read_bytes())


def config_of(name: str) -> Config:
    return load(example_folder(name), TYPES)


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def webassur() -> Register:
    return register_of("webassur")


@pytest.fixture(scope="module")
def we_assist() -> Register:
    return register_of("we-assist")


# --- both ---------------------------------------------------------------------------------------------------------


def test_both_examples_load_and_the_register_survives_being_written(name: str) -> None:
    register = register_of(name)
    assert from_toml(to_toml(register)) == register
    assert len(config_of(name).rules) > 10


def test_the_rules_of_both_examples_can_be_carried_out_together(name: str) -> None:
    config = config_of(name)
    assert conflicts(config) == []
    assert compile_policy(config)


def test_every_mapped_category_has_a_rule(name: str) -> None:
    assert uncovered(config_of(name)) == []


def test_only_cookies_of_another_name_and_subscribers_of_another_state_are_left_out_by_where() -> None:
    assert {dataset for dataset, _ in partly_covered(config_of("webassur"))} == {"crm.subscribers", "browser.cookies"}
    assert partly_covered(config_of("we-assist")) == []


def test_rules_and_register_refer_to_each_other_without_a_gap(name: str) -> None:
    register, config = register_of(name), config_of(name)
    assert {rule.activity for rule in config.rules.values()} <= set(register.activities)
    for rule in config.rules.values():
        assert set(rule.data) <= set(register.activities[rule.activity].data), rule.name
    stored = {(rule.activity, category) for rule in config.rules.values() for category in rule.data}
    listed = {
        (key, category)
        for key, activity in register.activities.items()
        if activity.status == "active"
        for category in activity.data
    }
    # The widget's check for JavaScript stays in the browser: nothing of it is stored anywhere.
    assert listed - stored == ({("widget", "device")} if name == "we-assist" else set())
    recipients = {location.recipient for location in config.locations.values()} - {None}
    assert recipients <= set(register.recipients)
    for activity in register.activities.values():
        assert set(activity.recipients) <= {*register.recipients, "unknown"}
    for cookie in register.cookies.values():
        assert cookie.activity in register.activities
        assert cookie.setter is None or cookie.setter in register.recipients


def test_every_category_and_subject_is_a_word_of_the_vocabulary(name: str) -> None:
    for activity in register_of(name).activities.values():
        assert set(activity.data) <= set(categories())
        assert set(activity.subjects) <= set(subjects())


def test_every_rule_says_whose_choice_its_period_is(name: str) -> None:
    for rule in config_of(name).rules.values():
        assert rule.legal_ground is not None
        assert re.search(r"own choice|own policy|policy of 28/12/2022|art\. \d", rule.legal_ground), rule.name
    text = (example_folder(name) / "config" / "retention.toml").read_text(encoding="utf-8")
    assert text.count("legal_ground = ") == len(config_of(name).rules)


def test_every_activity_names_the_article_of_the_policy_it_comes_from(name: str) -> None:
    for key, activity in register_of(name).activities.items():
        assert activity.policy_reference, key
        assert activity.policy_reference == "absent" or re.search(r"\d|cookies", activity.policy_reference)


def test_there_is_no_mail_address_but_the_published_ones(name: str) -> None:
    found: set[str] = set()
    for path in example_folder(name).rglob("*"):
        if path.is_file():
            found.update(re.findall(r"[\w.+-]+@[\w-]+\.[\w.]+\w", path.read_text(encoding="utf-8")))
    assert found == PUBLISHED[name]


FINDINGS = {  # what a careful reader finds: code -> where, in each example
    "webassur": {
        "basis-unknown": {"activity.birthday-attention", "activity.intake", "activity.invoicing.data.bank-account"},
        "system-without-recipient": {
            "activity.intake.systems", "activity.customer-care.systems", "activity.newsletter.systems",
            "activity.access-security.systems", "activity.website-analytics.systems", "activity.client-login.systems",
        },
        "statement-no-third-parties": {"organisation.policy.no_third_parties"},
        "transfer-mechanism-invalid": {"recipient.google.transfer"},
        "cookie-outlives-visit": {"cookie.cookieyes-consent.lifetime"},
        "cookie-over-13-months": {"cookie._ga.lifetime", "cookie._ga_9L9BHW16GZ.lifetime"},
        "promise-over-month": {"organisation.request_promise"},
        "right-missing": {"organisation.rights"},
        "outdated-reference": {"organisation.policy.references"},
    },
    "we-assist": {
        "basis-unknown": {"activity.advertising", "activity.analytics"},
        "purpose-missing": {"activity.advertising"},
        "system-without-recipient": {
            "activity.account.systems", "activity.analytics.systems", "activity.advertising.systems",
            "activity.preferences.systems", "activity.testing.systems",
        },
        "statement-no-third-parties": {"organisation.policy.no_third_parties"},
        "id-copy-by-default": {"organisation.policy.identity_check"},
        "cookie-lifetime-missing": {"cookie.unnamed-analytics.lifetime"},
        "right-missing": {"organisation.rights"},
    },
}  # fmt: skip
WITHOUT_RULES = {"webassur": "category-without-period", "we-assist": "period-without-start"}
SILENT = {
    "webassur": {"id-copy-by-default", "rule-data-outside-activity", "category-not-in-register", "basis-unfit"},
    "we-assist": {"promise-over-month", "rule-data-outside-activity", "category-not-in-register", "outdated-reference"},
}


def test_the_gaps_of_the_policy_are_found_and_no_others_are_made_up(name: str) -> None:
    found: dict[str, set[str]] = {}
    for one in check(register_of(name), config_of(name), today=date(2026, 11, 22)):
        found.setdefault(one.code, set()).add(one.entry)
    for code, entries in FINDINGS[name].items():
        assert entries <= found.get(code, set()), code
    assert not SILENT[name] & set(found)
    assert {"organisation.policy.references"} == {
        entry for entry in found.get("outdated-reference", set()) if not entry.startswith("cookie.")
    } or name == "we-assist"


def test_without_the_example_s_own_choices_every_category_lacks_a_period_or_its_start(name: str) -> None:
    register = register_of(name)
    found = check(register, None, today=date(2026, 11, 22))
    lacking = {one.entry for one in found if one.code == WITHOUT_RULES[name]}
    assert lacking >= {
        f"activity.{key}.data.{category}"
        for key, activity in register.activities.items()
        if activity.role == "controller"
        for category in activity.data
    }


def test_an_example_that_does_not_exist_is_refused_with_the_names_there_are() -> None:
    for wrong in ("acme", "../examples/webassur", "", "webassur/config"):
        with pytest.raises(CallError) as caught:
            example_folder(wrong)
        assert "we-assist, webassur" in str(caught.value.next_step)


def test_each_example_has_its_three_files(name: str) -> None:
    folder = example_folder(name)
    assert isinstance(folder, Path)
    for file in ("register.toml", "config/retention.toml", "README.md"):
        assert (folder / file).read_text(encoding="utf-8").strip()


# --- Webassur, policy of 28/12/2022 ---------------------------------------------------------------------------------

WEBASSUR_ROWS = {  # article -> activity, data, legal basis ("unknown": the policy states none)
    "W1 art. 3": ("intake", {"name", "email", "telephone"}, "unknown"),
    "W2 art. 3.1": ("customer-contact", {"name"}, "unknown"),
    "W3 art. 3.2": ("birthday-attention", {"birth-date"}, "unknown"),
    "W4 art. 3.3": ("customer-care", {"telephone"}, "unknown"),
    "W5 art. 3.4": ("correspondence", {"email", "correspondence"}, "unknown"),
    "W6 art. 3.4": ("newsletter", {"email"}, "6.1.a"),
    "W7 art. 3.5": ("invoicing", {"bank-account", "invoice"}, "6.1.c"),
    "W8 art. 3.6": ("invoicing", {"address"}, "6.1.c"),
    "W8 art. 3.6, gift": ("small-gift", {"address"}, "unknown"),
    "W9 art. 3.7": ("access-security", {"ip-address", "chat"}, "unknown"),
    "W10 art. 3.8, 5": ("website-analytics", {"cookie-id", "browsing"}, "6.1.a"),
    "W10 art. 5.3": ("cookie-consent", {"cookie-id", "preferences"}, "unknown"),
    "W11 art. 3.9": ("recruitment", {"cv"}, "unknown"),
    "W12 art. 6.3": ("client-login", {"account", "credentials"}, "unknown"),
    "W13 art. 4": ("rights-requests", {"identity-document"}, "unknown"),
    "W14 absent": ("accountability", {"consent-record", "suppression-entry"}, "unknown"),
}
WEBASSUR_COOKIES = {  # table of art. 5.3, column "Duurtijd"
    "cookieyes-consent": "P1Y",
    "_pk_id.103138.71da": "P1Y27D",
    "_pk_ses.103138.71da": "PT30M",
    "_gid": "P1D",
    "_gat_gtag_UA_252708234_1": "PT1M",
    "_ga_9L9BHW16GZ": "P2Y",
    "_ga": "P2Y",
}
WEBASSUR_SYSTEMS = (
    "Microsoft 365", "Facebook", "Instagram", "Intakeformulier", "Offerteformulier", "Telefoon", "Berichten",
    "Nieuwsbrief", "Bank", "Firewall", "Chatbot", "Google Analytics", "Matomo", "CookieYes", "Login",
)  # fmt: skip


@pytest.mark.parametrize("row", WEBASSUR_ROWS)
def test_every_row_of_the_webassur_policy_is_an_activity(row: str, webassur: Register) -> None:
    key, data, basis = WEBASSUR_ROWS[row]
    activity = webassur.activities[key]
    assert data <= set(activity.data)
    assert activity.legal_basis == basis
    articles = re.findall(r"\d(?:\.\d)?", row.partition("art. ")[2])
    assert all(article in (activity.policy_reference or "") for article in articles)
    assert activity.purposes


def test_the_bank_account_has_purposes_and_no_stated_basis(webassur: Register) -> None:
    invoicing = webassur.activities["invoicing"]
    assert invoicing.basis_of("bank-account") == "unknown"
    assert invoicing.basis_of("address") == "6.1.c"
    assert "Creditnota's" in invoicing.purposes_of("bank-account")


def test_the_webassur_controller_is_the_one_of_the_policy(webassur: Register) -> None:
    organisation = webassur.organisation
    assert (organisation.name, organisation.legal_name) == ("Webassur", "Archer Consulting BV")
    assert organisation.registration == "BE0786.223.206"
    assert organisation.address == "Dok-Noord 7C/405, 9000 Gent"
    assert (organisation.email, organisation.telephone) == ("info@webassur.be", "+32 456 15 44 87")
    assert organisation.policy.dated_on == date(2022, 12, 28)
    assert organisation.dpo is None
    assert organisation.representative is None


def test_the_rights_and_the_promise_of_webassur_are_those_of_article_4(webassur: Register) -> None:
    granted = {"access", "rectification", "erasure", "restriction", "objection", "portability"}
    assert set(webassur.organisation.rights) == granted
    assert webassur.organisation.request_promise == "30 days"
    assert webassur.organisation.policy.objection_needs_reasons is True
    assert webassur.organisation.policy.no_third_parties is True


def test_the_webassur_policy_references_are_kept_with_their_mistakes(webassur: Register) -> None:
    references = " | ".join(webassur.organisation.policy.references)
    for named in (
        "Gegevensbeschermingautoriteit",
        "8 december 1992",
        "11 december 1998",
        "Boek XII",
        "2016/679",
        "Privacy Shield",
        "Privacycommissie",
        "Commissie voor de Bescherming van de Persoonlijke Levenssfeer",
    ):
        assert named in references


def test_every_webassur_cookie_has_its_stated_lifetime_in_register_and_rule(webassur: Register) -> None:
    assert {name: c.period.iso for name, c in webassur.cookies.items() if c.period} == WEBASSUR_COOKIES
    assert len(webassur.cookies) == len(WEBASSUR_COOKIES)
    rules = [rule for rule in config_of("webassur").rules.values() if rule.dataset == "browser.cookies"]
    assert {rule.where[0].values[0]: rule.period.iso for rule in rules} == WEBASSUR_COOKIES
    assert {rule.action for rule in rules} == {Action.KEEP}
    assert webassur.cookies["cookieyes-consent"].consent is False


def test_the_recipients_of_webassur_are_those_it_names_and_no_others(webassur: Register) -> None:
    named = {"microsoft", "meta", "google", "matomo", "cookieyes", "bank", "legal-proceedings"}
    assert set(webassur.recipients) == named
    transfer = webassur.recipients["google"].transfer
    assert transfer is not None
    assert (transfer.country, transfer.safeguard) == ("US", "privacy-shield")
    assert [key for key, recipient in webassur.recipients.items() if recipient.transfer] == ["google"]


@pytest.mark.parametrize("system", WEBASSUR_SYSTEMS)
def test_every_system_of_the_webassur_policy_is_named(system: str, webassur: Register) -> None:
    named = [name for activity in webassur.activities.values() for name in activity.systems]
    named += [name for recipient in webassur.recipients.values() for name in recipient.systems]
    assert any(system in name for name in named)


def test_every_place_that_the_webassur_policy_names_or_implies_is_a_location() -> None:
    config = config_of("webassur")
    assert set(config.locations) == {
        "crm", "cvs", "weblog", "website", "mailbox", "meta", "telephone", "newsletter-tool", "bank", "accounting",
        "firewall", "chatbot", "client-logins", "matomo", "google-analytics", "cookieyes", "browser",
    }  # fmt: skip
    assert config.locations["crm"].recipient == "microsoft"
    assert config.locations["google-analytics"].country == "US"
    assert str(config.timezone) == "Europe/Brussels"


def test_the_subjects_of_webassur_are_those_of_the_policy(webassur: Register) -> None:
    found = {subject for activity in webassur.activities.values() for subject in activity.subjects}
    assert found == {
        "prospect", "customer", "contact-person", "subscriber", "visitor", "applicant", "user", "requester",
    }  # fmt: skip


def test_the_rules_on_the_webassur_crm_show_what_rules_can_do() -> None:
    config = config_of("webassur")
    targets = {(t.full_dataset, t.scope, t.data, t.action) for t in compile_policy(config) if t.location == "crm"}
    assert ("crm.customers", "field", ("birth-date",), Action.PURGE) in targets
    assert ("crm.customers", "row", ("*",), Action.PURGE) in targets
    assert ("crm.prospects", "row", ("*",), Action.PURGE) in targets
    assert ("crm.subscribers", "row", ("*",), Action.FLAG) in targets
    assert not any(dataset in {"crm.consents", "crm.suppressions"} for dataset, *_ in targets)
    invoices = config.rules["invoices-statutory"]
    assert (invoices.period.iso, invoices.start) == ("P10Y", "next-year")
    assert "WBTW" in str(invoices.legal_ground)
    lines = config.dataset("crm.invoice-lines").parent
    assert lines is not None
    assert (lines.dataset, lines.with_parent) == ("invoices", True)


# --- WeAssist, undated ----------------------------------------------------------------------------------------------

WE_ASSIST_ROWS = {  # section -> activity, data
    "A1 2.1": ("account", {"email"}),
    "A2 2.1": ("preferences", {"location"}),
    "A3 2.1": ("analytics", {"browsing", "search-terms"}),
    "A4 2.1": ("advertising", {"cross-site-behaviour"}),
    "A5 2.1": ("preferences", {"ip-address"}),
    "A6 2.1": ("preferences", {"device", "language", "preferences"}),
    "A7 cookies": ("preferences", {"search-terms"}),
    "A8 cookies": ("account", {"account"}),
    "A9 cookies": ("testing", {"cookie-id"}),
    "A10 cookies": ("widget", {"device"}),
    "A11 cookies": ("preferences", {"cookie-id"}),
    "A12 4": ("rights-requests", {"identity-document"}),
    "A13 2.2": ("minors", {"correspondence"}),
    "A14 6": ("questions", {"correspondence", "email"}),
    "A15 absent": ("billing", {"invoice"}),
}
LISTED_IN_2_1 = {"email", "location", "browsing", "cross-site-behaviour", "ip-address", "device"}


@pytest.mark.parametrize("row", WE_ASSIST_ROWS)
def test_every_row_of_the_we_assist_policy_is_an_activity_without_a_basis(row: str, we_assist: Register) -> None:
    key, data = WE_ASSIST_ROWS[row]
    activity = we_assist.activities[key]
    assert data <= set(activity.data)
    assert activity.legal_basis == "unknown"
    assert row.split(" ", 1)[1] in (activity.policy_reference or "")


def test_what_section_2_1_lists_stays_six_months_wherever_the_policy_says_so(we_assist: Register) -> None:
    assert we_assist.organisation.policy.stated_period == "6 months"
    assert we_assist.organisation.policy.stated_start is None
    rules = config_of("we-assist").rules.values()
    six = parse_period("6 months")
    covered = {category for rule in rules if rule.period == six for category in rule.data}
    assert covered >= LISTED_IN_2_1
    longer = {rule.name: rule.period.iso for rule in rules if rule.period != six}
    assert longer == {"mail-identity": "P1D", "mail-requests": "P3Y", "invoices-statutory": "P7Y"}


def test_the_rights_contacts_and_promise_of_we_assist_are_those_of_the_policy(we_assist: Register) -> None:
    organisation = we_assist.organisation
    assert set(organisation.rights) == {"access", "rectification", "erasure"}
    assert organisation.request_promise == "4 weeks"
    assert organisation.email == "administratie@we-assist.com"
    assert (organisation.legal_name, organisation.registration, organisation.address) == (None, None, None)
    assert organisation.policy.dated_on is None
    assert organisation.policy.identity_check == "id-copy"
    assert organisation.policy.minimum_age == 16
    assert organisation.policy.no_third_parties is True


def test_we_assist_cookies_have_purposes_and_neither_names_nor_lifetimes(we_assist: Register) -> None:
    assert {cookie.purpose for cookie in we_assist.cookies.values()} == {
        "analytics", "preferences", "login", "testing", "javascript",
    }  # fmt: skip
    assert all(key.startswith("unnamed-") for key in we_assist.cookies)
    assert {cookie.lifetime for cookie in we_assist.cookies.values()} == {"session", "unknown"}


def test_we_assist_names_an_advertising_network_and_no_other_recipient(we_assist: Register) -> None:
    assert set(we_assist.recipients) == {"ad-network"}
    assert we_assist.activities["advertising"].recipients == ("ad-network",)
    assert we_assist.activities["advertising"].purposes == ()


def test_tls_is_the_only_measure_that_we_assist_names(we_assist: Register) -> None:
    assert {measure for activity in we_assist.activities.values() for measure in activity.measures} == {"TLS"}


def test_the_texts_hold_no_placeholder(name: str) -> None:
    for file in ("register.toml", "config/retention.toml"):
        document = tomllib.loads((example_folder(name) / file).read_text(encoding="utf-8"))
        assert "..." not in str(document)
        assert "…" not in str(document)
