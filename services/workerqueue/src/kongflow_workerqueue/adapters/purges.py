"""What the worker queue holds of an environment, as statements that delete a part of it."""

from typing import Final

from kongflow_common.db.purge import rows_of

__all__ = ["OF_ENVIRONMENT"]

OF_ENVIRONMENT: Final = (
    # Those that are unfinished are not called any more. What runs ends by itself, and is found by
    # another look; what somebody is changing at this moment is passed over.
    """
    DELETE FROM workerqueue.queued_jobs WHERE id = ANY(ARRAY(
        SELECT x.id FROM workerqueue.queued_jobs x
         WHERE x.environment_id = %(owner_id)b::uuid AND x.state <> 'running'
         ORDER BY x.created_at, x.id LIMIT %(limit)b::bigint FOR UPDATE SKIP LOCKED))
    RETURNING 1
    """,
    # Few, as people begin them: there is no index for this. The audit stays.
    rows_of("workerqueue.redrives"),
)
