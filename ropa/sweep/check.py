"""``ropa check``: the configuration, the register and the live places against each other.

Invariant: checks read and never write at a place; what cannot be read is a finding, not silence.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.config import Config
from ropa.connector import Action, Connector, DatasetInfo
from ropa.errors import Finding, LocationError, Severity
from ropa.register import Register, read_register
from ropa.register.completeness import check as check_register
from ropa.retention import How, Target, compile_policy, conflicts, forgotten, partly_covered, uncovered
from ropa.retention import select as select_due
from ropa.sweep.discover import declared_sources, hinted, mapped_columns
from ropa.sweep.histories import ANY_TABLE, holds_rows, kin_of
from ropa.sweep.rights import ask_rights, rights_findings
from ropa.sweep.site import Site
from ropa.sweep.tables import TargetRow

_MOST_NAMED = 12
"""Columns that one finding names."""


def offline_findings(site: Site) -> list[Finding]:
    """Return what can be found without asking any place."""
    return [*without_places(site.config, site.register()[1], site.today()), *_abandoned(site)]


def _abandoned(site: Site) -> list[Finding]:
    """Datasets that plans once looked at and that the configuration no longer has: nobody enforces anything there."""
    with Session(site.engine) as session:
        seen = session.execute(select(col(TargetRow.location), col(TargetRow.dataset)).distinct()).all()
    return [
        Finding(
            "dataset-abandoned",
            Severity.WARNING,
            f"{location}.{dataset}",
            "Plans looked at this dataset and config/retention.toml no longer has it: what is there stays for ever.",
            "Put its location, dataset and rules back, or make sure that nothing personal is left there.",
        )
        for location, dataset in sorted((row[0], row[1]) for row in seen)
        if location not in site.config.locations or dataset not in site.config.locations[location].datasets
    ]


def without_places(config: Config, register: Register, today: date) -> list[Finding]:
    """Return findings on the register (Art. 30), the rules, and references between the two, both ways."""
    found = list(check_register(register, config, today=today))
    found += [
        Finding(
            "category-without-rule",
            Severity.WARNING,
            f"{dataset}:{category}",
            f"No rule covers {category} in {dataset}: it is kept for ever.",
            'Write a rule for it, or one with action = "keep" and its reason.',
        )
        for dataset, category in uncovered(config)
    ]
    found += [
        Finding(
            "category-partly-covered",
            Severity.NOTE,
            f"{dataset}:{category}",
            f"Only rules with a `where` cover {category} in {dataset}: records that match none are kept for ever.",
            "Add a rule without `where`, or make sure that the conditions leave nothing out.",
        )
        for dataset, category in partly_covered(config)
    ]
    problems = conflicts(config)
    found += [
        Finding("rule-conflict", Severity.ERROR, problem.path, problem.message, "Change the rule or the mapping.")
        for problem in problems
    ]
    if not problems:
        found += _forgotten_dates(config)
    return found


def _forgotten_dates(config: Config) -> Iterator[Finding]:
    for lost in forgotten(config, compile_policy(config)):
        takers = ", ".join(lost.by)
        if lost.how is How.EARLY:
            yield Finding(
                "anchor-goes-first",
                Severity.ERROR,
                f"rule.{lost.rule}",
                f"Its period in {lost.dataset} runs from dates of {lost.child}, which {takers} takes before that "
                "period has ended: afterwards the record counts from an older date and goes too early.",
                f"Keep {lost.child} at least as long, by the same date; or note the date in the record itself and let "
                "the anchor read it there. Until then no mandate covers it.",
            )
        elif lost.how is How.UNSURE:
            yield Finding(
                "anchor-may-go-first",
                Severity.NOTE,
                f"rule.{lost.rule}",
                f"Its period in {lost.dataset} runs from dates of {lost.child}, which {takers} takes by another date: "
                "where that is the earlier one, the record counts from an older date afterwards.",
                f"Make sure that the other date is never the earlier one, or keep {lost.child} by the same date.",
            )
        else:
            yield Finding(
                "anchor-goes-along",
                Severity.WARNING,
                f"rule.{lost.rule}",
                f"{lost.dataset} has no date but those of {lost.child}, which {takers} takes: a record that is left "
                "without them has no date and is never due.",
                f"Add a date of its own to `latest`, or let {lost.child} go with its parent only (`with_parent`).",
            )


def text_findings(site: Site) -> list[Finding]:
    """Return a finding where ``register.toml`` beside the configuration is not the register in force."""
    path = site.folder / "register.toml"
    if not path.is_file():
        return []
    revision, register = site.register()
    if read_register(path) == register:
        return []
    return [
        Finding(
            "register-text-differs",
            Severity.WARNING,
            "register.toml",
            f"register.toml is not what revision {revision} of the register says.",
            "`ropa register import register.toml` makes it so; `ropa register export -o FILE` writes what is in force.",
        )
    ]


def live_findings(site: Site) -> Iterator[Finding]:
    """Yield findings on each place: reachable, permitted, columns that exist, personal-looking columns undeclared."""
    for location in site.config.locations.values():
        entry = f"location.{location.name}"
        try:
            rights = ask_rights(site, location.name)
        except LocationError as error:
            yield _unreachable(entry, error)
            continue
        connector, health = rights.connector, rights.health
        if not health.is_reachable:
            yield _unreachable(entry, LocationError("the place says that it cannot be reached"))
            continue
        for note in health.notes:
            yield Finding("location-note", Severity.NOTE, entry, note, "For information.")
        if not connector.capabilities.is_enforcing:
            yield Finding(
                "location-by-hand",
                Severity.NOTE,
                entry,
                "This place is documented only: people erase there by hand.",
                "Use a connector for it as soon as there is one.",
            )
            continue
        if health.may_read is False:
            yield Finding("location-no-read", Severity.ERROR, entry, "We may not read there.", "Grant reading.")
        yield from rights_findings(location.name, rights)
        try:
            yield from list(_datasets(site, location.name, connector, health.may_delete))
        except LocationError as error:  # it went away meanwhile, or does not let its catalogue be read
            yield _unreachable(entry, error)


def _unreachable(entry: str, error: LocationError) -> Finding:
    step = error.next_step or "Check the place and its credentials."
    return Finding("location-unreachable", Severity.ERROR, entry, error.message, step)


def _datasets(site: Site, location: str, connector: Connector, may_delete: bool | None) -> Iterator[Finding]:
    targets = [target for target in site.targets if target.location == location]
    if may_delete is False and any(target.action is not Action.FLAG for target in targets):
        yield Finding(
            "location-no-delete",
            Severity.WARNING,
            f"location.{location}",
            "We may read there but not delete: plans can be made and not carried out.",
            "Grant deleting to the credentials that apply plans.",
        )
    for name in site.config.locations[location].datasets:
        entry = f"{location}.{name}"
        for message in sorted(_problems(site, connector, name, targets)):
            yield Finding(
                "dataset-problem", Severity.ERROR, entry, message, "Mend config/retention.toml or the source."
            )
    infos = list(connector.datasets())
    kin = kin_of(infos, declared_sources(site.config, location))
    for info in infos:
        yield from undeclared(site.config, location, info)
        if info.source in kin and info.declared_as is None:
            yield living_on(location, info, kin[info.source].of)


def _problems(site: Site, connector: Connector, dataset: str, targets: list[Target]) -> set[str]:
    found = set(connector.problems(dataset))
    for target in targets:
        if target.dataset == dataset:
            selection = select_due(target, as_of=site.today(), now=site.now(), zone=site.config.timezone)
            found |= set(connector.problems(dataset, selection))
    return found


def undeclared(config: Config, location: str, info: DatasetInfo) -> Iterator[Finding]:
    """Yield a finding where a table has columns that look personal by their names and that no data category is mapped
    to: one for the table, which names the columns. An undeclared view holds nothing and has none."""
    if info.declared_as is None and not holds_rows(info):
        return
    mapped = mapped_columns(config, location, info)
    found = {column: category for column, category in hinted(info).items() if column not in mapped}
    entry = f"{location}.{info.declared_as or info.source}"
    if len(found) == 1:
        (column, category), *_ = found.items()
        yield Finding(
            "undeclared-column",
            Severity.WARNING,
            f"{entry}.{column}",
            f"The column looks like {category} and no rule knows it.",
            f"Map it (data.{category}) and give it a rule, or see `ropa location discover {location}`.",
        )
    elif found:
        named = [f"{column} ({category})" for column, category in found.items()]
        more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        yield Finding(
            "undeclared-column",
            Severity.WARNING,
            entry,
            f"{len(named)} columns look personal and no rule knows them: {', '.join(named[:_MOST_NAMED])}{more}.",
            f"Map them and give them a rule; `ropa location discover {location}` writes the lines to paste.",
        )


def living_on(location: str, info: DatasetInfo, of: str) -> Finding:
    """Return the finding on a table that keeps what is purged from another (``of``: a dataset, or ``*``)."""
    entry = f"{location}.{info.source}"
    if of == ANY_TABLE:
        return Finding(
            "history-table",
            Severity.WARNING,
            entry,
            "It looks like a trail of the changes of any table: what is purged elsewhere lives on here.",
            "Declare it as a dataset with a rule of its own, or let the source keep no contents in it.",
        )
    return Finding(
        "history-table",
        Severity.WARNING,
        entry,
        f"It looks like a history, an archive or a copy of {location}.{of}: what is purged there lives on here.",
        "Declare it as a dataset with a rule of its own, or have the source do away with it.",
    )


def document(found: list[Finding]) -> dict[str, Any]:
    """Return ``ropa.check/1``: errors first; an ``id`` stays the same as long as the matter does."""
    order = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
    ordered = sorted(dict.fromkeys(found), key=lambda finding: order[finding.severity])
    shared = Counter((finding.code, finding.entry) for finding in ordered)
    return {
        "schema": "ropa.check/1",
        "findings": [
            {
                "id": _identity(finding, is_shared=shared[finding.code, finding.entry] > 1),
                "severity": str(finding.severity),
                "code": finding.code,
                "entry": finding.entry,
                "message": finding.message,
                "fix": finding.fix,
            }
            for finding in ordered
        ],
    }


def _identity(finding: Finding, *, is_shared: bool) -> str:
    """Code and entry; where one entry has several of a kind (three systems without a recipient), also which."""
    which = f":{hashlib.sha256(finding.message.encode()).hexdigest()[:8]}" if is_shared else ""
    return f"{finding.code}:{finding.entry}{which}"
