"""Finds the tests that are remembered for long enough.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS jobs.test_requests_created_at_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY test_requests_created_at_idx"
            " ON jobs.test_requests (created_at)"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS jobs.test_requests_created_at_idx")
