"""The period in the words of the document that an entry was imported from."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("activity", "activity_data")


def upgrade() -> None:
    for name in _TABLES:
        op.add_column(name, sa.Column("stated_text", sa.String(), nullable=True))


def downgrade() -> None:
    for name in _TABLES:
        with op.batch_alter_table(name) as table:
            table.drop_column("stated_text")
