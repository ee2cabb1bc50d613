"""Environments as the tenancy service describes them, and the keys their programs know them by."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import grpc
from pydantic import SecretStr

from kongflow.tenancy.internal.v1 import principal_service_pb2 as pb
from kongflow.tenancy.internal.v1.principal_service_pb2_grpc import PrincipalServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.fresh_answers import FreshAnswers
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.tenancy_credentials import environment_scope

__all__ = ["EnvironmentDescription", "TenancyEnvironments"]

_TIMEOUT_SECONDS = 2.0
_NO_KEY = "ENVIRONMENT_HAS_NO_KEY"


@dataclass(frozen=True, slots=True)
class EnvironmentDescription:
    """An environment with its project and its organization.

    `maximum_execution_time_per_run` is for all executions of a run together.
    """

    environment: EnvironmentScope
    project_slug: str
    project_name: str
    organization_slug: str
    organization_title: str
    maximum_execution_time_per_run: timedelta


class TenancyEnvironments:
    """Asks the tenancy service and keeps what it says for at most 4 seconds.

    Both methods raise DependencyUnavailable when there is no answer, after 2 seconds at most.
    """

    def __init__(
        self, tenancy: ServiceCaller, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._tenancy = tenancy
        self._stub = PrincipalServiceStub(tenancy.channel)
        self._descriptions = FreshAnswers(self._ask_description, what="an environment", now=now)
        self._secret_keys = FreshAnswers(self._ask_secret_key, what="a secret key", now=now)

    async def describe(self, environment_id: UUID) -> EnvironmentDescription | None:
        """The description of an environment; None when there is no such environment."""
        return await self._descriptions.get(environment_id)

    async def secret_key(self, environment_id: UUID) -> SecretStr | None:
        """The newest secret key of an environment that is neither revoked nor expired.

        None when it has none, or there is no such environment. Raises RemoteError
        (PERMISSION_DENIED) in any service but `endpoints`.
        """
        return await self._secret_keys.get(environment_id)

    async def close(self) -> None:
        """Give up what is being asked."""
        await self._descriptions.close()
        await self._secret_keys.close()

    async def _ask_description(self, environment_id: UUID) -> EnvironmentDescription | None:
        try:
            answer = await self._tenancy.call(
                self._stub.DescribeEnvironment,
                pb.DescribeEnvironmentRequest(environment_id=str(environment_id)),
                timeout=_TIMEOUT_SECONDS,
            )
        except RemoteError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        return EnvironmentDescription(
            environment=environment_scope(answer.environment),
            project_slug=answer.project_slug,
            project_name=answer.project_name,
            organization_slug=answer.organization_slug,
            organization_title=answer.organization_title,
            maximum_execution_time_per_run=answer.maximum_execution_time_per_run.ToTimedelta(),
        )

    async def _ask_secret_key(self, environment_id: UUID) -> SecretStr | None:
        try:
            answer = await self._tenancy.call(
                self._stub.RevealSecretKey,
                pb.RevealSecretKeyRequest(environment_id=str(environment_id)),
                timeout=_TIMEOUT_SECONDS,
            )
        except RemoteError as error:
            if error.code is grpc.StatusCode.NOT_FOUND or error.reason == _NO_KEY:
                return None
            raise
        return SecretStr(answer.secret_key)
