"""Tells the other services who stands behind a credential."""

from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_tenancy.application.ports import Principals
from kongflow_tenancy.domain.credentials import KeyPrincipal, OperatorPrincipal
from kongflow_tenancy.domain.errors import CredentialNotFound, EnvironmentNotFound
from kongflow_tenancy.domain.organization import EnvironmentContext


class LookUpCredential:
    """Finds a living key or operator by the hash of its text."""

    def __init__(self, principals: Principals, clock: Clock) -> None:
        self._principals = principals
        self._clock = clock

    async def __call__(self, credential_hash: bytes) -> KeyPrincipal | OperatorPrincipal:
        """What the credential stands for; raises CredentialNotFound."""
        found = await self._principals.of_credential(credential_hash, self._clock.now())
        if found is None:
            raise CredentialNotFound
        return found


class LookUpEnvironment:
    """Finds an environment with what it belongs to."""

    def __init__(self, principals: Principals) -> None:
        self._principals = principals

    async def __call__(self, environment_id: UUID) -> EnvironmentContext:
        """The environment; raises EnvironmentNotFound."""
        context = await self._principals.of_environment(environment_id)
        if context is None:
            raise EnvironmentNotFound(id=environment_id)
        return context
