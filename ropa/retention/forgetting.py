"""Which rules run from dates that other rules do away with.

An anchor may be the latest of a record's own dates and its children's (``latest``). Where a rule of ours takes the
children before the period that runs from their dates has ended, the record is afterwards judged by what is left: it
goes too early, or, where nothing is left, never. The source cannot tell: what is gone left no date behind.

Invariant: a record of a rule that is not named here is judged by the same dates on every night until it is due.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ropa.config.models import Config, Rule
from ropa.connector import Action, Anchor, AnchorPart, DatasetSpec
from ropa.retention.periods import never_ends_before
from ropa.retention.same_table import twins
from ropa.retention.targets import Target


class How(StrEnum):
    """How a date is lost."""

    EARLY = "early"
    """A child can go before the period from its date has ended."""
    UNSURE = "unsure"
    """A child is kept as long, but from another date of its own, which may be the earlier one."""
    LAST = "last"
    """A child goes when the period has ended, and with it the only date there was: a record that has not gone by then
    has no anchor any more."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Dates that a rule runs from and that may go before the record does."""

    rule: str
    dataset: str
    """``location.dataset`` of the rule."""
    child: str
    """``location.dataset`` of the records that hold the date."""
    by: tuple[str, ...]
    """The rules that take those records."""
    how: How


def forgotten(config: Config, targets: Sequence[Target]) -> list[Forgotten]:
    """Return what the rules forget, in the order of the targets; at most one of a kind for a rule and a child."""
    purged = [target for target in targets if target.scope == "row" and target.action is Action.PURGE]
    found: dict[Forgotten, None] = {}
    for target in targets:
        datasets = config.locations[target.location].datasets
        for rule in target.rules:
            anchor = datasets[target.dataset].anchors.get(rule.anchor)
            if anchor is not None and any(part.dataset is not None for part in anchor.parts):
                found.update(dict.fromkeys(_of_rule(target, rule, anchor, datasets, purged)))
    return list(found)


def _of_rule(
    target: Target, rule: Rule, anchor: Anchor, datasets: Mapping[str, DatasetSpec], purged: Sequence[Target]
) -> Iterator[Forgotten]:
    takers = [
        (part, datasets[part.dataset], one, _how(one, datasets[one.dataset], part, rule))
        for part in anchor.parts
        # An anchor reads its children's dates, or its parent's, which stays as long as it is referred to.
        if part.dataset is not None and not datasets[target.dataset].is_child_of(part.dataset)
        for one in purged
        # Of two datasets over one table each takes the records of the other.
        if one.location == target.location
        and datasets[one.dataset] in (datasets[part.dataset], *twins(datasets.values(), datasets[part.dataset]))
    ]
    alone = {part for part, child, _, _ in takers if not (child.parent and child.parent.with_parent)}
    is_last = alone.issuperset(anchor.parts)
    for _, child, one, how in takers:
        for said in (how, How.LAST if is_last and how is not How.EARLY else None):
            if said is not None:
                by = tuple(taking.name for taking in one.rules)
                yield Forgotten(rule.name, target.full_dataset, f"{target.location}.{child.name}", by, said)


def _how(taker: Target, spec: DatasetSpec, date: AnchorPart, rule: Rule) -> How | None:
    """Return how ``taker`` loses a date that ``rule`` runs from; None where it does not: one of its rules, all of which
    must be due, runs for as long from that very date, or from the latest of several of which it is one."""
    as_long = [one for one in taker.rules if never_ends_before((one.period, one.start), (rule.period, rule.start))]
    if any(_is_same(part, date) for one in as_long for part in spec.anchors[one.anchor].parts):
        return None
    return How.UNSURE if as_long else How.EARLY


def _is_same(part: AnchorPart, date: AnchorPart) -> bool:
    """Whether a part of a child's own anchor is the date that its parent's anchor names."""
    return part.dataset is None and part.column.casefold() == date.column.casefold() and part.form == date.form
