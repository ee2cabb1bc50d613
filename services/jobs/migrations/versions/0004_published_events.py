"""What is published and not in the log of the events service yet.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

from kongflow_common.eventing.published_rows import create_published_events_table

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_published_events_table("jobs")


def downgrade() -> None:
    op.execute("DROP TABLE jobs.published_events")
