"""Building the document: from the register, the policy, the run tables' answers and the ledger's facts.

Invariant: a pure function over values; the same values give the same document, byte for byte. What the report concludes
(the answers, their reasons) is concluded in ``answer``.

Left out of the document on purpose: the ``note`` of an entry, written by the privacy officer for herself (a category's
tells what falls under it, and is told); what the policy says that is only compared with the register (its
``references``, ``identity_check`` and the like), which the findings tell; and the caps and approvals of rules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

from ropa.clock import Period, calendar_day, parse_period
from ropa.config.models import Config, Location, Rule
from ropa.connector import Condition
from ropa.errors import Finding
from ropa.register import Dated
from ropa.register.models import NONE, SESSION, Activity, Contact, Cookie, OwnCategory, Recipient, Register
from ropa.report.answer import Proof, nights_of, summarise
from ropa.report.model import (
    ActivityPart,
    CategoryPart,
    CookiePart,
    DatasetPart,
    Document,
    Evidence,
    HoldCount,
    MonthPart,
    OrganisationPart,
    Party,
    PlacePart,
    RecipientPart,
    RowPart,
    TermPart,
)
from ropa.sweep.adherence import Adherence
from ropa.sweep.history import RunSummary
from ropa.sweep.standing import FELL_SHORT, Standing, documented_places
from ropa.vocabulary import category as known_category
from ropa.vocabulary import legal_bases, rights, safeguards

RUNS_SHOWN = 31
RUNS_IN_DETAIL = 3
"""Of the runs shown, how many tell what they did per target; the ledger has them all."""

MONTHS_SHOWN = 24

GAPS_SHOWN = 60


def build(
    *,
    register: Register,
    revision: int,
    config: Config,
    standings: Sequence[Standing],
    adherence: Sequence[Adherence],
    runs: Sequence[RunSummary],
    findings: Sequence[Finding],
    holds: Sequence[HoldCount],
    evidence: Evidence | None,
    now: datetime,
    documented: Collection[str] | None = None,
    dated: Mapping[str, Dated] = MappingProxyType({}),
) -> Document:
    """Return the report's document.

    ``standings``, ``adherence`` and ``runs`` come from ``ropa.sweep.adherence``; ``findings`` are the open ones;
    ``now`` is aware. ``documented``: locations that nothing enforces; None: those of the ``manual`` connector.
    ``dated``: by activity, when it came into the register and when it changed last.
    """
    if documented is None:
        documented = documented_places(config)
    zone = config.timezone
    today = calendar_day(now, zone)
    cells: dict[str, list[Adherence]] = {}
    for cell in adherence:
        cells.setdefault(cell.activity, []).append(cell)
    nights = nights_of(runs, zone, today)
    proof = Proof({stand.identity: stand for stand in standings}, evidence, now)
    return Document(
        generated_at=now,
        timezone=zone.key,
        as_of=today,
        policy=config.digest,
        register_revision=revision,
        summary=summarise(standings, adherence, findings, nights, proof),
        organisation=_organisation(register),
        categories=tuple(_category(key, own) for key, own in register.categories.items()),
        activities=tuple(
            _activity(key, register, config, cells.get(key, ()), proof, dated=dated.get(key))
            for key in register.activities
        ),
        recipients=tuple(_recipient(key, recipient, today) for key, recipient in register.recipients.items()),
        places=tuple(
            _place(location, is_enforced=name not in documented) for name, location in config.locations.items()
        ),
        terms=tuple(_term(rule) for rule in config.rules.values()),
        standings=tuple(standings),
        cookies=tuple(_cookie(name, cookie) for name, cookie in register.cookies.items()),
        holds=tuple(sorted(holds, key=lambda hold: (hold.reason, hold.kind))),
        findings=tuple(findings),
        months=_months(runs, config.timezone),
        runs=_newest(runs),
        first_sweep_on=nights.first_on,
        last_sweep_on=nights.last_on,
        missed_nights=nights.missed,
        gaps=nights.gaps[:GAPS_SHOWN],
        evidence=evidence,
    )


# --- the register -------------------------------------------------------------------------------------------------


def _organisation(register: Register) -> OrganisationPart:
    org, policy = register.organisation, register.organisation.policy
    parties = [
        Party(
            role="controller",
            name=org.name,
            legal_name=org.legal_name,
            registration=org.registration,
            address=org.address,
            country=org.country,
            email=org.email,
            telephone=org.telephone,
        )
    ]
    parties += [_party("joint-controller", contact) for contact in org.joint_controllers]
    parties += [_party("representative", org.representative)] if org.representative else []
    parties += [_party("dpo", org.dpo)] if org.dpo else []
    return OrganisationPart(
        parties=tuple(parties),
        website=org.website,
        authority=org.authority,
        request_promise=_period(org.request_promise),
        rights=org.rights,
        languages=org.languages,
        policy_url=policy.url,
        policy_dated_on=policy.dated_on,
        policy_version=policy.version,
        policy_period=_period(policy.stated_period),
        policy_start=policy.stated_start,
        own_systems=org.own_systems,
    )


def _party(role: str, contact: Contact) -> Party:
    return Party(
        role=role,
        name=contact.name,
        registration=contact.registration,
        address=contact.address,
        country=contact.country,
        email=contact.email,
        telephone=contact.telephone,
    )


def _period(text: str | None) -> Period | None:
    """A period of the register; None for ``unknown`` and the like."""
    try:
        return None if text is None else parse_period(text)
    except ValueError:
        return None


def _category(key: str, own: OwnCategory) -> CategoryPart:
    return CategoryPart(
        key=key, title=own.title, description=own.note, is_special=own.special, is_criminal=own.criminal
    )


def _recipient(key: str, recipient: Recipient, today: date) -> RecipientPart:
    transfer = recipient.transfer
    known = safeguards().get(transfer.safeguard or "") if transfer else None
    ended = known.invalid_from if known else None
    return RecipientPart(
        key=key,
        name=recipient.name,
        role=recipient.role,
        country=recipient.country,
        contact=recipient.contact,
        systems=recipient.systems,
        contract=recipient.contract,
        transfer_country=(transfer.country or "unknown") if transfer else None,
        safeguard=transfer.safeguard if transfer else None,
        safeguard_ended_on=ended if ended is not None and ended <= today else None,
        transfer_evidence=transfer.evidence if transfer else None,
    )


def _cookie(name: str, cookie: Cookie) -> CookiePart:
    return CookiePart(
        name=name,
        setter=cookie.setter,
        lifetime=cookie.period,
        is_session=cookie.lifetime == SESSION,
        purpose=cookie.purpose,
        consent=cookie.consent,
        activity=cookie.activity,
    )


def _activity(
    key: str, register: Register, config: Config, own: Sequence[Adherence], proof: Proof, *, dated: Dated | None
) -> ActivityPart:
    """``own``: the activity's cells."""
    activity = register.activities[key]
    places = [config.locations[cell.location] for cell in own if cell.location is not None]
    brought = [place.recipient for place in places if place.recipient is not None]
    rules = tuple(rule.name for rule in config.rules.values() if rule.activity == key)
    verdict, reasons = proof.of(own, rules if activity.status == "ended" else ())
    said = [name for name in activity.recipients if not (brought and name == NONE)]
    return ActivityPart(
        key=key,
        title=activity.title,
        role=activity.role,
        status=activity.status,
        verdict=verdict,
        reasons=reasons,
        controllers=tuple(_party("controller", contact) for contact in activity.controllers),
        ended_on=activity.ended_on,
        replaced_by=activity.replaced_by,
        description=activity.description,
        processing=activity.processing,
        owner=activity.owner,
        review_on=activity.review_on,
        recorded_on=dated.first_on if dated else None,
        changed_on=dated.last_on if dated else None,
        purposes=activity.purposes,
        legal_basis=activity.legal_basis,
        legal_reference=activity.legal_reference,
        condition=activity.condition,
        interest=activity.interest,
        subjects=activity.subjects,
        recipients=tuple(dict.fromkeys([*said, *brought])),
        systems=activity.systems,
        dpia=activity.dpia,
        automated_decisions=activity.automated_decisions,
        measures=activity.measures,
        rights=_rights(activity),
        rules=rules,
        source=activity.source,
        criterion=activity.criterion,
        stated_period=_period(activity.stated_period),
        stated_start=activity.stated_start,
        stated_text=activity.stated_text,
        policy_reference=activity.policy_reference,
        rows=tuple(_row(activity, register, cell) for cell in own),
    )


def _rights(activity: Activity) -> tuple[str, ...]:
    """Those that a legal basis of the activity or of one of its categories brings, as the law orders them."""
    if activity.role == "processor":
        return ()
    known = legal_bases()
    chosen = {activity.legal_basis, *(activity.basis_of(category) for category in activity.data)} & known.keys()
    brought = {right for basis in chosen for right in known[basis].rights}
    return tuple(right for right in rights() if right in brought)


def _row(activity: Activity, register: Register, cell: Adherence) -> RowPart:
    """Purposes and legal basis where they differ from the activity's; the rest as it holds for the category."""
    use = activity.data.get(cell.category)
    known, own = known_category(cell.category), register.categories.get(cell.category)
    stated = _period(use.stated_period if use and use.stated_period else activity.stated_period)
    return RowPart(
        category=cell.category,
        purposes=use.purposes if use else (),
        legal_basis=use.legal_basis if use else None,
        legal_reference=use.legal_reference if use else None,
        condition=use.condition if use else None,
        interest=use.interest if use else None,
        source=(use.source if use else None) or activity.source,
        criterion=(use.criterion if use else None) or activity.criterion,
        stated_period=stated,
        stated_start=(use.stated_start if use else None) or activity.stated_start,
        stated_text=(use.stated_text if use else None) or activity.stated_text,
        policy_reference=use.policy_reference if use else None,
        is_special=own.special if own else bool(known and known.is_special),
        is_criminal=own.criminal if own else bool(known and known.is_criminal),
        adherence=cell,
    )


# --- the runs -----------------------------------------------------------------------------------------------------


def _newest(runs: Sequence[RunSummary]) -> tuple[RunSummary, ...]:
    newest = sorted(runs, key=lambda run: (run.started_at, run.id), reverse=True)[:RUNS_SHOWN]
    return tuple(run if i < RUNS_IN_DETAIL else replace(run, targets=()) for i, run in enumerate(newest))


def _months(runs: Sequence[RunSummary], zone: ZoneInfo) -> tuple[MonthPart, ...]:
    """Every month from the first run to the last, those without a run included: a gap is a fact."""
    by_month: dict[date, list[RunSummary]] = {}
    for run in runs:
        by_month.setdefault(calendar_day(run.started_at, zone).replace(day=1), []).append(run)
    if not by_month:
        return ()
    months, month = [], min(by_month)
    while month <= max(by_month):
        months.append(month)
        month = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return tuple(
        MonthPart(
            month=month,
            runs=len(by_month.get(month, ())),
            done=sum(run.done for run in by_month.get(month, ())),
            fell_short=sum(
                count for run in by_month.get(month, ()) for word, count in run.outcomes if word in FELL_SHORT
            ),
        )
        for month in months[-MONTHS_SHOWN:]
    )


# --- the policy ---------------------------------------------------------------------------------------------------


def _place(location: Location, *, is_enforced: bool) -> PlacePart:
    return PlacePart(
        key=location.name,
        title=location.title or location.name,
        connector=location.connector,
        is_enforced=is_enforced,
        country=location.country,
        recipient=location.recipient,
        datasets=tuple(
            DatasetPart(name=name, title=spec.title, source=spec.source, data=tuple(spec.data))
            for name, spec in location.datasets.items()
        ),
    )


def _term(rule: Rule) -> TermPart:
    return TermPart(
        rule=rule.name,
        activity=rule.activity,
        period=rule.period,
        start=rule.start,
        anchor=rule.anchor,
        action=str(rule.action),
        conditions=tuple(_condition(condition) for condition in rule.where),
        masks=tuple((category, str(mask)) for category, mask in rule.mask.items()),
        legal_ground=rule.legal_ground,
        reason=rule.reason,
    )


def _condition(condition: Condition) -> str:
    """A condition as a formula; its values come from the configuration, never from a record."""
    values = ["null" if value is None else str(value) for value in condition.values]
    if len(values) == 1:
        return f"{condition.column} {'≠' if condition.negated else '='} {values[0]}"
    return f"{condition.column} {'∉' if condition.negated else '∈'} {{{', '.join(values)}}}"
