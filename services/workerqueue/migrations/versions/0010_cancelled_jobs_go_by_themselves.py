"""An index for the cancelled jobs, which are kept for a time of their own.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE INDEX queued_jobs_cancelled_idx
            ON workerqueue.queued_jobs (finalized_at) WHERE state = 'cancelled';
        """
    )


def downgrade() -> None:
    op.execute("DROP INDEX workerqueue.queued_jobs_cancelled_idx")
