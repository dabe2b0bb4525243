"""The register's tables and its revisions."""

import sqlalchemy as sa
from alembic import op

from ropa.database import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "activity",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("legal_basis", sa.String(), nullable=False),
        sa.Column("legal_reference", sa.String(), nullable=True),
        sa.Column("condition", sa.String(), nullable=True),
        sa.Column("interest", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("stated_period", sa.String(), nullable=True),
        sa.Column("stated_start", sa.String(), nullable=True),
        sa.Column("criterion", sa.String(), nullable=True),
        sa.Column("automated_decisions", sa.Boolean(), nullable=True),
        sa.Column("dpia", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("replaced_by", sa.String(), nullable=True),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("review_on", sa.Date(), nullable=True),
        sa.Column("policy_reference", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_activity")),
    )
    op.create_table(
        "category",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("special", sa.Boolean(), nullable=False),
        sa.Column("criminal", sa.Boolean(), nullable=False),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_category")),
    )
    op.create_table(
        "cookie",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("setter", sa.String(), nullable=True),
        sa.Column("lifetime", sa.String(), nullable=True),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.Column("consent", sa.Boolean(), nullable=True),
        sa.Column("activity", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_cookie")),
    )
    op.create_table(
        "organisation",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("legal_name", sa.String(), nullable=True),
        sa.Column("registration", sa.String(), nullable=True),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("telephone", sa.String(), nullable=True),
        sa.Column("website", sa.String(), nullable=True),
        sa.Column("authority", sa.String(), nullable=True),
        sa.Column("request_promise", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_organisation")),
    )
    op.create_table(
        "recipient",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("contact", sa.String(), nullable=True),
        sa.Column("contract", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_recipient")),
    )
    op.create_table(
        "register_revision",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("snapshot", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_register_revision")),
    )
    op.create_table(
        "activity_controller",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("telephone", sa.String(), nullable=True),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("registration", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner"], ["activity.key"], name=op.f("fk_activity_controller_owner_activity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_activity_controller")),
    )
    op.create_table(
        "activity_data",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("legal_basis", sa.String(), nullable=True),
        sa.Column("legal_reference", sa.String(), nullable=True),
        sa.Column("condition", sa.String(), nullable=True),
        sa.Column("interest", sa.String(), nullable=True),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("stated_period", sa.String(), nullable=True),
        sa.Column("stated_start", sa.String(), nullable=True),
        sa.Column("criterion", sa.String(), nullable=True),
        sa.Column("policy_reference", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner"], ["activity.key"], name=op.f("fk_activity_data_owner_activity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_activity_data")),
    )
    op.create_index(op.f("ix_activity_data_category"), "activity_data", ["category"], unique=False)
    op.create_index(op.f("ix_activity_data_owner"), "activity_data", ["owner"], unique=False)
    op.create_table(
        "activity_measure",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["activity.key"], name=op.f("fk_activity_measure_owner_activity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_activity_measure")),
    )
    op.create_table(
        "activity_processing",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["activity.key"], name=op.f("fk_activity_processing_owner_activity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_activity_processing")),
    )
    op.create_table(
        "activity_purpose",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["activity.key"], name=op.f("fk_activity_purpose_owner_activity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_activity_purpose")),
    )
    op.create_table(
        "activity_recipient",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["activity.key"], name=op.f("fk_activity_recipient_owner_activity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_activity_recipient")),
    )
    op.create_table(
        "activity_subject",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["activity.key"], name=op.f("fk_activity_subject_owner_activity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_activity_subject")),
    )
    op.create_table(
        "activity_system",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["activity.key"], name=op.f("fk_activity_system_owner_activity"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_activity_system")),
    )
    op.create_table(
        "contact",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("telephone", sa.String(), nullable=True),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("registration", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["owner"], ["organisation.key"], name=op.f("fk_contact_owner_organisation"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "role", "position", name=op.f("pk_contact")),
    )
    op.create_table(
        "organisation_language",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"],
            ["organisation.key"],
            name=op.f("fk_organisation_language_owner_organisation"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_organisation_language")),
    )
    op.create_table(
        "organisation_right",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["organisation.key"], name=op.f("fk_organisation_right_owner_organisation"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_organisation_right")),
    )
    op.create_table(
        "organisation_system",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["organisation.key"], name=op.f("fk_organisation_system_owner_organisation"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_organisation_system")),
    )
    op.create_table(
        "policy",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=True),
        sa.Column("dated_on", sa.Date(), nullable=True),
        sa.Column("version", sa.String(), nullable=True),
        sa.Column("no_third_parties", sa.Boolean(), nullable=True),
        sa.Column("functional_cookies_session_only", sa.Boolean(), nullable=True),
        sa.Column("identity_check", sa.String(), nullable=True),
        sa.Column("objection_needs_reasons", sa.Boolean(), nullable=True),
        sa.Column("minimum_age", sa.Integer(), nullable=True),
        sa.Column("stated_period", sa.String(), nullable=True),
        sa.Column("stated_start", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["key"], ["organisation.key"], name=op.f("fk_policy_key_organisation"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_policy")),
    )
    op.create_table(
        "recipient_system",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["recipient.key"], name=op.f("fk_recipient_system_owner_recipient"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_recipient_system")),
    )
    op.create_table(
        "transfer",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("country", sa.String(), nullable=True),
        sa.Column("safeguard", sa.String(), nullable=True),
        sa.Column("evidence", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["key"], ["recipient.key"], name=op.f("fk_transfer_key_recipient"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_transfer")),
    )
    op.create_table(
        "activity_data_purpose",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"],
            ["activity_data.key"],
            name=op.f("fk_activity_data_purpose_owner_activity_data"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_activity_data_purpose")),
    )
    op.create_table(
        "policy_reference",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner"], ["policy.key"], name=op.f("fk_policy_reference_owner_policy"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("owner", "position", name=op.f("pk_policy_reference")),
    )


def downgrade() -> None:
    op.drop_table("policy_reference")
    op.drop_table("activity_data_purpose")
    op.drop_table("transfer")
    op.drop_table("recipient_system")
    op.drop_table("policy")
    op.drop_table("organisation_system")
    op.drop_table("organisation_right")
    op.drop_table("organisation_language")
    op.drop_table("contact")
    op.drop_table("activity_system")
    op.drop_table("activity_subject")
    op.drop_table("activity_recipient")
    op.drop_table("activity_purpose")
    op.drop_table("activity_processing")
    op.drop_table("activity_measure")
    op.drop_index(op.f("ix_activity_data_owner"), table_name="activity_data")
    op.drop_index(op.f("ix_activity_data_category"), table_name="activity_data")
    op.drop_table("activity_data")
    op.drop_table("activity_controller")
    op.drop_table("register_revision")
    op.drop_table("recipient")
    op.drop_table("organisation")
    op.drop_table("cookie")
    op.drop_table("category")
    op.drop_table("activity")
