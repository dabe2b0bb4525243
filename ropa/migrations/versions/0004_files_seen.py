"""How the files of a batch looked when they were read last, so that untouched ones are not read at every start."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batch", sa.Column("files_seen", sa.String(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("batch") as table:
        table.drop_column("files_seen")
