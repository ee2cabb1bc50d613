"""What indexing by the clock, purging and probing need to know and to find.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Each step may be taken again: what stands before an autocommit block stays if one fails.
    # The type is null where a program of the last version created the endpoint.
    op.execute(
        """
        ALTER TABLE endpoints.endpoints
            ADD COLUMN IF NOT EXISTS environment_type text,
            ADD COLUMN IF NOT EXISTS run_chunk_execution_limit_origin text NOT NULL
                DEFAULT 'DEFAULT',
            ADD COLUMN IF NOT EXISTS probe_requested_at timestamptz,
            DROP CONSTRAINT IF EXISTS endpoints_run_chunk_execution_limit_origin_check,
            ADD CONSTRAINT endpoints_run_chunk_execution_limit_origin_check
                CHECK (run_chunk_execution_limit_origin IN ('DEFAULT', 'PROBE', 'USER')) NOT VALID
        """
    )
    op.execute(
        """
        ALTER TABLE endpoints.endpoints
            VALIDATE CONSTRAINT endpoints_run_chunk_execution_limit_origin_check
        """
    )
    # Nobody but users has changed it until now.
    op.execute(
        """
        UPDATE endpoints.endpoints SET run_chunk_execution_limit_origin = 'USER'
        WHERE run_chunk_execution_limit <> 60000 AND run_chunk_execution_limit_origin = 'DEFAULT'
        """
    )
    with op.get_context().autocommit_block():
        for name, of in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS endpoints.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON endpoints.{of}")


_INDEXES = {
    "endpoints_recurring_idx": """endpoints (id)
        WHERE url IS NOT NULL AND environment_type IN ('PRODUCTION', 'STAGING')""",
    "endpoint_indexes_pending_idx": """endpoint_indexes (endpoint_id)
        WHERE status = 'PENDING'""",
    "endpoint_indexes_ended_idx": """endpoint_indexes (created_at, id)
        WHERE status IN ('SUCCESS', 'FAILURE')""",
}


def downgrade() -> None:
    for name in _INDEXES:
        op.execute(f"DROP INDEX endpoints.{name}")
    op.execute(
        """
        ALTER TABLE endpoints.endpoints
            DROP COLUMN probe_requested_at,
            DROP COLUMN run_chunk_execution_limit_origin,
            DROP COLUMN environment_type
        """
    )
