"""The tables of jobs.

Revision ID: 0001
Revises:
"""

from alembic import op

from kongflow_common.db.triggers import create_updated_at_function

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_updated_at_function("jobs")


def downgrade() -> None:

    op.execute("DROP FUNCTION jobs.update_updated_at_column()")
