"""Jobs that are suspected of ending whoever runs them, and run alone.

Revision ID: 0010
Revises: 0007
"""

from alembic import op

revision = "0010"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- 0: not suspected, 1: suspected, 2: lost among suspects, 3 to 5: lost once to three times
        -- while it ran alone.
        ALTER TABLE workerqueue.queued_jobs ADD COLUMN suspicion smallint NOT NULL DEFAULT 0;
        ALTER TABLE workerqueue.queued_jobs ADD COLUMN alone_at timestamptz;
        ALTER TABLE workerqueue.queued_jobs ADD COLUMN lost_at timestamptz;
        ALTER TABLE workerqueue.queued_jobs ADD CONSTRAINT queued_jobs_suspicion_check
            CHECK (suspicion BETWEEN 0 AND 5) NOT VALID;
        ALTER TABLE workerqueue.queued_jobs VALIDATE CONSTRAINT queued_jobs_suspicion_check;
        CREATE INDEX queued_jobs_suspects_idx
            ON workerqueue.queued_jobs (waiting_for, suspicion, run_at)
            WHERE suspicion > 0 AND state IN ('scheduled', 'running');
        """
    )


def downgrade() -> None:
    op.execute(
        """
        -- What waits to run alone runs as any other.
        UPDATE workerqueue.queued_jobs SET waiting_for = NULL WHERE waiting_for LIKE 'alone:%';
        DROP INDEX workerqueue.queued_jobs_suspects_idx;
        ALTER TABLE workerqueue.queued_jobs DROP COLUMN lost_at;
        ALTER TABLE workerqueue.queued_jobs DROP COLUMN alone_at;
        ALTER TABLE workerqueue.queued_jobs DROP COLUMN suspicion;
        """
    )
