"""The runs of an account are found by it, where there is one.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # One that a broken try left behind goes first.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS runs.job_runs_external_account_id_idx")
        op.execute(
            """
            CREATE INDEX CONCURRENTLY job_runs_external_account_id_idx
                ON runs.job_runs (external_account_id) WHERE external_account_id IS NOT NULL
            """
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS runs.job_runs_external_account_id_idx")
