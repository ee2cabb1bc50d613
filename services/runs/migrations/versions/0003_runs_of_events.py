"""The runs of an event that no dispatcher started are found by it.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Those of dispatchers have an index that begins with the event.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS runs.job_runs_event_record_id_idx")
        op.execute(
            """
            CREATE INDEX CONCURRENTLY job_runs_event_record_id_idx
                ON runs.job_runs (event_record_id, id) WHERE dispatcher_id IS NULL
            """
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS runs.job_runs_event_record_id_idx")
