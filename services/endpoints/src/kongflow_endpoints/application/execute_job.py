"""Has an endpoint execute a job, once."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from kongflow_endpoints.application.ports import (
    Called,
    EndpointProgram,
    EndpointReader,
    NotCalled,
    SecretKeys,
)
from kongflow_endpoints.application.program_key import NO_KEY
from kongflow_endpoints.domain.endpoint import Endpoint
from kongflow_endpoints.domain.errors import EndpointNotFound


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of it; None: the endpoint has no URL."""

    url: str
    outcome: Called | NotCalled | None


class ExecuteJob:
    """Makes an EXECUTE_JOB call; never tries again, that is the queued job's to do."""

    def __init__(self, reader: EndpointReader, program: EndpointProgram, keys: SecretKeys) -> None:
        self._reader = reader
        self._program = program
        self._keys = keys

    async def __call__(
        self, environment_id: UUID, endpoint_id: UUID, body: bytes, timeout: timedelta
    ) -> Execution:
        """What came of the call, whatever it was. Raises EndpointNotFound."""
        endpoint = await self.endpoint(environment_id, endpoint_id)
        if endpoint.url is None:
            return Execution("", None)
        key = await self._keys.of_environment(environment_id)
        if key is None:
            nothing = timedelta()
            return Execution(
                endpoint.url,
                NotCalled(NO_KEY, permanent=True, timed_out=False, duration=nothing),
            )
        return Execution(
            endpoint.url, await self._program.execute(endpoint.url, key, body, timeout)
        )

    async def endpoint(self, environment_id: UUID, endpoint_id: UUID) -> Endpoint:
        """The endpoint; raises EndpointNotFound."""
        endpoint = await self._reader.find(environment_id, endpoint_id)
        if endpoint is None:
            raise EndpointNotFound(endpoint_id)
        return endpoint
