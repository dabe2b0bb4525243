"""What a plan looks at, and whether it can be looked at: filters, order, and the configuration against what exists.

Invariant: everything that makes a call or the configuration wrong (exit 2) is found here, before a byte is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from ropa.connector import Action, DatasetSpec
from ropa.errors import CallError, ConfigurationError, IncompleteListingError, LocationError, Problem
from ropa.retention import Target
from ropa.retention import select as select_due
from ropa.sweep import blocking, safety
from ropa.sweep.site import Site
from ropa.sweep.tombstones import check_keys


@dataclass(frozen=True, slots=True)
class Scope:
    """What a plan looks at: everything, one rule or one dataset."""

    as_of: date
    rule: str | None = None
    dataset: str | None = None
    is_nightly: bool = False
    reapplies: str | None = None
    """A location: only what was erased there before and came back."""

    @property
    def is_full(self) -> bool:
        """Whether nothing was left out."""
        return self.rule is None and self.dataset is None and self.reapplies is None


@dataclass(frozen=True, slots=True)
class Looked:
    """What a plan begins with, once nothing was found to be wrong with the call and the configuration."""

    revision: int
    """Of the register."""
    targets: tuple[Target, ...]
    unreachable: Mapping[str, str]
    """Location to ``stopped_by`` of the places that cannot be read."""
    why: tuple[LocationError, ...]
    """Why they cannot."""


def look(site: Site, scope: Scope, now: datetime) -> Looked:
    """Look at register, rules and places. Raises ConfigurationError and CallError; LocationError never."""
    revision, targets = check_register(site), choose_targets(site, scope)
    why: list[LocationError] = []
    unreachable = check_sources(site, targets, scope, now, why.append)
    return Looked(revision, tuple(targets), unreachable, tuple(why))


def choose_targets(site: Site, scope: Scope) -> list[Target]:
    """Return the targets in scope, children before parents and rows before fields. Raises CallError for a rule or
    dataset that is not in the configuration."""
    if scope.rule is not None and scope.rule not in site.config.rules:
        raise CallError(
            f"there is no rule {scope.rule!r} in config/retention.toml",
            next_step=f"Known: {', '.join(site.config.rules) or 'none'}.",
        )
    known = {f"{loc.name}.{name}" for loc in site.config.locations.values() for name in loc.datasets}
    if scope.dataset is not None and scope.dataset not in known:
        raise CallError(
            f"there is no dataset {scope.dataset!r} in config/retention.toml",
            next_step=f"Known: {', '.join(sorted(known)) or 'none'}.",
        )
    chosen = [
        target
        for target in site.targets
        if (scope.rule is None or any(rule.name == scope.rule for rule in target.rules))
        and (scope.dataset is None or target.full_dataset == scope.dataset)
        and (scope.reapplies is None or (target.location == scope.reapplies and is_erasing(target)))
        and target.location in site.enforcing
    ]
    depth = blocking.depths(site, {target.location for target in chosen})
    return sorted(chosen, key=lambda t: (t.scope != "row", -depth[t.full_dataset]))


def is_erasing(target: Target) -> bool:
    """Whether whole records go by it."""
    return target.scope == "row" and target.action is Action.PURGE


def riders(datasets: Mapping[str, DatasetSpec], dataset: str) -> list[str]:
    """Return the datasets of a location whose records go with those of one of them (``with_parent``), at any depth."""
    found: list[str] = []
    waiting = [dataset]
    while waiting:
        parent = waiting.pop(0)
        for name, spec in datasets.items():
            is_rider = spec.parent is not None and spec.parent.with_parent and spec.parent.dataset == parent
            if is_rider and name not in found and name != dataset:
                found.append(name)
                waiting.append(name)
    return found


def check_sources(
    site: Site,
    targets: Iterable[Target],
    scope: Scope,
    now: datetime,
    tell: Callable[[LocationError], None],
) -> dict[str, str]:
    """Compare the configuration with what exists. Returns location -> ``stopped_by`` for places that cannot be read.

    ``tell`` is called with the reason of each.
    Raises ConfigurationError, with every problem, when a table or column does not exist or a field cannot be cleared.
    """
    unreachable: dict[str, str] = {}
    problems: dict[str, Problem] = {}
    asked: set[str] = set()
    for target in targets:
        if target.location in unreachable:
            continue
        try:
            connector = site.connector(target.location)
            selection = select_due(target, as_of=scope.as_of, now=now, zone=site.config.timezone)
            path = f"location.{target.location}.dataset.{target.dataset}"
            for message in connector.problems(target.dataset, selection):
                problems[message] = Problem(path, message)
            if target.location in asked:
                continue
            asked.add(target.location)
            health = connector.check()
            if not health.is_reachable:
                unreachable[target.location] = "unreachable"
            elif skew := safety.source_clock_problem(health, now):
                unreachable[target.location] = skew
        except IncompleteListingError as error:
            tell(error)
            unreachable[target.location] = "incomplete-listing"
        except LocationError as error:
            tell(error)
            unreachable[target.location] = "unreachable"
    if problems:
        raise ConfigurationError("the configuration does not fit what exists at the source", tuple(problems.values()))
    return unreachable


def check_call(site: Site, scope: Scope) -> Looked:
    """Raise what makes a plan of this scope impossible (exit 2); the database and the ledger are not written."""
    check_keys(site)
    return look(site, scope, site.now())


def check_register(site: Site) -> int:
    """Return the register's revision. Raises ConfigurationError for rules whose activity is not in the register."""
    revision, activities = site.activities()
    missing = [
        Problem(f"rule.{rule.name}.activity", f"there is no activity {rule.activity!r} in the register")
        for rule in site.config.rules.values()
        if rule.activity not in activities
    ]
    if missing:
        raise ConfigurationError(
            "rules name activities that are not in the register",
            tuple(missing),
            next_step="`ropa register import register.toml` or `ropa register add` puts them there.",
        )
    return revision
