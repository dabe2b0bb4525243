"""Why one record still has what it has: asks the source about that record, then the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from ropa.connector import Found, Key, Selection, Spare
from ropa.errors import CallError, CheckError
from ropa.retention import explain_record, rules_of
from ropa.sweep.holds import active_holds, cover
from ropa.sweep.site import Site


def explain(site: Site, dataset: str, key: Key, as_of: date) -> dict[str, Any]:
    """Return ``ropa.explain/1``. Raises CallError for an unknown dataset, CheckError when there is no such record,
    LocationError when the place cannot be read."""
    try:
        spec = site.config.dataset(dataset)
    except KeyError:
        raise CallError(f"there is no dataset {dataset!r} in config/retention.toml") from None
    location = dataset.partition(".")[0]
    rules = rules_of(site.config, dataset)
    anchors = tuple(dict.fromkeys(rule.anchor for rule in rules))
    base = Selection(
        dataset=spec.name,
        zone=site.config.timezone,
        now=site.now(),
        anchors=anchors,
        keys=(key,),
        check_anchors=False,
    )
    found = _one(site, location, base)
    if found is None:
        raise CheckError(
            f"there is no record with this key in {dataset}", next_step="Give the key as `ropa plan show` prints it."
        )
    matches = {
        rule.name: _one(
            site,
            location,
            Selection(spec.name, base.zone, base.now, match=rule.where, keys=(key,), check_anchors=False),
        )
        is not None
        for rule in rules
        if rule.where
    }
    held_by, held_rules = _holders(site, dataset, base)
    explained = explain_record(
        spec,
        rules,
        matches=matches,
        anchored=dict(zip(anchors, found.anchored, strict=True)),
        as_of=as_of,
        today=site.today(),
        held_by=held_by,
        held_rules=held_rules,
    )
    return {
        "schema": "ropa.explain/1",
        "dataset": dataset,
        "key": list(found.key),
        "data": [
            {
                "category": e.category,
                "due_on": e.due_on.isoformat() if e.due_on else None,
                "rule": e.rule,
                "anchor": e.anchor,
                "anchored_on": e.anchored_on.isoformat() if e.anchored_on else None,
                "held_by": list(e.held_by),
                "state": e.state,
            }
            for e in explained
        ],
    }


def find_key(site: Site, dataset: str, key: Key) -> Key | None:
    """Return a record's key as the place spells it, None where no record has it now. Raises LocationError."""
    spec = site.config.dataset(dataset)
    base = Selection(spec.name, site.config.timezone, site.now(), keys=(key,), check_anchors=False)
    found = _one(site, dataset.partition(".")[0], base)
    return found.key if found is not None else None


def _one(site: Site, location: str, selection: Selection) -> Found | None:
    for batch in site.connector(location).find(selection):
        for found in batch.records:
            return found
    return None


def _holders(site: Site, dataset: str, base: Selection) -> tuple[Sequence[str], dict[str, Sequence[str]]]:
    """Ask for each hold by itself whether it covers the record."""
    location = dataset.partition(".")[0]
    held: list[str] = []
    rules: dict[str, list[str]] = {}
    ancestors = site.all_ancestors()
    for hold in active_holds(site):
        coverage = cover(site, [hold], ancestors)
        for rule, ids in coverage.rules.items():
            rules.setdefault(rule, []).extend(ids)
        spare = coverage.spare(location)
        if coverage.datasets.get(dataset) or (spare and _is_spared(site, location, base, spare)):
            held.append(hold.id)
    return held, {rule: tuple(ids) for rule, ids in rules.items()}


def _is_spared(site: Site, location: str, base: Selection, spare: Spare) -> bool:
    found = _one(
        site, location, Selection(base.dataset, base.zone, base.now, keys=base.keys, spare=spare, check_anchors=False)
    )
    return found is not None and found.is_spared
