"""Asking for versions over a real channel to a server that speaks for the jobs service."""

from typing import Any

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as pb
from kongflow.jobs.internal.v1.jobs_internal_service_pb2_grpc import JobsInternalServiceServicer
from kongflow_common.ids import new_id
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.server import GrpcService
from kongflow_common.testing.grpc_server import in_process_server
from kongflow_runs.adapters.version_resolver import GrpcVersionResolver
from kongflow_runs.domain.run import VersionSelector
from kongflow_runs.domain.start import PendingRun


class Jobs(JobsInternalServiceServicer):
    """Knows all versions but those of one alias, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[pb.JobVersionReference]] = []

    async def RegisterJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise AssertionError("runs registers nothing")

    async def DisableJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise AssertionError("runs disables nothing")

    async def ListLiveJobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise AssertionError("runs lists nothing")

    async def ResolveJobVersions(  # noqa: N802 - named by the .proto file
        self, request: pb.ResolveJobVersionsRequest, context: Any
    ) -> pb.ResolveJobVersionsResponse:
        self.asked.append(list(request.references))
        return pb.ResolveJobVersionsResponse(
            results=[
                pb.ResolvedJobVersion(found=False)
                if each.alias == "unknown"
                else pb.ResolvedJobVersion(
                    found=True,
                    job_slug=f"{each.job_id} {each.alias} {each.version} {each.version_id}",
                    version_id=str(new_id()),
                    endpoint_id=str(new_id()),
                    queue_id=str(new_id()),
                )
                for each in request.references
            ]
        )


async def test_each_version_is_asked_for_once_and_each_run_has_its_own() -> None:
    jobs = Jobs()
    job, other, version_id = new_id(), new_id(), new_id()
    latest, unknown = VersionSelector("latest", None), VersionSelector("unknown", None)
    first = VersionSelector(None, "1.0.0")
    wanted = [
        (job, latest, None),
        (other, latest, None),
        (job, unknown, None),
        (job, first, None),
        (job, latest, version_id),
    ]
    service = pb.DESCRIPTOR.services_by_name["JobsInternalService"]
    async with in_process_server(
        catalog=ErrorCatalog("jobs.kongflow", {}), tasks_services=[GrpcService(service, jobs)]
    ) as server:
        resolver = GrpcVersionResolver(server.caller("runs"))
        environment_id = new_id()
        versions = await resolver.resolve(
            [
                PendingRun(new_id(), environment_id, job_id, selector, version_id)
                for job_id, selector, version_id in (*wanted, *reversed(wanted))
            ],
        )
    [references] = jobs.asked
    assert len(references) == len(wanted)
    assert {each.environment_id for each in references} == {str(environment_id)}
    slugs = [version.job_slug if version is not None else None for version in versions]
    assert slugs[:5] == [
        f"{job} latest  ",
        f"{other} latest  ",
        None,
        f"{job}  1.0.0 ",
        f"{job}   {version_id}",
    ]
    assert slugs[5:] == slugs[4::-1]
