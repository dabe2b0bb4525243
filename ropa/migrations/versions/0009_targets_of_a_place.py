"""The targets of one place of a plan are looked up without going through those of all places."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_plan_target_plan_id_location", "plan_target", ["plan_id", "location"])
    op.drop_index("ix_plan_target_plan_id", table_name="plan_target")


def downgrade() -> None:
    op.create_index("ix_plan_target_plan_id", "plan_target", ["plan_id"])
    op.drop_index("ix_plan_target_plan_id_location", table_name="plan_target")
