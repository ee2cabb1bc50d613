"""Describes an environment as the programs of users are told of it."""

from uuid import UUID

from kongflow_tenancy.application.ports import EnvironmentReader
from kongflow_tenancy.domain.errors import EnvironmentNotFound
from kongflow_tenancy.domain.organization import EnvironmentDescription


class DescribeEnvironment:
    """Reads an environment with its project and its organization."""

    def __init__(self, environments: EnvironmentReader) -> None:
        self._environments = environments

    async def __call__(self, environment_id: UUID) -> EnvironmentDescription:
        """The description; raises EnvironmentNotFound."""
        found = await self._environments.description(environment_id)
        if found is None:
            raise EnvironmentNotFound(id=environment_id)
        return found
