"""References: a record that others refer to is never half-deleted (design 4.5), in memory and with real foreign keys."""

import pytest
from sweep_kit import CAPS, OLD, PROSPECTS, SIMPLE, contacts

from ropa.errors import RefusedError
from ropa.sweep import place as planning
from ropa.sweep import show


def dataset(name, parent=None, via="parent_id", *, rides=False, has_rule=True):
    """Return the text of a dataset whose rows have a date ``sent`` and a ``text``, with a rule of six months."""
    said = f'\n[location.crm.dataset.{name}]\nsource = "{name}"\nkey = ["id"]\nanchor.sent = "sent"\n'
    said += 'data.correspondence = ["text"]\n'
    if parent:
        said += f'parent = {{ dataset = "crm.{parent}", via = ["{via}"]{", with_parent = true" if rides else ""} }}\n'
    if has_rule:
        rule = PROSPECTS.replace("prospects", name).replace("crm.contacts", f"crm.{name}").replace("created", "sent")
        said += rule
    return said


def item(key, parent=None, sent=OLD, **more):
    return {"id": key, "parent_id": parent, "sent": sent, "text": f"tekst {key}"} | more


HEAD = CAPS + '[location.crm]\nconnector = "memory"\nbatch_size = 2\n'
CHAIN = HEAD + dataset("customers") + dataset("orders", "customers") + dataset("lines", "orders")
CHAIN_LINKS = [("orders", "parent_id", "customers"), ("lines", "parent_id", "orders")]
NEW = "2026-11-01"


def maker(make, name):
    def build(config, tables, links):
        kind = "memory" if name == "memory" else "sqlite"
        return make(config, tables, kind=kind, relations=() if name == "loose" else links)

    return build


@pytest.fixture(params=["memory", "foreign-keys"])
def bed(request, make):
    """Return a maker of worlds in memory, and in SQLite with foreign keys."""
    return maker(make, request.param)


@pytest.fixture(params=["memory", "foreign-keys", "loose"])
def any_bed(request, make):
    """The same, and in SQLite with what the configuration says alone."""
    return maker(make, request.param)


def chain(**dates):
    """Return two customers with two orders each and one line per order; ``dates``: id to a date."""
    when = {int(name[1:]): text for name, text in dates.items()}
    return {
        "customers": [item(key, sent=when.get(key, OLD)) for key in (1, 2)],
        "orders": [item(key, key // 10, sent=when.get(key, OLD)) for key in (10, 11, 20, 21)],
        "lines": [item(key, key // 10, sent=when.get(key, OLD)) for key in (100, 110, 200, 210)],
    }


def everything(world):
    return {table: world.ids(table) for table in ("customers", "orders", "lines")}


def test_a_chain_of_three_goes_children_first_in_one_run(any_bed):
    world = any_bed(CHAIN, chain(), CHAIN_LINKS)
    plan = world.plan()
    assert [row.dataset for row in world.targets(plan)] == ["lines", "orders", "customers"]
    assert {(row.due, row.blocked) for row in world.targets(plan)} == {(4, 0), (2, 0)}
    world.approve(plan)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"purged": 10}
    assert everything(world) == {"customers": [], "orders": [], "lines": []}
    assert [dataset for dataset, _ in world.crm.acts] == ["lines"] * 2 + ["orders"] * 2 + ["customers"]


@pytest.mark.sampled(one_in=2)
def test_a_grandchild_that_is_not_due_blocks_its_whole_line_and_no_other(any_bed):
    world = any_bed(CHAIN, chain(k210=NEW), CHAIN_LINKS)
    plan = world.plan()
    dispositions = world.disposition(plan)
    assert dispositions["crm.orders", "21"] == ("blocked", "referred-to-by:lines")
    assert dispositions["crm.customers", "2"] == ("blocked", "referred-to-by:orders")
    assert {key: word for (_, key), (word, _) in dispositions.items() if word != "planned"} == {
        "21": "blocked",
        "2": "blocked",
    }
    world.approve(plan)
    world.apply(plan)
    assert everything(world) == {"customers": [2], "orders": [21], "lines": [210]}


@pytest.mark.sampled(one_in=2)
def test_a_held_grandchild_blocks_its_line(bed):
    world = bed(CHAIN, chain(), CHAIN_LINKS)
    world.hold(target="crm.lines", key=100)
    world.purge()
    assert everything(world) == {"customers": [1], "orders": [10], "lines": [100]}


def test_a_child_that_came_after_the_plan_keeps_its_parent_at_the_last_moment(any_bed):
    world = any_bed(CHAIN, chain(), CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.insert("lines", **item(999, 20, NEW))
    result = world.apply(plan)
    assert result.document["outcomes"] == {"blocked": 2, "purged": 8}
    assert result.exit_code == 3
    assert everything(world) == {"customers": [2], "orders": [20], "lines": [999]}
    assert world.state(plan) == "applied"


def test_a_child_that_changed_after_the_plan_keeps_its_parent(bed):
    world = bed(CHAIN, chain(), CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.update(100, "lines", text="nieuw")
    result = world.apply(plan)
    assert result.document["outcomes"] == {"blocked": 2, "changed": 1, "purged": 7}
    assert everything(world) == {"customers": [1], "orders": [10], "lines": [100]}


def test_children_that_a_cap_stopped_keep_their_parents(bed):
    config = CHAIN.replace('dataset = "crm.lines"\n', 'dataset = "crm.lines"\nmax_records = 3\n')
    world = bed(config, chain(), CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.apply(plan)
    assert everything(world) == {table: [row["id"] for row in rows] for table, rows in chain().items()}


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("action", ["NO ACTION", "CASCADE", "SET NULL", "RESTRICT"])
def test_rows_of_a_table_that_is_not_declared_block_what_they_refer_to(make, kind, action):
    """Also where the database itself would take them along, or cut them loose."""
    tables = {"contacts": contacts(3), "calls": [{"id": 7, "contact_id": 2}, {"id": 8, "contact_id": 2}]}
    world = make(SIMPLE, tables, kind=kind, relations=[("calls", "contact_id", "contacts", action)])
    plan = world.plan()
    assert world.disposition(plan)["crm.contacts", "2"] == ("blocked", "referred-to-by:calls")
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 2}
    assert world.ids() == [2, 101]
    assert [row["contact_id"] for row in world.rows("calls")] == [2, 2]


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("action", ["CASCADE", "SET NULL"])
def test_a_cascade_that_came_into_being_after_the_plan_takes_nothing(make, kind, action):
    tables = {"contacts": contacts(3), "calls": []}
    world = make(SIMPLE, tables, kind=kind, relations=[("calls", "contact_id", "contacts", action)])
    plan = world.plan()
    world.approve(plan)
    world.insert("calls", id=7, contact_id=2)
    assert world.apply(plan).document["outcomes"] == {"blocked": 1, "purged": 2}
    assert world.rows("calls") == [{"id": 7, "contact_id": 2}]


# --- records that refer to records of their own dataset --------------------------------------------------------------

TREE = HEAD + dataset("customers")
SELF = [("customers", "parent_id", "customers")]


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("parents", [[None, 1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7, None], [None, 1, 1, 2, 2, 3, 3]])
def test_a_dataset_that_refers_to_itself_goes_leaves_first_over_many_batches(make, kind, parents):
    rows = [item(key, parent) for key, parent in enumerate(parents, start=1)]
    world = make(TREE, {"customers": rows}, kind=kind, relations=SELF)
    result = world.purge()
    assert result.document["outcomes"] == {"purged": 7}
    assert world.ids("customers") == []
    assert len(world.crm.acts) == 4


def test_a_leaf_that_is_not_due_keeps_every_record_above_it(make, kind):
    rows = [item(1), item(2, 1), item(3, 2), item(4, 3, NEW), item(5, 1)]
    world = make(TREE, {"customers": rows}, kind=kind, relations=SELF)
    plan = world.plan()
    assert world.target(plan, "crm.customers").blocked == 3
    world.approve(plan)
    world.apply(plan)
    assert world.ids("customers") == [1, 2, 3, 4]


def test_a_record_that_refers_to_itself_goes_like_any_other(make, kind):
    world = make(TREE, {"customers": [item(1, 1), item(2, 2)]}, kind=kind, relations=SELF)
    assert world.purge().document["outcomes"] == {"purged": 2}


def test_two_that_refer_to_each_other_go_together_or_not_at_all(make, kind):
    rows = [item(1, 2), item(2, 1), item(3)]
    world = make(TREE, {"customers": rows}, kind=kind, relations=SELF)
    assert world.purge().document["outcomes"] == {"blocked": 2, "purged": 1}
    assert world.ids("customers") == [1, 2], "the batches fell between the two"
    again = world.purge().document["outcomes"]
    if kind == "sqlite":
        assert again == {"purged": 2}
    else:  # the memory connector takes records one by one, and keeps both
        assert again == {"blocked": 2}


def test_a_circle_wider_than_a_batch_stays_whole_and_says_so(make, kind):
    rows = [item(1, 2), item(2, 3), item(3, 1), item(4)]
    world = make(TREE, {"customers": rows}, kind=kind, relations=SELF)
    result = world.purge()
    assert result.document["outcomes"] == {"blocked": 3, "purged": 1}
    assert result.exit_code == 3
    assert world.ids("customers") == [1, 2, 3]


def test_a_circle_does_not_stop_the_chains_beside_it(make, kind):
    """Chains are put in order though a circle in the same dataset cannot be."""
    rows = [item(1, 2), item(2, 3), item(3, 1), *(item(key, key - 1 if key > 11 else None) for key in range(11, 18))]
    world = make(TREE, {"customers": rows}, kind=kind, relations=SELF)
    result = world.purge()
    assert result.document["outcomes"] == {"blocked": 3, "purged": 7}
    assert world.ids("customers") == [1, 2, 3]


def test_a_long_chain_goes_in_one_run(make):
    config = TREE.replace("batch_size = 2", "batch_size = 50")
    order = [key * 5 % 301 + 1 for key in range(301)]
    rows = [item(key, above) for above, key in zip([None, *order], order, strict=False)]
    world = make(config, {"customers": rows}, kind="sqlite", relations=SELF)
    assert world.purge().document["outcomes"] == {"purged": 301}


def test_datasets_that_refer_to_each_other_both_ways_are_never_half_deleted(make, kind):
    config = HEAD + dataset("customers") + dataset("orders", "customers")
    tables = {
        "customers": [item(1) | {"best_id": 10}, item(2) | {"best_id": None}],
        "orders": [item(10, 1), item(20, 2)],
    }
    relations = [("orders", "parent_id", "customers"), ("customers", "best_id", "orders")]
    if kind == "sqlite":
        tables["customers"][0]["best_id"] = None
    world = make(config, tables, kind=kind, relations=relations)
    world.update(1, "customers", best_id=10)
    plan = world.plan()
    told = world.disposition(plan)
    assert told["crm.customers", "1"] == ("blocked", "referred-to-by:orders")
    assert told["crm.orders", "10"] == ("blocked", "referred-to-by:customers")
    world.approve(plan)
    world.apply(plan)
    assert (world.ids("customers"), world.ids("orders")) == ([1], [10])


# --- children that go with their parents -----------------------------------------------------------------------------

RIDERS = (
    HEAD
    + dataset("customers")
    + dataset("orders", "customers", rides=True, has_rule=False)
    + dataset("lines", "orders", rides=True, has_rule=False)
)


def test_children_that_go_along_are_records_of_the_plan_with_leaf_and_outcome_of_their_own(any_bed):
    world = any_bed(RIDERS, chain(k10=NEW, k200=NEW), CHAIN_LINKS)
    plan = world.plan()
    assert {row.dataset: (row.records, row.rides_with is not None) for row in world.targets(plan)} == {
        "customers": (2, False),
        "orders": (4, True),
        "lines": (4, True),
    }
    assert len(world.planned(plan)) == 10
    assert {record["due_on"] for record in show.records(world.site, plan)} == {"2020-07-15"}
    world.approve(plan)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"purged": 10}
    assert {row["dataset"]: row["outcomes"] for row in result.document["targets"]} == {
        "crm.customers": {"purged": 2},
        "crm.orders": {"purged": 4},
        "crm.lines": {"purged": 4},
    }
    assert everything(world) == {"customers": [], "orders": [], "lines": []}
    assert [(event["dataset"], event["leaves"]) for event in world.events("intent")] == [
        ("lines", 4),
        ("orders", 4),
        ("customers", 2),
    ]
    from ropa.sweep.evidence import prove_record

    assert prove_record(world.site, "crm.lines", ("210",))


def test_riders_stay_when_their_parent_changed_after_the_plan(any_bed):
    world = any_bed(RIDERS, chain(), CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.update(2, "customers", text="nieuw")
    result = world.apply(plan)
    assert result.document["outcomes"]["purged"] == 5
    assert world.target(plan, "crm.customers").outcomes == {"changed": 1, "purged": 1}
    assert sum(result.document["outcomes"].values()) == 10
    assert everything(world) == {"customers": [2], "orders": [20, 21], "lines": [200, 210]}
    assert world.state(plan) == "applied"


def test_a_rider_that_changed_after_the_plan_keeps_its_whole_family(bed):
    world = bed(RIDERS, chain(), CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.update(210, "lines", text="nieuw")
    result = world.apply(plan)
    assert result.document["outcomes"] == {"blocked": 4, "changed": 1, "purged": 5}
    assert everything(world) == {"customers": [2], "orders": [20, 21], "lines": [200, 210]}


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("hold", [("crm.lines", 210), ("crm.orders", 20), ("crm.customers", 2)])
def test_a_hold_on_any_member_keeps_the_whole_family(bed, hold):
    world = bed(RIDERS, chain(), CHAIN_LINKS)
    world.hold(target=hold[0], key=hold[1])
    plan = world.plan()
    assert len(world.planned(plan)) == 5
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 5}
    assert everything(world) == {"customers": [2], "orders": [20, 21], "lines": [200, 210]}


@pytest.mark.parametrize("hold", [("crm.lines", 210), ("crm.orders", 20), ("crm.customers", 2)])
@pytest.mark.sampled(one_in=3)
def test_a_hold_on_any_member_after_the_approval_keeps_the_whole_family(bed, hold):
    world = bed(RIDERS, chain(), CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.hold(target=hold[0], key=hold[1])
    outcomes = world.apply(plan).document["outcomes"]
    assert outcomes["purged"] == 5
    assert sum(outcomes.values()) == 10
    assert everything(world) == {"customers": [2], "orders": [20, 21], "lines": [200, 210]}


def test_a_late_hold_on_all_children_keeps_those_that_have_children_and_no_other(bed):
    tables = chain() | {"orders": [item(20, 2)], "lines": [item(200, 20)]}
    world = bed(RIDERS, tables, CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.hold("dataset", "crm.orders")
    outcomes = world.apply(plan).document["outcomes"]
    assert outcomes["purged"] == 1
    assert outcomes["held"] == 2  # the order, and the line that descends from it
    assert sum(outcomes.values()) == 4
    assert everything(world) == {"customers": [2], "orders": [20], "lines": [200]}
    again = world.plan()
    assert world.disposition(again)["crm.customers", "2"][0] == "blocked"


def test_riders_of_a_blocked_parent_stay_with_it(make, kind):
    tables = chain() | {"calls": [{"id": 7, "customer_id": 1}]}
    world = make(RIDERS, tables, kind=kind, relations=[*CHAIN_LINKS, ("calls", "customer_id", "customers")])
    plan = world.plan()
    dispositions = world.disposition(plan)
    assert dispositions["crm.orders", "10"] == ("blocked", "parent-stays")
    assert dispositions["crm.lines", "100"] == ("blocked", "parent-stays")
    world.approve(plan)
    world.apply(plan)
    assert everything(world) == {"customers": [1], "orders": [10, 11], "lines": [100, 110]}


def test_riders_of_a_parent_that_a_cap_stopped_stay_with_it(bed):
    config = RIDERS.replace('dataset = "crm.customers"\n', 'dataset = "crm.customers"\nmax_records = 3\n', 1)
    world = bed(config, chain(), CHAIN_LINKS)
    plan = world.plan()
    assert {row.stopped_by for row in world.targets(plan)} == {"cap-records"}
    world.approve(plan)
    result = world.apply(plan)
    assert (result.exit_code, result.document["outcomes"]) == (4, {"refused": 10})
    assert everything(world) == {table: [row["id"] for row in rows] for table, rows in chain().items()}


def test_a_child_that_is_due_by_itself_and_goes_along_is_counted_once(any_bed):
    """A child that is due goes by its own rule; the others ride."""
    config = HEAD + dataset("customers") + dataset("orders", "customers", rides=True)
    tables = {
        "customers": [item(1), item(2, None, NEW)],
        "orders": [item(10, 1), item(11, 1, NEW), item(20, 2), item(21, 2, NEW)],
    }
    world = any_bed(config, tables, [("orders", "parent_id", "customers")])
    plan = world.plan()
    keys = world.planned(plan)
    assert sorted(keys) == [("crm.customers", "1"), ("crm.orders", "10"), ("crm.orders", "11"), ("crm.orders", "20")]
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 4}
    assert (world.ids("customers"), world.ids("orders")) == ([2], [21])


def test_riders_that_refer_to_each_other_go_with_their_parent(make, kind):
    config = HEAD + dataset("customers") + dataset("orders", "customers", rides=True, has_rule=False)
    tables = {"customers": [item(1)], "orders": [item(10, 1) | {"after_id": None}, item(11, 1) | {"after_id": 10}]}
    relations = [("orders", "parent_id", "customers"), ("orders", "after_id", "orders")]
    world = make(config, tables, kind=kind, relations=relations)
    assert world.purge().document["outcomes"] == {"purged": 3}
    assert (world.ids("customers"), world.ids("orders")) == ([], [])


def test_a_child_with_two_parents_that_both_go_is_one_record_with_one_outcome(make, kind, monkeypatch):
    """Also where its parents are listed, and acted on, in different batches."""
    monkeypatch.setattr(planning, "CHUNK", 2)
    config = HEAD + dataset("customers") + dataset("orders", "customers", rides=True, has_rule=False)
    tables = {
        "customers": [item(key) for key in range(1, 6)],
        "orders": [item(10, 1) | {"other_id": 5}, item(11, 2) | {"other_id": None}],
    }
    relations = [("orders", "parent_id", "customers"), ("orders", "other_id", "customers")]
    world = make(config, tables, kind=kind, relations=relations)
    plan = world.plan()
    assert world.target(plan, "crm.orders").records == 2
    world.approve(plan)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"purged": 7}
    assert world.state(plan) == "applied"
    assert (world.ids("customers"), world.ids("orders")) == ([], [])


@pytest.mark.parametrize("owner", [2, None])
def test_a_child_goes_along_with_its_parent_and_with_no_other_record_that_it_refers_to(bed, owner):
    """An order of one customer that is billed to another: it is the owner's, who is not due; or nobody's."""
    config = HEAD + dataset("customers") + dataset("orders", "customers", rides=True, has_rule=False)
    tables = {
        "customers": [item(1), item(2, None, NEW), item(3)],
        "orders": [item(10, owner) | {"other_id": 1}, item(11, 3) | {"other_id": 3}],
    }
    relations = [("orders", "parent_id", "customers"), ("orders", "other_id", "customers")]
    world = bed(config, tables, relations)
    plan = world.plan()
    assert world.disposition(plan)["crm.customers", "1"] == ("blocked", "referred-to-by:orders")
    assert world.planned(plan) == [("crm.customers", "3"), ("crm.orders", "11")]
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 2}
    assert (world.ids("customers"), world.ids("orders")) == ([1, 2], [10])


def test_a_child_goes_before_another_record_of_its_parents_dataset_that_it_refers_to(bed):
    """Both customers are due; the one that is billed goes after the order, which goes with the other one."""
    config = HEAD + dataset("customers") + dataset("orders", "customers", rides=True, has_rule=False)
    tables = {"customers": [item(key) for key in range(1, 6)], "orders": [item(10, 5) | {"other_id": 1}]}
    relations = [("orders", "parent_id", "customers"), ("orders", "other_id", "customers")]
    world = bed(config, tables, relations)
    assert world.purge().document["outcomes"] == {"purged": 6}


@pytest.mark.parametrize("parents", [(1, 1), (1, 2)])
def test_children_that_refer_to_each_other_with_cascade_go_with_their_parents(make, parents):
    """What the cascade of one takes is not counted as deleted by the statement that takes both."""
    config = HEAD + dataset("customers") + dataset("orders", "customers", rides=True, has_rule=False)
    tables = {
        "customers": [item(1), item(2)],
        "orders": [item(10, parents[0]) | {"after_id": None}, item(11, parents[1]) | {"after_id": 10}],
    }
    relations = [("orders", "parent_id", "customers"), ("orders", "after_id", "orders", "CASCADE")]
    world = make(config, tables, kind="sqlite", relations=relations)
    assert world.purge().document["outcomes"] == {"purged": 4}


def test_many_parents_are_asked_for_their_children_in_pieces(make, kind, monkeypatch):
    monkeypatch.setattr(planning, "CHUNK", 2)
    config = HEAD + dataset("customers") + dataset("orders", "customers", rides=True, has_rule=False)
    tables = {
        "customers": [item(key) for key in range(1, 8)],
        "orders": [item(100 * key + i, key) for key in range(1, 8) for i in range(3)],
    }
    world = make(config, tables, kind=kind, relations=[("orders", "parent_id", "customers")])
    assert world.purge().document["outcomes"] == {"purged": 28}


def test_the_record_that_its_riders_are_asked_for_is_left_when_their_listing_breaks_off(make):
    world = make(RIDERS, chain())
    find = world.crm.inner.find

    def broken(selection):
        if selection.dataset == "orders":
            world.crm.inner.incomplete = True
        return find(selection)

    world.crm.inner.find = broken
    plan = world.plan()
    assert world.target(plan, "crm.customers").stopped_by == "incomplete-listing"
    world.crm.inner.incomplete = False
    world.approve(plan)
    assert world.apply(plan).exit_code != 0
    assert everything(world) == {table: [row["id"] for row in rows] for table, rows in chain().items()}


def test_children_do_not_go_along_where_the_parent_is_only_anonymised(bed):
    config = RIDERS.replace('action = "purge"', 'action = "anonymise"')
    world = bed(config, chain(), CHAIN_LINKS)
    assert world.purge().document["outcomes"] == {"anonymised": 2}
    assert everything(world)["lines"] == [100, 110, 200, 210]


def test_what_was_flipped_in_the_family_of_an_approved_plan_stops_it(make):
    """With which parent a child goes is part of what was approved."""
    import contextlib

    from ropa.errors import RefusedError

    world = make(RIDERS, chain())
    plan = world.plan()
    world.approve(plan)
    world.execute("UPDATE planned_reference SET parent_key = '[\"2\"]' WHERE parent_key = '[\"1\"]'")
    with contextlib.suppress(RefusedError):
        world.apply(plan)
    assert world.crm.acts == []


def test_an_interrupted_family_is_settled_whole(bed):
    world = bed(RIDERS, chain(), CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.crm.away_for = {"remaining"}
    world.apply(plan)
    world.crm.away_for = set()
    result = world.apply(plan)
    assert result.exit_code == 0
    assert sum(sum(row.outcomes.values()) for row in world.targets(plan)) == 10
    assert everything(world) == {"customers": [], "orders": [], "lines": []}
    assert world.audit() == 0


def test_what_counts_from_children_that_go_sooner_is_looked_at_by_a_person_each_time(any_bed):
    long = dataset("customers").replace(
        'anchor.sent = "sent"', 'anchor.sent = { latest = ["sent", "crm.orders:sent"] }'
    )
    standing = 'approval = "mandate"\n'
    config = HEAD + long.replace("6 months", "24 months") + standing + dataset("orders", "customers") + standing
    tables = {"customers": [item(1), item(2)], "orders": [item(10, 1, sent="2025-12-01")]}
    world = any_bed(config, tables, CHAIN_LINKS[:1])
    assert world.purge().document["outcomes"] == {"purged": 2}
    assert (world.ids("customers"), world.ids("orders")) == ([1], [])  # the date from which it is kept is gone
    with pytest.raises(RefusedError, match="another rule takes"):
        world.mandate("customers", max_records=3)
    world.clock.forward(days=1)
    result = world.sweep()
    due = {row.dataset: (row.due, row.approval) for row in world.targets(result.document["plan"])}
    assert due["customers"] == (1, "needed")
    assert world.ids("customers") == [1]
    assert "anchor-goes-first" in world.findings()


def test_a_mandate_ends_when_another_rule_begins_to_take_the_dates_it_counts_from(any_bed):
    long = dataset("customers").replace(
        'anchor.sent = "sent"', 'anchor.sent = { latest = ["sent", "crm.orders:sent"] }'
    )
    config = HEAD + long + 'approval = "mandate"\n' + dataset("orders", "customers")
    tables = {"customers": [item(1), item(4, sent=NEW)], "orders": [item(40, 4, sent=NEW)]}
    world = any_bed(config, tables, CHAIN_LINKS[:1])
    assert world.purge().document["outcomes"] == {"purged": 1}
    world.mandate("customers", max_records=3)
    world.insert("customers", **item(2))
    world.clock.forward(days=1)
    assert world.sweep().document["outcomes"] == {"purged": 1}
    world.insert("customers", **item(3))
    before, _, orders = config.partition("[rule.orders]")
    world.configure(f"{before}[rule.orders]{orders.replace('6 months', '5 months')}")
    world.clock.forward(days=1)
    result = world.sweep()
    assert {(row.dataset, row.approval) for row in world.targets(result.document["plan"])} >= {("customers", "needed")}
    assert world.ids("customers") == [3, 4]
