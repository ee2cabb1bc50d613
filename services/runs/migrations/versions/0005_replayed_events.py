"""Which replays of its events the runs service has carried out.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

from kongflow_common.eventing.domain_replays import create_replayed_events_table

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_replayed_events_table("runs")


def downgrade() -> None:
    op.execute("DROP TABLE runs.replayed_events")
