"""Which event an ephemeral dispatcher is told of, and who is telling it.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not columns of the dispatcher: a change of that has its environment's dispatchers read anew.
    op.execute(
        """
        CREATE TABLE events.ephemeral_claims (
            dispatcher_id uuid CONSTRAINT ephemeral_claims_pkey PRIMARY KEY
                CONSTRAINT ephemeral_claims_dispatcher_id_fkey
                REFERENCES events.event_dispatchers (id) ON DELETE CASCADE,
            event_record_id uuid NOT NULL,
            calling_until timestamptz,
            created_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE events.ephemeral_claims")
