"""What was told to whom, so that a matter is told once; and the claim of whoever is telling."""

import sqlalchemy as sa
from alembic import op

from ropa.database import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("first_told_at", UtcDateTime(), nullable=False),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("cleared_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("channel", "key", name="pk_notice"),
    )


def downgrade() -> None:
    op.drop_table("notice")
