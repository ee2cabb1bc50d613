"""Endpoints, what they hold, and the outbox.

Revision ID: 0001
Revises:
"""

from alembic import op

from kongflow_common.db.triggers import add_updated_at_trigger, create_updated_at_function
from kongflow_common.outbox.migration import create_outbox_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    create_updated_at_function("endpoints")
    # Numbers the indexes of all endpoints: what a newer one says of a job counts.
    op.execute("CREATE SEQUENCE endpoints.index_sequence")
    create_endpoints()
    create_indexes()
    for table in ("endpoints", "endpoint_indexes"):
        add_updated_at_trigger("endpoints", table)
    create_outbox_table("endpoints")


def create_endpoints() -> None:
    op.execute(
        """
        CREATE TABLE endpoints.endpoints (
            id uuid CONSTRAINT endpoints_pkey PRIMARY KEY,
            slug text NOT NULL
                CONSTRAINT endpoints_slug_check CHECK (char_length(slug) BETWEEN 1 AND 100),
            url text CONSTRAINT endpoints_url_check CHECK (char_length(url) BETWEEN 1 AND 2048),
            environment_id uuid NOT NULL,
            organization_id uuid NOT NULL,
            project_id uuid NOT NULL,
            indexing_hook_identifier text NOT NULL,
            version text NOT NULL DEFAULT 'unknown',
            sdk_version text NOT NULL DEFAULT 'unknown',
            run_chunk_execution_limit integer NOT NULL DEFAULT 60000
                CONSTRAINT endpoints_run_chunk_execution_limit_check
                CHECK (run_chunk_execution_limit BETWEEN 10000 AND 120000),
            start_task_threshold integer NOT NULL DEFAULT 750,
            before_execute_task_threshold integer NOT NULL DEFAULT 1500,
            before_complete_task_threshold integer NOT NULL DEFAULT 750,
            after_complete_task_threshold integer NOT NULL DEFAULT 750,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT endpoints_environment_id_slug_key UNIQUE (environment_id, slug)
        )
        """
    )
    op.execute(
        "CREATE INDEX endpoints_environment_id_created_at_idx"
        " ON endpoints.endpoints (environment_id, created_at, id)"
    )


def create_indexes() -> None:
    op.execute(
        """
        CREATE TABLE endpoints.endpoint_indexes (
            id uuid CONSTRAINT endpoint_indexes_pkey PRIMARY KEY,
            endpoint_id uuid NOT NULL
                CONSTRAINT endpoint_indexes_endpoint_id_fkey
                REFERENCES endpoints.endpoints ON DELETE CASCADE,
            environment_id uuid NOT NULL,
            sequence bigint NOT NULL DEFAULT nextval('endpoints.index_sequence'),
            status text NOT NULL DEFAULT 'PENDING'
                CONSTRAINT endpoint_indexes_status_check
                CHECK (status IN ('PENDING', 'STARTED', 'SUCCESS', 'FAILURE')),
            source text NOT NULL
                CONSTRAINT endpoint_indexes_source_check
                CHECK (source IN ('MANUAL', 'API', 'INTERNAL', 'HOOK')),
            source_data jsonb,
            reason text,
            data jsonb,
            stats jsonb,
            error jsonb,
            fetched_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
    op.execute(
        "CREATE INDEX endpoint_indexes_endpoint_id_created_at_idx"
        " ON endpoints.endpoint_indexes (endpoint_id, created_at, id)"
    )
    op.execute(
        """
        CREATE TABLE endpoints.endpoint_index_items (
            id uuid CONSTRAINT endpoint_index_items_pkey PRIMARY KEY,
            index_id uuid NOT NULL
                CONSTRAINT endpoint_index_items_index_id_fkey
                REFERENCES endpoints.endpoint_indexes ON DELETE CASCADE,
            kind text NOT NULL
                CONSTRAINT endpoint_index_items_kind_check
                CHECK (kind IN ('JOB', 'SOURCE', 'DYNAMIC_TRIGGER', 'DYNAMIC_SCHEDULE',
                                'HTTP_ENDPOINT', 'WEBHOOK')),
            key text NOT NULL,
            version text,
            wish text NOT NULL
                CONSTRAINT endpoint_index_items_wish_check
                CHECK (wish IN ('REGISTER', 'DISABLE', 'KEEP')),
            internal boolean NOT NULL DEFAULT false,
            outcome text NOT NULL
                CONSTRAINT endpoint_index_items_outcome_check
                CHECK (outcome IN ('PENDING', 'REGISTERED', 'DISABLED', 'DEFERRED', 'FAILED')),
            changed boolean NOT NULL DEFAULT true,
            error text,
            warnings jsonb,
            metadata jsonb,
            CONSTRAINT endpoint_index_items_index_id_kind_key_key UNIQUE (index_id, kind, key)
        )
        """
    )
    # Few at any time: what decides whether an index has ended.
    op.execute(
        """
        CREATE INDEX endpoint_index_items_pending_idx
            ON endpoints.endpoint_index_items (index_id) WHERE outcome = 'PENDING'
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE endpoints.outbox")
    op.execute("DROP TABLE endpoints.endpoint_index_items")
    op.execute("DROP TABLE endpoints.endpoint_indexes")
    op.execute("DROP TABLE endpoints.endpoints")
    op.execute("DROP SEQUENCE endpoints.index_sequence")
    op.execute("DROP FUNCTION endpoints.update_updated_at_column()")
