"""Creating the outbox, for use in migrations."""

from alembic import op

__all__ = ["create_outbox_table"]


def create_outbox_table(schema: str) -> None:
    """Create the table, for a context's first migration.

    What a released migration calls must not change: later changes get functions of their own.
    """
    op.execute(
        f"""
        CREATE TABLE {schema}.outbox (
            id uuid PRIMARY KEY,
            operation text NOT NULL
                CONSTRAINT outbox_operation_check CHECK (operation IN ('enqueue', 'remove')),
            kind text NOT NULL,
            args jsonb NOT NULL,
            queue text NOT NULL DEFAULT '',
            job_key text,
            job_key_mode text NOT NULL DEFAULT 'replace'
                CONSTRAINT outbox_job_key_mode_check
                CHECK (job_key_mode IN ('replace', 'preserve_run_time', 'keep_first')),
            uniqueness jsonb,
            generation bigint NOT NULL DEFAULT 0,
            run_at timestamptz,
            priority smallint NOT NULL DEFAULT 0,
            max_attempts integer NOT NULL DEFAULT 0,
            options jsonb NOT NULL DEFAULT '{{}}',
            environment_id uuid,
            traceparent text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            claimed_until timestamptz,
            claimed_by text,
            refused jsonb
        ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.01)
        """
    )
    op.execute(
        f"""
        CREATE INDEX outbox_job_key_idx ON {schema}.outbox (job_key, id)
        WHERE job_key IS NOT NULL
        """
    )
    op.execute(
        f"""
        CREATE INDEX outbox_refused_idx ON {schema}.outbox (id) WHERE refused IS NOT NULL
        """
    )
