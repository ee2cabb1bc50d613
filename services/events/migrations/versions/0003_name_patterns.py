"""Names of events with stars, which stand for any characters.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_INDEX = "event_dispatchers_name_patterns_idx"


def upgrade() -> None:
    op.execute("ALTER TABLE events.event_dispatchers ADD COLUMN name_patterns text[]")
    with op.get_context().autocommit_block():
        # One that a broken try left behind goes first.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS events.{_INDEX}")
        op.execute(
            f"CREATE INDEX CONCURRENTLY {_INDEX}"
            " ON events.event_dispatchers (environment_id, source, id)"
            " WHERE enabled AND name_patterns IS NOT NULL"
        )


def downgrade() -> None:
    # Without the column such names would be taken as they are written.
    op.execute(
        """
        UPDATE events.event_dispatchers SET enabled = false WHERE name_patterns IS NOT NULL;
        DROP INDEX events.event_dispatchers_name_patterns_idx;
        ALTER TABLE events.event_dispatchers DROP COLUMN name_patterns
        """
    )
