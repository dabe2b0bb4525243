"""The report as a value: every fact that any format shows, in no language.

Invariant: a renderer adds words and shape, never a fact; what is not in the ``Document`` is in no format. Texts that a
person wrote in the register stand as they were written; everything else is a key, a number, a date or a period.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from ropa.clock import Period
from ropa.errors import Finding
from ropa.sweep.adherence import Adherence
from ropa.sweep.history import RunSummary
from ropa.sweep.nights import Gap
from ropa.sweep.standing import Standing


class Verdict(StrEnum):
    """The answer to "is it adhered to?"."""

    ADHERED = "adhered"
    """Everything with a period that has ended is gone, or kept for a recorded reason; every category has a period."""
    INCOMPLETE = "incomplete"
    """The same, but some categories have no period or no place."""
    NOT_SHOWN = "not-shown"
    """It cannot be shown: never or long ago looked at, or the evidence is missing or broken."""
    NOT_ADHERED = "not-adhered"
    """Data past its period is still there without a recorded reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why an answer is not a plain yes, or what else must be known with it."""

    code: str
    """A state, ``no-evidence``, ``unsound-evidence``, ``open-intents``, ``outdated``, ``missed-nights`` …"""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Somebody with contact details (Art. 30(1)(a))."""

    role: str
    """``controller``, ``joint-controller``, ``representative`` or ``dpo``."""
    name: str
    legal_name: str | None = None
    registration: str | None = None
    address: str | None = None
    country: str | None = None
    email: str | None = None
    telephone: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationPart:
    """Whose register it is."""

    parties: tuple[Party, ...]
    """The organisation first."""
    website: str | None = None
    authority: str | None = None
    request_promise: Period | None = None
    rights: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    policy_url: str | None = None
    """The published privacy policy."""
    policy_dated_on: date | None = None
    policy_version: str | None = None
    policy_period: Period | None = None
    """That the policy states for all data; only rules enforce anything."""
    policy_start: str | None = None
    """The event from which the policy says it runs."""
    own_systems: tuple[str, ...] = ()
    """That the organisation runs itself, as activities name them: they have no recipient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryPart:
    """A data category that the organisation added to the vocabulary."""

    key: str
    title: str
    description: str | None = None
    """What falls under it."""
    is_special: bool = False
    """Art. 9(1)."""
    is_criminal: bool = False
    """Art. 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientPart:
    """Somebody who receives data (Art. 30(1)(d)), and a transfer to a third country where there is one (e)."""

    key: str
    name: str
    role: str | None = None
    country: str | None = None
    contact: str | None = None
    systems: tuple[str, ...] = ()
    contract: str | None = None
    """Whether there is a processor contract (Art. 28(3)): ``yes``, ``no``, ``unknown``; None: nothing was said."""
    transfer_country: str | None = None
    safeguard: str | None = None
    safeguard_ended_on: date | None = None
    """The first day on which the safeguard no longer carries a transfer, where that day has come."""
    transfer_evidence: str | None = None
    """Where the proof of the safeguard is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPart:
    """A table, folder or list that holds data."""

    name: str
    title: str
    source: str
    data: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacePart:
    """A system that stores data."""

    key: str
    title: str
    connector: str
    is_enforced: bool
    country: str | None = None
    recipient: str | None = None
    """Key of a recipient."""
    datasets: tuple[DatasetPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TermPart:
    """One retention rule: how long, from when, then what, and on what ground."""

    rule: str
    activity: str
    period: Period
    start: str
    """``anchor`` or ``next-year``."""
    anchor: str
    action: str
    conditions: tuple[str, ...] = ()
    """Which records only, e.g. ``statecode = 0``."""
    masks: tuple[tuple[str, str], ...] = ()
    """Data category and how it is changed."""
    legal_ground: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPart:
    """A data category of an activity in one place, and how the promise about it is kept."""

    category: str
    purposes: tuple[str, ...]
    legal_basis: str | None
    legal_reference: str | None
    adherence: Adherence
    condition: str | None = None
    interest: str | None = None
    source: str | None = None
    """Where the data come from."""
    criterion: str | None = None
    """What decides where no number can be given (Art. 13(2)(a))."""
    stated_period: Period | None = None
    """What the published policy says; only a rule enforces anything."""
    stated_start: str | None = None
    stated_text: str | None = None
    """The period in the words of the document that the entry was imported from, until a person has settled it."""
    policy_reference: str | None = None
    """Article of the policy, where it is not the activity's."""
    is_special: bool = False
    """Art. 9(1)."""
    is_criminal: bool = False
    """Art. 10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityPart:
    """One processing activity (Art. 30(1), or 30(2) where we are the processor)."""

    key: str
    title: str
    role: str
    status: str
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    """Why the verdict is not a plain yes, and what else must be known; worst first."""
    controllers: tuple[Party, ...] = ()
    """For a processor: on whose behalf (Art. 30(2)(a))."""
    ended_on: date | None = None
    replaced_by: str | None = None
    description: str | None = None
    processing: tuple[str, ...] = ()
    """For a processor: the categories of processing (Art. 30(2)(b))."""
    owner: str | None = None
    review_on: date | None = None
    recorded_on: date | None = None
    """The day of the revision that first had the activity; None: it is in no revision yet."""
    changed_on: date | None = None
    """The day of the newest revision in which the activity was changed."""
    purposes: tuple[str, ...] = ()
    legal_basis: str | None = None
    legal_reference: str | None = None
    condition: str | None = None
    interest: str | None = None
    subjects: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    """Keys, those that places bring in included; ``none`` and ``unknown`` are said too."""
    systems: tuple[str, ...] = ()
    """Used, without being a place of storage of their own."""
    dpia: str | None = None
    automated_decisions: bool | None = None
    measures: tuple[str, ...] = ()
    rights: tuple[str, ...] = ()
    """Of the data subject, as the legal bases bring them; none for a processor."""
    rules: tuple[str, ...] = ()
    """That run for it, also after it has ended."""
    source: str | None = None
    """This and the following: what was said for the whole activity; a row has it too, unless it has its own."""
    criterion: str | None = None
    stated_period: Period | None = None
    stated_start: str | None = None
    stated_text: str | None = None
    policy_reference: str | None = None
    """Article of the policy it came from."""
    rows: tuple[RowPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CookiePart:
    """A cookie: documented, not enforced."""

    name: str
    setter: str | None = None
    """Key of a recipient, or ``own``."""
    lifetime: Period | None = None
    is_session: bool = False
    """Gone when the browser closes."""
    purpose: str | None = None
    consent: bool | None = None
    activity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldCount:
    """How many legal holds are in force for one reason; never for whom."""

    reason: str
    kind: str
    count: int
    past_review: int = 0
    """Of ``count``: past their review date, and still in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the ledger is worth, and how a stranger checks it."""

    origin: str
    size: int
    """Lines."""
    root: str
    """Of the Merkle tree, as the checkpoint spells it."""
    checkpoint_text: str
    public_key_fingerprint: str
    is_sound: bool
    problems: tuple[str, ...] = ()
    open_intents: int = 0
    """Intents without a receipt: what became of those records is not yet known."""
    open_in: tuple[tuple[str, int], ...] = ()
    """``location.dataset`` and how many of those intents are about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthPart:
    """What the runs of one calendar month came to."""

    month: date
    """Its first day."""
    runs: int
    done: int
    """Records that went."""
    fell_short: int
    """Attempts that were refused, failed or could not be verified; one record counts each time it was tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a busy reader sees first. Counts are of records per target, so that nothing is counted twice."""

    verdict: Verdict
    reasons: tuple[Reason, ...]
    due: int
    done: int
    done_total: int
    waiting: int
    held: int
    blocked: int
    fell_short: int
    """Refused, failed, changed or unverified."""
    flagged: int
    findings: int
    oldest_scan_at: datetime | None
    """Of the places that were looked at, the one longest ago."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The whole report."""

    generated_at: datetime
    timezone: str
    """In which days and times are shown."""
    as_of: date
    policy: str
    """Digest of the configuration."""
    register_revision: int
    summary: Summary
    organisation: OrganisationPart
    categories: tuple[CategoryPart, ...]
    activities: tuple[ActivityPart, ...]
    recipients: tuple[RecipientPart, ...]
    places: tuple[PlacePart, ...]
    terms: tuple[TermPart, ...]
    standings: tuple[Standing, ...]
    cookies: tuple[CookiePart, ...]
    holds: tuple[HoldCount, ...]
    findings: tuple[Finding, ...]
    months: tuple[MonthPart, ...]
    runs: tuple[RunSummary, ...]
    """The newest, last first; the newest few with what they did per target."""
    first_sweep_on: date | None
    """The first night with a sweep, whatever became of it; None: the nightly job has never run."""
    last_sweep_on: date | None
    """The last night with a sweep that succeeded."""
    missed_nights: int
    """Nights without a sweep that succeeded, from the first to yesterday."""
    gaps: tuple[Gap, ...]
    """When those were, the newest first: not enforced from … to … The newest few tell it per cell too."""
    evidence: Evidence | None
    """None: there is none yet."""

    def place(self, key: str | None) -> PlacePart | None:
        """Return a place by key."""
        return next((place for place in self.places if place.key == key), None)

    def recipient(self, key: str | None) -> RecipientPart | None:
        """Return a recipient by key."""
        return next((recipient for recipient in self.recipients if recipient.key == key), None)

    def category(self, key: str) -> CategoryPart | None:
        """Return an own data category by key; None for those of the vocabulary."""
        return next((category for category in self.categories if category.key == key), None)

    def term(self, rule: str) -> TermPart | None:
        """Return the term of a rule."""
        return next((term for term in self.terms if term.rule == rule), None)

    def activity(self, key: str | None) -> ActivityPart | None:
        """Return an activity by key."""
        return next((activity for activity in self.activities if activity.key == key), None)

    def dataset_title(self, location: str | None, dataset: str | None) -> str:
        """Return the title of a dataset, its full name where it has none."""
        place = self.place(location)
        for part in place.datasets if place else ():
            if part.name == dataset and part.title:
                return part.title
        return ".".join(name for name in (location, dataset) if name)
