"""The first schema: queue, jobs, runs, stages, events, artifacts, files.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('files',
        sa.Column('sha256', sa.String(length=64), nullable=False),
        sa.Column('type', sa.Text(), nullable=False),
        sa.Column('size', sa.BigInteger(), nullable=False),
        sa.Column('refs', sa.Integer(), nullable=False),
        sa.Column('touched', sa.Double(), nullable=False),
        sa.Column('missing', sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint('sha256', name=op.f('pk_files'))
    )
    op.create_table('jobs',
        sa.Column('id', sa.String(length=32), nullable=False),
        sa.Column('document', sa.JSON(), nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('owner', sa.Text(), nullable=False),
        sa.Column('parent', sa.String(length=32), nullable=True),
        sa.Column('model_hash', sa.Text(), nullable=False),
        sa.Column('created', sa.Double(), nullable=False),
        sa.Column('state', sa.String(length=16), nullable=False),
        sa.Column('priority', sa.Integer(), nullable=False),
        sa.Column('position', sa.BigInteger(), nullable=False),
        sa.Column('wish', sa.String(length=16), nullable=False),
        sa.Column('skips', sa.Integer(), nullable=False),
        sa.Column('token', sa.BigInteger(), nullable=False),
        sa.Column('worker', sa.Text(), nullable=False),
        sa.Column('lease_until', sa.Double(), nullable=True),
        sa.Column('attempts', sa.Integer(), nullable=False),
        sa.Column('crashes', sa.Integer(), nullable=False),
        sa.Column('losses', sa.Integer(), nullable=False),
        sa.Column('started', sa.Double(), nullable=True),
        sa.Column('finished', sa.Double(), nullable=True),
        sa.Column('error_type', sa.Text(), nullable=False),
        sa.Column('error', sa.Text(), nullable=False),
        sa.Column('made', sa.JSON(), nullable=False),
        sa.Column('total', sa.Integer(), nullable=False),
        sa.Column('next_seq', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_jobs'))
    )
    op.create_index(op.f('ix_jobs_created'), 'jobs', ['created'], unique=False)
    op.create_index(op.f('ix_jobs_parent'), 'jobs', ['parent'], unique=False)
    op.create_index(op.f('ix_jobs_state_priority_position'), 'jobs', ['state', sa.literal_column('priority DESC'), 'position'], unique=False)
    op.create_table('queue',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('paused', sa.Boolean(), nullable=False),
        sa.Column('reason', sa.Text(), nullable=False),
        sa.Column('next_position', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_queue'))
    )
    op.create_table('artifacts',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
        sa.Column('job', sa.String(length=32), nullable=False),
        sa.Column('index', sa.Integer(), nullable=False),
        sa.Column('part', sa.Integer(), nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('sha256', sa.String(length=64), nullable=False),
        sa.Column('type', sa.Text(), nullable=False),
        sa.Column('meta', sa.JSON(), nullable=False),
        sa.Column('token', sa.BigInteger(), nullable=False),
        sa.Column('created', sa.Double(), nullable=False),
        sa.Column('path', sa.Text(), nullable=False),
        sa.Column('written', sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(['job'], ['jobs.id'], name=op.f('fk_artifacts_job_jobs'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['sha256'], ['files.sha256'], name=op.f('fk_artifacts_sha256_files')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_artifacts'))
    )
    op.create_index(op.f('ix_artifacts_created'), 'artifacts', ['created'], unique=False)
    op.create_index(op.f('ix_artifacts_job_index_part'), 'artifacts', ['job', 'index', 'part'], unique=True)
    op.create_index(op.f('ix_artifacts_sha256'), 'artifacts', ['sha256'], unique=False)
    op.create_index(op.f('ix_artifacts_written'), 'artifacts', ['written'], unique=False)
    op.create_table('dependencies',
        sa.Column('job', sa.String(length=32), nullable=False),
        sa.Column('needs', sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(['job'], ['jobs.id'], name=op.f('fk_dependencies_job_jobs'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['needs'], ['jobs.id'], name=op.f('fk_dependencies_needs_jobs'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('job', 'needs', name=op.f('pk_dependencies'))
    )
    op.create_index(op.f('ix_dependencies_needs'), 'dependencies', ['needs'], unique=False)
    op.create_table('events',
        sa.Column('job', sa.String(length=32), nullable=False),
        sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('time', sa.Double(), nullable=False),
        sa.Column('data', sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(['job'], ['jobs.id'], name=op.f('fk_events_job_jobs'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('job', 'seq', name=op.f('pk_events'))
    )
    op.create_table('inputs',
        sa.Column('job', sa.String(length=32), nullable=False),
        sa.Column('sha256', sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(['job'], ['jobs.id'], name=op.f('fk_inputs_job_jobs'), ondelete='CASCADE'),
        sa.ForeignKeyConstraint(['sha256'], ['files.sha256'], name=op.f('fk_inputs_sha256_files')),
        sa.PrimaryKeyConstraint('job', 'sha256', name=op.f('pk_inputs'))
    )
    op.create_index(op.f('ix_inputs_sha256'), 'inputs', ['sha256'], unique=False)
    op.create_table('runs',
        sa.Column('job', sa.String(length=32), nullable=False),
        sa.Column('token', sa.BigInteger(), nullable=False),
        sa.Column('worker', sa.Text(), nullable=False),
        sa.Column('started', sa.Double(), nullable=False),
        sa.Column('ended', sa.Double(), nullable=True),
        sa.Column('outcome', sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(['job'], ['jobs.id'], name=op.f('fk_runs_job_jobs'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('job', 'token', name=op.f('pk_runs'))
    )
    op.create_table('stages',
        sa.Column('job', sa.String(length=32), nullable=False),
        sa.Column('stage', sa.String(length=200), nullable=False),
        sa.Column('done', sa.BigInteger(), nullable=False),
        sa.Column('total', sa.BigInteger(), nullable=False),
        sa.Column('seconds', sa.Double(), nullable=False),
        sa.Column('updated', sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(['job'], ['jobs.id'], name=op.f('fk_stages_job_jobs'), ondelete='CASCADE'),
        sa.PrimaryKeyConstraint('job', 'stage', name=op.f('pk_stages'))
    )
    queue = sa.table("queue", *(sa.column(name) for name in ("id", "paused", "reason", "next_position")))
    op.bulk_insert(queue, [{"id": 1, "paused": False, "reason": "", "next_position": 1}])


def downgrade() -> None:
    for name in ("stages", "runs", "inputs", "events", "dependencies", "artifacts", "queue", "jobs", "files"):
        op.drop_table(name)
