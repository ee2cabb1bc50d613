"""What was published once more, by which request, and what of it was this service's own to do.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

from kongflow_common.eventing.domain_replays import create_replayed_events_table

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE events.resource_event_replays (
            id uuid CONSTRAINT resource_event_replays_pkey PRIMARY KEY,
            environment_id uuid NOT NULL,
            request_id text NOT NULL,
            replay_of uuid NOT NULL,
            created_at timestamptz NOT NULL,
            CONSTRAINT resource_event_replays_environment_id_request_id_key
                UNIQUE (environment_id, request_id)
        );
        CREATE INDEX resource_event_replays_created_at_idx
            ON events.resource_event_replays (created_at)
        """
    )
    create_replayed_events_table("events")


def downgrade() -> None:
    op.execute("DROP TABLE events.replayed_events, events.resource_event_replays")
