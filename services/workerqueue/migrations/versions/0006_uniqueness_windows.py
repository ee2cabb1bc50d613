"""Jobs that count as the same for a while, and in states of their own choice.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UNFINISHED = "state IN ('available', 'scheduled', 'retryable', 'running')"
_HOLDS_ITS_PLACE = f"""unique_key IS NOT NULL AND (
    {_UNFINISHED}
    OR unique_states & CASE state WHEN 'completed' THEN 16 WHEN 'cancelled' THEN 32
                                  WHEN 'discarded' THEN 64 ELSE 0 END <> 0)"""


def upgrade() -> None:
    # Each step may be taken again: what stands before an autocommit block stays if one fails.
    # The set of states is one of bits, in the order available, scheduled, running, retryable,
    # completed, cancelled, discarded; null where it is the unfinished ones, as nearly always.
    op.execute(
        """
        ALTER TABLE workerqueue.queued_jobs
            ADD COLUMN IF NOT EXISTS unique_until timestamptz,
            ADD COLUMN IF NOT EXISTS unique_states smallint,
            DROP CONSTRAINT IF EXISTS queued_jobs_unique_states_check,
            ADD CONSTRAINT queued_jobs_unique_states_check CHECK (
                unique_states & 11 = 11 AND unique_states BETWEEN 1 AND 127) NOT VALID
        """
    )
    op.execute(
        "ALTER TABLE workerqueue.queued_jobs VALIDATE CONSTRAINT queued_jobs_unique_states_check"
    )
    _replace_index(_HOLDS_ITS_PLACE)


def downgrade() -> None:
    # Ended jobs no longer hold a place.
    _replace_index(f"unique_key IS NOT NULL AND {_UNFINISHED}")
    op.execute(
        """
        ALTER TABLE workerqueue.queued_jobs
            DROP CONSTRAINT queued_jobs_unique_states_check,
            DROP COLUMN unique_states,
            DROP COLUMN unique_until
        """
    )


def _replace_index(condition: str) -> None:
    """Build the new index before the old one goes: at no moment is nothing unique."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS workerqueue.queued_jobs_unique_key_new")
        op.execute(
            f"""
            CREATE UNIQUE INDEX CONCURRENTLY queued_jobs_unique_key_new
                ON workerqueue.queued_jobs (unique_key) WHERE {condition}
            """
        )
    op.execute("DROP INDEX workerqueue.queued_jobs_unique_key_key")
    op.execute(
        "ALTER INDEX workerqueue.queued_jobs_unique_key_new RENAME TO queued_jobs_unique_key_key"
    )
