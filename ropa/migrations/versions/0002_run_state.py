"""The run state: plans, approvals, batches, holds, findings, runs."""

import sqlalchemy as sa
from alembic import op

from ropa.database import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('actor',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('normalised', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_actor')),
    sa.UniqueConstraint('normalised', name=op.f('uq_actor_normalised'))
    )
    op.create_table('batch',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=False),
    sa.Column('target_id', sa.Integer(), nullable=False),
    sa.Column('unit', sa.Integer(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('last_seq', sa.Integer(), nullable=False),
    sa.Column('root', sa.String(), nullable=False),
    sa.Column('key', sa.LargeBinary(), nullable=True),
    sa.Column('location', sa.String(), nullable=False),
    sa.Column('dataset', sa.String(), nullable=False),
    sa.Column('leaves', sa.Integer(), nullable=False),
    sa.Column('run_id', sa.String(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('settled_at', UtcDateTime(), nullable=True),
    sa.Column('outcomes', sa.JSON(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_batch'))
    )
    op.create_index(op.f('ix_batch_plan_id'), 'batch', ['plan_id'], unique=False)
    op.create_index(op.f('ix_batch_root'), 'batch', ['root'], unique=True)
    op.create_index(op.f('ix_batch_target_id'), 'batch', ['target_id'], unique=False)
    op.create_table('finding',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('code', sa.String(), nullable=False),
    sa.Column('severity', sa.String(), nullable=False),
    sa.Column('entry', sa.String(), nullable=False),
    sa.Column('message', sa.String(), nullable=False),
    sa.Column('fix', sa.String(), nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('first_seen_at', UtcDateTime(), nullable=False),
    sa.Column('last_seen_at', UtcDateTime(), nullable=False),
    sa.Column('nights', sa.Integer(), nullable=False),
    sa.Column('resolved_at', UtcDateTime(), nullable=True),
    sa.Column('resolved_by', sa.String(), nullable=True),
    sa.Column('resolution', sa.String(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_finding'))
    )
    op.create_table('flagged_record',
    sa.Column('identity', sa.String(), nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('identity', 'key', name=op.f('pk_flagged_record'))
    )
    op.create_table('issued_id',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_issued_id'))
    )
    op.create_table('lease',
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('owner', sa.String(), nullable=False),
    sa.Column('host', sa.String(), nullable=False),
    sa.Column('fencing', sa.Integer(), nullable=False),
    sa.Column('until', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_lease'))
    )
    op.create_table('plan',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('as_of', sa.Date(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('author', sa.String(), nullable=False),
    sa.Column('policy', sa.String(), nullable=False),
    sa.Column('register_revision', sa.Integer(), nullable=False),
    sa.Column('tool', sa.String(), nullable=False),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('is_complete', sa.Boolean(), nullable=False),
    sa.Column('is_forecast', sa.Boolean(), nullable=False),
    sa.Column('is_nightly', sa.Boolean(), nullable=False),
    sa.Column('approvals_needed', sa.Integer(), nullable=False),
    sa.Column('findings', sa.Integer(), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan'))
    )
    op.create_table('planned_reference',
    sa.Column('target_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('parent_dataset', sa.String(), nullable=False),
    sa.Column('parent_key', sa.String(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=False),
    sa.Column('location', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('target_id', 'seq', 'parent_dataset', 'parent_key', name=op.f('pk_planned_reference'))
    )
    op.create_index('ix_planned_reference_parent', 'planned_reference', ['plan_id', 'location', 'parent_dataset', 'parent_key'], unique=False)
    op.create_table('planned_referring',
    sa.Column('target_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('source', sa.String(), nullable=False),
    sa.Column('is_declared', sa.Boolean(), nullable=False),
    sa.Column('count', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('target_id', 'seq', 'source', name=op.f('pk_planned_referring'))
    )
    op.create_table('proven_rule',
    sa.Column('rule', sa.String(), nullable=False),
    sa.Column('revision', sa.String(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('rule', 'revision', name=op.f('pk_proven_rule'))
    )
    op.create_table('run',
    sa.Column('id', sa.String(), nullable=False),
    sa.Column('mode', sa.String(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=True),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('state', sa.String(), nullable=False),
    sa.Column('code', sa.String(), nullable=True),
    sa.Column('policy', sa.String(), nullable=False),
    sa.Column('register_revision', sa.Integer(), nullable=False),
    sa.Column('swept_on', sa.Date(), nullable=True),
    sa.Column('totals', sa.JSON(), nullable=True),
    sa.Column('actor_id', sa.String(), nullable=True),
    sa.Column('reason', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['actor_id'], ['actor.id'], name=op.f('fk_run_actor_id_actor')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_run'))
    )
    op.create_table('state',
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('value', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_state'))
    )
    op.create_table('approval',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=False),
    sa.Column('actor_id', sa.String(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['actor_id'], ['actor.id'], name=op.f('fk_approval_actor_id_actor')),
    sa.ForeignKeyConstraint(['plan_id'], ['plan.id'], name=op.f('fk_approval_plan_id_plan')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_approval'))
    )
    op.create_index(op.f('ix_approval_plan_id'), 'approval', ['plan_id'], unique=False)
    op.create_table('legal_hold',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.String(), nullable=False),
    sa.Column('target', sa.String(), nullable=False),
    sa.Column('key', sa.String(), nullable=True),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('actor_id', sa.String(), nullable=False),
    sa.Column('since', UtcDateTime(), nullable=False),
    sa.Column('review_on', sa.Date(), nullable=True),
    sa.Column('leaf', sa.String(), nullable=False),
    sa.Column('leaf_key', sa.LargeBinary(), nullable=False),
    sa.Column('is_recorded', sa.Boolean(), nullable=False),
    sa.Column('released_at', UtcDateTime(), nullable=True),
    sa.Column('released_by', sa.String(), nullable=True),
    sa.Column('release_reason', sa.String(), nullable=True),
    sa.Column('is_release_recorded', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['actor_id'], ['actor.id'], name=op.f('fk_legal_hold_actor_id_actor')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_legal_hold'))
    )
    op.create_table('mandate',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('digest', sa.String(), nullable=False),
    sa.Column('rule', sa.String(), nullable=False),
    sa.Column('revision', sa.String(), nullable=False),
    sa.Column('location', sa.String(), nullable=False),
    sa.Column('max_records', sa.Integer(), nullable=False),
    sa.Column('growth_pct', sa.Integer(), nullable=False),
    sa.Column('actor_id', sa.String(), nullable=False),
    sa.Column('reason', sa.String(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.Column('revoked_at', UtcDateTime(), nullable=True),
    sa.Column('revoke_reason', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['actor_id'], ['actor.id'], name=op.f('fk_mandate_actor_id_actor')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mandate'))
    )
    op.create_table('plan_target',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('plan_id', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('identity', sa.String(), nullable=False),
    sa.Column('location', sa.String(), nullable=False),
    sa.Column('dataset', sa.String(), nullable=False),
    sa.Column('scope', sa.String(), nullable=False),
    sa.Column('data', sa.JSON(), nullable=True),
    sa.Column('action', sa.String(), nullable=False),
    sa.Column('rules', sa.JSON(), nullable=True),
    sa.Column('revisions', sa.JSON(), nullable=True),
    sa.Column('cutoffs', sa.JSON(), nullable=True),
    sa.Column('population', sa.Integer(), nullable=True),
    sa.Column('due', sa.Integer(), nullable=False),
    sa.Column('held', sa.Integer(), nullable=False),
    sa.Column('blocked', sa.Integer(), nullable=False),
    sa.Column('unanchored', sa.Integer(), nullable=False),
    sa.Column('records', sa.Integer(), nullable=False),
    sa.Column('already_flagged', sa.Integer(), nullable=False),
    sa.Column('approval', sa.String(), nullable=False),
    sa.Column('mandate_id', sa.Integer(), nullable=True),
    sa.Column('stopped_by', sa.String(), nullable=True),
    sa.Column('previous_records', sa.Integer(), nullable=True),
    sa.Column('oldest_due_on', sa.Date(), nullable=True),
    sa.Column('ages', sa.JSON(), nullable=True),
    sa.Column('blockers', sa.JSON(), nullable=True),
    sa.Column('rides_with', sa.Integer(), nullable=True),
    sa.Column('refused_by', sa.String(), nullable=True),
    sa.Column('outcomes', sa.JSON(), nullable=True),
    sa.ForeignKeyConstraint(['plan_id'], ['plan.id'], name=op.f('fk_plan_target_plan_id_plan')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan_target'))
    )
    op.create_index(op.f('ix_plan_target_plan_id'), 'plan_target', ['plan_id'], unique=False)
    op.create_table('planned_record',
    sa.Column('target_id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('version', sa.String(), nullable=False),
    sa.Column('due_on', sa.Date(), nullable=True),
    sa.Column('disposition', sa.String(), nullable=False),
    sa.Column('rank', sa.Integer(), nullable=False),
    sa.Column('batch', sa.Integer(), nullable=True),
    sa.Column('own_version', sa.String(), nullable=True),
    sa.Column('reason', sa.String(), nullable=True),
    sa.ForeignKeyConstraint(['target_id'], ['plan_target.id'], name=op.f('fk_planned_record_target_id_plan_target')),
    sa.PrimaryKeyConstraint('target_id', 'seq', name=op.f('pk_planned_record'))
    )
    op.create_index('ix_planned_record_batch', 'planned_record', ['target_id', 'batch'], unique=False)
    op.create_index('ix_planned_record_key', 'planned_record', ['target_id', 'key'], unique=False)

def downgrade() -> None:
    for table in ("planned_record", "plan_target", "mandate", "legal_hold", "approval", "state", "run", "proven_rule",
                  "planned_referring", "planned_reference", "plan", "lease", "issued_id", "flagged_record", "finding",
                  "batch", "actor"):
        op.drop_table(table)
