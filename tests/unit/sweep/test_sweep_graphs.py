"""Any graph of references: what a plan lets go is what a second opinion says, and nothing is ever left dangling."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweep_kit import CAPS, OLD, PROSPECTS

HELD = {("customers", 2), ("orders", 12)}
CONFIG = CAPS + '[location.crm]\nconnector = "memory"\nbatch_size = 2\n'
for name, parent in (("customers", ""), ("orders", 'parent = { dataset = "crm.customers", via = ["customer_id"] }\n')):
    CONFIG += f'[location.crm.dataset.{name}]\nsource = "{name}"\nkey = ["id"]\nanchor.created = "created"\n'
    CONFIG += f'data.name = ["name"]\n{parent}'
    CONFIG += PROSPECTS.replace("prospects", name).replace("crm.contacts", f"crm.{name}")
LINKS = [
    ("customers", "boss_id", "customers"),
    ("orders", "customer_id", "customers"),
    ("orders", "after_id", "orders"),
    ("calls", "order_id", "orders"),
]


@pytest.fixture
def crowd(make):
    """One world for all examples, in which some records are held."""
    world = make(CONFIG, {"customers": [], "orders": [], "calls": []}, relations=LINKS)
    for table, key in sorted(HELD):
        world.hold(target=f"crm.{table}", key=key)
    return world


def ids(low):
    return st.lists(st.integers(low, low + 5), unique=True, max_size=6)


@st.composite
def graphs(draw):
    def row(key, **links):
        created = draw(st.sampled_from([OLD, OLD, OLD, "2026-11-01"]))
        return {"id": key, "name": "x", "created": created} | {k: draw(v) for k, v in links.items()}

    customers, orders = draw(ids(1)), draw(ids(11))
    to_customer = st.sampled_from([None, *customers])
    to_order = st.sampled_from([None, *orders])
    return {
        "customers": [row(key, boss_id=to_customer) for key in customers],
        "orders": [row(key, customer_id=to_customer, after_id=to_order) for key in orders],
        "calls": [{"id": 100, "order_id": draw(to_order)}] if draw(st.booleans()) else [],
    }


def referrers(tables, table, key):
    """Return (table, id) of every row that refers to a row, itself left out."""
    found = {
        (child, row["id"]) for child, column, to in LINKS if to == table for row in tables[child] if row[column] == key
    }
    return found - {(table, key)}


def held(tables):
    """Return what is held, and all that descends from it."""
    found = {(t, k) for t, k in HELD if any(row["id"] == k for row in tables[t])}
    while True:
        below = {name for member in found for name in referrers(tables, *member)} - found
        if not below:
            return found
        found |= below


def going(tables):
    """Return the largest set of due and free records in which nothing is referred to from outside."""
    free = {
        (table, row["id"]) for table in ("customers", "orders") for row in tables[table] if row["created"] == OLD
    } - held(tables)
    while stuck := {member for member in free if referrers(tables, *member) - free}:
        free -= stuck
    return free


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(tables=graphs())
def test_any_graph_goes_as_far_as_a_second_opinion_says_and_nothing_dangles(crowd, tables):
    for table, rows in tables.items():
        crowd.data[table][:] = [dict(row) for row in rows]
    plan = crowd.plan()
    planned = {(dataset.removeprefix("crm."), int(key)) for dataset, key in crowd.planned(plan)}
    assert planned == going(tables)
    due = {(table, row["id"]) for table in ("customers", "orders") for row in tables[table] if row["created"] == OLD}
    for target in crowd.targets(plan):
        assert target.due == target.held + target.blocked + target.records
        assert target.due == sum(1 for table, _ in due if table == target.dataset)
        assert target.held == sum(1 for table, _ in held(tables) & due if table == target.dataset)
    crowd.approve(plan)
    outcomes = crowd.apply(plan).document["outcomes"]
    assert sum(outcomes.values()) == len(planned)
    left = {table: {row["id"] for row in crowd.rows(table)} for table in tables}
    gone = {(table, row["id"]) for table in tables for row in tables[table] if row["id"] not in left[table]}
    assert gone <= planned
    assert len(gone) == outcomes.get("purged", 0)
    for child, column, parent in LINKS:
        assert all(row[column] is None or row[column] in left[parent] for row in crowd.rows(child)), "a row dangles"
    in_circle = planned - gone
    assert all(referrers(tables, *member) & in_circle for member in in_circle), "only circles may have to wait"
