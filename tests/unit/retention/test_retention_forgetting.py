"""Anchors over children's dates, where the children go by a rule of their own."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from retention_builders import config, dataset, equals, rule

from ropa.clock import Period
from ropa.connector import Action, Anchor, AnchorPart, Parent
from ropa.retention import Forgotten, How, compile_policy, due_on, forgotten
from ropa.retention.periods import never_ends_before

CUSTOMERS, ORDERS = "crm.customers", "crm.orders"
OWN, ORDERED = AnchorPart("created_at"), AnchorPart("ordered_at", "orders")
TWELVE = Period(years=12)


def customers(*parts, name="customers", **more):
    return replace(dataset(name, {"name": ("a",)}, **more), anchors={"last": Anchor("last", parts or (OWN, ORDERED))})


def orders(name="orders", source="orders", *, with_parent=False, parent="customers"):
    made = dataset(name, {"name": ("a",)}, anchors=("ordered", "paid"), parent=Parent(parent, ("c",), with_parent))
    return replace(made, source=source)


def lost(child_rules, *, period=TWELVE, datasets=None, **more):
    """What the rule on customers forgets where these rules are on orders."""
    policy = config(
        rule("keep-customers", "name", dataset=CUSTOMERS, anchor="last", period=period, **more),
        *child_rules,
        datasets=datasets or [customers(), orders()],
    )
    return forgotten(policy, compile_policy(policy)), compile_policy(policy)


def of_orders(name="old-orders", **more):
    return rule(name, "name", **({"dataset": ORDERS, "anchor": "ordered", "period": Period(months=6)} | more))


def early(*by, child=ORDERS):
    return [Forgotten("keep-customers", CUSTOMERS, child, by or ("old-orders",), How.EARLY)]


def test_children_that_go_sooner_are_forgotten_and_no_mandate_covers_what_counts_from_them():
    found, targets = lost([of_orders(approval="mandate")], approval="mandate")
    assert found == early()
    assert {target.dataset: target.approval for target in targets} == {"customers": "plan", "orders": "mandate"}


@pytest.mark.parametrize("more", [{}, {"action": Action.ANONYMISE}, {"action": Action.FLAG}])
def test_whatever_is_done_with_the_record_it_is_judged_by_the_dates_that_are_left(more):
    assert lost([of_orders()], **more)[0] == early()


@pytest.mark.parametrize(
    "period",
    [TWELVE, Period(years=12, days=1), Period(months=145), Period(days=12 * 366)],
    ids=str,
)
def test_children_that_stay_as_long_are_not(period):
    found, targets = lost([of_orders(period=period)], approval="mandate")
    assert found == []
    assert {target.approval for target in targets if target.dataset == "customers"} == {"mandate"}


@pytest.mark.parametrize(
    ("child", "own"),
    [
        (Period(days=12 * 365), TWELVE),  # three leap days short
        (Period(days=30), Period(months=1)),
        (Period(months=1), Period(days=29)),  # February
    ],
    ids=str,
)
def test_days_against_months_are_weighed_by_the_calendar(child, own):
    assert lost([of_orders(period=child)], period=own)[0] == early()


def test_a_period_that_starts_with_the_next_year_is_longer_but_not_than_one_more_year():
    assert lost([of_orders(period=TWELVE, start="next-year")])[0] == []
    assert lost([of_orders(period=TWELVE)], start="next-year")[0] == early()
    assert lost([of_orders(period=Period(years=11), start="next-year")])[0] == early()


def test_a_period_from_another_date_keeps_nothing_for_certain():
    unsure = [Forgotten("keep-customers", CUSTOMERS, ORDERS, ("old-orders",), How.UNSURE)]
    found, targets = lost([of_orders(period=TWELVE, anchor="paid", approval="mandate")], approval="mandate")
    assert found == unsure
    assert {target.approval for target in targets} == {"mandate"}
    assert lost([of_orders(anchor="paid")])[0] == early()


def test_of_several_rules_that_must_all_be_due_one_that_keeps_them_is_enough():
    rules = [of_orders(), of_orders("tax", period=TWELVE)]
    assert lost(rules)[0] == []


def test_where_some_go_sooner_they_are_forgotten():
    rules = [of_orders("test-orders", where=(equals("s", 1),)), of_orders("tax", where=(), period=TWELVE)]
    assert lost(rules)[0] == []  # the longest period of those that cover it
    apart = [of_orders("test-orders", where=(equals("s", 1),))]
    assert lost(apart)[0] == early("test-orders")


@pytest.mark.parametrize("action", [Action.FLAG, Action.KEEP])
def test_what_is_not_purged_keeps_its_dates(action):
    assert lost([of_orders(action=action)])[0] == []


def test_children_without_a_rule_go_with_nobody():
    assert lost([])[0] == []


def test_another_dataset_over_the_same_table_takes_them_too():
    twins = [customers(), orders(), orders("old", source="orders")]
    taken = of_orders(dataset="crm.old")
    assert lost([taken], datasets=twins)[0] == early()


def test_the_date_of_a_parent_stays_as_long_as_it_is_referred_to():
    place = customers(OWN, ORDERED, parent=Parent("orders", ("o",)))
    above = orders(parent="elsewhere")
    assert lost([of_orders()], datasets=[place, above, orders("elsewhere", "elsewhere", parent="none")])[0] == []


def test_an_anchor_of_children_only_leaves_the_record_without_a_date():
    only = [customers(ORDERED), orders()]
    along = [Forgotten("keep-customers", CUSTOMERS, ORDERS, ("old-orders",), How.LAST)]
    found, targets = lost([of_orders(period=TWELVE, approval="mandate")], datasets=only, approval="mandate")
    assert found == along
    assert {target.approval for target in targets} == {"mandate"}  # never too early
    assert lost([of_orders()], datasets=only)[0] == early()
    assert lost([of_orders(period=TWELVE)], datasets=[customers(ORDERED), orders(with_parent=True)])[0] == []
    assert lost([], datasets=only)[0] == []


_PERIODS = st.builds(
    Period, years=st.integers(0, 3), months=st.integers(0, 14), weeks=st.just(0), days=st.integers(0, 400)
)
_STARTS = st.sampled_from(["anchor", "next-year"])


@given(_PERIODS, _STARTS, _PERIODS, _STARTS, st.integers(0, 20_000))
def test_what_never_ends_before_does_not_on_any_day(one, start, other, others_start, offset):
    day = date(1990, 1, 1) + timedelta(offset)
    if never_ends_before((one, start), (other, others_start)):
        assert due_on(day, one, start) >= due_on(day, other, others_start)
