"""Reveals the secret key that an environment's own programs know it by."""

from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_tenancy.application.ports import EnvironmentReader, KeyVault
from kongflow_tenancy.domain.errors import EnvironmentHasNoKey, SecretKeyNotShown

_MAY_ASK = "endpoints"


class RevealSecretKey:
    """Opens the newest secret key that is neither revoked nor expired.

    Only the service that calls the users' programs may ask: they check the key it shows.
    """

    def __init__(self, environments: EnvironmentReader, vault: KeyVault, clock: Clock) -> None:
        self._environments = environments
        self._vault = vault
        self._clock = clock

    async def __call__(self, service: str, environment_id: UUID) -> str:
        """The key's text, for the service of this name.

        Raises SecretKeyNotShown, EnvironmentNotFound and EnvironmentHasNoKey.
        """
        if service != _MAY_ASK:
            raise SecretKeyNotShown
        sealed = await self._environments.newest_secret_key(environment_id, self._clock.now())
        if sealed is None:
            raise EnvironmentHasNoKey(subject=f"environments/{environment_id}")
        return self._vault.open(sealed)
