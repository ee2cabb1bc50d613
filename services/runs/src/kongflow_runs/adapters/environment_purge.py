"""What the runs context holds of an environment, as a statement that deletes a part of it."""

from typing import Final

from kongflow_common.db.connection_pool import ConnectionPool
from kongflow_common.db.environment_purge import EnvironmentPurge

__all__ = ["STATEMENTS", "environment_purge"]

# Whether they have ended or not: an execution that is under way finds nothing to store.
STATEMENTS: Final = (
    """
    DELETE FROM runs.job_runs WHERE id = ANY(ARRAY(
        SELECT r.id FROM runs.job_runs r
         WHERE r.environment_id = %(environment_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
)


def environment_purge(pool: ConnectionPool) -> EnvironmentPurge:
    """Deletes the runs of an environment."""
    return EnvironmentPurge(pool, STATEMENTS)
