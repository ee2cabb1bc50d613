"""The tables of endpoints.

Revision ID: 0001
Revises:
"""

from alembic import op

from kongflow_common.db.triggers import create_updated_at_function
from kongflow_common.outbox.migration import create_outbox_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_updated_at_function("endpoints")
    create_outbox_table("endpoints")


def downgrade() -> None:
    op.execute("DROP TABLE endpoints.outbox")
    op.execute("DROP FUNCTION endpoints.update_updated_at_column()")
