"""Who stands behind a credential: one prepared statement per question, outside transactions."""

from datetime import datetime
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_tenancy.domain.credentials import KeyKind, KeyPrincipal, OperatorPrincipal
from kongflow_tenancy.domain.organization import EnvironmentContext, EnvironmentType

# The services that ask give up after as long.
_DEADLINE_SECONDS = 2.0

_CREDENTIAL = """
    SELECT k.id, k.kind, k.expires_at,
        e.id, e.project_id, p.organization_id, e.slug, e.type, o.runs_enabled,
        NULL::uuid, NULL::text, NULL::text[]
    FROM tenancy.environment_keys k
    JOIN tenancy.environments e ON e.id = k.environment_id
    JOIN tenancy.projects p ON p.id = e.project_id
    JOIN tenancy.organizations o ON o.id = p.organization_id
    WHERE k.hash = %(hash)s AND k.revoked_at IS NULL AND e.deleted_at IS NULL
        AND (k.expires_at IS NULL OR k.expires_at > %(now)s)
    UNION ALL
    SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, a.id, a.name, a.scopes
    FROM tenancy.operators a
    WHERE a.token_hash = %(hash)s AND a.revoked_at IS NULL
"""
_ENVIRONMENT = """
    SELECT e.id, e.project_id, p.organization_id, e.slug, e.type, o.runs_enabled
    FROM tenancy.environments e
    JOIN tenancy.projects p ON p.id = e.project_id
    JOIN tenancy.organizations o ON o.id = p.organization_id
    WHERE e.id = %(id)s AND e.deleted_at IS NULL
"""


class PostgresPrincipals:
    """The Principals on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def of_credential(
        self, credential_hash: bytes, now: datetime
    ) -> KeyPrincipal | OperatorPrincipal | None:
        """What the key or token with this SHA-256 stands for; ``None`` unless it counts now."""
        rows = await self._pool.execute(
            _CREDENTIAL,
            {"hash": credential_hash, "now": now},
            deadline_seconds=_DEADLINE_SECONDS,
        )
        if not rows:
            return None
        key_id, kind, expires_at, *environment, operator_id, name, scopes = rows[0]
        if operator_id is not None:
            return OperatorPrincipal(operator_id, name, tuple(scopes))
        return KeyPrincipal(key_id, KeyKind(kind), _context(*environment), expires_at)

    async def of_environment(self, environment_id: UUID) -> EnvironmentContext | None:
        """The environment with what it belongs to, or ``None``."""
        rows = await self._pool.execute(
            _ENVIRONMENT, {"id": environment_id}, deadline_seconds=_DEADLINE_SECONDS
        )
        return _context(*rows[0]) if rows else None


def _context(
    environment_id: UUID,
    project_id: UUID,
    organization_id: UUID,
    slug: str,
    environment_type: str,
    runs_enabled: bool,
) -> EnvironmentContext:
    return EnvironmentContext(
        environment_id=environment_id,
        project_id=project_id,
        organization_id=organization_id,
        slug=slug,
        type=EnvironmentType(environment_type),
        runs_enabled=runs_enabled,
    )
