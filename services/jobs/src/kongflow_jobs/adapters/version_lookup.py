"""Finds versions of jobs, many in one statement."""

from collections.abc import Sequence
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_jobs.domain.job import LiveJob, ResolvedVersion, VersionReference

_REFERENCES = RowParameters(
    "r",
    place="integer",
    environment_id="uuid",
    job_id="uuid",
    alias="text",
    version="text",
    version_id="uuid",
)

# LATERAL and OFFSET keep each look-up by its key, whatever the statistics say of a new table.
_RESOLVE = f"""
SELECT r.place, j.id, j.slug, v.id, v.version, v.status = 'ACTIVE' AND j.deleted_at IS NULL,
       v.endpoint_id, v.queue_id, v.preprocess_runs,
       EXISTS (SELECT FROM jobs.job_integrations u JOIN jobs.integrations i
                 ON i.id = u.integration_id
               WHERE u.version_id = v.id AND i.auth_source = 'HOSTED'),
       j.internal
FROM {_REFERENCES.source}
LEFT JOIN LATERAL (
    SELECT a.version_id FROM jobs.job_aliases a
    WHERE a.job_id = r.job_id AND a.environment_id = r.environment_id AND a.name = r.alias
    OFFSET 0) a ON r.alias IS NOT NULL
LEFT JOIN LATERAL (
    SELECT n.id FROM jobs.job_versions n
    WHERE n.job_id = r.job_id AND n.version = r.version AND n.environment_id = r.environment_id
    OFFSET 0) n ON r.version IS NOT NULL
JOIN LATERAL (
    SELECT * FROM jobs.job_versions w WHERE w.id = coalesce(r.version_id, a.version_id, n.id)
    OFFSET 0) v ON v.environment_id = r.environment_id
                AND (r.job_id IS NULL OR v.job_id = r.job_id)
JOIN LATERAL (SELECT * FROM jobs.jobs o WHERE o.id = v.job_id OFFSET 0) j ON true
"""  # nosec B608 - made of constants

_LIVE_JOBS = """
SELECT j.slug, v.version, j.internal
FROM jobs.job_versions v
JOIN jobs.job_aliases a ON a.version_id = v.id AND a.name = 'latest'
JOIN jobs.jobs j ON j.id = v.job_id
WHERE v.environment_id = %(environment_id)b::uuid AND v.endpoint_id = %(endpoint_id)b::uuid
  AND v.project_id = %(project_id)b::uuid AND v.status = 'ACTIVE' AND j.deleted_at IS NULL
ORDER BY j.slug
LIMIT 100000
"""


class PostgresVersionLookup:
    """The VersionLookup on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def resolve(
        self, references: Sequence[VersionReference]
    ) -> Sequence[ResolvedVersion | None]:
        """What each reference stands for; see VersionLookup.resolve."""
        rows = await self._pool.execute(
            _RESOLVE,
            _REFERENCES.bind(
                [
                    (
                        place,
                        each.environment_id,
                        each.job_id,
                        each.alias,
                        each.version,
                        each.version_id,
                    )
                    for place, each in enumerate(references)
                ]
            ),
        )
        found: list[ResolvedVersion | None] = [None] * len(references)
        for place, *values in rows:
            found[place] = ResolvedVersion(*values)
        return found

    async def live_jobs(
        self, environment_id: UUID, project_id: UUID, endpoint_id: UUID
    ) -> Sequence[LiveJob]:
        """The live jobs of an endpoint; see VersionLookup.live_jobs."""
        rows = await self._pool.execute(
            _LIVE_JOBS,
            {
                "environment_id": environment_id,
                "project_id": project_id,
                "endpoint_id": endpoint_id,
            },
        )
        return [LiveJob(*row) for row in rows]
