"""Datasets over one table, folder or list, whose rules are not weighed against each other as those of one dataset are.

Each of them takes the other's records: the same rows are asked for twice, by other rules. So their rules may differ
only where no record can be meant by both, or where what one of them does is no more than the other asks for.

Invariant: where there are no problems, no record goes by the rules of one dataset sooner, or in more columns, than it
would if the rules of all datasets over its table stood in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ropa.config.models import Location, Rule
from ropa.connector import Action, DatasetSpec
from ropa.errors import Problem
from ropa.retention.conditions import is_satisfiable
from ropa.retention.periods import never_ends_before
from ropa.retention.targets import Target

_BY_HAND = "manual"
"""The connector of places that people look after: they tell apart what is in one mailbox or cupboard."""
_MILDEST_FIRST = (Action.KEEP, Action.FLAG, Action.ANONYMISE, Action.PURGE)


def twins(datasets: Iterable[DatasetSpec], spec: DatasetSpec) -> list[DatasetSpec]:
    """Return the other datasets that may hold the same records: of one source, whose name many places read without
    regard to case, and not told apart by the ``pattern`` of their files' names."""
    return [
        other
        for other in datasets
        if other.name != spec.name
        and other.source.casefold() == spec.source.casefold()
        and other.options.get("pattern") == spec.options.get("pattern")
    ]


def disputes(target: Target, location: Location, rules: Mapping[str, Sequence[Rule]]) -> Iterator[Problem]:
    """Yield why a target may not be carried out: what it takes, a dataset over the same table has, and may keep.

    ``rules``: those of each ``location.dataset``.
    """
    if target.action is Action.FLAG or location.connector == _BY_HAND:
        return
    datasets = location.datasets
    spec = datasets[target.dataset]
    own = rules.get(target.full_dataset, ())
    for other in twins(datasets.values(), spec):
        full = f"{target.location}.{other.name}"
        others = rules.get(full, ())
        taken = [name for name, columns in other.data.items() if _takes(target, columns)]
        why = next(
            (
                said
                for rule in others
                if not set(taken).isdisjoint(rule.data) and is_satisfiable([*target.match, *rule.where], target.exclude)
                if (said := _keeps(target, spec, other, rule)) is not None
            ),
            None,
        )
        if why is None and (bare := _without_rule(target, taken, [*own, *others])) is not None:
            why = f"no rule covers {bare!r} of all of them, so it is never due"
        if why is not None:
            message = (
                f"would take from records that {full} has too, over the same {spec.source!r}: {why}. The rules of two "
                f"datasets are not weighed against each other; map the columns of {full} in {target.full_dataset}"
            )
            yield Problem(f"rule.{target.rules[0].name}.dataset", message)


def _takes(target: Target, columns: Iterable[str]) -> bool:
    if not target.fields:
        return True  # the whole record
    changed = {change.column.casefold() for change in target.fields}
    return any(column.casefold() in changed for column in columns)


def _keeps(target: Target, spec: DatasetSpec, other: DatasetSpec, rule: Rule) -> str | None:
    """Return why a rule of the other dataset may keep what the target takes; None: it is due whenever the target is."""
    if _MILDEST_FIRST.index(rule.action) < _MILDEST_FIRST.index(target.action):
        return f"its rule {rule.name!r} asks for `{rule.action}`"
    if rule.period.is_sub_day:
        return f"its rule {rule.name!r} is never due, because its period is under a day"
    dates = set(other.anchors[rule.anchor].parts)
    if other.zone == spec.zone and any(
        dates <= set(spec.anchors[own.anchor].parts)
        and never_ends_before((own.period, own.start), (rule.period, rule.start))
        for own in target.rules
    ):
        return None
    return f"its rule {rule.name!r} may keep them longer"


def _without_rule(target: Target, taken: Iterable[str], rules: Sequence[Rule]) -> str | None:
    """Return the first of these categories that no rule covers of some record of the target."""
    for name in taken:
        covered = [rule.where for rule in rules if name in rule.data]
        if is_satisfiable(target.match, [*target.exclude, *covered]):
            return name
    return None
