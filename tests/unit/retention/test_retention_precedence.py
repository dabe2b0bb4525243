"""Exhaustive tables: what compiled targets select is what design 4.2 and 4.4 say, decided here by brute force."""

import itertools
from datetime import date, timedelta

import pytest

from ropa.clock import Period
from ropa.connector import Action, Spare
from ropa.retention import compile_policy, explain_record, select
from tests.unit.retention.retention_builders import (
    AS_OF,
    BRUSSELS,
    NOW,
    config,
    dataset,
    differs,
    equals,
    rule,
    selects,
)

DATA = ((("name",)), (("email",)), ("name", "email"))
ACTIONS = (Action.FLAG, Action.ANONYMISE, Action.PURGE, Action.KEEP)
WHERES = ((), (equals("s", 0),), (differs("s", 0),), (equals("s", None),))
DAYS = (30, 365)
AGES = (10, 30, 31, 100, 365, 366, None, -5)
RECORDS = [
    ({"id": f"{s}/{age}", "s": s, "a": "x", "b": "y"}, None if age is None else AS_OF - timedelta(days=age))
    for s in (0, 1, None)
    for age in AGES
]
MILDEST = (Action.FLAG, Action.ANONYMISE, Action.PURGE)


def satisfies(one, record):
    if not one.where:
        return True
    (condition,) = one.where
    return (record[condition.column] in condition.values) != condition.negated


def has_ended(one, day):
    if one.action is Action.KEEP or day is None or day > AS_OF:
        return False
    return date.fromordinal(day.toordinal() + one.period.days) < AS_OF


def mildest(rules):
    return next(action for action in MILDEST if any(r.action is action for r in rules))


def decide(rules, record, day, categories, neighbours=lambda category: {category}):
    """What is to happen to a record: (action of the row or None, {category: action} of the fields apart from it)."""
    matching = [r for r in rules if satisfies(r, record)]
    due = {}
    for category in categories:
        groups = [[r for r in matching if name in r.data] for name in neighbours(category)]
        deciding = [r for r in matching if any(r in group for group in groups)]
        if all(groups) and all(has_ended(r, day) for r in deciding):
            due[category] = deciding
    row = mildest(matching) if len(due) == len(categories) else None
    # Where the whole row goes by the very same rules there is nothing left to do to the field.
    is_row_possible = all(any(c in r.data for r in matching) for c in categories) and not any(
        r.action is Action.KEEP for r in matching
    )
    fields = {c: mildest(d) for c, d in due.items() if not (is_row_possible and len(d) == len(matching))}
    return row, fields, set(due)


def outcome(targets, record, day, spare):
    rows, fields = [], {}
    for target, selection in targets:
        if not selects(selection, record, {"created": day}):
            continue
        if target.scope == "row":
            rows.append(target.action)
        for category in target.data if target.scope == "field" else ():
            assert category not in fields, "one datum in two targets"
            fields[category] = target.action
    assert len(rows) <= 1, "one record in two row targets"
    return (rows[0] if rows else None), fields


def compare(rules, spare=None):
    """Compare every record; return how many were selected for something."""
    spare = spare or Spare()
    spec = dataset(data={"name": ("a",), "email": ("b",)})
    policy = config(*rules, datasets=[spec])
    targets = [(t, select(t, as_of=AS_OF, now=NOW, zone=BRUSSELS, spare=spare)) for t in compile_policy(policy)]
    assert len({t.identity for t, _ in targets}) == len(targets)
    selected = 0
    for record, day in RECORDS:
        row, fields, due = decide(rules, record, day, ("name", "email"))
        if (record["id"],) in spare.keys.get("contacts", ()):
            row, fields = None, {}
        assert outcome(targets, record, day, spare) == (row, fields), (rules, record, day)
        selected += bool(row or fields)
        explained = explain_record(
            spec, rules, matches={r.name: satisfies(r, record) for r in rules}, anchored={"created": day},
            as_of=AS_OF, today=AS_OF,
        )  # fmt: skip
        assert {e.category for e in explained if e.state == "due"} == due, (rules, record, day)
    return selected


def options(wheres):
    return list(itertools.product(DATA, ACTIONS, wheres, DAYS))


def build(chosen):
    return tuple(
        rule(f"r{i}", data, action, where=where, period=Period(days=days))
        for i, (data, action, where, days) in enumerate(chosen)
    )


def test_every_pair_of_rules_selects_what_the_rules_say():
    seen = 0
    for chosen in itertools.combinations_with_replacement(options(WHERES), 2):
        seen += compare(build(chosen))
    assert seen > 5_000


@pytest.mark.whole
def test_every_three_rules_select_what_the_rules_say():
    seen = 0
    short = [(data, action, where, DAYS[i % 2]) for i, (data, action, where) in enumerate(
        itertools.product(DATA, ACTIONS, WHERES[:2])
    )]  # fmt: skip
    for chosen in itertools.combinations_with_replacement(short, 3):
        seen += compare(build(chosen))
    assert seen > 1000


def test_a_held_record_is_selected_by_no_combination_of_rules():
    everything = Spare({"contacts": frozenset((record["id"],) for record, _ in RECORDS)})
    one = Spare({"contacts": frozenset({("0/366",)})})
    total = some = 0
    for chosen in itertools.combinations_with_replacement(options(WHERES[:2])[::2], 2):
        assert compare(build(chosen), everything) == 0
        total += compare(build(chosen))
        some += compare(build(chosen), one)
    assert 0 < some < total


def test_a_column_that_two_categories_share_goes_only_when_both_may_go():
    data = {"name": ("x", "y"), "email": ("y", "z"), "cv": ("w",)}
    spec = dataset(data=data)
    sharing = {"name": {"name", "email"}, "email": {"name", "email"}, "cv": {"cv"}}
    subsets = [c for n in (1, 2, 3) for c in itertools.combinations(data, n)]
    kinds = list(itertools.product(subsets, (Action.PURGE, Action.KEEP), WHERES[:2], DAYS))
    cleared = 0
    for chosen in itertools.combinations(kinds, 2):
        rules = build(chosen)
        targets = [
            (t, select(t, as_of=AS_OF, now=NOW, zone=BRUSSELS)) for t in compile_policy(config(*rules, datasets=[spec]))
        ]
        for record, day in RECORDS[:8]:
            full = record | dict.fromkeys("xyzw", "held")
            row, fields, due = decide(rules, full, day, tuple(data), sharing.__getitem__)
            assert outcome(targets, full, day, Spare()) == (row, fields), (rules, record, day)
            changed = {c.column for t, s in targets if selects(s, full, {"created": day}) for c in s.fields}
            for column in changed:
                assert all(name in due for name, columns in data.items() if column in columns)
            cleared += len(changed)
    assert cleared > 100
