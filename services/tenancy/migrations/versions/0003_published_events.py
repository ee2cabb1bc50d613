"""What is published and not in the log yet, and which replays were carried out.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

from kongflow_common.eventing.domain_replays import create_replayed_events_table
from kongflow_common.eventing.published_rows import create_published_events_table

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_published_events_table("tenancy")
    create_replayed_events_table("tenancy")


def downgrade() -> None:
    op.execute("DROP TABLE tenancy.replayed_events, tenancy.published_events")
