"""Every code of a finding fires on a register that deserves it, and is silent on the mended one."""

from __future__ import annotations

from datetime import date

import pytest
from register_builders import SOUND, TODAY, config, dataset, location, rule, sound

from ropa.clock import Period
from ropa.errors import Severity
from ropa.register import Register, from_toml
from ropa.register.completeness import CODES, check
from ropa.register.completeness.case import days_beyond

POLICY = "[organisation.policy]\ndated_on = 2022-12-28\n"
MARKETING = 'title = "N"\npurposes = ["Verjaardagskaart"]\n'


def swap(*pairs: tuple[str, str], more: str = "") -> str:
    text = SOUND
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text + more


def transfer(safeguard: str, country: str = "US", evidence: str = "") -> str:
    proof = f', evidence = "{evidence}"' if evidence else ""
    return swap(
        (
            'contract = "yes"',
            f'contract = "yes"\ntransfer = {{ country = "{country}", safeguard = "{safeguard}"{proof} }}',
        )
    )


def cookie(lines: str, policy: str = "") -> str:
    return SOUND + f'{policy}\n[cookie.c]\nsetter = "own"\nactivity = "intake"\n{lines}\n'


DATA = 'data = ["name", "email"]'
BASIS = 'legal_basis = "6.1.b"'
PURPOSES = 'purposes = ["Offerte voorbereiden"]'
PROCESSOR = (
    'title = "Aanvragen"',
    'title = "Aanvragen"\nrole = "processor"\nprocessing = ["hosting"]\ncontrollers = [{ name = "K", email = "k@example.org" }]',
)
SPECIAL = swap((DATA, 'data = ["name", "email", "health"]'))
ALL_DATA = ("name", "email", "health", "criminal", "national-id", "pets", "birth-date")
WIDE = config(rules=(rule(data=ALL_DATA),))
NO_RULES = config(rules=())

# code, the register (and configuration) that deserves it, the mended twin
CASES = [
    ("register-without-activities", '[organisation]\nname = "X"\n', SOUND),
    ("organisation-without-name", swap(('name = "Voorbeeld"', "")), SOUND),
    ("organisation-without-contact", swap(('address = "Kerkstraat 1, 9000 Gent"', "")), swap(('address = "Kerkstraat 1, 9000 Gent"', 'email = "a@example.org"'))),
    ("organisation-without-country", swap(('country = "BE"', 'country = "unknown"')), SOUND),
    ("contact-without-details", swap(('email = "dpo@example.org"', "")), SOUND),
    ("contact-without-details", swap(PROCESSOR, ('{ name = "K", email = "k@example.org" }', '"K"')), swap(PROCESSOR)),
    ("dpo-missing", swap(('[organisation.dpo]\nname = "Functionaris"\nemail = "dpo@example.org"', "")), SOUND),
    ("representative-missing", swap(('country = "BE"', 'country = "US"')), swap(('country = "BE"', 'country = "US"'), ("[organisation.dpo]", '[organisation.representative]\nname = "R"\nemail = "r@example.org"\n[organisation.dpo]'))),
    ("purpose-missing", swap((PURPOSES, "")), swap((PURPOSES, ""), (DATA, 'data.name = { purposes = ["x"] }\ndata.email = { purposes = ["y"] }'))),
    ("subjects-missing", swap(('subjects = ["prospect"]', "")), SOUND),
    ("subject-unknown", swap(('["prospect"]', '["prospekt"]')), SOUND),
    ("data-missing", swap((DATA, "")), SOUND),
    ("category-unknown", (swap((DATA, 'data = ["name", "pets"]')), WIDE), (swap((DATA, 'data = ["name", "pets"]'), more='[category.pets]\ntitle = "Huisdieren"\n'), WIDE)),
    ("category-unknown", (SOUND, config(locations=(location(datasets={"contacts": dataset(data=("pets",))}),))), SOUND),
    ("recipients-missing", (swap(('recipients = ["host"]', "")), NO_RULES), (swap(('recipients = ["host"]', 'recipients = ["none"]')), NO_RULES)),
    ("recipients-missing", (swap(('recipients = ["host"]', "")), NO_RULES), swap(('recipients = ["host"]', ""))),
    ("recipients-unknown", swap(('recipients = ["host"]', 'recipients = ["unknown"]')), SOUND),
    ("recipient-absent", swap(('recipients = ["host"]', 'recipients = ["hosst"]')), SOUND),
    ("system-without-recipient", swap(('measures = ["TLS"]', 'measures = ["TLS"]\nsystems = ["Chatbot"]')), swap(('measures = ["TLS"]', 'measures = ["TLS"]\nsystems = ["Chatbot"]'), ('contract = "yes"', 'contract = "yes"\nsystems = ["chatbot"]'))),
    ("system-without-recipient", swap(('measures = ["TLS"]', 'measures = ["TLS"]\nsystems = ["Chatbot"]'), more='[recipient.chatbot]\nname = "C"\n'), swap(('recipients = ["host"]', 'recipients = ["host", "chatbot"]\nsystems = ["Chatbot"]'), more='[recipient.chatbot]\nname = "C"\n')),
    ("system-without-recipient", swap(('measures = ["TLS"]', 'measures = ["TLS"]\nsystems = ["Firewall"]')), swap(('measures = ["TLS"]', 'measures = ["TLS"]\nsystems = ["Firewall"]'), ('authority = "GBA"', 'authority = "GBA"\nown_systems = ["firewall"]'))),
    ("category-without-period", (SOUND, NO_RULES), SOUND),
    ("category-without-period", (SOUND, None), (swap((DATA, 'data = ["name", "email"]\ncriterion = "tot uitschrijving"')), None)),
    ("category-without-period", (SOUND, config(rules=(rule(activity="other"),))), SOUND),
    ("category-without-period", (SOUND, config(rules=(rule(data=("name",)),))), SOUND),
    ("period-in-words", (swap((DATA, 'data = ["name", "email"]\nstated_text = "3-5 years"')), NO_RULES), swap((DATA, 'data = ["name", "email"]\nstated_text = "3-5 years"'))),
    ("period-in-words", (swap((DATA, 'data = ["name", "email"]\nstated_text = "3-5 years"')), NO_RULES), (swap((DATA, 'data = ["name", "email"]\nstated_text = "3-5 years"\ncriterion = "tot uitschrijving"')), NO_RULES)),
    ("period-not-enforced", (swap((DATA, 'data = ["name", "email"]\nstated_period = "6 months"')), NO_RULES), swap((DATA, 'data = ["name", "email"]\nstated_period = "6 months"'))),
    ("period-without-start", (SOUND + POLICY + 'stated_period = "6 months"\n', NO_RULES), (SOUND + POLICY + 'stated_period = "6 months"\nstated_start = "laatste contact"\n', NO_RULES)),
    ("measures-missing", swap(('measures = ["TLS"]', "")), SOUND),
    ("measures-missing", swap(PROCESSOR, ('measures = ["TLS"]', "")), swap(PROCESSOR)),
    ("controllers-missing", swap(PROCESSOR, ('controllers = [{ name = "K", email = "k@example.org" }]', "")), swap(PROCESSOR)),
    ("processing-missing", swap(PROCESSOR, ('processing = ["hosting"]', "")), swap(PROCESSOR)),
    ("owner-missing", swap(('owner = "Zaakvoerder"', "")), SOUND),
    ("review-passed", swap(("2027-01-01", "2026-11-20")), swap(("2027-01-01", "2026-11-21"))),
    ("ended-without-date", swap(('owner = "Zaakvoerder"', 'status = "ended"')), swap(('owner = "Zaakvoerder"', 'status = "ended"\nended_on = 2026-01-01'))),
    ("replacement-absent", swap(('owner = "Zaakvoerder"', 'status = "ended"\nended_on = 2026-01-01\nreplaced_by = "x"')), swap(('owner = "Zaakvoerder"', 'status = "ended"\nended_on = 2026-01-01\nreplaced_by = "x"'), more='[activity.x]\ntitle = "X"\n')),
    ("ended-activity-with-rules", swap(('owner = "Zaakvoerder"', 'status = "ended"\nended_on = 2026-01-01')), (swap(('owner = "Zaakvoerder"', 'status = "ended"\nended_on = 2026-01-01')), NO_RULES)),
    ("basis-unknown", swap((BASIS, "")), SOUND),
    ("basis-unknown", swap((DATA, 'data.name = {}\ndata.email = { legal_basis = "unknown" }')), SOUND),
    ("basis-unknown", swap((BASIS, "")), swap((BASIS, ""), (DATA, 'data.name = { legal_basis = "6.1.b" }\ndata.email = { legal_basis = "6.1.a" }'))),
    ("basis-unfit", swap((PURPOSES, 'purposes = ["Verjaardagsattentie versturen"]')), swap((PURPOSES, 'purposes = ["Verjaardagsattentie versturen"]'), (BASIS, 'legal_basis = "6.1.a"'))),
    ("basis-unfit", swap((PURPOSES, 'purposes = ["Offerte", "Geburtstagskarte"]')), swap((PURPOSES, 'purposes = ["Offerte", "Geburtstagskarte"]'), (DATA, 'data.name = {}\ndata.email = { purposes = ["Geburtstagskarte"], legal_basis = "6.1.a" }'))),
    ("basis-unfit", swap((DATA, 'data.name = {}\ndata.email = { purposes = ["newsletter"] }')), swap((DATA, 'data.name = {}\ndata.email = { purposes = ["newsletter"], legal_basis = "6.1.a" }'))),
    ("legal-reference-missing", swap((BASIS, 'legal_basis = "6.1.c"')), swap((BASIS, 'legal_basis = "6.1.c"\nlegal_reference = "art. 60 WBTW"'))),
    ("legal-reference-missing", swap((DATA, 'data.name = {}\ndata.email = { legal_basis = "6.1.e" }')), swap((DATA, 'data.name = {}\ndata.email = { legal_basis = "6.1.e", legal_reference = "wet" }'))),
    ("legal-reference-missing", (SPECIAL.replace(BASIS, BASIS + '\ncondition = "9.2.g"'), WIDE), (SPECIAL.replace(BASIS, BASIS + '\ncondition = "9.2.g"\nlegal_reference = "wet"'), WIDE)),
    ("interest-missing", swap((BASIS, 'legal_basis = "6.1.f"')), swap((BASIS, 'legal_basis = "6.1.f"\ninterest = "beveiliging"'))),
    ("condition-missing", (SPECIAL, WIDE), (SPECIAL.replace(BASIS, BASIS + '\ncondition = "9.2.a"'), WIDE)),
    ("condition-missing", (SPECIAL.replace(BASIS, BASIS + '\ncondition = "unknown"'), WIDE), (SPECIAL.replace(BASIS, BASIS + '\ncondition = "9.2.a"'), WIDE)),
    ("condition-missing", (SPECIAL.replace(BASIS, BASIS + '\ncondition = "10"'), WIDE), (SPECIAL.replace(BASIS, BASIS + '\ncondition = "9.2.a"'), WIDE)),
    ("condition-missing", (swap((DATA, 'data = ["criminal"]'), (BASIS, BASIS + '\ncondition = "9.2.a"')), WIDE), (swap((DATA, 'data = ["criminal"]'), (BASIS, BASIS + '\ncondition = "10"')), WIDE)),
    ("condition-missing", (swap((DATA, 'data = ["pets"]'), more='[category.pets]\ntitle = "P"\nspecial = true\n'), WIDE), (swap((DATA, 'data = ["pets"]'), more='[category.pets]\ntitle = "P"\n'), WIDE)),
    ("restricted-without-law", (swap((DATA, 'data = ["national-id"]')), WIDE), (swap((DATA, 'data = ["national-id"]\nlegal_reference = "wet van 8 augustus 1983"')), WIDE)),
    ("recipient-country-unknown", swap(('country = "BE"\ncontract', "contract")), SOUND),
    ("recipient-role-unknown", swap(('role = "processor"', "")), SOUND),
    ("recipient-unused", SOUND + '[recipient.idle]\nname = "I"\n', swap(('["host"]', '["host", "idle"]'), more='[recipient.idle]\nname = "I"\n')),
    ("processor-contract-missing", swap(('contract = "yes"', 'contract = "no"')), SOUND),
    ("processor-contract-unsaid", swap(('contract = "yes"', "")), SOUND),
    ("third-country-unnamed", swap(('contract = "yes"', 'transfer = { safeguard = "scc" }')), swap(('contract = "yes"', 'transfer = { country = "US", safeguard = "scc" }'))),
    ("transfer-without-safeguard", transfer("unknown"), transfer("scc")),
    ("transfer-without-safeguard", swap(('country = "BE"\ncontract', 'country = "IN"\ncontract')), swap(('country = "BE"\ncontract', 'country = "IN"\ntransfer = { safeguard = "scc" }\ncontract'))),
    ("transfer-mechanism-invalid", transfer("privacy-shield"), transfer("adequacy:2023/1795")),
    ("transfer-mechanism-invalid", transfer("scc:2010/87"), transfer("scc")),
    ("transfer-mechanism-later", transfer("adequacy:2023/1795") + POLICY, transfer("adequacy:2023/1795") + POLICY.replace("2022-12-28", "2023-07-10")),
    ("safeguard-wrong-country", transfer("adequacy:2023/1795", "IN"), transfer("adequacy:2023/1795", "US")),
    ("safeguard-unproven", transfer("adequacy:2023/1795"), transfer("adequacy:2023/1795", evidence="DPF list, 2026-11-01")),
    ("adequacy-unstated", swap(('country = "BE"\ncontract', 'country = "CH"\ncontract')), swap(('country = "BE"\ncontract', 'country = "CH"\ntransfer = { country = "CH", safeguard = "adequacy:2000/518" }\ncontract'))),
    ("statement-no-third-parties", SOUND + POLICY + "no_third_parties = true\n", SOUND + POLICY + "no_third_parties = false\n"),
    ("promise-over-month", swap(('"4 weeks"', '"30 days"')), swap(('"4 weeks"', '"1 month"'))),
    ("right-missing", swap(('"portability", ', "")), SOUND),
    ("right-missing", swap((', "complaint"', "")), SOUND),
    ("right-missing", swap((', "withdrawal"', ""), (BASIS, 'legal_basis = "6.1.a"')), swap((', "withdrawal"', ""))),
    ("right-missing", swap((', "objection"', ""), (PURPOSES, 'purposes = ["newsletter"]'), (BASIS, 'legal_basis = "6.1.a"')), swap((', "objection"', ""))),
    ("right-missing", swap((', "withdrawal"', ""), (BASIS, "")), swap((', "withdrawal"', ""))),
    ("right-missing", swap((', "automated-decisions"', ""), (BASIS, BASIS + "\nautomated_decisions = true")), swap((', "automated-decisions"', ""))),
    ("right-unstated", swap((', "automated-decisions"', "")), SOUND),
    ("objection-asks-reasons", SOUND + POLICY + "objection_needs_reasons = true\n", SOUND + POLICY),
    ("id-copy-by-default", SOUND + POLICY + 'identity_check = "id-copy"\n', SOUND + POLICY + 'identity_check = "case-by-case"\n'),
    ("outdated-reference", swap(('authority = "GBA"', 'authority = "Privacycommissie"')), SOUND),
    ("outdated-reference", SOUND + POLICY + 'references = ["Wet van 8 december 1992"]\n', SOUND + POLICY + 'references = ["wet van 30 juli 2018"]\n'),
    ("outdated-reference", (SOUND, config(rules=(rule(legal_ground="Vrijstellingsbesluit Wbp"),))), (SOUND, config(rules=(rule(legal_ground="art. 52 AWR"),)))),
    ("policy-undated", SOUND + "[organisation.policy]\nno_third_parties = false\n", SOUND + POLICY),
    ("cookie-lifetime-missing", cookie(""), cookie('lifetime = "session"')),
    ("cookie-lifetime-missing", cookie('lifetime = "unknown"'), cookie('lifetime = "1 day"')),
    ("cookie-outlives-visit", cookie('lifetime = "1 year"\nconsent = false', POLICY + "functional_cookies_session_only = true"), cookie('lifetime = "1 year"\nconsent = false', POLICY)),
    ("cookie-outlives-visit", cookie('lifetime = "1 year"\npurpose = "functioneel"\nconsent = true', POLICY + "functional_cookies_session_only = true"), cookie('lifetime = "PT30M"\npurpose = "functioneel"', POLICY + "functional_cookies_session_only = true")),
    ("cookie-outlives-visit", cookie('lifetime = "2 hours"\nconsent = false', POLICY + "functional_cookies_session_only = true"), cookie('lifetime = "1 year"\npurpose = "niet-functioneel"', POLICY + "functional_cookies_session_only = true")),
    ("cookie-outlives-policy", cookie('lifetime = "1 year"', POLICY + 'stated_period = "6 months"'), cookie('lifetime = "6 months"', POLICY + 'stated_period = "6 months"')),
    ("cookie-over-13-months", cookie('lifetime = "2 years"'), cookie('lifetime = "P1Y27D"')),
    ("cookie-over-13-months", cookie('lifetime = "14 months"'), cookie('lifetime = "13 months"')),
    ("cookie-activity-absent", cookie('lifetime = "1 day"').replace('activity = "intake"', 'activity = "x"'), cookie('lifetime = "1 day"')),
    ("cookie-without-activity", cookie('lifetime = "1 day"').replace('activity = "intake"', ""), cookie('lifetime = "1 day"')),
    ("cookie-setter-absent", cookie('lifetime = "1 day"').replace('"own"', '"google"'), cookie('lifetime = "1 day"').replace('"own"', '"host"')),
    ("rule-activity-absent", (SOUND, config(rules=(rule(), rule("b", activity="intak")))), SOUND),
    ("rule-data-outside-activity", (SOUND, config(rules=(rule(data=("name", "email", "cv")),))), SOUND),
    ("location-recipient-absent", (SOUND, config(locations=(location(recipient="hosst"),))), SOUND),
    ("location-without-recipient", (SOUND, config(locations=(location(recipient=None, connector="dataverse"),))), (SOUND, config(locations=(location(connector="dataverse"),)))),
    ("location-without-recipient", (SOUND, config(locations=(location(recipient=None, country="IE"),))), (SOUND, config(locations=(location(recipient=None, country=None),)))),
    ("location-recipient-unsaid", (SOUND, config(locations=(location(recipient=None),))), SOUND),
    ("location-outside-eea", (SOUND, config(locations=(location(country="US"),))), (transfer("scc"), config(locations=(location(country="US"),)))),
    ("category-not-in-register", (SOUND, config(locations=(location(datasets={"contacts": dataset(data=("name", "email", "chat"))}),))), SOUND),
    ("column-without-activity", (SOUND, config(locations=(location(datasets={"contacts": dataset(), "mail": dataset("mail")}),))), (SOUND, config(locations=(location(datasets={"contacts": dataset(), "mail": dataset("mail")}),), rules=(rule(), rule("b", dataset="crm.mail"))))),
]  # fmt: skip


def findings(case):
    text, configuration = case if isinstance(case, tuple) else (case, config())
    return check(from_toml(text), configuration, today=TODAY)


@pytest.mark.parametrize(("code", "deserving", "mended"), CASES, ids=[f"{n}-{one[0]}" for n, one in enumerate(CASES)])
def test_a_finding_fires_where_it_must_and_nowhere_else(code, deserving, mended):
    fired = [one for one in findings(deserving) if one.code == code]
    assert fired
    assert code not in {one.code for one in findings(mended)}
    for one in fired:
        assert one.severity is CODES[code][0]
        assert one.entry
        assert one.message
        assert one.fix.rstrip().endswith(".")


def test_every_code_has_a_case():
    assert {one[0] for one in CASES} == set(CODES)


def test_a_sound_register_has_no_finding():
    assert check(sound(), config(), today=TODAY) == []


def test_errors_come_first_and_the_order_is_the_same_each_time():
    register = from_toml(SOUND.replace(BASIS, "").replace('owner = "Zaakvoerder"', ""))
    first = check(register, NO_RULES, today=TODAY)
    ranks = [[Severity.ERROR, Severity.WARNING, Severity.NOTE].index(one.severity) for one in first]
    assert ranks == sorted(ranks)
    assert first == check(register, NO_RULES, today=TODAY)


def test_the_empty_register_is_checked_without_a_configuration():
    assert "register-without-activities" in {one.code for one in check(Register(), None, today=TODAY)}


def test_privacy_shield_is_told_with_the_policys_date_and_todays():
    [found] = [one for one in findings(transfer("privacy-shield") + POLICY) if one.code == "transfer-mechanism-invalid"]
    assert found.entry == "recipient.host.transfer"
    for day in ("2026-11-21", "2020-07-16", "2022-12-28"):
        assert day in found.message
    assert "it was not" in found.message


def test_a_mechanism_that_fell_after_the_policy_is_told_so():
    old = transfer("privacy-shield") + POLICY.replace("2022-12-28", "2019-01-01")
    [found] = [one for one in findings(old) if one.code == "transfer-mechanism-invalid"]
    assert "on the policy's date, 2019-01-01, it was valid" in found.message


def test_a_repealed_law_is_not_yet_outdated_on_the_day_before():
    text = SOUND + POLICY + 'references = ["Wet van 8 december 1992"]\n'
    codes = {
        day: {one.code for one in check(from_toml(text), config(), today=day)}
        for day in (date(2018, 9, 4), date(2018, 9, 5))
    }
    assert "outdated-reference" not in codes[date(2018, 9, 4)]
    assert "outdated-reference" in codes[date(2018, 9, 5)]


def test_a_promise_of_thirty_days_breaks_the_month_on_thirty_days_of_a_common_year():
    late = days_beyond(Period(days=30), Period(months=1))
    common = [day for day in late if day.year == 2027]
    leap = [day for day in late if day.year == 2028]
    assert (len(common), common[0], common[-1]) == (30, date(2027, 1, 30), date(2027, 2, 28))
    assert (len(leap), leap[0], leap[-1]) == (30, date(2028, 1, 31), date(2028, 2, 29))
    assert days_beyond(Period(weeks=4), Period(months=1)) == []
    assert days_beyond(Period(months=1), Period(months=1)) == []
    assert days_beyond(Period(years=1, days=27), Period(months=13)) == []
    assert days_beyond(Period(hours=24 * 40), Period(months=1))
    [found] = [one for one in findings(swap(('"4 weeks"', '"30 days"'))) if one.code == "promise-over-month"]
    assert "on 30 days of a common year, the first of them 30 January" in found.message


def test_an_unknown_basis_makes_every_right_one_that_may_apply():
    text = swap((BASIS, ""), ('"access", "rectification", "erasure", "restriction", "portability", "objection", "automated-decisions", "withdrawal", "complaint"', '"access", "rectification", "erasure"'))  # fmt: skip
    missing = {one.fix for one in findings(text) if one.code in {"right-missing", "right-unstated"}}
    assert len(missing) == 6


def test_the_recipient_of_a_rules_location_counts_as_the_activitys():
    text = swap(('recipients = ["host"]', ""))
    assert "recipients-missing" not in {one.code for one in findings(text)}


def test_a_processors_record_needs_neither_purpose_nor_basis_nor_subjects():
    text = swap(PROCESSOR, (BASIS, ""), (PURPOSES, ""), ('subjects = ["prospect"]', ""), (DATA, ""))
    assert findings((text, config(rules=(), locations=()))) == []


def test_severities_follow_article_30():
    for code in ("basis-unknown", "category-without-period", "rule-activity-absent", "purpose-missing", "data-missing"):
        assert CODES[code][0] is Severity.ERROR
    for code in ("basis-unfit", "promise-over-month", "cookie-over-13-months", "rule-data-outside-activity"):
        assert CODES[code][0] is Severity.WARNING
    assert CODES["dpo-missing"][0] is Severity.NOTE
