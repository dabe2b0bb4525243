"""The register as frozen values: what GDPR Art. 30 asks, and what the findings need besides.

``unknown`` is a value wherever a fact may not be known; None means that nothing was said. Where a category is stored
and how long it is kept is not written here: it follows from the rules (``config/retention.toml``). What a policy *says*
about a period (``stated_period``) is a fact about the policy, to be compared with the rules, and deletes nothing.

Invariant: every field carries its ``Spec``; a value that has been parsed has no blank text and no unknown key.
"""

# ruff: noqa: RUF009 - key() is dataclasses.field() with a description, and makes no shared value
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ropa.clock import Period, parse_period
from ropa.register.specs import (
    Kind,
    basis_words,
    condition_words,
    key,
    languages,
    right_words,
    safeguard_words,
    words,
)
from ropa.vocabulary import UNKNOWN

NONE = "none"
"""``recipients = ["none"]``: nobody outside receives the data, and that was looked into."""
OWN = "own"
"""``setter = "own"``: the organisation sets the cookie itself."""
SESSION = "session"


@dataclass(frozen=True, slots=True)
class Contact:
    """A person or body with contact details (Art. 30(1)(a), 30(2)(a))."""

    name: str = key(Kind.TEXT, "Name of the person or body.", default="", required=True)
    address: str | None = key(Kind.TEXT, "Postal address.")
    email: str | None = key(Kind.TEXT, "E-mail address.")
    telephone: str | None = key(Kind.TEXT, "Telephone number.")
    country: str | None = key(Kind.COUNTRY, "Country of establishment.")
    registration: str | None = key(Kind.TEXT, "Company number, or the number under which a DPO is registered.")
    note: str | None = key(Kind.TEXT, "Anything else worth knowing.")

    @property
    def is_reachable(self) -> bool:
        """Whether there is a way to reach them."""
        return bool(self.address or self.email or self.telephone)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the published privacy policy says, as far as it can be checked against the register."""

    url: str | None = key(Kind.TEXT, "Where the policy is published.")
    dated_on: date | None = key(Kind.DATE, "Date of the policy.")
    version: str | None = key(Kind.TEXT, "Version of the policy.")
    no_third_parties: bool | None = key(Kind.FLAG, "The policy says that data are never given to third parties.")
    functional_cookies_session_only: bool | None = key(
        Kind.FLAG, "The policy says that functional cookies end with the visit."
    )
    identity_check: str | None = key(
        Kind.CHOICE,
        "How the policy says a requester is identified.",
        choices=words("id-copy", "login", "known-contact", "case-by-case", "unspecified", UNKNOWN),
    )
    objection_needs_reasons: bool | None = key(Kind.FLAG, "The policy asks for reasons when a person objects.")
    minimum_age: int | None = key(Kind.COUNT, "Age under which the policy asks for parental consent, in years.")
    stated_period: str | None = key(Kind.PERIOD, "A period that the policy states for all data.")
    stated_start: str | None = key(Kind.TEXT, "The event from which the policy says that period runs.")
    references: tuple[str, ...] = key(
        Kind.TEXTS, "Laws, authorities, mechanisms and procedures that the policy names, word for word."
    )


@dataclass(frozen=True, slots=True)
class Organisation:
    """The controller (or processor) whose register this is (Art. 30(1)(a), 30(2)(a))."""

    name: str = key(Kind.TEXT, "Name by which the organisation is known.", default="")
    legal_name: str | None = key(Kind.TEXT, "Name in law, with the legal form.")
    registration: str | None = key(Kind.TEXT, "Company number.")
    address: str | None = key(Kind.TEXT, "Registered address.")
    country: str | None = key(Kind.COUNTRY, "Country of establishment.")
    email: str | None = key(Kind.TEXT, "E-mail address for privacy matters.")
    telephone: str | None = key(Kind.TEXT, "Telephone number.")
    website: str | None = key(Kind.TEXT, "Website.")
    authority: str | None = key(Kind.TEXT, "Supervisory authority, as the organisation names it.")
    request_promise: str | None = key(
        Kind.PERIOD, "Time within which the policy promises to answer; the law's month still binds (Art. 12(3))."
    )
    rights: tuple[str, ...] = key(Kind.CHOICES, "Rights that the policy grants.", choices=right_words)
    languages: tuple[str, ...] = key(Kind.CHOICES, "Languages the organisation works in.", choices=languages)
    own_systems: tuple[str, ...] = key(
        Kind.TEXTS, "Systems that the organisation runs itself, as activities name them: they need no recipient."
    )
    dpo: Contact | None = key(Kind.TABLE, "Data protection officer (Art. 37).", table=Contact)
    representative: Contact | None = key(Kind.TABLE, "Representative in the Union (Art. 27).", table=Contact)
    policy: Policy = key(Kind.TABLE, "The published privacy policy.", table=Policy, default=Policy)
    joint_controllers: tuple[Contact, ...] = key(
        Kind.TABLES, "Joint controllers (Art. 26).", table=Contact, name="joint_controller"
    )


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer to a third country or international organisation (Art. 30(1)(e), Chapter V)."""

    country: str | None = key(Kind.COUNTRY, "The third country the data go to.")
    safeguard: str | None = key(Kind.CHOICE, "What carries the transfer.", choices=safeguard_words)
    evidence: str | None = key(Kind.TEXT, "Where the proof is: the listing of the importer, the signed clauses.")
    note: str | None = key(Kind.TEXT, "Anything else worth knowing.")


@dataclass(frozen=True, slots=True)
class Recipient:
    """Someone to whom data are disclosed (Art. 4(9), 30(1)(d)); processors are recipients."""

    name: str = key(Kind.TEXT, "Name of the recipient.", default="", required=True)
    role: str = key(
        Kind.CHOICE,
        "Role under the GDPR.",
        choices=words("processor", "controller", "joint-controller", "authority", UNKNOWN),
        default=UNKNOWN,
        always=True,
    )
    country: str | None = key(Kind.COUNTRY, "Country of establishment.")
    contact: str | None = key(Kind.TEXT, "How to reach the recipient about privacy.")
    systems: tuple[str, ...] = key(Kind.TEXTS, "Systems and services the recipient runs, as activities name them.")
    contract: str | None = key(
        Kind.CHOICE, "Whether there is a processor contract (Art. 28(3)).", choices=words("yes", "no", UNKNOWN)
    )
    note: str | None = key(Kind.TEXT, "Anything else worth knowing.")
    transfer: Transfer | None = key(Kind.TABLE, "Transfer to a third country.", table=Transfer)


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie or similar trace on a visitor's device: documented, not enforced."""

    setter: str | None = key(Kind.NAME, 'Key of the recipient that sets it, or "own".')
    lifetime: str | None = key(Kind.LIFETIME, "How long it stays.")
    purpose: str | None = key(Kind.TEXT, "What it is for; functional cookies say so.")
    consent: bool | None = key(Kind.FLAG, "Whether it is set after consent only.")
    activity: str | None = key(Kind.NAME, "Key of the processing activity it belongs to.")
    note: str | None = key(Kind.TEXT, "Anything else worth knowing.")

    @property
    def period(self) -> Period | None:
        """The lifetime as a period; None for ``session``, ``unknown`` and where nothing is said."""
        return None if self.lifetime in {None, SESSION, UNKNOWN} else parse_period(self.lifetime)


@dataclass(frozen=True, slots=True)
class OwnCategory:
    """A data category that the organisation adds to the vocabulary."""

    title: str = key(Kind.TEXT, "What it is called.", default="", required=True)
    special: bool = key(Kind.FLAG, "Whether it is special (Art. 9).", default=False)
    criminal: bool = key(Kind.FLAG, "Whether it is about offences (Art. 10).", default=False)
    note: str | None = key(Kind.TEXT, "What falls under it.")


@dataclass(frozen=True, slots=True)
class DataUse:
    """One data category within an activity; what is left out is as the activity has it."""

    purposes: tuple[str, ...] = key(Kind.TEXTS, "Purposes of this category, where they are not the activity's.")
    legal_basis: str | None = key(Kind.CHOICE, "Legal basis of this category.", choices=basis_words)
    legal_reference: str | None = key(Kind.TEXT, "The law behind 6.1.c or 6.1.e.")
    condition: str | None = key(Kind.CHOICE, "Condition of Art. 9(2) or Art. 10.", choices=condition_words)
    interest: str | None = key(Kind.TEXT, "The legitimate interest behind 6.1.f.")
    source: str | None = key(Kind.TEXT, "Where the data come from.")
    stated_period: str | None = key(Kind.PERIOD, "Period that the policy states; only a rule enforces one.")
    stated_start: str | None = key(Kind.TEXT, "The event from which the policy says the period runs.")
    criterion: str | None = key(Kind.TEXT, "What decides when no number can be given (Art. 13(2)(a)).")
    stated_text: str | None = key(
        Kind.TEXT, "The period in the words of the document it was imported from; a finding until it is settled."
    )
    policy_reference: str | None = key(Kind.TEXT, "Article of the policy it came from.")
    note: str | None = key(Kind.TEXT, "Anything else worth knowing.")


@dataclass(frozen=True, slots=True)
class Activity:
    """A processing activity: one entry of the record."""

    title: str = key(Kind.TEXT, "What the activity is called.", default="", required=True)
    description: str | None = key(Kind.TEXT, "What is done, in a few words.")
    role: str = key(
        Kind.CHOICE,
        "Whether the organisation acts as controller (Art. 30(1)) or processor (Art. 30(2)).",
        choices=words("controller", "processor"),
        default="controller",
        always=True,
    )
    processing: tuple[str, ...] = key(
        Kind.TEXTS, "Processor: the categories of processing carried out (Art. 30(2)(b))."
    )
    purposes: tuple[str, ...] = key(Kind.TEXTS, "Purposes (Art. 30(1)(b)).")
    legal_basis: str = key(Kind.CHOICE, "Legal basis (Art. 6(1)).", choices=basis_words, default=UNKNOWN, always=True)
    legal_reference: str | None = key(Kind.TEXT, "The law behind 6.1.c or 6.1.e (Art. 6(3)).")
    condition: str | None = key(Kind.CHOICE, "Condition of Art. 9(2) or Art. 10.", choices=condition_words)
    interest: str | None = key(Kind.TEXT, "The legitimate interest behind 6.1.f (Art. 13(1)(d)).")
    subjects: tuple[str, ...] = key(Kind.NAMES, "Categories of data subjects (Art. 30(1)(c)).")
    recipients: tuple[str, ...] = key(
        Kind.NAMES, 'Keys of recipients (Art. 30(1)(d)); ["none"] when there are none, ["unknown"] when not known.'
    )
    systems: tuple[str, ...] = key(Kind.TEXTS, "Systems that are used and have no location of their own.")
    measures: tuple[str, ...] = key(Kind.TEXTS, "Security measures (Art. 30(1)(g), 32(1)).")
    source: str | None = key(Kind.TEXT, "Where the data come from (Art. 14(2)(f)).")
    stated_period: str | None = key(Kind.PERIOD, "Period that the policy states; only a rule enforces one.")
    stated_start: str | None = key(Kind.TEXT, "The event from which the policy says the period runs.")
    criterion: str | None = key(Kind.TEXT, "What decides when no number can be given (Art. 13(2)(a)).")
    stated_text: str | None = key(
        Kind.TEXT, "The period in the words of the document it was imported from; a finding until it is settled."
    )
    automated_decisions: bool | None = key(Kind.FLAG, "Whether it decides by machine alone (Art. 22).")
    dpia: str | None = key(
        Kind.CHOICE,
        "State of the impact assessment (Art. 35).",
        choices=words("not-required", "required", "done", UNKNOWN),
    )
    status: str = key(
        Kind.CHOICE, "State of the entry.", choices=words("draft", "active", "ended"), default="active", always=True
    )
    ended_on: date | None = key(Kind.DATE, "Day the activity ended.")
    replaced_by: str | None = key(Kind.NAME, "Key of the activity that took its place.")
    owner: str | None = key(Kind.TEXT, "Who answers for the entry.")
    review_on: date | None = key(Kind.DATE, "Day by which the entry is looked at again.")
    policy_reference: str | None = key(Kind.TEXT, "Article of the policy it came from.")
    note: str | None = key(Kind.TEXT, "Anything else worth knowing.")
    data: Mapping[str, DataUse] = key(Kind.DATA, "Data categories (Art. 30(1)(c)).", table=DataUse)
    controllers: tuple[Contact, ...] = key(
        Kind.CONTACTS, "Processor: the controllers it acts for (Art. 30(2)(a)).", table=Contact
    )

    def basis_of(self, category: str) -> str:
        """Return the legal basis of one of its categories: the category's own, else the activity's."""
        use = self.data.get(category)
        return (use.legal_basis if use else None) or self.legal_basis

    def purposes_of(self, category: str) -> tuple[str, ...]:
        """Return the purposes of one of its categories: the category's own, else the activity's."""
        use = self.data.get(category)
        return (use.purposes if use else ()) or self.purposes


@dataclass(frozen=True, slots=True)
class Register:
    """The whole record."""

    organisation: Organisation = key(
        Kind.TABLE, "Whose register it is.", table=Organisation, default=Organisation, always=True
    )
    recipients: Mapping[str, Recipient] = key(Kind.NAMED, "Recipients, by key.", table=Recipient, name="recipient")
    cookies: Mapping[str, Cookie] = key(Kind.NAMED, "Cookies, by their name.", table=Cookie, name="cookie")
    categories: Mapping[str, OwnCategory] = key(
        Kind.NAMED, "The organisation's own data categories, by key.", table=OwnCategory, name="category"
    )
    activities: Mapping[str, Activity] = key(
        Kind.NAMED, "Processing activities, by key.", table=Activity, name="activity"
    )
