"""Lists of queued jobs by state, queue, kind and time of creation, whatever is asked together.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- A list merges the groups (state, queue, kind) that it wants, each from its newest job.
        -- Few groups exist, so this one index serves all combinations. Running jobs are few and
        -- found by their own index: a claim writes nothing here.
        CREATE INDEX queued_jobs_group_idx
            ON workerqueue.queued_jobs (state, queue, kind, created_at, id)
            WHERE state <> 'running';
        -- Lists are ordered by the time of creation.
        CREATE INDEX queued_jobs_environment_time_idx
            ON workerqueue.queued_jobs (environment_id, created_at, id)
            WHERE state <> 'running';
        DROP INDEX workerqueue.queued_jobs_environment_idx;
        -- Audit trails are read from the newest entry, whole or an environment's.
        CREATE INDEX audit_entries_environment_idx
            ON workerqueue.audit_entries (environment_id, id);
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP INDEX workerqueue.audit_entries_environment_idx;
        CREATE INDEX queued_jobs_environment_idx
            ON workerqueue.queued_jobs (environment_id, id);
        DROP INDEX workerqueue.queued_jobs_environment_time_idx;
        DROP INDEX workerqueue.queued_jobs_group_idx;
        """
    )
