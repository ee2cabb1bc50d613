"""What users' programs are told of their environment: one statement per question."""

from datetime import datetime, timedelta
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_tenancy.application.ports import SealedText
from kongflow_tenancy.domain.errors import EnvironmentNotFound
from kongflow_tenancy.domain.organization import (
    EnvironmentContext,
    EnvironmentDescription,
    EnvironmentType,
)

# The services that ask give up after as long.
_DEADLINE_SECONDS = 2.0

_DESCRIPTION = """
    SELECT p.id, o.id, e.slug, e.type, o.runs_enabled, p.slug, p.name, o.slug, o.title,
        o.maximum_execution_time_per_run_ms
    FROM tenancy.environments e
    JOIN tenancy.projects p ON p.id = e.project_id
    JOIN tenancy.organizations o ON o.id = p.organization_id
    WHERE e.id = %(id)s AND e.deleted_at IS NULL
"""
# Ids grow with time. The outer row tells an environment without a key from none at all.
_NEWEST_SECRET_KEY = """
    SELECT k.ciphertext, k.key_id
    FROM tenancy.environments e
    LEFT JOIN LATERAL (
        SELECT ciphertext, key_id FROM tenancy.environment_keys
        WHERE environment_id = e.id AND kind = 'secret' AND revoked_at IS NULL
            AND (expires_at IS NULL OR expires_at > %(now)s)
        ORDER BY id DESC
        LIMIT 1) k ON true
    WHERE e.id = %(id)s AND e.deleted_at IS NULL
"""


class PostgresEnvironmentReader:
    """The EnvironmentReader on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def description(self, environment_id: UUID) -> EnvironmentDescription | None:
        """The environment with its project and organization, or ``None``."""
        rows = await self._pool.execute(
            _DESCRIPTION, {"id": environment_id}, deadline_seconds=_DEADLINE_SECONDS
        )
        if not rows:
            return None
        project_id, organization_id, slug, type_, runs_enabled, *names, milliseconds = rows[0]
        project_slug, project_name, organization_slug, organization_title = names
        return EnvironmentDescription(
            environment=EnvironmentContext(
                environment_id=environment_id,
                project_id=project_id,
                organization_id=organization_id,
                slug=slug,
                type=EnvironmentType(type_),
                runs_enabled=runs_enabled,
            ),
            project_slug=project_slug,
            project_name=project_name,
            organization_slug=organization_slug,
            organization_title=organization_title,
            maximum_execution_time_per_run=timedelta(milliseconds=milliseconds),
        )

    async def newest_secret_key(self, environment_id: UUID, now: datetime) -> SealedText | None:
        """The newest secret key that counts then, or ``None``; raises EnvironmentNotFound."""
        rows = await self._pool.execute(
            _NEWEST_SECRET_KEY,
            {"id": environment_id, "now": now},
            deadline_seconds=_DEADLINE_SECONDS,
        )
        if not rows:
            raise EnvironmentNotFound(id=environment_id)
        ciphertext, key_id = rows[0]
        return None if ciphertext is None else SealedText(bytes(ciphertext), key_id)
