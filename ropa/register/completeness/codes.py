"""Every finding about the register, once: its code, how much it matters, and what it means.

``error``: the record falls short of Art. 30, a reference is broken, or a basis or a period is not known. ``warning``:
the text contradicts the facts or the law, or a sound record would say more. ``note``: worth a look.

Invariant: a code keeps its meaning; a finding with a code that is not listed here cannot be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ropa.errors import Finding, Severity

_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

CODES: Mapping[str, tuple[Severity, str]] = MappingProxyType(
    {
        # Art. 30(1)(a), 30(2)(a): who
        "register-without-activities": (_E, "The register holds no processing activity."),
        "organisation-without-name": (_E, "The organisation has no name (Art. 30(1)(a))."),
        "organisation-without-contact": (_E, "The organisation has no contact details (Art. 30(1)(a))."),
        "organisation-without-country": (_W, "The organisation's country is not known."),
        "contact-without-details": (_E, "A person who must be named has no contact details (Art. 30(1)(a), 30(2)(a))."),
        "dpo-missing": (_N, "No data protection officer is named (Art. 37)."),
        "representative-missing": (_W, "An organisation outside the EEA names no representative (Art. 27)."),
        # what an activity must say
        "purpose-missing": (_E, "An activity has no purpose (Art. 30(1)(b))."),
        "subjects-missing": (_E, "An activity names no category of data subjects (Art. 30(1)(c))."),
        "subject-unknown": (_N, "A category of data subjects is not in the vocabulary."),
        "data-missing": (_E, "An activity names no data category (Art. 30(1)(c))."),
        "category-unknown": (_E, "A data category is neither in the vocabulary nor among the organisation's own."),
        "recipients-missing": (_W, "An activity does not say who receives the data (Art. 30(1)(d))."),
        "recipients-unknown": (_E, "It is not known who receives the data of an activity (Art. 30(1)(d))."),
        "recipient-absent": (_E, "A recipient that is referred to is not in the register."),
        "system-without-recipient": (_W, "A system is used whose operator is not among the activity's recipients."),
        "category-without-period": (
            _E,
            "No rule says how long a category is kept, and no criterion does (Art. 30(1)(f)).",
        ),
        "period-not-enforced": (_W, "A period is stated for a category, but no rule carries it out."),
        "period-in-words": (_E, "A period stands only in the words of the document it was imported from."),
        "period-without-start": (_W, "A period is stated without the event it runs from."),
        "measures-missing": (_W, "An activity names no security measures (Art. 30(1)(g), 30(2)(d))."),
        "controllers-missing": (_E, "A processor's record does not name the controllers it acts for (Art. 30(2)(a))."),
        "processing-missing": (_E, "A processor's record names no category of processing (Art. 30(2)(b))."),
        "owner-missing": (_N, "Nobody answers for an activity."),
        "review-passed": (_W, "The date by which an activity had to be looked at has passed."),
        "ended-without-date": (_W, "An activity has ended, but not said when."),
        "replacement-absent": (_E, "An activity is replaced by one that is not in the register."),
        # legal basis
        "basis-unknown": (_E, "The legal basis of an activity or a category is not known (Art. 6(1))."),
        "basis-unfit": (_W, "A purpose rests on a legal basis that does not carry it."),
        "legal-reference-missing": (_E, "A legal obligation or public task without the law behind it (Art. 6(3))."),
        "interest-missing": (_W, "A legitimate interest that is not stated (Art. 13(1)(d))."),
        "condition-missing": (_E, "Special or criminal data without their condition (Art. 9(2), 10)."),
        "restricted-without-law": (_W, "A national identification number without the law that allows it (Art. 87)."),
        # recipients and transfers
        "recipient-country-unknown": (_W, "The country of a recipient is not known."),
        "recipient-role-unknown": (_N, "The role of a recipient is not known."),
        "recipient-unused": (_N, "A recipient receives nothing from any activity."),
        "processor-contract-missing": (_W, "A processor without a contract (Art. 28(3))."),
        "processor-contract-unsaid": (_N, "It is not said whether there is a contract with a processor (Art. 28(3))."),
        "third-country-unnamed": (_E, "A transfer that does not say to which country (Art. 30(1)(e))."),
        "transfer-without-safeguard": (_E, "A third country without a safeguard (Art. 44)."),
        "transfer-mechanism-invalid": (_E, "A transfer rests on a mechanism that is not valid."),
        "transfer-mechanism-later": (_W, "A transfer rests on a mechanism that did not exist on the policy's date."),
        "safeguard-wrong-country": (_E, "An adequacy decision is used for a country it does not cover (Art. 45)."),
        "safeguard-unproven": (_N, "The importer's listing, on which the adequacy decision depends, is not recorded."),
        "adequacy-unstated": (_N, "A country with an adequacy decision, which is not named."),
        # the published policy
        "statement-no-third-parties": (
            _W,
            "The policy says that nobody receives the data; the register names recipients.",
        ),
        "promise-over-month": (_W, "The promised answer can come later than one month after the request (Art. 12(3))."),
        "right-missing": (_W, "A right that comes with a legal basis in use is not granted."),
        "right-unstated": (_N, "The right not to be subject to automated decisions is not mentioned (Art. 22)."),
        "objection-asks-reasons": (_W, "Reasons are asked for an objection; against direct marketing none are needed."),
        "id-copy-by-default": (_W, "A copy of an identity document is asked from every requester (Art. 12(6))."),
        "outdated-reference": (_W, "A repealed law, a renamed authority, or a mechanism or product that ended."),
        "policy-undated": (_N, "The policy bears no date."),
        # cookies
        "cookie-lifetime-missing": (_W, "The lifetime of a cookie is not known."),
        "cookie-outlives-visit": (_W, "A functional cookie outlives the visit; the policy says it does not."),
        "cookie-outlives-policy": (_W, "A cookie outlives the period that the policy states for all data."),
        "cookie-over-13-months": (_W, "A cookie can stay longer than 13 months, the CNIL's limit."),
        "cookie-activity-absent": (_E, "A cookie belongs to an activity that is not in the register."),
        "cookie-without-activity": (_W, "A cookie belongs to no activity."),
        "cookie-setter-absent": (_E, "A cookie is set by a recipient that is not in the register."),
        # places and rules, both ways
        "rule-activity-absent": (_E, "A rule belongs to an activity that is not in the register."),
        "rule-data-outside-activity": (_W, "A rule covers categories that its activity does not name."),
        "ended-activity-with-rules": (_N, "An activity has ended; its rules run until the data are gone."),
        "location-recipient-absent": (_E, "A location names a recipient that is not in the register."),
        "location-without-recipient": (_E, "Others run a location, and it does not say who (Art. 30(1)(d))."),
        "location-recipient-unsaid": (_N, "A location with a country does not say whether others run it."),
        "location-outside-eea": (_E, "A location lies in a third country, and no transfer covers it (Art. 44)."),
        "category-not-in-register": (_E, "A category is stored that no activity names."),
        "column-without-activity": (_W, "A category is stored in a dataset where no rule ties it to an activity."),
    }
)
"""Code to severity and meaning."""


def finding(code: str, entry: str, message: str, fix: str) -> Finding:
    """Make a finding with the severity of its code. Raises KeyError for a code that is not listed."""
    return Finding(code, CODES[code][0], entry, message, fix)
