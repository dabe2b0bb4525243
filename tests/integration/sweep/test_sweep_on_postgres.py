"""The run state in PostgreSQL: what a plan is kept in does not decide what goes."""

import pytest
from state_engines import PostgresState
from sweep_kit import CAPS, CONTACTS, OLD, PROSPECTS, SIMPLE, World, contacts
from test_sweep_references import CHAIN_LINKS, RIDERS, SELF, TREE, chain, everything, item

from ropa.sweep import show
from ropa.sweep.restored import reapply


@pytest.fixture
def on_postgres(shelf, tmp_path):
    """Return a maker of worlds whose run database is in PostgreSQL."""
    made, state = [], PostgresState(shelf)

    def build(config, tables, relations=()):
        made.append(World(tmp_path / f"world{len(made)}", config, tables, relations=relations, state=state))
        return made[-1]

    yield build
    for world in made:
        world.audit()
        world.close()
    state.close()


def rows_of(world, *names):
    return {name: world.execute(f"SELECT count(*) FROM {name}").scalar() for name in names}


def test_records_are_planned_held_and_purged_and_their_keys_leave(on_postgres):
    world = on_postgres(SIMPLE, {"contacts": contacts(5)})
    world.hold(key=3)
    plan = world.plan()
    assert [(record["key"], record["disposition"]) for record in show.records(world.site, plan)] == [
        ([str(key)], "held" if key == 3 else "planned") for key in range(1, 6)
    ]
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"purged": 4}
    names = "planned_block", "planned_stay", "planned_key", "planned_reference", "planned_referring", "planned_version"
    assert set(rows_of(world, *names).values()) == {0}
    assert world.ids() == [3, 101]


def test_a_dataset_that_refers_to_itself_goes_leaves_first(on_postgres):
    rows = [item(key, parent) for key, parent in enumerate([None, 1, 1, 2, 2, 3, 3], start=1)]
    world = on_postgres(TREE, {"customers": [*rows, item(8, 7, "2026-11-01")]}, SELF)
    result = world.purge()
    assert result.document["outcomes"] == {"purged": 4}
    assert world.ids("customers") == [1, 3, 7, 8]


def test_children_go_with_their_parents_also_when_they_were_cut_off(on_postgres):
    world = on_postgres(RIDERS, chain(), CHAIN_LINKS)
    plan = world.plan()
    world.approve(plan)
    world.crm.away_for = {"remaining"}
    world.apply(plan)
    world.crm.away_for = set()
    assert world.apply(plan).exit_code == 0
    assert everything(world) == {"customers": [], "orders": [], "lines": []}


def test_two_field_targets_of_the_same_records_do_not_stand_in_each_others_way(on_postgres):
    rules = "".join(
        PROSPECTS.replace("prospects", name).replace('"*"', f'["{name}"]').replace("6 months", period)
        for name, period in (("name", "6 months"), ("email", "7 months"))
    )
    more = 'data.telephone = ["phone"]\n'
    people = [
        {"id": key, "name": "N", "email": f"{key}@example.org", "phone": "1", "created": OLD} for key in (1, 2, 3)
    ]
    world = on_postgres(CAPS + CONTACTS + more + rules, {"contacts": people})
    result = world.purge()
    assert result.document["outcomes"] == {"anonymised": 6}
    assert [(row["name"], row["email"], row["phone"]) for row in world.rows()] == [(None, None, "1")] * 3


def test_what_a_restore_brought_back_is_recognised_and_planned(on_postgres):
    world = on_postgres(SIMPLE, {"contacts": contacts(5)})
    kept = [dict(row) for row in world.data["contacts"]]
    world.purge()
    world.data["contacts"][:] = kept
    world.sweep()
    assert "restored" in world.findings()
    document = reapply(world.site, "crm", by="Mia Maker").document
    assert [(found["tombstones"], found["planned"]) for found in document["datasets"]] == [(5, 5)]
    world.approve(document["plan"])
    assert world.apply(document["plan"]).document["outcomes"] == {"purged": 5}
    world.configure(SIMPLE.replace("batch_size = 2", 'batch_size = 2\nbackups_kept = "none"'))
    world.sweep()
    assert rows_of(world, "tombstone") == {"tombstone": 0}
