"""Dead letters that are made to run again, a few each second.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE workerqueue.redrives (
            id uuid NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            -- When the next batch is due.
            next_at timestamptz NOT NULL DEFAULT now(),
            ended_at timestamptz,
            total_count bigint NOT NULL,
            redriven_count bigint NOT NULL DEFAULT 0,
            skipped_count bigint NOT NULL DEFAULT 0,
            environment_id uuid,
            -- The last job that had its turn: they go by their ids.
            last_job_id uuid,
            jobs_per_second integer NOT NULL,
            cancelled boolean NOT NULL DEFAULT false,
            filter text NOT NULL,
            caller_name text NOT NULL,
            reason text,
            CONSTRAINT redrives_pkey PRIMARY KEY (id),
            CONSTRAINT redrives_rate_check CHECK (jobs_per_second BETWEEN 1 AND 1000),
            CONSTRAINT redrives_cancelled_check CHECK (NOT cancelled OR ended_at IS NOT NULL)
        );
        CREATE INDEX redrives_unfinished_idx
            ON workerqueue.redrives (next_at) WHERE ended_at IS NULL;
        ALTER TABLE workerqueue.audit_entries DROP CONSTRAINT audit_entries_action_check;
        ALTER TABLE workerqueue.audit_entries ADD CONSTRAINT audit_entries_action_check CHECK (
            action IN ('retry', 'cancel', 'delete', 'pause', 'resume', 'redrive',
                       'cancel_redrive')
        );
        ALTER TABLE workerqueue.audit_entries ADD COLUMN redrive_id uuid;
        -- A redrive is of no queue.
        ALTER TABLE workerqueue.audit_entries ALTER COLUMN queue DROP NOT NULL;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DELETE FROM workerqueue.audit_entries WHERE redrive_id IS NOT NULL;
        ALTER TABLE workerqueue.audit_entries ALTER COLUMN queue SET NOT NULL;
        ALTER TABLE workerqueue.audit_entries DROP COLUMN redrive_id;
        ALTER TABLE workerqueue.audit_entries DROP CONSTRAINT audit_entries_action_check;
        ALTER TABLE workerqueue.audit_entries ADD CONSTRAINT audit_entries_action_check CHECK (
            action IN ('retry', 'cancel', 'delete', 'pause', 'resume')
        );
        DROP TABLE workerqueue.redrives;
        """
    )
