"""Replays of many events, and which record an event is a replay of.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No foreign key from a record to its original: retention deletes that first.
    op.execute(
        """
        ALTER TABLE events.event_records ADD COLUMN replay_of uuid;
        CREATE TABLE events.event_replays (
            id uuid CONSTRAINT event_replays_pkey PRIMARY KEY,
            environment_id uuid NOT NULL,
            project_id uuid NOT NULL,
            organization_id uuid NOT NULL,
            kind text NOT NULL
                CONSTRAINT event_replays_kind_check CHECK (kind IN ('REPLAY', 'BACKFILL')),
            filter text NOT NULL,
            start_at timestamptz,
            end_at timestamptz NOT NULL,
            dispatcher_id uuid,
            events_per_second integer NOT NULL,
            total_count bigint NOT NULL,
            replayed_count bigint NOT NULL DEFAULT 0,
            skipped_count bigint NOT NULL DEFAULT 0,
            refused_count bigint NOT NULL DEFAULT 0,
            last_record_id uuid,
            next_at timestamptz NOT NULL,
            ended_as text
                CONSTRAINT event_replays_ended_as_check
                CHECK (ended_as IN ('SUCCEEDED', 'CANCELLED', 'FAILED')),
            ended_at timestamptz,
            error_message text,
            created_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT event_replays_ended_at_check
                CHECK ((ended_as IS NULL) = (ended_at IS NULL)),
            CONSTRAINT event_replays_dispatcher_id_check
                CHECK (kind = 'REPLAY' OR dispatcher_id IS NOT NULL)
        );
        CREATE INDEX event_replays_environment_id_id_idx
            ON events.event_replays (environment_id, id);
        CREATE INDEX event_replays_running_idx
            ON events.event_replays (environment_id) WHERE ended_at IS NULL
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE events.event_replays;
        ALTER TABLE events.event_records DROP COLUMN replay_of
        """
    )
