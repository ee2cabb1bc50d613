"""Asks the jobs service which versions runs execute."""

from collections.abc import Sequence
from uuid import UUID

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as pb
from kongflow.jobs.internal.v1.jobs_internal_service_pb2_grpc import JobsInternalServiceStub
from kongflow_common.rpc.channel import ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_runs.domain.start import PendingRun, ResolvedVersion

_TIMEOUT_SECONDS = 5.0


class GrpcVersionResolver:
    """The VersionResolver over kongflow.jobs.internal.v1."""

    def __init__(self, jobs: ServiceCaller) -> None:
        self._jobs = jobs
        self._stub = JobsInternalServiceStub(jobs.channel)

    async def resolve(
        self, environment_id: UUID, runs: Sequence[PendingRun]
    ) -> Sequence[ResolvedVersion | None]:
        """The version of each run; see VersionResolver.resolve."""
        response = await self._jobs.call(
            self._stub.ResolveJobVersions,
            pb.ResolveJobVersionsRequest(
                references=[_reference(environment_id, run) for run in runs]
            ),
            timeout=time_left(_TIMEOUT_SECONDS),
        )
        if len(response.results) != len(runs):
            raise RuntimeError(f"asked for {len(runs)} versions, got {len(response.results)}")
        return [_version(result) for result in response.results]


def _reference(environment_id: UUID, run: PendingRun) -> pb.JobVersionReference:
    reference = pb.JobVersionReference(environment_id=str(environment_id), job_id=str(run.job_id))
    if run.version_id is not None:
        reference.version_id = str(run.version_id)
    elif run.selector.version is not None:
        reference.version = run.selector.version
    else:
        reference.alias = run.selector.alias or ""
    return reference


def _version(result: pb.ResolvedJobVersion) -> ResolvedVersion | None:
    if not result.found:
        return None
    return ResolvedVersion(
        version_id=UUID(result.version_id),
        version=result.version,
        job_slug=result.job_slug,
        endpoint_id=UUID(result.endpoint_id),
        queue_id=UUID(result.queue_id),
        active=result.active,
        preprocess=result.preprocess_runs,
        hosted_integrations=result.hosted_integrations,
    )
