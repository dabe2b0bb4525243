"""Rules become targets: per dataset, case by case, so that each target is one plain question (decision 0001, point 2).

Invariants: a record lies in exactly one case (a set of ``where`` clauses that hold), hence in at most one row target;
within one case a data category has at most one target, and only where *every* rule that covers it says it may go; a
datum that no rule covers, or that a ``keep`` rule covers, is in no target; a column that two categories share goes
only when both may go. Nothing is decided twice: what the row target does already is not also a field target.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ropa.config.models import Config, Location, Rule, Safety
from ropa.connector import Action, Condition, DatasetSpec, FieldChange, Mask
from ropa.errors import ConfigurationError, Problem
from ropa.retention.conditions import Clause, TooManyCasesError, cells, clause_key, is_impossible
from ropa.retention.forgetting import How, forgotten
from ropa.retention.same_table import disputes, twins
from ropa.retention.targets import Target, cutoffs, due_on_record, select

__all__ = ["Target", "compile_policy", "conflicts", "cutoffs", "due_on_record", "select"]

_NEXT = "change the rules, then run `ropa check`; nothing was touched"


def compile_policy(config: Config) -> tuple[Target, ...]:
    """Return the targets of all rules: datasets in the order of the configuration, of each the rows, then the fields.

    Raises ConfigurationError with every problem where the rules contradict themselves (``conflicts``).
    """
    targets, problems = _compile(config)
    if problems:
        raise ConfigurationError("the retention rules contradict themselves", tuple(problems), next_step=_NEXT)
    return targets


def conflicts(config: Config) -> list[Problem]:
    """Return why rules cannot be carried out together, each with its key path; empty: ``compile_policy`` succeeds.

    A change of fields may not touch what decides about the record: its key, an anchor, the columns that lead to its
    parent, or a column of a ``where``; two rules may not ask for different masks of one column of one record; the
    rules of two datasets over one table may not contradict each other; and ``where`` clauses must not overlap in more
    ways than can be asked for one by one.
    """
    return _compile(config)[1]


def deciding_rules(spec: DatasetSpec, category: str, rules: Iterable[Rule]) -> tuple[Rule, ...] | None:
    """Return the rules that decide about a category of records which all these rules match, or None: no rule covers.

    Rules of the categories that share a column with it decide too, and where one of those is not covered, the column
    is not either. In the order given.
    """
    given = list(rules)
    neighbours = _neighbours(spec, category)
    if not all(any(name in rule.data for rule in given) for name in neighbours):
        return None
    return tuple(rule for rule in given if neighbours.intersection(rule.data))


def is_enforced(rule: Rule) -> bool:
    """Tell whether a rule can ever be due: ``keep`` and periods under a day never are (design 4.1)."""
    return rule.action is not Action.KEEP and not rule.period.is_sub_day


def rules_of(config: Config, dataset: str) -> tuple[Rule, ...]:
    """Return the rules of ``location.dataset`` that cover a category mapped there, in the configuration's order."""
    return rules_by_dataset(config).get(dataset, ())


def rules_by_dataset(config: Config) -> dict[str, tuple[Rule, ...]]:
    """Return ``rules_of`` every ``location.dataset`` that has rules; the rules are gone through once."""
    found: dict[str, list[Rule]] = {}
    for rule in config.rules.values():
        mapped = config.dataset(rule.dataset).data
        if any(name in mapped for name in rule.data):
            found.setdefault(rule.dataset, []).append(rule)
    return {dataset: tuple(rules) for dataset, rules in found.items()}


def clauses_of(rules: Iterable[Rule]) -> list[Clause]:
    """Return the distinct ``where`` clauses of rules, in their order, without the one that always holds."""
    return list({clause_key(rule.where): rule.where for rule in rules if rule.where}.values())


@dataclass(frozen=True, slots=True)
class _Draft:
    """A target without its conditions."""

    data: tuple[str, ...]
    action: Action
    rules: tuple[int, ...]
    """Positions in the dataset's rules."""


_last: tuple[Config, tuple[tuple[Target, ...], list[Problem]]] | None = None


def _compile(config: Config) -> tuple[tuple[Target, ...], list[Problem]]:
    # A command asks for the conflicts of its one configuration, and then for its targets.
    global _last  # noqa: PLW0603 - what was made of the last configuration, which never changes
    if _last is None or _last[0] is not config:
        _last = config, _compile_anew(config)
    return _last[1]


def _compile_anew(config: Config) -> tuple[tuple[Target, ...], list[Problem]]:
    targets: list[Target] = []
    problems: dict[Problem, None] = {}
    by_dataset = rules_by_dataset(config)
    for location in config.locations.values():
        for spec in location.datasets.values():
            full = f"{location.name}.{spec.name}"
            rules = by_dataset.get(full, ())
            try:
                found = _compile_dataset(config, location.name, spec, rules)
            except TooManyCasesError:
                last = [rule.name for rule in rules if rule.where][-1]
                message = (
                    f"the `where` clauses of the rules on {full} overlap in too many ways; use fewer different ones"
                )
                problems[Problem(f"rule.{last}.where", message)] = None
                continue
            targets += found
            protected = _protected_columns(location, spec, by_dataset)
            for target in found:
                problems.update(dict.fromkeys(_conflicts_of(target, spec, protected)))
                problems.update(dict.fromkeys(disputes(target, location, by_dataset)))
    return _in_a_persons_hands(config, targets), list(problems)


def _in_a_persons_hands(config: Config, targets: Sequence[Target]) -> tuple[Target, ...]:
    """Nobody approves in advance what may go too early because its dates went before it: a person looks each time."""
    doubtful = {found.rule for found in forgotten(config, targets) if found.how is How.EARLY}
    return tuple(
        replace(target, approval="plan") if any(rule.name in doubtful for rule in target.rules) else target
        for target in targets
    )


def _compile_dataset(config: Config, location: str, spec: DatasetSpec, rules: tuple[Rule, ...]) -> list[Target]:
    clauses = clauses_of(rules)
    position = {clause_key(clause): i for i, clause in enumerate(clauses)}
    cases = cells(clauses)
    rows: list[tuple[_Draft, frozenset[int]]] = []
    fields: dict[_Draft, set[frozenset[int]]] = {}
    for case in cases:
        matching = [i for i, r in enumerate(rules) if not r.where or position[clause_key(r.where)] in case]
        row, drafts = _drafts(spec, rules, matching)
        if row:
            rows.append((row, case))
        for draft in drafts:
            fields.setdefault(draft, set()).add(case)
    order = list(spec.data)
    by_data = sorted(fields, key=lambda d: ([order.index(name) for name in d.data], d.rules, d.action))
    pieces = [(draft, {case}) for draft, case in rows] + [(draft, fields[draft]) for draft in by_data]
    return [
        _finish(config.safety, location, spec, rules=tuple(rules[i] for i in draft.rules), draft=draft, where=where)
        for draft, wanted in pieces
        for where in _questions(clauses, cases, wanted)
    ]


def _drafts(spec: DatasetSpec, rules: Sequence[Rule], matching: Sequence[int]) -> tuple[_Draft | None, list[_Draft]]:
    """Decide one case: what becomes of the row, and of the fields where that is not the same thing."""
    index = {rules[i].name: i for i in matching}
    present = [rules[i] for i in matching]
    due: dict[str, tuple[Rule, ...]] = {}
    for category in spec.data:
        deciding = deciding_rules(spec, category, present)
        if deciding and all(is_enforced(rule) for rule in deciding):
            due[category] = deciding
    row = None
    if due and len(due) == len(spec.data):
        row = _Draft(("*",), _action_of(present), tuple(matching))
    groups: dict[tuple[tuple[int, ...], Action], list[str]] = {}
    for category, deciding in due.items():
        key = tuple(index[rule.name] for rule in deciding)
        # With the rules of the row its action is the row's too: the same order of precedence over the same rules.
        if row is None or key != row.rules:
            groups.setdefault((key, _action_of(deciding)), []).append(category)
    return row, [_Draft(tuple(names), action, key) for (key, action), names in groups.items()]


def _action_of(rules: Iterable[Rule]) -> Action:
    """Return the mildest action that one of the rules asks for: a flag, then anonymising, then purging."""
    asked = {rule.action for rule in rules}
    return next(action for action in (Action.FLAG, Action.ANONYMISE, Action.PURGE) if action in asked)


_Where = tuple[tuple[Condition, ...], tuple[Clause, ...]]


def _questions(clauses: Sequence[Clause], cases: Sequence[frozenset[int]], wanted: set[frozenset[int]]) -> list[_Where]:
    """Return disjoint (match, exclude) that together mean the wanted cases and no other: as few as come easily."""
    fixed = [i for i in range(len(clauses)) if len({i in case for case in wanted}) == 1]
    order = fixed + [i for i in range(len(clauses)) if i not in fixed]
    questions: list[_Where] = []
    open_ends: list[tuple[list[frozenset[int]], list[int], list[int], int]] = [(list(cases), [], [], 0)]
    while open_ends:
        inside, held, refused, depth = open_ends.pop()
        if not any(case in wanted for case in inside):
            continue
        if all(case in wanted for case in inside):
            match = tuple(dict.fromkeys(c for i in sorted(held) for c in clauses[i]))
            exclude = (clauses[i] for i in sorted(refused))
            questions.append((match, tuple(clause for clause in exclude if not is_impossible([*match, *clause]))))
            continue
        i = order[depth]
        without = [case for case in inside if i not in case]
        open_ends.append((without, held, [*refused, i], depth + 1))
        open_ends.append(([case for case in inside if i in case], [*held, i], refused, depth + 1))
    return questions


def _finish(
    safety: Safety, location: str, spec: DatasetSpec, *, rules: tuple[Rule, ...], draft: _Draft, where: _Where
) -> Target:
    is_row = draft.data == ("*",)
    changes: tuple[FieldChange, ...] = ()
    # A flag changes nothing, so it asks nothing of the columns: a place that cannot change them can still be flagged.
    if draft.action is Action.ANONYMISE or (draft.action is Action.PURGE and not is_row):
        columns = _columns(spec, tuple(spec.data) if is_row else draft.data)
        changes = tuple(FieldChange(column, _masks(spec, column, rules)[0]) for column in columns)
    return Target(
        location=location,
        dataset=spec.name,
        scope="row" if is_row else "field",
        data=draft.data,
        action=draft.action,
        rules=rules,
        match=where[0],
        exclude=where[1],
        fields=changes,
        approval="mandate" if all(rule.approval == "mandate" for rule in rules) else "plan",
        max_records=min(safety.max_records if r.max_records is None else r.max_records for r in rules),
        max_share=min(safety.max_share if r.max_share is None else r.max_share for r in rules),
    )


def _columns(spec: DatasetSpec, categories: Iterable[str]) -> list[str]:
    columns: dict[str, str] = {}
    for name in categories:
        for column in spec.data[name]:
            columns.setdefault(column.casefold(), column)
    return list(columns.values())


def _owners(spec: DatasetSpec, column: str) -> list[str]:
    return [name for name, columns in spec.data.items() if column.casefold() in {c.casefold() for c in columns}]


def _neighbours(spec: DatasetSpec, category: str) -> set[str]:
    """Return the category and those that map a column it maps too."""
    return {category, *(name for column in spec.data[category] for name in _owners(spec, column))}


def _masks(spec: DatasetSpec, column: str, rules: Iterable[Rule]) -> list[Mask]:
    """Return the masks that rules ask for, of which there should be one; a rule with a ``where`` goes before others."""
    owners = _owners(spec, column)
    votes = [
        (bool(rule.where), rule.mask.get(name, Mask.CLEAR))
        for rule in rules
        if rule.action is Action.ANONYMISE
        for name in owners
        if name in rule.data
    ]
    special = [mask for has_where, mask in votes if has_where]
    return list(dict.fromkeys(special or [mask for _, mask in votes])) or [Mask.CLEAR]


def _protected_columns(location: Location, spec: DatasetSpec, rules: Mapping[str, Sequence[Rule]]) -> dict[str, str]:
    """Return the columns (in lower case) that a change of fields may not touch, with what each is for."""
    protected: dict[str, str] = {}
    same = [spec, *twins(location.datasets.values(), spec)]
    names = {one.name for one in same}
    for other in location.datasets.values():
        for name, anchor in other.anchors.items():
            for part in anchor.parts:
                owner = other.name if part.dataset is None else part.dataset.removeprefix(f"{location.name}.")
                if owner in names:
                    protected[part.column.casefold()] = f"of the anchor {name!r} of {location.name}.{other.name}"
    for one in same:
        asking = rules.get(f"{location.name}.{one.name}", ())
        protected.update({c.column.casefold(): f"in the `where` of rule {r.name!r}" for r in asking for c in r.where})
        if one.parent:
            protected.update({column.casefold(): "that leads to its parent" for column in one.parent.via})
        protected.update({column.casefold(): "of the key" for column in one.key})
    return protected


def _conflicts_of(target: Target, spec: DatasetSpec, protected: Mapping[str, str]) -> list[Problem]:
    problems = []
    for change in target.fields:
        owners = set(_owners(spec, change.column))
        rule = next(r for r in target.rules if owners.intersection(r.data))
        use = protected.get(change.column.casefold())
        if use:
            message = (
                f"would change column {change.column!r} of {target.full_dataset} without removing the record, "
                f"but it is a column {use}; leave it out of the mapping or purge the whole record"
            )
            problems.append(Problem(f"rule.{rule.name}.data", message))
        masks = _masks(spec, change.column, target.rules)
        if target.action is Action.ANONYMISE and len(masks) > 1:
            asking = [r.name for r in target.rules if r.action is Action.ANONYMISE and owners.intersection(r.data)]
            names = " and ".join(f"`{mask}`" for mask in masks)
            message = (
                f"rules {', '.join(asking)} ask for {names} of column {change.column!r} of {target.full_dataset} "
                "for the same records; write the same mask in each"
            )
            problems.append(Problem(f"rule.{asking[-1]}.mask", message))
    return problems
