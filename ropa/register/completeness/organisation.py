"""Who the organisation is, and what its published policy promises: held against the register and the law."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ropa.clock import Period, parse_period
from ropa.errors import Finding
from ropa.register.completeness.case import Case, days_beyond, is_third_country
from ropa.register.completeness.codes import finding
from ropa.register.models import Policy
from ropa.vocabulary import UNKNOWN, LegalFact, legal_bases, legal_facts, plain, purposes_in, rights

_MONTH = Period(months=1)
_AUTOMATED = "automated-decisions"


def check_organisation(case: Case) -> Iterator[Finding]:
    """Check the organisation and its policy."""
    yield from _identity(case)
    yield from _contacts(case)
    yield from _statements(case)
    yield from _promise(case)
    yield from _rights(case)
    yield from _outdated(case)


def _identity(case: Case) -> Iterator[Finding]:
    own = case.register.organisation
    if not own.name and not own.legal_name:
        yield finding("organisation-without-name", "organisation", "has no name (Art. 30(1)(a))", "Give its name.")
    if not (own.address or own.email or own.telephone):
        yield finding(
            "organisation-without-contact",
            "organisation",
            "has no contact details (Art. 30(1)(a))",
            "Give an address, an e-mail address or a telephone number.",
        )
    if own.country in {None, UNKNOWN}:
        yield finding(
            "organisation-without-country", "organisation.country", "is not known", "Give the ISO code, e.g. BE."
        )


def _contacts(case: Case) -> Iterator[Finding]:
    own = case.register.organisation
    if own.dpo is None:
        yield finding(
            "dpo-missing",
            "organisation.dpo",
            "no data protection officer is named",
            "Name one where Art. 37 asks for one; otherwise write down why it does not.",
        )
    if own.representative is None and is_third_country(own.country):
        yield finding(
            "representative-missing",
            "organisation.representative",
            "an organisation outside the EEA names no representative in the Union (Art. 27)",
            "Name the representative with contact details.",
        )
    people = [("dpo", own.dpo), ("representative", own.representative)]
    people += [("joint_controller", contact) for contact in own.joint_controllers]
    for role, contact in people:
        if contact is not None and not contact.is_reachable:
            yield finding(
                "contact-without-details",
                f"organisation.{role}",
                "has no contact details (Art. 30(1)(a))",
                "Give an address, an e-mail address or a telephone number.",
            )


def _statements(case: Case) -> Iterator[Finding]:
    policy = case.register.organisation.policy
    if policy != Policy() and policy.dated_on is None:
        yield finding(
            "policy-undated", "organisation.policy", "bears no date", "Date the policy and keep its versions."
        )
    receiving = [key for key, one in case.register.recipients.items() if one.role != "authority"]
    if policy.no_third_parties and receiving:
        yield finding(
            "statement-no-third-parties",
            "organisation.policy.no_third_parties",
            f"the policy says that nobody receives the data, the register names {len(receiving)} "
            f"recipient{'s' if len(receiving) > 1 else ''}: {', '.join(receiving)}",
            "Correct the policy: processors are recipients too (Art. 4(9), 13(1)(e)).",
        )
    if policy.objection_needs_reasons:
        yield finding(
            "objection-asks-reasons",
            "organisation.policy.objection_needs_reasons",
            "reasons are asked for an objection; against direct marketing none are needed (Art. 21(2)-(3))",
            "Say in the policy that an objection to direct marketing is followed without reasons.",
        )
    if policy.identity_check == "id-copy":
        yield finding(
            "id-copy-by-default",
            "organisation.policy.identity_check",
            "a copy of an identity document is asked from every requester; Art. 12(6) allows more information only "
            "on reasonable doubt, and no more than needed",
            "Identify people by what is known of them; ask more in case of doubt only.",
        )


def _promise(case: Case) -> Iterator[Finding]:
    promised = case.register.organisation.request_promise
    if promised is None:
        return
    late = days_beyond(parse_period(promised), _MONTH)
    common = [day for day in late if day.year == 2027]
    if late:
        first = (common or late)[0]
        yield finding(
            "promise-over-month",
            "organisation.request_promise",
            f"{promised} can end later than the month of Art. 12(3): for requests received on {len(common)} days of a "
            f"common year, the first of them {first.day} {first:%B}",
            'Promise "1 month" or "4 weeks"; until then the earlier of the two dates binds.',
        )


def _rights(case: Case) -> Iterator[Finding]:
    active = [activity for _, activity in case.controlled()]
    if not active:
        return
    granted = set(case.register.organisation.rights)
    in_use = {activity.legal_basis for activity in active if not activity.data}
    in_use |= {activity.basis_of(name) for activity in active for name in activity.data}
    decides = any(activity.automated_decisions for activity in active)
    for key, right in rights().items():
        bringing = sorted(basis for basis, one in legal_bases().items() if key in one.rights and basis in in_use)
        why = f"comes with {', '.join(bringing)}, which the register uses"
        if not bringing and UNKNOWN in in_use and any(key in one.rights for one in legal_bases().values()):
            why = "may apply, as long as a legal basis is unknown"
        elif key == "objection" and not bringing and _markets(case):
            why = "applies to direct marketing, whatever its basis (Art. 21(2))"
        elif not bringing:
            continue
        if key in granted:
            continue
        code = "right-unstated" if key == _AUTOMATED and not decides else "right-missing"
        yield finding(
            code,
            "organisation.rights",
            f"the policy does not name {right.labels['en']} (Art. {right.article}), which {why}",
            f'Name it in the policy, and add "{key}" to rights.',
        )


def _markets(case: Case) -> bool:
    texts = [text for _, one in case.controlled() for text in one.purposes]
    texts += [text for _, one in case.controlled() for use in one.data.values() for text in use.purposes]
    return any(kind.is_direct_marketing for text in texts for kind in purposes_in(text))


# --- what is no longer so -----------------------------------------------------------------------------------------


def _outdated(case: Case) -> Iterator[Finding]:
    dated_on = case.register.organisation.policy.dated_on
    seen: set[tuple[str, str]] = set()
    for entry, text in _texts(case):
        for fact in legal_facts():
            if fact.since <= case.today and (entry, fact.key) not in seen and fact.pattern.search(plain(text)):
                seen.add((entry, fact.key))
                of_policy = dated_on if entry.startswith("organisation.") else None
                yield finding("outdated-reference", entry, _outdated_message(fact, of_policy), fact.fix)


def _outdated_message(fact: LegalFact, dated_on: date | None) -> str:
    when = f"since {fact.since}"
    if dated_on is not None:
        when += f", {'before' if fact.since <= dated_on else 'after'} the policy's own date of {dated_on}"
    return f"names {fact.was}, {when}: {fact.now}"


def _texts(case: Case) -> Iterator[tuple[str, str]]:
    own = case.register.organisation
    if own.authority:
        yield "organisation.authority", own.authority
    for text in own.policy.references:
        yield "organisation.policy.references", text
    for key, activity in case.register.activities.items():
        for name, use in activity.data.items():
            yield f"activity.{key}.data.{name}.legal_reference", use.legal_reference or ""
        yield f"activity.{key}.legal_reference", activity.legal_reference or ""
        for system in activity.systems:
            yield f"activity.{key}.systems", system
    for key in case.register.cookies:
        yield f"cookie.{key}", key
    for rule in case.rules.values():
        yield f"rule.{rule.name}.legal_ground", rule.legal_ground or ""
