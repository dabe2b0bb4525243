"""Planned records in blocks (docs/decisions/0002): a row for each batch of a listing instead of one for each record."""

import json
import struct
from itertools import groupby

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WAITING = "('pending', 'approved', 'writing')"
PIECE = 10_000


def upgrade() -> None:
    op.create_table(
        "planned_block",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("first_seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("keys", sa.String(), nullable=False),
        sa.Column("versions", sa.String(), nullable=False),
        sa.Column("due_on", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["target_id"], ["plan_target.id"], name=op.f("fk_planned_block_target_id_plan_target")),
        sa.PrimaryKeyConstraint("target_id", "first_seq", name=op.f("pk_planned_block")),
    )
    op.create_table(
        "planned_stay",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("disposition", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("target_id", "seq", name=op.f("pk_planned_stay")),
    )
    op.create_table(
        "planned_key",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("target_id", "seq", name=op.f("pk_planned_key")),
    )
    op.create_index("ix_planned_key_key", "planned_key", ["target_id", "key"], unique=False)
    op.create_table(
        "planned_version",
        sa.Column("plan_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("plan_id", "location", "dataset", "key", name=op.f("pk_planned_version")),
    )
    op.add_column("plan_target", sa.Column("level", sa.String(), nullable=True))
    op.add_column("batch", sa.Column("first_seq", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("batch", sa.Column("members", sa.String(), nullable=True))
    _carry_over(op.get_bind())
    op.drop_table("planned_record")


def _carry_over(connection: sa.Connection) -> None:
    """Keep what open intents need to be settled by; every other waiting plan was not begun, or cannot be finished."""
    targets = connection.execute(sa.text("SELECT DISTINCT target_id FROM batch WHERE settled_at IS NULL")).scalars()
    for target in targets.all():
        _pack(connection, target)
    for table in ("planned_reference", "planned_referring"):
        connection.execute(
            sa.text(f"DELETE FROM {table} WHERE target_id NOT IN (SELECT target_id FROM planned_block)")  # noqa: S608
        )
    connection.execute(
        sa.text(f"UPDATE plan SET state = 'partly-applied' WHERE state IN {WAITING} AND started_at IS NOT NULL")  # noqa: S608
    )
    connection.execute(sa.text(f"UPDATE plan SET state = 'stale' WHERE state IN {WAITING}"))  # noqa: S608


def _pack(connection: sa.Connection, target: int) -> None:
    rows = sa.text(
        "SELECT seq, key, coalesce(own_version, version) AS version, due_on, disposition, reason FROM planned_record"
        " WHERE target_id = :target AND seq >= :start ORDER BY seq LIMIT :piece"
    ).columns(due_on=sa.Date)
    start = 0
    while found := connection.execute(rows, {"target": target, "start": start, "piece": PIECE}).all():
        dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        days = [row.due_on.toordinal() if row.due_on else 0 for row in found]
        connection.execute(
            sa.text("INSERT INTO planned_block VALUES (:target, :first, :count, :keys, :versions, :days)"),
            {
                "target": target,
                "first": found[0].seq,
                "count": len(found),
                "keys": dump(list(zip(*(json.loads(row.key) for row in found), strict=True))),
                "versions": dump([row.version for row in found]),
                "days": struct.pack(f"<{len(days)}i", *days),
            },
        )
        stays = [row for row in found if row.disposition != "planned"]
        for row in stays:
            connection.execute(
                sa.text("INSERT INTO planned_stay VALUES (:target, :seq, :disposition, :reason)"),
                {
                    "target": target,
                    "seq": row.seq,
                    "disposition": row.disposition,
                    "reason": row.reason or row.disposition,
                },
            )
        start = found[-1].seq + 1
    batches = sa.text("SELECT id, number FROM batch WHERE target_id = :target AND settled_at IS NULL")
    rides = connection.execute(
        sa.text("SELECT rides_with FROM plan_target WHERE id = :target"), {"target": target}
    ).scalar()
    for batch in connection.execute(batches, {"target": target}).all():
        seqs = connection.execute(
            sa.text("SELECT seq FROM planned_record WHERE target_id = :target AND batch = :number ORDER BY seq"),
            {"target": target, "number": batch.number},
        ).scalars()
        members = seqs.all()
        runs = [[seq for _, seq in run] for _, run in groupby(enumerate(members), lambda pair: pair[1] - pair[0])]
        connection.execute(
            sa.text("UPDATE batch SET first_seq = :first, members = :members WHERE id = :id"),
            {
                "first": members[0] if members else 0,
                "members": None if rides is None else json.dumps([[run[0], run[-1]] for run in runs]),
                "id": batch.id,
            },
        )


def downgrade() -> None:
    connection = op.get_bind()
    connection.execute(sa.text(f"UPDATE plan SET state = 'stale' WHERE state IN {WAITING}"))  # noqa: S608
    for name in ("planned_reference", "planned_referring"):
        connection.execute(sa.text(f"DELETE FROM {name}"))  # noqa: S608
    for name in ("planned_version", "planned_key", "planned_stay", "planned_block"):
        op.drop_table(name)
    with op.batch_alter_table("plan_target") as table:
        table.drop_column("level")
    with op.batch_alter_table("batch") as table:
        table.drop_column("first_seq")
        table.drop_column("members")
    op.create_table(
        "planned_record",
        sa.Column("target_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("disposition", sa.String(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=True),
        sa.Column("own_version", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["target_id"], ["plan_target.id"], name=op.f("fk_planned_record_target_id_plan_target")
        ),
        sa.PrimaryKeyConstraint("target_id", "seq", name=op.f("pk_planned_record")),
    )
    op.create_index("ix_planned_record_batch", "planned_record", ["target_id", "batch"], unique=False)
    op.create_index("ix_planned_record_key", "planned_record", ["target_id", "key"], unique=False)
