"""Who calls tenancy itself: it need not ask itself over the network."""

from uuid import UUID

from kongflow_common.auth.credentials import ResolvedCredential
from kongflow_common.auth.principals import CallerKind, EnvironmentScope, Principal
from kongflow_tenancy.application.look_up_principal import LookUpCredential, LookUpEnvironment
from kongflow_tenancy.domain.credentials import KeyKind, KeyPrincipal
from kongflow_tenancy.domain.errors import CredentialNotFound, EnvironmentNotFound
from kongflow_tenancy.domain.organization import EnvironmentContext

_CALLERS = {KeyKind.SECRET: CallerKind.SECRET_KEY, KeyKind.PUBLIC: CallerKind.PUBLIC_KEY}


class OwnCredentialLookup:
    """The CredentialLookup over tenancy's own use cases."""

    def __init__(
        self, look_up_credential: LookUpCredential, look_up_environment: LookUpEnvironment
    ) -> None:
        self._look_up_credential = look_up_credential
        self._look_up_environment = look_up_environment

    async def look_up_credential(self, credential_hash: bytes) -> ResolvedCredential | None:
        """Finds a key or an operator's token by its SHA-256; ``None`` when it does not count."""
        try:
            found = await self._look_up_credential(credential_hash)
        except CredentialNotFound:
            return None
        if isinstance(found, KeyPrincipal):
            scope = _scope(found.environment)
            principal = Principal(
                kind=_CALLERS[found.kind],
                name=scope.slug,
                environment=scope,
                key_id=str(found.key_id),
            )
            expires_at = found.expires_at.timestamp() if found.expires_at else None
            return ResolvedCredential(principal, expires_at)
        return ResolvedCredential(
            Principal(
                kind=CallerKind.OPERATOR,
                name=found.name,
                scopes=frozenset(found.scopes),
                key_id=str(found.operator_id),
            )
        )

    async def look_up_environment(self, environment_id: UUID) -> EnvironmentScope | None:
        """Finds an environment; ``None`` when there is none."""
        try:
            return _scope(await self._look_up_environment(environment_id))
        except EnvironmentNotFound:
            return None


def _scope(context: EnvironmentContext) -> EnvironmentScope:
    return EnvironmentScope(
        environment_id=context.environment_id,
        project_id=context.project_id,
        organization_id=context.organization_id,
        slug=context.slug,
        type=context.type.value,
        runs_enabled=context.runs_enabled,
    )
