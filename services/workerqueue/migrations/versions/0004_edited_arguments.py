"""Dead letters that run again with other arguments: the former ones are kept.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE workerqueue.audit_entries ADD COLUMN former_args jsonb;
        ALTER TABLE workerqueue.audit_entries DROP CONSTRAINT audit_entries_action_check;
        ALTER TABLE workerqueue.audit_entries ADD CONSTRAINT audit_entries_action_check CHECK (
            action IN ('retry', 'edit', 'cancel', 'delete', 'pause', 'resume', 'redrive',
                       'cancel_redrive')
        );
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DELETE FROM workerqueue.audit_entries WHERE action = 'edit';
        ALTER TABLE workerqueue.audit_entries DROP CONSTRAINT audit_entries_action_check;
        ALTER TABLE workerqueue.audit_entries ADD CONSTRAINT audit_entries_action_check CHECK (
            action IN ('retry', 'cancel', 'delete', 'pause', 'resume', 'redrive',
                       'cancel_redrive')
        );
        ALTER TABLE workerqueue.audit_entries DROP COLUMN former_args;
        """
    )
