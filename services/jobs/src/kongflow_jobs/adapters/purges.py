"""What the jobs context holds of environments and projects, as statements that delete parts."""

from typing import Final

from kongflow_common.db.connection_pool import ConnectionPool
from kongflow_common.db.environment_purge import EnvironmentPurge

__all__ = ["OF_ENVIRONMENT", "OF_PROJECT", "environment_purge", "project_purge"]


def _of(table: str) -> str:
    # Not all have an id. A row that moves meanwhile is found the next time.
    return f"""
        DELETE FROM jobs.{table} WHERE ctid = ANY(ARRAY(
            SELECT x.ctid FROM jobs.{table} x
             WHERE x.environment_id = %(environment_id)b::uuid LIMIT %(limit)b::bigint))
        RETURNING environment_id
    """  # nosec B608 - made of constants


# Versions take their examples and integrations along; queues and groups belong to versions.
OF_ENVIRONMENT: Final = (
    _of("job_aliases"),
    _of("job_versions"),
    _of("job_queues"),
    _of("concurrency_limit_groups"),
    _of("job_dispatchers"),
    _of("version_generations"),
    _of("test_requests"),
)

# Its environments are purged as well, before or after this: whichever comes first.
OF_PROJECT: Final = (
    """
    DELETE FROM jobs.job_versions WHERE id = ANY(ARRAY(
        SELECT v.id FROM jobs.jobs j
        CROSS JOIN LATERAL (SELECT v.id FROM jobs.job_versions v
                             WHERE v.job_id = j.id LIMIT %(limit)b::bigint) v
         WHERE j.project_id = %(project_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
    """
    DELETE FROM jobs.jobs WHERE id = ANY(ARRAY(
        SELECT j.id FROM jobs.jobs j
         WHERE j.project_id = %(project_id)b::uuid LIMIT %(limit)b::bigint))
    RETURNING id
    """,
)


def environment_purge(pool: ConnectionPool) -> EnvironmentPurge:
    """Deletes what jobs are in an environment."""
    return EnvironmentPurge(pool, OF_ENVIRONMENT)


def project_purge(pool: ConnectionPool) -> EnvironmentPurge:
    """Deletes the jobs of a project."""
    return EnvironmentPurge(pool, OF_PROJECT, owner="project_id")
