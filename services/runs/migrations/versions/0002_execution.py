"""What a run executes, and what came of it.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS = {
    "request_id": "text",
    "version_id": "uuid",
    "job_slug": "text",
    "job_version": "text",
    "endpoint_id": "uuid",
    "queue_id": "uuid",
    "preprocess": "boolean NOT NULL DEFAULT false",
    "output": "jsonb",
    "error": "text",
    "execution_count": "integer NOT NULL DEFAULT 0",
    "execution_failure_count": "integer NOT NULL DEFAULT 0",
    "execution_duration_ms": "bigint NOT NULL DEFAULT 0",
    "execution_job_id": "uuid",
    "execution_token": "bigint",
    "timed_out_at": "timestamptz",
    "timed_out_reason": "text",
}


def upgrade() -> None:
    added = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in COLUMNS.items())
    op.execute(f"ALTER TABLE runs.job_runs {added}")
    op.execute(
        """
        ALTER TABLE runs.job_runs ADD CONSTRAINT job_runs_request_id_check
            CHECK (char_length(request_id) BETWEEN 1 AND 600) NOT VALID
        """
    )
    op.execute("ALTER TABLE runs.job_runs VALIDATE CONSTRAINT job_runs_request_id_check")
    # Runs that no dispatcher started are unique by what asked for them.
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS runs.job_runs_environment_id_request_id_key")
        op.execute(
            """
            CREATE UNIQUE INDEX CONCURRENTLY job_runs_environment_id_request_id_key
                ON runs.job_runs (environment_id, request_id) WHERE request_id IS NOT NULL
            """
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS runs.job_runs_environment_id_request_id_key")
    op.execute("ALTER TABLE runs.job_runs DROP CONSTRAINT job_runs_request_id_check")
    dropped = ", ".join(f"DROP COLUMN {name}" for name in COLUMNS)
    op.execute(f"ALTER TABLE runs.job_runs {dropped}")
