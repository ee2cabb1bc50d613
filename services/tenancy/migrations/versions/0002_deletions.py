"""When projects and environments were deleted, and the outbox that tells of it.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

from kongflow_common.outbox.migration import create_outbox_table

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tenancy.projects ADD COLUMN deleted_at timestamptz")
    op.execute("ALTER TABLE tenancy.environments ADD COLUMN deleted_at timestamptz")
    create_outbox_table("tenancy")


def downgrade() -> None:
    op.execute("DROP TABLE tenancy.outbox")
    # Without the column they would come back to life; their keys go with them.
    op.execute("DELETE FROM tenancy.environments WHERE deleted_at IS NOT NULL")
    op.execute("DELETE FROM tenancy.projects WHERE deleted_at IS NOT NULL")
    op.execute("ALTER TABLE tenancy.environments DROP COLUMN deleted_at")
    op.execute("ALTER TABLE tenancy.projects DROP COLUMN deleted_at")
