"""Finds the replays of an event.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a lock, as the table may be large; a build that was broken off is begun anew.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS events.event_records_replay_of_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY event_records_replay_of_idx "
            "ON events.event_records (replay_of, environment_id, id) WHERE replay_of IS NOT NULL"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS events.event_records_replay_of_idx")
