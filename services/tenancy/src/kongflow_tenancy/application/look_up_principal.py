"""Tells the other services who stands behind a credential."""

from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_tenancy.application.ports import NewUnitOfWork
from kongflow_tenancy.domain.credentials import KeyPrincipal, OperatorPrincipal
from kongflow_tenancy.domain.errors import CredentialNotFound, EnvironmentNotFound
from kongflow_tenancy.domain.organization import EnvironmentContext


class LookUpCredential:
    """Finds a living key or operator by the hash of its text."""

    def __init__(self, unit_of_work: NewUnitOfWork, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def __call__(self, credential_hash: bytes) -> KeyPrincipal | OperatorPrincipal:
        """What the credential stands for; raises CredentialNotFound."""
        async with self._unit_of_work() as uow:
            key = await uow.keys.principal(credential_hash, self._clock.now())
            found = key or await uow.operators.principal(credential_hash)
        if found is None:
            raise CredentialNotFound
        return found


class LookUpEnvironment:
    """Finds an environment with what it belongs to."""

    def __init__(self, unit_of_work: NewUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(self, environment_id: UUID) -> EnvironmentContext:
        """The environment; raises EnvironmentNotFound."""
        async with self._unit_of_work() as uow:
            context = await uow.environments.context(environment_id)
        if context is None:
            raise EnvironmentNotFound(id=environment_id)
        return context
