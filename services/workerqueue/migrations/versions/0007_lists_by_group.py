"""Lists of queued jobs by state, queue, kind and time of creation, whatever is asked together.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# A list merges the groups (state, queue, kind) that it wants, each from its newest job. Few groups
# exist, so this one index serves all combinations. Running jobs are few and found by their own
# index: a claim writes nothing here.
_GROUP = "queued_jobs (state, queue, kind, created_at, id) WHERE state <> 'running'"
# Lists are ordered by the time of creation.
_ENVIRONMENT_TIME = "queued_jobs (environment_id, created_at, id) WHERE state <> 'running'"
# Audit trails are read from the newest entry, whole or an environment's.
_AUDIT = "audit_entries (environment_id, id)"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        _build("queued_jobs_group_idx", _GROUP)
        _build("queued_jobs_environment_time_idx", _ENVIRONMENT_TIME)
        _build("audit_entries_environment_idx", _AUDIT)
    op.execute("DROP INDEX workerqueue.queued_jobs_environment_idx")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        _build("queued_jobs_environment_idx", "queued_jobs (environment_id, id)")
    op.execute(
        """
        DROP INDEX workerqueue.audit_entries_environment_idx;
        DROP INDEX workerqueue.queued_jobs_environment_time_idx;
        DROP INDEX workerqueue.queued_jobs_group_idx;
        """
    )


def _build(name: str, on: str) -> None:
    """Build an index while jobs are written; one that a broken try left behind goes first."""
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS workerqueue.{name}")
    op.execute(f"CREATE INDEX CONCURRENTLY {name} ON workerqueue.{on}")
