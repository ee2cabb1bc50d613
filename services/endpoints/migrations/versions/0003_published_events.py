"""What is published and not in the log of the events service yet.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from kongflow_common.eventing.published_rows import create_published_events_table

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_published_events_table("endpoints")


def downgrade() -> None:
    op.execute("DROP TABLE endpoints.published_events")
