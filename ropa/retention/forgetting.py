"""Which rules run from dates that other rules do away with.

An anchor may be the latest of a record's own dates and its children's (``latest``). Where a rule of ours takes the
children before the period that runs from their dates has ended, the record is afterwards judged by what is left: it
goes too early, or, where nothing is left, never. The source cannot tell: what is gone left no date behind.

Invariant: a rule that is not named here is judged by the same dates on every night until it is due.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ropa.config.models import Config, Rule
from ropa.connector import Action, Anchor, AnchorPart, DatasetSpec
from ropa.retention.periods import never_ends_before
from ropa.retention.targets import Target


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Dates that a rule runs from and that go before it is due."""

    rule: str
    dataset: str
    """``location.dataset`` of the rule."""
    child: str
    """``location.dataset`` of the records that hold the date."""
    by: tuple[str, ...]
    """The rules that take those records."""
    is_early: bool
    """Whether a child can go before the period from its date has ended. Otherwise it goes when it has, and with it the
    only date that the record had: whatever of the record is not gone by then has no anchor any more."""


def forgotten(config: Config, targets: Sequence[Target]) -> list[Forgotten]:
    """Return what the rules forget, in the order of the targets; at most one of a kind for a rule and a child."""
    purged = [target for target in targets if target.scope == "row" and target.action is Action.PURGE]
    found: dict[Forgotten, None] = {}
    for target in targets:
        datasets = config.locations[target.location].datasets
        for rule in target.rules:
            anchor = datasets[target.dataset].anchors.get(rule.anchor)
            if anchor is not None and any(part.dataset is not None for part in anchor.parts):
                found.update(dict.fromkeys(_of_rule(target, rule, anchor, datasets.values(), purged)))
    return list(found)


def _of_rule(
    target: Target, rule: Rule, anchor: Anchor, datasets: Iterable[DatasetSpec], purged: Sequence[Target]
) -> Iterator[Forgotten]:
    specs = {spec.name: spec for spec in datasets}
    takers = [
        (part, specs[part.dataset], one)
        for part in anchor.parts
        # An anchor reads its children's dates, or its parent's, which stays as long as it is referred to.
        if part.dataset is not None and not specs[target.dataset].is_child_of(part.dataset)
        for one in purged
        # Of two datasets over one table each takes the records of the other.
        if one.location == target.location and specs[one.dataset].source == specs[part.dataset].source
    ]
    for part, child, one in takers:
        if not _keeps_until(one, specs[one.dataset], part, rule):
            yield _forgotten(target, rule, child, one, is_early=True)
    going = {part for part, child, _ in takers if not (child.parent and child.parent.with_parent)}
    if going.issuperset(anchor.parts):
        for part, child, one in takers:
            if part in going and _keeps_until(one, specs[one.dataset], part, rule):
                yield _forgotten(target, rule, child, one, is_early=False)


def _forgotten(target: Target, rule: Rule, child: DatasetSpec, by: Target, *, is_early: bool) -> Forgotten:
    names = tuple(one.name for one in by.rules)
    return Forgotten(rule.name, target.full_dataset, f"{target.location}.{child.name}", names, is_early)


def _keeps_until(taker: Target, spec: DatasetSpec, date: AnchorPart, rule: Rule) -> bool:
    """Whether nothing goes by ``taker`` before the period of ``rule`` from its date has ended: one of its rules, all of
    which must be due, runs from that very date, or from the latest of several of which it is one, for as long."""
    return any(
        any(
            part.dataset is None and part.column.casefold() == date.column.casefold() and part.form == date.form
            for part in spec.anchors[one.anchor].parts
        )
        and never_ends_before((one.period, one.start), (rule.period, rule.start))
        for one in taker.rules
    )
