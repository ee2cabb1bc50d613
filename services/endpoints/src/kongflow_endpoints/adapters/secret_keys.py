"""The keys by which programs know us, as tenancy reveals them."""

from uuid import UUID

from pydantic import SecretStr

from kongflow_common.rpc.tenancy_environments import TenancyEnvironments


class RevealedKeys:
    """Implements SecretKeys."""

    def __init__(self, environments: TenancyEnvironments) -> None:
        self._environments = environments

    async def of_environment(self, environment_id: UUID) -> SecretStr | None:
        return await self._environments.secret_key(environment_id)
