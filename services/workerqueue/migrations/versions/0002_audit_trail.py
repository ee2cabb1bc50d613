"""Who stepped in, how, when and why.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- No foreign key: an entry outlives the job that it speaks of.
        CREATE TABLE workerqueue.audit_entries (
            id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            queued_job_id uuid,
            environment_id uuid,
            action text NOT NULL,
            caller text NOT NULL,
            caller_name text NOT NULL,
            caller_key_id text NOT NULL,
            reason text,
            queue text NOT NULL,
            kind text,
            CONSTRAINT audit_entries_pkey PRIMARY KEY (id),
            CONSTRAINT audit_entries_action_check CHECK (
                action IN ('retry', 'cancel', 'delete', 'pause', 'resume')
            )
        );
        CREATE INDEX audit_entries_queued_job_idx
            ON workerqueue.audit_entries (queued_job_id) WHERE queued_job_id IS NOT NULL;
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE workerqueue.audit_entries")
