"""Mandates: a standing approval of nightly plans of one rule revision, bounded in scope, size, growth and time.

Invariant: a mandate never covers the first disposal of a new or changed rule, nor one record, one byte of the rule or
one day more than it says; outside its bounds a person approves that very plan.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.clock import timestamp
from ropa.config import Config, Rule
from ropa.errors import CallError, RefusedError
from ropa.ledger.canonical import canonical
from ropa.retention import How, forgotten, rule_revision
from ropa.sweep.journal import Journal
from ropa.sweep.scope import riders
from ropa.sweep.site import Site
from ropa.sweep.state import actor_id
from ropa.sweep.tables import MandateRow, PlanRow, RuleRecord, TargetRow

LONGEST = timedelta(days=90)
DEFAULT_GROWTH = 2.0
_LINES = frozenset({"mandate", "mandate_revoked"})


def check(
    site: Site, rule_name: str, *, reason: str, until: date, max_records: int | None, max_growth: float | None
) -> Rule:
    """Return the rule that a mandate would be given for. Raises CallError for an unknown rule or values that make no
    sense; RefusedError for more than 90 days, or a rule that does not allow mandates or forgets its dates."""
    rule = site.config.rules.get(rule_name)
    if rule is None:
        known = ", ".join(site.config.rules) or "none"
        raise CallError(f"there is no rule {rule_name!r} in config/retention.toml", next_step=f"Known: {known}.")
    if not reason.strip():
        raise CallError("--reason needs a text")
    if max_records is not None and max_records < 1:
        raise CallError("--max-records must be at least 1")
    if max_growth is not None and not 1 <= max_growth <= 100:
        raise CallError("--max-growth is a factor from 1 to 100")
    if until < site.today():
        raise CallError(f"--until {until} lies in the past")
    if until > site.today() + LONGEST:
        raise RefusedError(
            "a mandate lasts at most 90 days",
            next_step=f"Give --until {site.today() + LONGEST} or earlier.",
            code="too-long",
        )
    if rule.approval != "mandate":
        raise RefusedError(
            f"rule {rule_name!r} says that a person approves each plan",
            next_step='Write approval = "mandate" in the rule, if that was decided.',
            code="not-allowed",
        )
    if any(lost.how is How.EARLY and lost.rule == rule_name for lost in forgotten(site.config, site.targets)):
        raise RefusedError(
            f"rule {rule_name!r} runs from dates that another rule takes before its period has ended",
            next_step="`ropa check` says which (anchor-goes-first); until that is mended a person approves each plan.",
            code="not-allowed",
        )
    return rule


def add(
    journal: Journal,
    rule_name: str,
    *,
    by: str,
    reason: str,
    until: date,
    max_records: int | None = None,
    max_growth: float | None = None,
) -> MandateRow:
    """Give a mandate. ``max_growth`` is a factor on the plan before (2.0: at most twice as many records).

    Raises CallError and RefusedError as ``check`` does.
    """
    site = journal.site
    rule = check(site, rule_name, reason=reason, until=until, max_records=max_records, max_growth=max_growth)
    now = site.now()
    location = rule.dataset.partition(".")[0]
    expires = site.end_of_day(until)
    bound = max_records or rule.max_records or site.config.safety.max_records
    growth_pct = round(((max_growth or DEFAULT_GROWTH) - 1) * 100)
    digest = hashlib.sha256(canonical([[rule_name], location, bound, growth_pct, timestamp(expires)])).hexdigest()
    actor = actor_id(site, by)
    journal.append(
        "mandate",
        run=journal.issue_id(),
        mandate=digest,
        rules=[rule_name],
        location=location,
        max_records=bound,
        growth_pct=growth_pct,
        actor=actor,
        role="approver",
        expires=timestamp(expires),
    )
    row = MandateRow(
        digest=digest,
        rule=rule_name,
        revision=revision_of(site.config, rule),
        location=location,
        max_records=bound,
        growth_pct=growth_pct,
        actor_id=actor,
        reason=reason,
        created_at=now,
        expires_at=expires,
    )
    with Session(site.engine, expire_on_commit=False) as session, session.begin():
        session.add(row)
    return row


def get_active(site: Site, mandate_id: int) -> MandateRow:
    """Return a mandate in force. Raises CallError when it is unknown or has ended."""
    with Session(site.engine) as session:
        row = session.get(MandateRow, mandate_id)
    if row is None:
        raise CallError(f"there is no mandate {mandate_id}", next_step="`ropa mandate list` shows them.")
    if row.revoked_at is not None or row.expires_at < site.now():
        raise CallError(f"mandate {mandate_id} has already ended")
    return row


def revoke(journal: Journal, mandate_id: int, *, by: str, reason: str | None = None) -> MandateRow:
    """End a mandate at once, and any other of the very same words. Raises CallError when it is unknown or has ended."""
    site = journal.site
    digest = get_active(site, mandate_id).digest
    lines = [e["type"] for e in journal.ledger.events() if e["type"] in _LINES and e["mandate"] == digest]
    if lines[-1:] != ["mandate_revoked"]:  # else a process was cut off between this line and its mark below
        journal.append("mandate_revoked", run=journal.issue_id(), mandate=digest, actor=actor_id(site, by))
    with Session(site.engine, expire_on_commit=False) as session, session.begin():
        same = select(MandateRow).where(col(MandateRow.digest) == digest, col(MandateRow.revoked_at).is_(None))
        for row in session.scalars(same).all():
            row.revoked_at, row.revoke_reason = site.now(), reason
        return session.get_one(MandateRow, mandate_id)


def listing(site: Site) -> list[MandateRow]:
    """Return every mandate, newest first."""
    with Session(site.engine) as session:
        return list(session.scalars(select(MandateRow).order_by(col(MandateRow.id).desc())).all())


def state(row: MandateRow, now: datetime) -> str:
    """Return ``active``, ``revoked`` or ``lapsed``."""
    if row.revoked_at is not None:
        return "revoked"
    return "active" if row.expires_at >= now else "lapsed"


def revision_of(config: Config, rule: Rule) -> str:
    """Return 64 hex digits that change with all that decides what a disposal under the rule does: the rule, the mapping
    of its dataset, of the children that go with it, and the place where they lie."""
    name, _, dataset = rule.dataset.partition(".")
    location = config.locations[name]
    place = repr((location.connector, sorted(location.options.items())))
    parts = [
        rule_revision(rule, config.dataset(rule.dataset)),
        *(rule_revision(rule, location.datasets[child]) for child in riders(location.datasets, dataset)),
        hashlib.sha256(place.encode()).hexdigest(),
    ]
    return hashlib.sha256(canonical(parts)).hexdigest()


def assign(session: Session, site: Site, rows: Sequence[TargetRow], now: datetime, *, is_nightly: bool) -> None:
    """Say for each target of a fresh plan whether a mandate covers it, with the children that go with it; only nightly
    plans are covered. The targets that one mandate covers stay within its number together. ``rows``: all of the plan,
    in their order."""
    if not is_nightly:
        return
    taken: Counter[int] = Counter()
    for row in rows:
        if row.approval != "needed" or row.records == 0 or row.rides_with is not None:
            continue
        family = _family(rows, row)
        mandate = next((m for m in _candidates(session, site, row) if _covers(m, family, taken[m.id or 0], now)), None)
        if mandate is not None:
            taken[mandate.id or 0] += sum(member.records for member in family)
            for member in family:
                member.approval, member.mandate_id = "mandate", mandate.id


def still_covers(site: Site, row: TargetRow, now: datetime) -> MandateRow | None:
    """Return the mandate of a target when it is still in force and still covers it, None otherwise."""
    with Session(site.engine) as session:
        rows = session.scalars(select(TargetRow).where(col(TargetRow.plan_id) == row.plan_id)).all()
        family = _family(rows, row)
        members = {member.id for member in family}
        beside = sum(r.records for r in rows if r.mandate_id == row.mandate_id and r.id not in members)
        for mandate in _candidates(session, site, family[0]):
            if mandate.id == row.mandate_id and _covers(mandate, family, beside, now):
                return mandate
    return None


def _family(rows: Sequence[TargetRow], row: TargetRow) -> list[TargetRow]:
    """Return the target that a row rides with at last, or itself, first, and then all that rides with that one."""
    by_id = {other.id: other for other in rows}
    root = row.id
    while (above := by_id[root].rides_with) is not None:
        root = above
    found, waiting = [by_id[root]], [root]
    while waiting:
        parent = waiting.pop(0)
        children = [other for other in rows if other.rides_with == parent]
        found += children
        waiting += [child.id for child in children]
    return found


def _candidates(session: Session, site: Site, row: TargetRow) -> Sequence[MandateRow]:
    """Return the mandates given for a target's one rule as it stands, once a person has seen its first disposal."""
    target = site.by_identity.get(row.identity)
    if len(row.rules) != 1 or target is None or target.approval != "mandate":
        return ()
    rule, revision = row.rules[0], row.revisions[0]
    if session.get(RuleRecord, (rule, revision)) is None:
        return ()
    return session.scalars(
        select(MandateRow)
        .where(
            col(MandateRow.rule) == rule,
            col(MandateRow.revision) == revision,
            col(MandateRow.location) == row.location,
            col(MandateRow.revoked_at).is_(None),
        )
        .order_by(col(MandateRow.id))
    ).all()


def _covers(mandate: MandateRow, family: Sequence[TargetRow], beside: int, now: datetime) -> bool:
    """Whether a mandate covers these records, besides those it covers already in the same plan."""
    records = sum(row.records for row in family)
    before = sum(row.previous_records or 0 for row in family)
    has_grown = before > 0 and records > before * (100 + mandate.growth_pct) / 100
    return mandate.created_at <= now <= mandate.expires_at and beside + records <= mandate.max_records and not has_grown


def prove_rules(site: Site, plan: PlanRow, rows: list[TargetRow]) -> None:
    """Remember that a person approved these rule revisions' first disposal and that it was carried out."""
    with Session(site.engine) as session, session.begin():
        for row in rows:
            for rule, revision in zip(row.rules, row.revisions, strict=True):
                if session.get(RuleRecord, (rule, revision)) is None:
                    session.add(RuleRecord(rule=rule, revision=revision, plan_id=plan.id or 0))
                    session.flush()
