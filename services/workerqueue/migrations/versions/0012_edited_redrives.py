"""Dead letters that are redriven with other arguments.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE workerqueue.redrives
            -- When the next batch is due, in the place of next_at, which is ages away: a server
            -- that knows nothing of edits must not redrive these as they are.
            ADD COLUMN edit_due_at timestamptz,
            ADD COLUMN refused_count bigint NOT NULL DEFAULT 0,
            -- The arguments of all jobs, or the merge patch for those of each.
            ADD COLUMN args jsonb,
            ADD COLUMN args_patch jsonb,
            -- Whom the edit of each job is noted with, beside caller_name.
            ADD COLUMN caller text,
            ADD COLUMN caller_key_id text,
            ADD CONSTRAINT redrives_edit_check
                CHECK (num_nonnulls(args, args_patch) = num_nonnulls(edit_due_at));
        """
    )


def downgrade() -> None:
    op.execute(
        """
        -- Nobody would carry them out.
        UPDATE workerqueue.redrives SET ended_at = now(), cancelled = true
        WHERE ended_at IS NULL AND edit_due_at IS NOT NULL;
        ALTER TABLE workerqueue.redrives
            DROP CONSTRAINT redrives_edit_check,
            DROP COLUMN edit_due_at, DROP COLUMN refused_count, DROP COLUMN args,
            DROP COLUMN args_patch, DROP COLUMN caller, DROP COLUMN caller_key_id;
        """
    )
