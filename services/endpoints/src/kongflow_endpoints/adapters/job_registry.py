"""The jobs service, as what an index found is registered with it."""

from collections.abc import Sequence
from uuid import UUID

import grpc

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as pb
from kongflow.jobs.internal.v1.jobs_internal_service_pb2_grpc import JobsInternalServiceStub
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_endpoints.application.ports import RegistrationRefused
from kongflow_endpoints.domain.endpoint import Endpoint, Place

_TIMEOUT_SECONDS = 10.0
_FOR_GOOD = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    }
)


class GrpcJobRegistry:
    """Implements JobRegistry over kongflow.jobs.internal.v1."""

    def __init__(self, jobs: ServiceCaller) -> None:
        self._jobs = jobs
        self._stub = JobsInternalServiceStub(jobs.channel)

    async def live_jobs(self, endpoint: Endpoint) -> Sequence[tuple[str, str, bool]]:
        response = await self._jobs.call(
            self._stub.ListLiveJobs,
            pb.ListLiveJobsRequest(
                environment_id=str(endpoint.place.environment_id),
                project_id=str(endpoint.place.project_id),
                endpoint_id=str(endpoint.id),
            ),
            timeout=time_left(_TIMEOUT_SECONDS),
        )
        return [(job.slug, job.version, job.internal) for job in response.jobs]

    async def register(
        self, place: Place, endpoint_id: UUID, metadata: bytes, generation: int
    ) -> Sequence[str]:
        request = pb.RegisterJobRequest(
            environment_id=str(place.environment_id),
            project_id=str(place.project_id),
            organization_id=str(place.organization_id),
            endpoint_id=str(endpoint_id),
            metadata=metadata,
            generation=generation,
        )
        try:
            response = await self._jobs.call(
                self._stub.RegisterJob, request, timeout=time_left(_TIMEOUT_SECONDS)
            )
        except RemoteError as error:
            raise _refusal(error) from error
        return list(response.warnings)

    async def disable(self, place: Place, slug: str, version: str, generation: int) -> bool:
        request = pb.DisableJobRequest(
            environment_id=str(place.environment_id),
            project_id=str(place.project_id),
            organization_id=str(place.organization_id),
            slug=slug,
            version=version,
            generation=generation,
        )
        try:
            response = await self._jobs.call(
                self._stub.DisableJob, request, timeout=time_left(_TIMEOUT_SECONDS)
            )
        except RemoteError as error:
            raise _refusal(error) from error
        return response.changed


def _refusal(error: RemoteError) -> Exception:
    return RegistrationRefused(error.message) if error.code in _FOR_GOOD else error
