"""Room in each page for the next states of its jobs.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A job is written when it is enqueued, claimed and finished. Where its page is full, each time
    # is a lock, a search for another page and a whole row in the log instead of what is new.
    op.execute("ALTER TABLE workerqueue.queued_jobs SET (fillfactor = 50)")


def downgrade() -> None:
    op.execute("ALTER TABLE workerqueue.queued_jobs RESET (fillfactor)")
