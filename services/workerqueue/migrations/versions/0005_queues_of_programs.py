"""Names the queues that are apart from those in which jobs wait for users' programs.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        INSERT INTO workerqueue.queues (name) VALUES ('runs'), ('indexing')
        ON CONFLICT DO NOTHING;
        """
    )


def downgrade() -> None:
    # Their jobs are taken by any worker that is told of the queue; a pause would not be seen.
    op.execute("DELETE FROM workerqueue.queues WHERE name IN ('runs', 'indexing')")
