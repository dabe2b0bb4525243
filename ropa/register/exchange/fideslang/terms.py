"""The words of fideslang 3.1.4 and what ours they are: categories, uses, subjects, bases, safeguards, both ways.

Invariant: a term of theirs becomes a key of ours only where both mean the same; a wider or a narrower one never does.
Ours become theirs by the terms in ``ropa/vocabulary/data``. The keys are fideslang's (IABTechLab/fideslang, CC BY 4.0,
https://creativecommons.org/licenses/by/4.0/); tests hold them against the package.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from functools import cache

from ropa.register.exchange.incoming import key_of
from ropa.register.models import OwnCategory
from ropa.vocabulary import categories, category, conditions, legal_bases, purposes, purposes_in, subjects

VERSION = "3.1.4"
ROOT = "user"
"""The category of all data about a person."""
NO_PERSON = "system"
"""The category of data that are about no person."""


def _keys(text: str) -> frozenset[str]:
    return frozenset(
        f"{stem}.{end}" if end else stem
        for stem, _, ends in (line.partition(":") for line in text.split(";"))
        for stem, end in [(stem.strip(), ""), *((stem.strip(), end) for end in ends.split())]
    )


CATEGORIES = _keys(
    "system: authentication operations; user: account authorization behavior biometric childrens contact content"
    " demographic location device payment social unique_id telemetry user_sensor workplace sensor financial"
    " government_id health_and_medical name criminal_history privacy_preferences job_title;"
    "user.account: settings username; user.authorization: credentials biometric password;"
    "user.behavior: browsing_history media_consumption purchase_history search_history;"
    "user.biometric: fingerprint retinal voice health;"
    "user.contact: address email phone_number url fax_number organization;"
    "user.contact.address: city country postal_code state street; user.content: private public self_image;"
    "user.demographic: age_range date_of_birth gender language marital_status political_opinion profile"
    " race_ethnicity religious_belief sexual_orientation; user.device: cookie cookie_id device_id ip_address;"
    "user.financial: bank_account credit_card; user.government_id: birth_certificate drivers_license_number"
    " immigration national_identification_number passport_number vehicle_registration;"
    "user.health_and_medical: genetic insurance_beneficiary_id record_id; user.location: imprecise precise;"
    "user.name: first last; user.unique_id: pseudonymous"
)
USES = _keys(
    "analytics: reporting; analytics.reporting: ad_performance content_performance campaign_insights system;"
    "analytics.reporting.system: performance; collect; employment: recruitment;"
    "essential: fraud_detection legal_obligation service; essential.service: authentication notifications operations"
    " payment_processing security upgrades; essential.service.notifications: email sms;"
    "essential.service.operations: support improve; finance; functional: storage service;"
    "functional.service: improve; functional.storage: privacy_preferences; marketing: advertising communications;"
    "marketing.advertising: first_party frequency_capping negative_targeting profiling serving third_party;"
    "marketing.advertising.first_party: contextual targeted; marketing.advertising.third_party: targeted;"
    "marketing.communications: email sms; operations; personalize: content profiling system;"
    "personalize.content: limited profiling profiled; sales; third_party_sharing: legal_obligation; train_ai_system"
)
SUBJECTS = _keys(
    "anonymous_user; citizen_voter; commuter; consultant; customer; employee; job_applicant; next_of_kin; passenger;"
    "patient; prospect; shareholder; supplier_vendor; trainee; visitor"
)

_SAME_ALL_THE_SAME = frozenset({"search-terms", "organisation-name", "consent-record"})
"""Ours that are marked lossy because of DPV, or whose term says no more: the term means the same as our key."""
_WIDER_CATEGORIES = frozenset({"user.behavior"})
_WIDER_USES = frozenset({"functional.service", "essential.service.operations"})
"""What we write for one key of ours, and what means more than it."""
_PARTS = {
    "name": ("user.name.first", "user.name.last"),
    "address": tuple(f"user.contact.address.{part}" for part in ("street", "city", "postal_code", "state", "country")),
    "location": ("user.location.precise", "user.location.imprecise"),
    "device": ("user.device.device_id",),
    "identity-document": ("user.government_id.passport_number", "user.government_id.drivers_license_number"),
    "credentials": ("user.authorization.password", "user.account.username"),
    "biometric": tuple(f"user.biometric.{part}" for part in ("fingerprint", "retinal", "voice")),
}
"""Columns of these hold a category of ours: a place maps ``address`` to street, city and postal code."""
_SENSITIVE = (
    "user.health_and_medical",
    "user.biometric",
    "user.authorization.biometric",
    "user.demographic.race_ethnicity",
)


# --- theirs to ours -----------------------------------------------------------------------------------------------


@cache
def _exact() -> Mapping[str, str]:
    """A term of theirs to the one category of ours that means the same."""
    found = defaultdict(list)
    for key, one in categories().items():
        if (
            one.fideslang
            and one.fideslang[0] not in _WIDER_CATEGORIES
            and (not one.is_lossy or key in _SAME_ALL_THE_SAME)
        ):
            found[one.fideslang[0]].append(key)
    return {term: keys[0] for term, keys in found.items() if len(keys) == 1}


def our_categories(terms: Iterable[str]) -> dict[str, str | None]:
    """Return, for each term, our key; None where only a category of the organisation's own says it.

    A term that merely accompanies another (``user.account.username`` beside ``user.authorization.credentials``) is the
    other's key.
    """
    listed = list(terms)
    found = {term: _exact().get(term) for term in listed}
    for key in [key for key in found.values() if key]:
        known = category(key)
        for other in known.fideslang[1:] if known else ():
            if other in found:
                found[other] = found[other] or key
    return found


def column_category(term: str) -> str | None:
    """Return the category of ours that a column with a term belongs to, None where it is none of ours."""
    return _exact().get(term) or next((key for key, parts in _PARTS.items() if term in parts), None)


def own_category(term: str, title: str | None = None, note: str | None = None) -> tuple[str, OwnCategory]:
    """Return a category of the organisation's own for a term that is none of ours."""
    is_special = any(term == one or term.startswith(f"{one}.") for one in _SENSITIVE)
    is_wide = any(other.startswith(f"{term}.") for other in CATEGORIES)
    words = term.removeprefix(f"{ROOT}.").replace(".", " ").replace("_", " ")
    return own_key(term), OwnCategory(
        title=title or ("any data about the person" if term == ROOT else words),
        special=is_special,
        note=note or f"{term} in fideslang{'; which data of that kind is not said' if is_wide else ''}",
    )


def own_key(term: str) -> str:
    """Return the key of an own category for a term; never one of our vocabulary's."""
    return key_of(term, categories(), fallback="category")


@cache
def _purposes() -> Mapping[str, str]:
    found = defaultdict(list)
    for key, one in purposes().items():
        for term in one.fideslang:
            found[term].append(key)
    return {term: keys[0] for term, keys in found.items() if len(keys) == 1 and term not in _WIDER_USES}


def purpose_text(use: str) -> str:
    """Return the purpose that a data use is, in words: our label where only one of ours is written so, else the key."""
    known = _purposes().get(use)
    return use if known is None or purposes()[known].is_lossy else purposes()[known].labels["en"]


@cache
def _subjects() -> Mapping[str, str]:
    named = {one.fideslang[0]: key for key, one in reversed([*subjects().items()]) if one.fideslang}
    return named | {one.fideslang[0]: key for key, one in subjects().items() if one.fideslang and not one.is_lossy}


def our_subject(term: str) -> str:
    """Return the key of a category of data subjects: ours, else theirs as it is written (which is a finding)."""
    return _subjects().get(term) or key_of(term, fallback="subject")


_OLDER_BASES = {"legal obligation": "6.1.c", "vital interest": "6.1.d", "legitimate interest": "6.1.f"}
"""As earlier releases of fideslang wrote them."""


@cache
def _bases() -> Mapping[str, str]:
    return _OLDER_BASES | {term.casefold(): key for key, one in legal_bases().items() for term in one.fideslang}


@cache
def _conditions() -> Mapping[str, str]:
    return {term.casefold(): key for key, one in conditions().items() for term in one.fideslang}


def our_basis(text: str) -> str | None:
    """Return the legal basis (Art. 6) of their words."""
    return _bases().get(text.strip().casefold())


def our_condition(text: str) -> str | None:
    """Return the condition (Art. 9) of their words."""
    return _conditions().get(text.strip().casefold())


SAFEGUARDS = {"sccs": "scc", "bcrs": "bcr"}
"""Their words for what carries a transfer, small letters, to ours. "Adequacy Decision" does not say which one, and
supplementary measures carry nothing by themselves."""


# --- ours to theirs -----------------------------------------------------------------------------------------------


@cache
def _own_terms() -> Mapping[str, str]:
    return {own_key(term): term for term in sorted(CATEGORIES)}


def own_of_key(key: str) -> OwnCategory | None:
    """Return the own category that a term of fideslang alone makes, None where the key is not made of one."""
    return own_category(_own_terms()[key])[1] if key in _own_terms() else None


def their_categories(key: str) -> tuple[tuple[str, ...], bool]:
    """Return the terms that a category of ours is written as, and whether they say less than it."""
    known = category(key)
    if known is not None and known.fideslang:
        return known.fideslang, _exact().get(known.fideslang[0]) != key
    if known is None and key in _own_terms():
        return (_own_terms()[key],), False
    return (ROOT,), True


def their_uses(purpose: str, title: str, basis: str) -> tuple[tuple[str, ...], bool]:
    """Return the data uses that a purpose in words is written as, and whether words tell them.

    ``title``: of the activity, which tells where the purpose does not. Where neither does: the duty or the service that
    the legal basis speaks of, else ``operations``.
    """
    for text in (purpose, title):
        if text in USES:
            return (text,), True
        if found := dict.fromkeys(kind.fideslang[0] for kind in purposes_in(text) if kind.fideslang):
            return tuple(found), True
    return ({"6.1.b": "essential.service", "6.1.c": "essential.legal_obligation"}.get(basis, "operations"),), False


def their_subject(key: str) -> tuple[str | None, bool]:
    """Return the term that a category of data subjects is written as, and whether it says less or something else."""
    known = subjects().get(key)
    if known is None:
        return (key, False) if key in SUBJECTS else (None, True)
    if not known.fideslang:
        return None, True
    return known.fideslang[0], _subjects()[known.fideslang[0]] != key


_NUMBERED = re.compile(r"(.+) \(\d+\)", re.DOTALL)


def unnumbered(name: str, among: Container[str]) -> str:
    """Return the name that a number was added to, where the name itself is ``among`` the others: as we write them."""
    found = _NUMBERED.fullmatch(name)
    return found[1] if found and found[1] in among else name
