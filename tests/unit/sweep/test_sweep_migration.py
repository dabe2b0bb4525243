"""The run state of before: what was planned in rows is stale, and what was begun can still be settled."""

from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session
from sweep_kit import OLD, SIMPLE, contacts

import ropa
from ropa.database import migrate
from ropa.errors import RefusedError
from ropa.ledger.leaf import key_texts
from ropa.sweep import blocks
from ropa.sweep.packing import unpack_seqs
from ropa.sweep.tables import METADATA, BatchRow, TargetRow

LETTERS = """
[location.crm.dataset.letters]
source = "letters"
key = ["id"]
parent = { dataset = "crm.contacts", via = ["contact_id"], with_parent = true }
"""


def go_back(world):
    """Put the run state into the form of before, with its plans and batches as they were."""
    from alembic import command
    from alembic.config import Config

    rows, references = [], []
    with Session(world.site.engine) as session:
        plans = session.execute(text("SELECT id, state FROM plan")).all()
        references = session.execute(text("SELECT * FROM planned_reference")).mappings().all()
        batches = session.query(BatchRow).all()
        for target in session.query(TargetRow):
            planned = blocks.Reader(target.id).take(session, 0, 1000)
            versions = dict(zip(planned.seqs, planned.versions, strict=True))
            of = {}
            for batch in (batch for batch in batches if batch.target_id == target.id):
                seqs = unpack_seqs(batch.members) if batch.members else range(batch.first_seq, batch.last_seq + 1)
                of |= {seq: batch.number for seq in seqs if seq in versions}
            for seq, record in enumerate(blocks.walk(session, target.id)):
                rows.append(
                    {
                        "target": target.id,
                        "seq": seq,
                        "key": key_texts([record.key])[0],
                        "version": versions.get(seq, ""),
                        "due": record.due_on.isoformat(),
                        "disposition": record.disposition,
                        "batch": of.get(seq),
                        "reason": record.reason,
                    }
                )
    config = Config()
    config.set_main_option("script_location", str(Path(ropa.__file__).parent / "migrations"))
    with world.site.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        connection.execute(
            text(
                "INSERT INTO planned_record (target_id, seq, key, version, due_on, disposition, rank, batch, reason)"
                " VALUES (:target, :seq, :key, :version, :due, :disposition, 0, :batch, :reason)"
            ),
            rows,
        )
        for reference in references:
            connection.execute(
                text(
                    "INSERT INTO planned_reference VALUES"
                    " (:target_id, :seq, :parent_dataset, :parent_key, :plan_id, :location)"
                ),
                dict(reference),
            )
        for plan, state in plans:
            connection.execute(text("UPDATE plan SET state = :state WHERE id = :id"), {"state": state, "id": plan})


def test_a_plan_of_before_that_waited_is_stale_and_its_keys_are_gone(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    plan = world.plan()
    world.approve(plan)
    go_back(world)
    migrate(world.site.engine)
    assert world.state(plan) == "stale"
    with pytest.raises(RefusedError):
        world.apply(plan)
    assert world.crm.acts == []
    assert world.execute("SELECT count(*) FROM planned_block").scalar() == 0
    assert world.purge().document["outcomes"] == {"purged": 3}


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize("away", ["act", "remaining"])
def test_an_intent_of_before_that_is_open_is_settled_by_what_is_seen_and_the_rest_is_left(make, away):
    tables = {"contacts": contacts(4), "letters": [{"id": 7, "contact_id": 1}, {"id": 9, "contact_id": 3}]}
    world = make(SIMPLE + LETTERS, tables)
    world.hold(key=2)
    plan = world.plan()
    world.approve(plan)
    world.crm.away_for = {away}
    world.apply(plan)
    world.crm.away_for = set()
    go_back(world)
    migrate(world.site.engine)
    assert world.state(plan) == "partly-applied"
    with pytest.raises(RefusedError):
        world.apply(plan)
    seen = {"failed": 2} if away == "act" else {"absent": 2}
    assert world.target(plan).outcomes == seen
    assert sum(world.target(plan, "crm.letters").outcomes.values()) == 2
    assert world.audit() == 0
    left = world.ids()
    assert world.purge().document["outcomes"]["purged"] >= 1
    assert left == ([1, 2, 3, 4, 101] if away == "act" else [2, 4, 101])
    assert world.ids() == [2, 101]
    assert OLD not in {row["created"] for row in world.rows() if row["id"] != 2}


def test_the_migrated_run_state_is_that_of_the_models(make):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    world = make()

    def is_ours(_thing, name, kind, _reflected, _compare):
        return kind != "table" or name in METADATA.tables

    with world.site.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_object": is_ours, "target_metadata": METADATA}
        )
        assert compare_metadata(context, METADATA) == []
    assert "planned_record" not in inspect(world.site.engine).get_table_names()
