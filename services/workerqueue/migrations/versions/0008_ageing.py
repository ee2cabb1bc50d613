"""Jobs wait in the order of their effective time, environment by environment.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        DROP INDEX workerqueue.queued_jobs_admission_idx;
        -- Each step of priority is worth half a minute: so low ones age.
        CREATE INDEX queued_jobs_admission_idx ON workerqueue.queued_jobs (
            queue,
            coalesce(environment_id, '00000000-0000-0000-0000-000000000000'::uuid),
            ((run_at AT TIME ZONE 'UTC') + (priority - 1) * interval '30 seconds'),
            id
        ) WHERE state = 'available' AND admitted_at IS NULL;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP INDEX workerqueue.queued_jobs_admission_idx;
        CREATE INDEX queued_jobs_admission_idx
            ON workerqueue.queued_jobs (queue, priority, run_at, id)
            WHERE state = 'available' AND admitted_at IS NULL;
        """
    )
