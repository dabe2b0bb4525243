"""Rule sets that contradict themselves, refused when they are read and not at night (design 4.2).

Invariant: two rules that would be due on the same day for the same record and datum agree on what then happens; no
rule is written that another makes void; and no rule asks a connector to take a part of a record that it can only take
whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace

from ropa.config.models import Rule
from ropa.config.problems import Problems
from ropa.config.rules import Places
from ropa.connector import Action, Capabilities, Condition, Mask


def note_contradictions(rules: Mapping[str, Rule], places: Places, problems: Problems) -> None:
    """Note every contradiction at the later of the two rules, with the name of the earlier."""
    _note_twins(rules.values(), problems)
    _note_different_ends(rules.values(), problems)
    _note_void_rules(rules.values(), problems)
    _note_parts_of_whole_records(rules.values(), places, problems)


def _note(problems: Problems, rule: Rule, key: str, message: str) -> None:
    problems.add(("rule", rule.name, key) if key else ("rule", rule.name), message)


def same_where(rule: Rule) -> Hashable:
    """Return what two rules share when their ``where`` says the same, in whatever order it is written."""
    return frozenset((condition.column, frozenset(condition.values), condition.negated) for condition in rule.where)


def _timing(rule: Rule) -> Hashable:
    return (rule.dataset, same_where(rule), rule.anchor, rule.period, rule.start)


def _is_same_but_for_name(one: Rule, other: Rule) -> bool:
    def plain(rule: Rule) -> Rule:
        return replace(rule, name="", where=(), data=tuple(sorted(rule.data)), is_all_data=False)

    return plain(one) == plain(other)


def _note_twins(rules: Iterable[Rule], problems: Problems) -> None:
    seen: dict[Hashable, list[Rule]] = defaultdict(list)
    for rule in rules:
        alike = seen[_timing(rule), rule.activity, rule.action, frozenset(rule.data)]
        twin = next((other for other in alike if _is_same_but_for_name(other, rule)), None)
        if twin is None:
            alike.append(rule)
        else:
            _note(problems, rule, "", f"says the same as rule.{twin.name}; keep one of the two")


def _end(rule: Rule, category: str) -> tuple[Action, Mask | None]:
    return rule.action, rule.mask.get(category, Mask.CLEAR) if rule.action is Action.ANONYMISE else None


def _note_different_ends(rules: Iterable[Rule], problems: Problems) -> None:
    first: dict[Hashable, Rule] = {}
    for rule in rules:
        if rule.action is Action.KEEP:
            continue
        told: set[str] = set()
        for category in rule.data:
            other = first.setdefault((_timing(rule), category), rule)
            if _end(other, category) == _end(rule, category) or other.name in told:
                continue
            told.add(other.name)
            key = "mask" if other.action is rule.action else "action"
            how = "mask" if key == "mask" else f"action ({rule.action} here, {other.action} there)"
            message = (
                f"contradicts rule.{other.name}: same records, anchor, period and start, another {how} for {category}"
            )
            _note(problems, rule, key, message)


def _note_void_rules(rules: Iterable[Rule], problems: Problems) -> None:
    groups: dict[Hashable, list[Rule]] = defaultdict(list)
    for rule in rules:
        groups[rule.dataset, same_where(rule), frozenset(rule.data)].append(rule)
    for group in groups.values():
        kept = next((rule for rule in group if rule.action is Action.KEEP), None)
        for rule in group:
            if kept is not None and rule.action is not Action.KEEP:
                message = f"contradicts rule.{kept.name}, which keeps the same data of the same records for good"
                _note(problems, rule, "action", message)


def _note_parts_of_whole_records(rules: Iterable[Rule], places: Places, problems: Problems) -> None:
    """Note a purge that can never happen: the connector only removes records whole, and a part of them never is due."""
    by_dataset: dict[str, dict[Hashable, list[Rule]]] = defaultdict(lambda: defaultdict(list))
    for rule in rules:
        _, kind = places.datasets[rule.dataset]
        if kind is not None and kind.capabilities.is_enforcing and not _can_clear(kind.capabilities):
            by_dataset[rule.dataset][same_where(rule)].append(rule)
    for name, groups in by_dataset.items():
        everything = _ended(rule for group in groups.values() for rule in group)
        for where, group in groups.items():
            purging = [rule for rule in group if rule.action is Action.PURGE]
            keepers = [rule for rule in groups.get(_EVERYWHERE, []) + group if rule.action is Action.KEEP]
            ended = everything if len(groups) > _MANY else _ended(_beside(group, groups))
            missing = [category for category in places.datasets[name][0].data if category not in ended]
            for rule in purging:
                if missing:
                    rest = ", ".join(missing)
                    message = f"this connector removes records whole, and no rule covers the rest of it: {rest}"
                    _note(problems, rule, "data", f'{message}; cover it too, e.g. data = "*"')
                elif keeper := next((other for other in keepers if not _keeps_all(other, rule, where)), None):
                    message = "can never happen: this connector removes records whole, and "
                    _note(problems, rule, "action", f"{message}rule.{keeper.name} keeps a part of what it purges")


_EVERYWHERE: Hashable = frozenset()
_MANY = 64
"""Among more different ``where`` than this they are not compared one by one: all count as beside each other."""


def _beside(group: list[Rule], groups: Mapping[Hashable, list[Rule]]) -> list[Rule]:
    """Return the rules for records that may also match ``group``, whose rules share their ``where``."""
    return [rule for others in groups.values() if not are_disjoint(group[0].where, others[0].where) for rule in others]


def _ended(rules: Iterable[Rule]) -> set[str]:
    return {category for rule in rules if rule.action is not Action.KEEP for category in rule.data}


def _can_clear(capabilities: Capabilities) -> bool:
    return Action.ANONYMISE in capabilities.actions and Mask.CLEAR in capabilities.masks


def _keeps_all(keeper: Rule, rule: Rule, where: Hashable) -> bool:
    """Whether a keep makes the whole rule void; that is noted by itself."""
    return same_where(keeper) == where and set(keeper.data) == set(rule.data)


def are_disjoint(one: tuple[Condition, ...], other: tuple[Condition, ...]) -> bool:
    """Whether no record can match both, judged column by column."""
    columns: dict[str, list[Condition]] = defaultdict(list)
    for condition in one:
        columns[condition.column].append(condition)
    return any(
        _exclude_each_other(condition, mine) for condition in other for mine in columns.get(condition.column, ())
    )


def _exclude_each_other(one: Condition, other: Condition) -> bool:
    if one.negated and other.negated:
        return False
    if one.negated or other.negated:
        positive, negative = (other, one) if one.negated else (one, other)
        return set(positive.values) <= set(negative.values)
    return set(one.values).isdisjoint(other.values)
