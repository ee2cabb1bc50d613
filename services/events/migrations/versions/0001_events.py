"""Event records, dispatchers, external accounts and the outbox.

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
    create_updated_at_function("events")
    create_external_accounts()
    create_event_records()
    create_event_dispatchers()
    for table in ("external_accounts", "event_records", "event_dispatchers"):
        add_updated_at_trigger("events", table)
    create_outbox_table("events")


def create_external_accounts() -> None:
    op.execute(
        """
        CREATE TABLE events.external_accounts (
            id uuid CONSTRAINT external_accounts_pkey PRIMARY KEY,
            identifier text NOT NULL CONSTRAINT external_accounts_identifier_check
                CHECK (char_length(identifier) BETWEEN 1 AND 512),
            metadata jsonb,
            organization_id uuid NOT NULL,
            environment_id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT external_accounts_environment_id_identifier_key
                UNIQUE (environment_id, identifier)
        )
        """
    )


def create_event_records() -> None:
    op.execute(
        """
        CREATE TABLE events.event_records (
            id uuid CONSTRAINT event_records_pkey PRIMARY KEY,
            event_id text NOT NULL,
            name text NOT NULL,
            "timestamp" timestamptz NOT NULL DEFAULT now(),
            payload jsonb NOT NULL DEFAULT '{}',
            payload_type text NOT NULL DEFAULT 'JSON'
                CONSTRAINT event_records_payload_type_check
                CHECK (payload_type IN ('JSON', 'REQUEST')),
            context jsonb NOT NULL DEFAULT '{}',
            source text NOT NULL DEFAULT 'trigger.dev',
            source_context jsonb,
            organization_id uuid NOT NULL,
            environment_id uuid NOT NULL,
            project_id uuid NOT NULL,
            external_account_id uuid
                CONSTRAINT event_records_external_account_id_fkey
                REFERENCES events.external_accounts ON DELETE SET NULL,
            http_endpoint_id uuid,
            http_endpoint_environment_id uuid,
            deliver_at timestamptz NOT NULL DEFAULT now(),
            delivered_at timestamptz,
            processed_at timestamptz,
            matched_count integer NOT NULL DEFAULT 0,
            cancelled_at timestamptz,
            is_test boolean NOT NULL DEFAULT false,
            internal boolean NOT NULL DEFAULT false,
            delivery_revision integer NOT NULL DEFAULT 1,
            delivery_cursor uuid,
            priority smallint NOT NULL DEFAULT 1
                CONSTRAINT event_records_priority_check CHECK (priority BETWEEN 1 AND 4),
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT event_records_event_id_environment_id_key
                UNIQUE (event_id, environment_id),
            CONSTRAINT event_records_cancelled_at_check
                CHECK (cancelled_at IS NULL OR processed_at IS NULL)
        )
        """
    )
    op.execute(
        """
        CREATE INDEX event_records_environment_id_id_idx
            ON events.event_records (environment_id, id);
        CREATE INDEX event_records_deliver_at_idx
            ON events.event_records (deliver_at) WHERE delivered_at IS NULL;
        CREATE INDEX event_records_created_at_idx ON events.event_records (created_at);
        CREATE INDEX event_records_external_account_id_idx
            ON events.event_records (external_account_id)
            WHERE external_account_id IS NOT NULL
        """
    )


def create_event_dispatchers() -> None:
    op.execute(
        """
        CREATE TABLE events.event_dispatchers (
            id uuid CONSTRAINT event_dispatchers_pkey PRIMARY KEY,
            event text[] NOT NULL
                CONSTRAINT event_dispatchers_event_check CHECK (cardinality(event) >= 1),
            source text NOT NULL,
            payload_filter jsonb,
            context_filter jsonb,
            manual boolean NOT NULL DEFAULT false,
            dispatchable_id text NOT NULL,
            dispatchable jsonb NOT NULL,
            enabled boolean NOT NULL DEFAULT true,
            external_account_id uuid
                CONSTRAINT event_dispatchers_external_account_id_fkey
                REFERENCES events.external_accounts ON DELETE CASCADE,
            environment_id uuid NOT NULL,
            generation bigint NOT NULL DEFAULT 1,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT event_dispatchers_dispatchable_id_environment_id_key
                UNIQUE (dispatchable_id, environment_id)
        )
        """
    )
    op.execute(
        """
        CREATE INDEX event_dispatchers_environment_id_id_idx
            ON events.event_dispatchers (environment_id, id);
        CREATE INDEX event_dispatchers_event_idx
            ON events.event_dispatchers USING gin (event) WHERE enabled;
        CREATE INDEX event_dispatchers_external_account_id_idx
            ON events.event_dispatchers (external_account_id)
            WHERE external_account_id IS NOT NULL
        """
    )


def downgrade() -> None:
    for table in ("outbox", "event_dispatchers", "event_records", "external_accounts"):
        op.execute(f"DROP TABLE events.{table}")
    op.execute("DROP FUNCTION events.update_updated_at_column()")
