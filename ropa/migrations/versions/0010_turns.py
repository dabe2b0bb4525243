"""Targets that refer to each other both ways are gone through in turns; a child goes along with its parent alone.

Additions only: a plan that was approved before this version is applied by it, in the one turn that it was made for and
with the children that were listed for it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("plan_target", sa.Column("turns", sa.JSON(), nullable=True, server_default="[]"))
    op.add_column("planned_key", sa.Column("turn", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("planned_reference", sa.Column("is_parent", sa.Boolean(), nullable=False, server_default=sa.true()))


def downgrade() -> None:
    op.drop_column("planned_reference", "is_parent")
    op.drop_column("planned_key", "turn")
    op.drop_column("plan_target", "turns")
