"""Tombstones (docs/decisions/0006): what was erased, to be recognised after a restore, until the backups are gone."""

import sqlalchemy as sa
from alembic import op

from ropa.database import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tombstone_key",
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("last_on", sa.Date(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("destroyed_at", UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("location", "name", name=op.f("pk_tombstone_key")),
    )
    op.create_table(
        "tombstone",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("key_name", sa.String(), nullable=False),
        sa.Column("due_as_of", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tombstone")),
    )
    op.create_index("ix_tombstone_dataset", "tombstone", ["location", "dataset", "key_name"], unique=False)
    op.add_column("plan", sa.Column("reapplies", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("plan", "reapplies")  # not by making the table anew: others refer to it
    op.drop_index("ix_tombstone_dataset", table_name="tombstone")
    op.drop_table("tombstone")
    op.drop_table("tombstone_key")
