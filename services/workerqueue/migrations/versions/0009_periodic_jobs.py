"""Jobs that are enqueued by the clock.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE workerqueue.periodic_jobs (
            name text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            next_at timestamptz NOT NULL,
            last_at timestamptz,
            paused_at timestamptz,
            last_job_id uuid,
            unique_key uuid,
            unique_for bigint,
            max_attempts integer NOT NULL,
            priority smallint NOT NULL,
            unique_states smallint,
            kind text NOT NULL,
            queue text NOT NULL,
            cron text NOT NULL,
            time_zone text NOT NULL,
            args jsonb NOT NULL,
            CONSTRAINT periodic_jobs_pkey PRIMARY KEY (name),
            CONSTRAINT periodic_jobs_name_check CHECK (length(name) BETWEEN 1 AND 200)
        );
        ALTER TABLE workerqueue.audit_entries ADD COLUMN periodic_job text;
        ALTER TABLE workerqueue.audit_entries DROP CONSTRAINT audit_entries_action_check;
        ALTER TABLE workerqueue.audit_entries ADD CONSTRAINT audit_entries_action_check CHECK (
            action IN ('retry', 'edit', 'cancel', 'delete', 'pause', 'resume', 'redrive',
                       'cancel_redrive', 'run')
        );
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DELETE FROM workerqueue.audit_entries WHERE periodic_job IS NOT NULL;
        ALTER TABLE workerqueue.audit_entries DROP CONSTRAINT audit_entries_action_check;
        ALTER TABLE workerqueue.audit_entries ADD CONSTRAINT audit_entries_action_check CHECK (
            action IN ('retry', 'edit', 'cancel', 'delete', 'pause', 'resume', 'redrive',
                       'cancel_redrive')
        );
        ALTER TABLE workerqueue.audit_entries DROP COLUMN periodic_job;
        DROP TABLE workerqueue.periodic_jobs;
        """
    )
