"""What processes that help are asked to do, leased and fenced."""

import sqlalchemy as sa
from alembic import op

from ropa.database import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "work_item",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("plan_id", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=True),
        sa.Column("watches", sa.Boolean(), nullable=False),
        sa.Column("policy", sa.String(), nullable=False),
        sa.Column("run_fencing", sa.Integer(), nullable=False),
        sa.Column("offered_at", UtcDateTime(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("fencing", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_work_item"),
    )
    op.create_index("ix_work_item_run_fencing", "work_item", ["run_fencing"])


def downgrade() -> None:
    op.drop_table("work_item")
