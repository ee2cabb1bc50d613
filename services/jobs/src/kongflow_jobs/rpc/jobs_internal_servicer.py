"""Answers the other services: registers jobs and says what versions stand for."""

from kongflow.jobs.internal.v1 import jobs_internal_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.field_parsing import required_id
from kongflow_jobs.application.disable_job import DisableJob
from kongflow_jobs.application.register_job import RegisterJob
from kongflow_jobs.application.versions import ListLiveJobs, ResolveJobVersions
from kongflow_jobs.rpc import mapping

MAX_REFERENCES = 10_000


class JobsInternalServicer:
    """kongflow.jobs.internal.v1.JobsInternalService."""

    def __init__(
        self,
        register_job: RegisterJob,
        disable_job: DisableJob,
        list_live_jobs: ListLiveJobs,
        resolve_job_versions: ResolveJobVersions,
    ) -> None:
        self._register_job = register_job
        self._disable_job = disable_job
        self._list_live_jobs = list_live_jobs
        self._resolve_job_versions = resolve_job_versions

    async def RegisterJob(
        self, request: pb.RegisterJobRequest, _context: object
    ) -> pb.RegisterJobResponse:
        """Registers a version of a job."""
        registered = await self._register_job(mapping.registration(request))
        if registered is None:
            return pb.RegisterJobResponse()
        return pb.RegisterJobResponse(
            job_id=str(registered.job_id),
            version_id=str(registered.version_id),
            warnings=registered.warnings,
        )

    async def DisableJob(
        self, request: pb.DisableJobRequest, _context: object
    ) -> pb.DisableJobResponse:
        """Disables a version of a job."""
        changed = await self._disable_job(mapping.disabling(request))
        return pb.DisableJobResponse(changed=changed)

    async def ListLiveJobs(
        self, request: pb.ListLiveJobsRequest, _context: object
    ) -> pb.ListLiveJobsResponse:
        """Lists the live jobs of an endpoint."""
        jobs = await self._list_live_jobs(
            required_id(request.environment_id, "environment_id"),
            required_id(request.project_id, "project_id"),
            required_id(request.endpoint_id, "endpoint_id"),
        )
        return pb.ListLiveJobsResponse(
            jobs=[
                pb.LiveJob(slug=each.slug, version=each.version, internal=each.internal)
                for each in jobs
            ]
        )

    async def ResolveJobVersions(
        self, request: pb.ResolveJobVersionsRequest, _context: object
    ) -> pb.ResolveJobVersionsResponse:
        """Says what versions of jobs stand for."""
        if len(request.references) > MAX_REFERENCES:
            raise InvalidField("references", f"has more than {MAX_REFERENCES} items")
        references = [
            mapping.reference(each, f"references[{index}]")
            for index, each in enumerate(request.references)
        ]
        found = await self._resolve_job_versions(references)
        return pb.ResolveJobVersionsResponse(results=map(mapping.resolved, found))
