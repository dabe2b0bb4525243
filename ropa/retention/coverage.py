"""What the rules leave out, and what a rule says: for findings and for knowing a changed rule again.

Invariant: the revision of a rule changes whenever anything changes that decides what the rule does, and only then; it
is a digest, from which nothing can be read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from hashlib import sha256
from typing import Any

from ropa.config.models import Config, Rule
from ropa.connector import Condition, DatasetSpec
from ropa.retention.compile import clauses_of, rules_by_dataset
from ropa.retention.conditions import is_satisfiable


def uncovered(config: Config) -> list[tuple[str, str]]:
    """Return (``location.dataset``, data category) of every mapped category that no rule covers: kept for ever."""
    return [(dataset, category) for dataset, category, rules in _coverage(config) if not rules]


def partly_covered(config: Config) -> list[tuple[str, str]]:
    """Return (``location.dataset``, data category) where only rules with a ``where`` cover a category, and together
    may leave records out: those are kept for ever."""
    return [
        (dataset, category)
        for dataset, category, rules in _coverage(config)
        if rules and all(rule.where for rule in rules) and is_satisfiable((), clauses_of(rules))
    ]


def rule_revision(rule: Rule, dataset_spec: DatasetSpec) -> str:
    """Return 64 hex digits (SHA-256) over the rule and the mapping of its dataset, in canonical JSON.

    The same in every process; it does not depend on the order of keys or on titles.
    """
    spec = dataset_spec
    said = {
        "rule": {f.name: getattr(rule, f.name) for f in fields(rule)} | {"period": rule.period.iso},
        "dataset": {
            "name": spec.name,
            "source": spec.source,
            "zone": spec.zone.key,
            "key": spec.key,
            "subject": spec.subject,
            "anchors": {
                name: [(part.column, part.dataset, part.form) for part in anchor.parts]
                for name, anchor in spec.anchors.items()
            },
            "data": spec.data,
            "parent": spec.parent and (spec.parent.dataset, spec.parent.via, spec.parent.with_parent),
            "options": spec.options,
        },
    }
    text = json.dumps(_plain(said), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return what JSON can say; values that it has no type for carry theirs, so that a date is not its text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Condition):
        return [value.column, _plain(value.values), value.negated]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=repr)
    if value is None or isinstance(value, str | int | float):
        return value
    return {type(value).__name__: str(value)}


def _coverage(config: Config) -> Iterator[tuple[str, str, list[Rule]]]:
    by_dataset = rules_by_dataset(config)
    for location in config.locations.values():
        for spec in location.datasets.values():
            dataset = f"{location.name}.{spec.name}"
            rules = by_dataset.get(dataset, ())
            for category in spec.data:
                yield dataset, category, [rule for rule in rules if category in rule.data]
