"""The log of what happened to resources, by day.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Ordered by transaction and, within it, by sequence: see ADR 0019. What names no scope is
    # seen by operators of the database alone.
    op.execute(
        """
        CREATE SEQUENCE events.resource_events_sequence_seq;
        CREATE TABLE events.resource_events (
            id uuid NOT NULL,
            type text NOT NULL,
            version integer NOT NULL,
            "timestamp" timestamptz NOT NULL,
            resource_id text NOT NULL,
            user_id text NOT NULL DEFAULT '',
            data jsonb NOT NULL DEFAULT '{}',
            organization_id uuid,
            project_id uuid,
            environment_id uuid,
            scope_id uuid,
            replay_of uuid,
            sequence bigint NOT NULL DEFAULT nextval('events.resource_events_sequence_seq'),
            xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
            logged_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT resource_events_pkey PRIMARY KEY (id, logged_at)
        ) PARTITION BY RANGE (logged_at);
        ALTER SEQUENCE events.resource_events_sequence_seq
            OWNED BY events.resource_events.sequence;
        CREATE INDEX resource_events_scope_id_xid_sequence_idx
            ON events.resource_events (scope_id, xid, sequence);
        CREATE INDEX resource_events_resource_id_timestamp_id_idx
            ON events.resource_events (resource_id, "timestamp", id);
        -- What comes on a day that nobody has made a partition for is not lost: it is moved
        -- when the day is made.
        CREATE TABLE events.resource_events_rest PARTITION OF events.resource_events DEFAULT;
        -- One row. The key signs resume tokens: whoever can read it can read the log.
        CREATE TABLE events.resource_log (
            only_row boolean CONSTRAINT resource_log_pkey PRIMARY KEY DEFAULT true
                CONSTRAINT resource_log_only_row_check CHECK (only_row),
            token_key bytea NOT NULL
        );
        INSERT INTO events.resource_log (token_key)
        VALUES (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE events.resource_log, events.resource_events")
