"""Whether the count of what a replay goes through is the whole of it.

Revision ID: 0011
Revises: 0010
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE events.event_replays "
        "ADD COLUMN total_is_partial boolean NOT NULL DEFAULT false"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE events.event_replays DROP COLUMN total_is_partial")
