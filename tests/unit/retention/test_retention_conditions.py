"""Which clauses can hold together: every record in exactly one case, and nothing pruned that a source could find."""

import itertools
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ropa.connector import Condition
from ropa.retention.conditions import (
    MAX_CELLS,
    MAX_CLAUSES,
    TooManyCasesError,
    cells,
    clause_key,
    is_impossible,
    is_satisfiable,
    may_be_equal,
)
from tests.unit.retention.retention_builders import differs, equals, holds

VALUES = (None, 0, 1, "a", "A", "b")
conditions = st.builds(
    Condition,
    column=st.sampled_from("st"),
    values=st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple),
    negated=st.booleans(),
)
clauses = st.lists(conditions, min_size=1, max_size=3).map(tuple)
RECORDS = [dict(zip("st", pair, strict=True)) for pair in itertools.product((*VALUES, "other"), repeat=2)]


def exactly(one, other):
    return type(one) is type(other) and one == other


def loosely(one, other):
    """As MariaDB and Dataverse compare: text without regard to case."""
    return str(one).casefold() == str(other).casefold()


def is_satisfied(clause, record, same):
    return all(holds(c, record, same) for c in clause)


@pytest.mark.parametrize("same", [exactly, loosely])
@settings(max_examples=150, deadline=None)
@given(found=st.lists(clauses, max_size=5))
def test_every_record_lies_in_exactly_one_case(same, found):
    cases = cells(found)
    assert len(cases) == len(set(cases))
    for record in RECORDS:
        satisfied = frozenset(i for i, clause in enumerate(found) if is_satisfied(clause, record, same))
        assert cases.count(satisfied) == 1


@pytest.mark.parametrize("same", [exactly, loosely])
@settings(max_examples=300, deadline=None)
@given(match=clauses, exclude=st.lists(clauses, max_size=3))
def test_what_is_called_impossible_no_record_satisfies(same, match, exclude):
    fit = [r for r in RECORDS if is_satisfied(match, r, same)]
    if is_impossible(match):
        assert not fit
    if not is_satisfiable(match, exclude):
        assert not [r for r in fit if not any(is_satisfied(c, r, same) for c in exclude)]


@pytest.mark.parametrize(
    "match",
    [
        (equals("s", 0), equals("s", 1)),
        (equals("s", 0), differs("s", 0)),
        (equals("s", None), equals("s", "a")),
        (equals("s", "a", "b"), equals("s", "c")),
        (equals("s", "a", "b"), differs("s", "a"), differs("s", "b")),
        (equals("s", True), equals("s", False)),
        (equals("s", date(2026, 1, 1)), equals("s", date(2026, 1, 2))),
    ],
)
def test_contradictions_are_seen(match):
    assert is_impossible(match)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a", "A"), ("é", "e"), ("a", "a "), ("straße", "STRASSE"), (1, True), (1, 1.0), (1, "1"), ("1", "01"),
        (date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)), (date(2026, 1, 1), "2026-01-01"), (None, None),
    ],
)  # fmt: skip
def test_values_that_some_source_takes_for_the_same_are_not_told_apart(one, other):
    assert may_be_equal(one, other)
    assert not is_impossible([equals("s", one), equals("s", other)])


@pytest.mark.parametrize(("one", "other"), [("a", "b"), (1, 2), (None, 0), (None, ""), ("1", "2"), (False, 1)])
def test_values_that_differ_everywhere_are_told_apart(one, other):
    assert not may_be_equal(one, other)


def test_the_other_columns_say_nothing():
    assert not is_impossible([equals("s", 0), equals("t", 1)])


def test_a_condition_and_its_opposite_leave_no_third_case():
    assert cells([(equals("s", 0),), (differs("s", 0),)]) == [frozenset({0}), frozenset({1})]
    assert cells([(equals("s", None),), (differs("s", None),)]) == [frozenset({0}), frozenset({1})]


def test_a_clause_that_follows_from_another_never_fails_beside_it():
    found = cells([(equals("s", "a"),), (equals("s", "a", "b"),)])
    assert set(found) == {frozenset({0, 1}), frozenset({1}), frozenset()}


def test_an_excluded_pair_of_conditions_gives_the_opposite_of_the_one_in_doubt():
    pair = (equals("s", 0), equals("t", 1))
    assert not is_satisfiable([equals("s", 0), equals("t", 1)], [pair])
    assert not is_satisfiable([equals("s", 0)], [pair, (differs("t", 1),)])
    assert is_satisfiable([equals("s", 0)], [pair])


def test_an_empty_list_of_values_matches_nothing():
    assert is_impossible([Condition("s", ())])
    assert cells([(Condition("s", ()),)]) == [frozenset()]


def test_the_order_of_conditions_and_values_makes_no_other_clause():
    one = (equals("s", 0, 1), equals("t", "a"))
    other = (equals("t", "a"), equals("s", 1, 0))
    assert clause_key(one) == clause_key(other)
    assert clause_key((equals("s", 1),)) != clause_key((equals("s", "1"),))
    assert clause_key((equals("s", 1),)) != clause_key((differs("s", 1),))


def test_sixty_clauses_that_exclude_each_other_are_sixty_one_cases():
    assert len(cells([(equals("s", i),) for i in range(60)])) == 61


def test_twelve_clauses_that_say_nothing_about_each_other_are_the_most():
    assert len(cells([(equals(f"c{i}", 1),) for i in range(12)])) == MAX_CELLS
    with pytest.raises(TooManyCasesError):
        cells([(equals(f"c{i}", 1),) for i in range(13)])
    with pytest.raises(TooManyCasesError):
        cells([(equals("s", i),) for i in range(MAX_CLAUSES + 1)])
