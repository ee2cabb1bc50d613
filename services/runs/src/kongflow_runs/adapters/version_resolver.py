"""Asks the jobs service which versions runs execute."""

from collections.abc import Sequence
from uuid import UUID

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as pb
from kongflow.jobs.internal.v1.jobs_internal_service_pb2_grpc import JobsInternalServiceStub
from kongflow_common.ids import id_text
from kongflow_common.rpc.channel import ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_runs.domain.start import ResolvedVersion, Startable

_TIMEOUT_SECONDS = 5.0

_Wish = tuple[int, int, int | None, str | None, str | None]


class GrpcVersionResolver:
    """The VersionResolver over kongflow.jobs.internal.v1."""

    def __init__(self, jobs: ServiceCaller) -> None:
        self._jobs = jobs
        self._stub = JobsInternalServiceStub(jobs.channel)

    async def resolve(self, runs: Sequence[Startable]) -> Sequence[ResolvedVersion | None]:
        """The version of each run; see VersionResolver.resolve."""
        # Many runs at once are often of few jobs: each version is asked for once.
        wishes = [_wish(run) for run in runs]
        wanted = dict(zip(wishes, runs, strict=True))
        response = await self._jobs.call(
            self._stub.ResolveJobVersions,
            pb.ResolveJobVersionsRequest(references=[_reference(run) for run in wanted.values()]),
            timeout=time_left(_TIMEOUT_SECONDS),
        )
        if len(response.results) != len(wanted):
            raise RuntimeError(f"asked for {len(wanted)} versions, got {len(response.results)}")
        versions = dict(zip(wanted, map(_version, response.results), strict=True))
        return [versions[wish] for wish in wishes]


def _wish(run: Startable) -> _Wish:
    """What two runs have in common that execute the same version."""
    # By the ids' numbers: a UUID's hash is Python code.
    version_id = run.version_id.int if run.version_id is not None else None
    selector = run.selector
    return run.environment_id.int, run.job_id.int, version_id, selector.alias, selector.version


def _reference(run: Startable) -> pb.JobVersionReference:
    reference = pb.JobVersionReference(
        environment_id=id_text(run.environment_id), job_id=id_text(run.job_id)
    )
    if run.version_id is not None:
        reference.version_id = id_text(run.version_id)
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
