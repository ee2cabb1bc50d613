"""Environments as tenancy describes them."""

from datetime import timedelta
from uuid import UUID

from kongflow_common.rpc.tenancy_environments import TenancyEnvironments
from kongflow_runs.domain.execution import EnvironmentDescription

_MILLISECOND = timedelta(milliseconds=1)


class DescribedEnvironments:
    """The Environments over kongflow.tenancy.internal.v1."""

    def __init__(self, environments: TenancyEnvironments) -> None:
        self._environments = environments

    async def describe(self, environment_id: UUID) -> EnvironmentDescription | None:
        """The environment, at most some seconds old; see Environments.describe."""
        described = await self._environments.describe(environment_id)
        if described is None:
            return None
        environment = described.environment
        return EnvironmentDescription(
            environment_id=environment.environment_id,
            slug=environment.slug,
            type=environment.type,
            project_id=environment.project_id,
            project_slug=described.project_slug,
            project_name=described.project_name,
            organization_id=environment.organization_id,
            organization_slug=described.organization_slug,
            organization_title=described.organization_title,
            runs_enabled=environment.runs_enabled,
            maximum_execution_ms=described.maximum_execution_time_per_run // _MILLISECOND,
        )
