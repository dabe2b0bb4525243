"""Who receives the data and where they go: recipients, transfers to third countries, cookies."""

from __future__ import annotations

from collections.abc import Iterator

from ropa.clock import Period, parse_period
from ropa.errors import Finding
from ropa.register.completeness.case import Case, days_beyond, is_third_country
from ropa.register.completeness.codes import finding
from ropa.register.models import OWN, SESSION, Cookie, Recipient, Transfer
from ropa.vocabulary import UNKNOWN, Safeguard, adequacy, plain, safeguards

_THIRTEEN_MONTHS = Period(months=13)
_VISIT_SECONDS = 3600
_FUNCTIONAL = (
    "functional",
    "functione",
    "fonction",
    "funktion",
    "necessary",
    "noodzakelijk",
    "necessaire",
    "notwendig",
)


def check_recipients(case: Case) -> Iterator[Finding]:
    """Check recipients and transfers."""
    used = {key for activity in case.register.activities for key in case.recipients_of(activity)}
    used |= {location.recipient for location in case.locations.values() if location.recipient}
    used |= {cookie.setter for cookie in case.register.cookies.values() if cookie.setter}
    for key, recipient in case.register.recipients.items():
        entry = f"recipient.{key}"
        yield from _recipient(entry, recipient)
        if key not in used:
            yield finding(
                "recipient-unused",
                entry,
                "receives nothing from any activity, location or cookie",
                "Name it where it receives data, or remove it.",
            )
        yield from _transfer(case, entry, recipient)


def _recipient(entry: str, recipient: Recipient) -> Iterator[Finding]:
    if recipient.country in {None, UNKNOWN}:
        yield finding(
            "recipient-country-unknown",
            f"{entry}.country",
            "is not known",
            "Find out where the recipient is established.",
        )
    if recipient.role == UNKNOWN:
        yield finding(
            "recipient-role-unknown",
            f"{entry}.role",
            "is not known",
            "Decide whether it is a processor, a controller of its own, a joint controller or an authority.",
        )
    if recipient.role == "processor" and recipient.contract != "yes":
        is_missing = recipient.contract == "no"
        yield finding(
            "processor-contract-missing" if is_missing else "processor-contract-unsaid",
            f"{entry}.contract",
            "there is no processor contract" if is_missing else "it is not said whether there is a processor contract",
            'Conclude one (Art. 28(3)) and set contract = "yes".',
        )


def _transfer(case: Case, entry: str, recipient: Recipient) -> Iterator[Finding]:
    transfer = recipient.transfer
    if transfer is None:
        if is_third_country(recipient.country) and recipient.country is not None:
            yield from _unstated(case, entry, recipient.country)
        return
    at = f"{entry}.transfer"
    country = transfer.country or (recipient.country if is_third_country(recipient.country) else None)
    if country in {None, UNKNOWN}:
        yield finding(
            "third-country-unnamed",
            at,
            "does not say to which country the data go (Art. 30(1)(e))",
            "Name the country in transfer.country.",
        )
    if transfer.safeguard in {None, UNKNOWN}:
        if country is None or country == UNKNOWN or is_third_country(country):
            yield _without_safeguard(at, country)
        return
    yield from _safeguard(case, at, safeguards()[transfer.safeguard or ""], country, transfer)


def _unstated(case: Case, entry: str, country: str) -> Iterator[Finding]:
    decision = adequacy(country, case.today)
    if decision is None:
        yield _without_safeguard(entry, country)
    else:
        yield finding(
            "adequacy-unstated",
            entry,
            f"is in {country}, for which there is an {decision.labels['en']}, and does not say so",
            f'Write transfer = {{ country = "{country}", safeguard = "{decision.key}" }}.',
        )


def _without_safeguard(entry: str, country: str | None) -> Finding:
    return finding(
        "transfer-without-safeguard",
        entry,
        f"data go to {country or 'a third country'} without a safeguard (Art. 44)",
        "Name what carries the transfer: an adequacy decision, standard contractual clauses (scc), …; or stop it.",
    )


def _safeguard(case: Case, at: str, safeguard: Safeguard, country: str | None, transfer: Transfer) -> Iterator[Finding]:
    label, dated_on = safeguard.labels["en"], case.register.organisation.policy.dated_on
    then = None if dated_on is None else safeguard.is_valid(dated_on)
    note = f" ({safeguard.note})" if safeguard.note else ""
    if not safeguard.is_valid(case.today):
        since = f"since {safeguard.invalid_from}" if safeguard.invalid_from else "not yet"
        policy = "" if then is None else f"; on the policy's date, {dated_on}, it was {'valid' if then else 'not'}"
        yield finding(
            "transfer-mechanism-invalid",
            at,
            f"rests on the {label}, which is not valid on {case.today}, {since}{policy}{note}",
            "Name what carries the transfer today, with its proof, or stop it.",
        )
    elif then is False:
        yield finding(
            "transfer-mechanism-later",
            at,
            f"rests on the {label}, valid from {safeguard.valid_from}; the policy is of {dated_on}",
            "Bring the policy up to date.",
        )
    if safeguard.countries and country not in {None, UNKNOWN} and country not in safeguard.countries:
        yield finding(
            "safeguard-wrong-country",
            at,
            f"the {label} does not cover {country}",
            "Name what carries a transfer to that country.",
        )
    if safeguard.is_listed and not transfer.evidence and safeguard.is_valid(case.today):
        yield finding(
            "safeguard-unproven",
            f"{at}.evidence",
            f"the {label} covers listed importers only, and no listing is recorded{note}",
            "Look the importer up and record where and when in evidence.",
        )


# --- cookies ------------------------------------------------------------------------------------------------------


def check_cookies(case: Case) -> Iterator[Finding]:
    """Check the cookies."""
    for name, cookie in case.register.cookies.items():
        entry = f"cookie.{name}"
        yield from _cookie_references(case, entry, cookie)
        yield from _cookie_lifetime(case, entry, cookie)


def _cookie_references(case: Case, entry: str, cookie: Cookie) -> Iterator[Finding]:
    if cookie.activity is None:
        yield finding("cookie-without-activity", entry, "belongs to no activity", "Name its activity.")
    elif cookie.activity not in case.register.activities:
        yield finding(
            "cookie-activity-absent",
            f"{entry}.activity",
            f"activity.{cookie.activity} is not in the register",
            "Correct the key, or add the activity.",
        )
    if cookie.setter is not None and cookie.setter not in {OWN, UNKNOWN, *case.register.recipients}:
        yield finding(
            "cookie-setter-absent",
            f"{entry}.setter",
            f"recipient.{cookie.setter} is not in the register",
            f'Add the recipient, or write setter = "{OWN}" for a cookie of your own.',
        )


def _cookie_lifetime(case: Case, entry: str, cookie: Cookie) -> Iterator[Finding]:
    at = f"{entry}.lifetime"
    period = cookie.period
    if period is None:
        if cookie.lifetime != SESSION:
            yield finding("cookie-lifetime-missing", at, "is not known", "Look it up in a browser and write it down.")
        return
    policy = case.register.organisation.policy
    if policy.functional_cookies_session_only and _is_functional(cookie) and _outlives_a_visit(period):
        yield finding(
            "cookie-outlives-visit",
            at,
            f"a functional cookie stays {period}; the policy says that functional cookies end with the visit",
            "Correct the policy, or make it a session cookie.",
        )
    if policy.stated_period and days_beyond(period, parse_period(policy.stated_period)):
        yield finding(
            "cookie-outlives-policy",
            at,
            f"stays {period}; the policy states {policy.stated_period} for all data",
            "Correct the policy, or shorten the lifetime.",
        )
    if days_beyond(period, _THIRTEEN_MONTHS):
        yield finding(
            "cookie-over-13-months",
            at,
            f"stays {period}, more than the 13 months that the CNIL sets for audience measurement",
            "Shorten it to 13 months or less, or write down why it must be longer.",
        )


def _is_functional(cookie: Cookie) -> bool:
    purpose = plain(cookie.purpose or "")
    # "niet-functioneel", "non-functional" say the opposite of what they contain.
    if any(negation in purpose for negation in ("niet-", "niet ", "non-", "non ", "nicht", "not ")):
        return False
    return cookie.consent is False or any(word in purpose for word in _FUNCTIONAL)


def _outlives_a_visit(period: Period) -> bool:
    has_days = bool(period.years or period.months or period.weeks or period.days)
    return has_days or period.hours * 3600 + period.minutes * 60 + period.seconds > _VISIT_SECONDS
