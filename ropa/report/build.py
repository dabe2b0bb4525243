"""Building the document: from the register, the policy, the run tables' answers and the ledger's facts.

Invariant: a pure function over values; the same values give the same document, byte for byte. What the report concludes
(the answer, its reasons) is concluded here, once, so that every format says the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from ropa.clock import Period, calendar_day, parse_period
from ropa.config.models import Config, Location, Rule
from ropa.connector import Condition
from ropa.errors import Finding, Severity
from ropa.register.models import NONE, SESSION, Activity, Contact, Cookie, Recipient, Register
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
    Reason,
    RecipientPart,
    RowPart,
    Summary,
    TermPart,
    Verdict,
)
from ropa.sweep.adherence import Adherence
from ropa.sweep.history import RunSummary
from ropa.sweep.standing import FELL_SHORT, Standing, State, documented_places
from ropa.vocabulary import category as known_category
from ropa.vocabulary import safeguards

OUTDATED_DAYS = 2
"""A look older than this shows nothing about today; the job is to run every night."""

RUNS_SHOWN = 31
RUNS_IN_DETAIL = 3
"""Of the runs shown, how many tell what they did per target; the ledger has them all."""

MONTHS_SHOWN = 24


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
) -> Document:
    """Return the report's document.

    ``standings``, ``adherence`` and ``runs`` come from ``ropa.sweep.adherence``; ``findings`` are the open ones;
    ``now`` is aware. ``documented``: locations that nothing enforces; None: those of the ``manual`` connector.
    """
    if documented is None:
        documented = documented_places(config)
    zone = config.timezone
    today = calendar_day(now, zone)
    return Document(
        generated_at=now,
        timezone=zone.key,
        as_of=today,
        policy=config.digest,
        register_revision=revision,
        summary=summarise(standings, adherence, findings, evidence, now),
        organisation=_organisation(register),
        categories=tuple(CategoryPart(key=key, title=own.title) for key, own in register.categories.items()),
        activities=tuple(
            _activity(key, activity, register, config, adherence) for key, activity in register.activities.items()
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
        evidence=evidence,
    )


# --- the answer ---------------------------------------------------------------------------------------------------


def summarise(
    standings: Sequence[Standing],
    cells: Sequence[Adherence],
    findings: Sequence[Finding],
    evidence: Evidence | None,
    now: datetime,
) -> Summary:
    """Return the answer to "is it adhered to?", its reasons, worst first, and the numbers beside it."""
    scanned = [stand.scanned_at for stand in standings if stand.scanned_at is not None]
    oldest = min(scanned, default=None)
    outdated = (now - oldest).days if oldest is not None else 0
    late = max((s.worst_late_days for s in standings if s.state not in _LAWFUL), default=0)
    counts = {
        "overdue": sum(_left(stand) for stand in standings if stand.state not in _LAWFUL),
        "late": late,
        "stopped": sum(stand.state is State.STOPPED for stand in standings),
        "blocked": sum(stand.counts.blocked for stand in standings),
        "unsound-evidence": 0 if evidence is None or evidence.is_sound else max(1, len(evidence.problems)),
        "no-evidence": int(evidence is None),
        "open-intents": evidence.open_intents if evidence is not None else 0,
        "no-scan": int(not scanned),
        "never-scanned": sum(stand.state is State.NEVER_SCANNED for stand in standings) if scanned else 0,
        "outdated": outdated if outdated >= OUTDATED_DAYS else 0,
        "no-rule": _categories(cells, State.NO_RULE),
        "no-place": _categories(cells, State.NO_PLACE),
        "waiting": sum(_left(stand) + stand.counts.flagged for stand in standings if stand.state is State.WAITING),
        "unanchored": sum(stand.counts.unanchored for stand in standings),
        "error-findings": sum(finding.severity is Severity.ERROR for finding in findings),
    }
    return Summary(
        verdict=_verdict({code for code, count in counts.items() if count}),
        reasons=tuple(Reason(code=code, count=count) for code, count in counts.items() if count),
        due=sum(stand.counts.due for stand in standings),
        done=sum(stand.counts.done for stand in standings),
        done_total=sum(stand.counts.done_total for stand in standings),
        waiting=sum(stand.counts.waiting for stand in standings),
        held=sum(stand.counts.held for stand in standings),
        blocked=sum(stand.counts.blocked for stand in standings),
        fell_short=sum(c.refused + c.failed + c.unverified + c.changed for c in (stand.counts for stand in standings)),
        flagged=sum(stand.counts.flagged for stand in standings),
        findings=len(findings),
        oldest_scan_at=oldest,
    )


_LAWFUL = frozenset({State.WAITING, State.HELD, State.ENFORCED})


def _left(stand: Standing) -> int:
    """What is still there without a hold, an obstacle or a flag to say why."""
    return stand.counts.outstanding - stand.counts.held - stand.counts.blocked - stand.counts.flagged


def _categories(cells: Iterable[Adherence], state: State) -> int:
    return len({cell.category for cell in cells if cell.state is state})


def _verdict(codes: set[str]) -> Verdict:
    if codes & {"overdue", "blocked"}:
        return Verdict.NOT_ADHERED
    if codes & {"stopped", "unsound-evidence", "no-evidence", "open-intents", "no-scan", "never-scanned", "outdated"}:
        return Verdict.NOT_SHOWN
    return Verdict.INCOMPLETE if codes & {"no-rule", "no-place"} else Verdict.ADHERED


# --- the register -------------------------------------------------------------------------------------------------


def _organisation(register: Register) -> OrganisationPart:
    org = register.organisation
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
        policy_url=org.policy.url,
        policy_dated_on=org.policy.dated_on,
        policy_version=org.policy.version,
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
    key: str, activity: Activity, register: Register, config: Config, cells: Sequence[Adherence]
) -> ActivityPart:
    own = [cell for cell in cells if cell.activity == key]
    places = [config.locations[cell.location] for cell in own if cell.location is not None]
    brought = [place.recipient for place in places if place.recipient is not None]
    said = [name for name in activity.recipients if not (brought and name == NONE)]
    return ActivityPart(
        key=key,
        title=activity.title,
        role=activity.role,
        status=activity.status,
        controllers=tuple(_party("controller", contact) for contact in activity.controllers),
        ended_on=activity.ended_on,
        replaced_by=activity.replaced_by,
        description=activity.description,
        processing=activity.processing,
        owner=activity.owner,
        review_on=activity.review_on,
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
        rows=tuple(_row(activity, register, cell) for cell in own),
    )


def _row(activity: Activity, register: Register, cell: Adherence) -> RowPart:
    """What differs from the activity; what is the same is said once, there."""
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
