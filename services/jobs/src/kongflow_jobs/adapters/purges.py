"""What the jobs context holds of environments and projects, as statements that delete parts."""

from typing import Final

from kongflow_common.db.purge import rows_of

__all__ = ["OF_ENVIRONMENT", "OF_PROJECT"]

# Versions take their examples and integrations along; queues and groups belong to versions.
OF_ENVIRONMENT: Final = (
    rows_of("jobs.job_aliases"),
    rows_of("jobs.job_versions"),
    rows_of("jobs.job_queues"),
    rows_of("jobs.concurrency_limit_groups"),
    rows_of("jobs.job_dispatchers"),
    rows_of("jobs.version_generations"),
    rows_of("jobs.test_requests"),
)

# Its environments are purged as well, before or after this: whichever comes first.
OF_PROJECT: Final = (
    """
    DELETE FROM jobs.job_versions WHERE id = ANY(ARRAY(
        SELECT v.id FROM jobs.jobs j
        CROSS JOIN LATERAL (SELECT v.id FROM jobs.job_versions v
                             WHERE v.job_id = j.id LIMIT %(limit)b::bigint) v
         WHERE j.project_id = %(owner_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
    rows_of("jobs.jobs", "project_id"),
)
