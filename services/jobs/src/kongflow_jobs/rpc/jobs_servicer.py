"""Answers clients: the jobs of their environment."""

from kongflow.jobs.v1 import jobs_service_pb2 as pb
from kongflow_common.auth.principals import current_environment
from kongflow_common.rpc.field_parsing import required_id
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.name_paging import name_page
from kongflow_common.rpc.paging import PageCursor, page_request
from kongflow_jobs.application.delete_job import DeleteJob
from kongflow_jobs.application.invoke_job import InvokeJob
from kongflow_jobs.application.queries import JOB_FILTER_FIELDS, JobQueries
from kongflow_jobs.application.test_job import TestJob
from kongflow_jobs.rpc import mapping


class JobsServicer:
    """kongflow.jobs.v1.JobsService."""

    def __init__(
        self,
        queries: JobQueries,
        test_job: TestJob,
        invoke_job: InvokeJob,
        delete_job: DeleteJob,
    ) -> None:
        self._queries = queries
        self._test_job = test_job
        self._invoke_job = invoke_job
        self._delete_job = delete_job

    async def GetJob(self, request: pb.GetJobRequest, _context: object) -> pb.GetJobResponse:
        """Gets a job."""
        place = mapping.place_of(current_environment())
        found = await self._queries.job(place, mapping.job_key(request))
        return pb.GetJobResponse(job=mapping.job(found))

    async def ListJobs(self, request: pb.ListJobsRequest, _context: object) -> pb.ListJobsResponse:
        """Lists jobs."""
        place = mapping.place_of(current_environment())
        page = page_request(
            method="ListJobs",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=place.environment_id,
        )
        found = await self._queries.jobs(
            place,
            parse_filter(request.filter, JOB_FILTER_FIELDS),
            (page.after.time, page.after.id) if page.after else None,
            page.size + 1,
        )
        shown = found[: page.size]
        token = ""
        if len(found) > page.size:
            token = page.next_page_token(PageCursor(shown[-1].created_at, shown[-1].id))
        return pb.ListJobsResponse(jobs=map(mapping.job, shown), next_page_token=token)

    async def GetJobVersion(
        self, request: pb.GetJobVersionRequest, _context: object
    ) -> pb.GetJobVersionResponse:
        """Gets a version."""
        environment_id = current_environment().environment_id
        found = await self._queries.version(environment_id, required_id(request.id, "id"))
        return pb.GetJobVersionResponse(job_version=mapping.version(found))

    async def ListJobVersions(
        self, request: pb.ListJobVersionsRequest, _context: object
    ) -> pb.ListJobVersionsResponse:
        """Lists the versions of a job."""
        place = mapping.place_of(current_environment())
        page = page_request(
            method="ListJobVersions",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.job_id,
            environment_id=place.environment_id,
        )
        found = await self._queries.versions(
            place,
            required_id(request.job_id, "job_id"),
            (page.after.time, page.after.id) if page.after else None,
            page.size + 1,
        )
        shown = found[: page.size]
        token = ""
        if len(found) > page.size:
            token = page.next_page_token(PageCursor(shown[-1].created_at, shown[-1].id))
        return pb.ListJobVersionsResponse(
            job_versions=map(mapping.version, shown), next_page_token=token
        )

    async def ListJobAliases(
        self, request: pb.ListJobAliasesRequest, _context: object
    ) -> pb.ListJobAliasesResponse:
        """Lists the aliases of a job."""
        place = mapping.place_of(current_environment())
        page = name_page("ListJobAliases", request, place.environment_id, within=request.job_id)
        found = await self._queries.aliases(
            place, required_id(request.job_id, "job_id"), page.after, page.size + 1
        )
        return pb.ListJobAliasesResponse(
            job_aliases=map(mapping.alias, found[: page.size]),
            next_page_token=page.next_token([each.name for each in found]),
        )

    async def ListEventExamples(
        self, request: pb.ListEventExamplesRequest, _context: object
    ) -> pb.ListEventExamplesResponse:
        """Lists the examples of a version."""
        environment_id = current_environment().environment_id
        page = name_page("ListEventExamples", request, environment_id, within=request.version_id)
        found = await self._queries.examples(
            environment_id,
            required_id(request.version_id, "version_id"),
            page.after,
            page.size + 1,
        )
        return pb.ListEventExamplesResponse(
            event_examples=map(mapping.example, found[: page.size]),
            next_page_token=page.next_token([each.slug for each in found]),
        )

    async def ListJobQueues(
        self, request: pb.ListJobQueuesRequest, _context: object
    ) -> pb.ListJobQueuesResponse:
        """Lists the queues of the environment."""
        environment_id = current_environment().environment_id
        page = name_page("ListJobQueues", request, environment_id)
        found = await self._queries.queues(environment_id, page.after, page.size + 1)
        return pb.ListJobQueuesResponse(
            job_queues=map(mapping.queue, found[: page.size]),
            next_page_token=page.next_token([each.name for each in found]),
        )

    async def TestJob(self, request: pb.TestJobRequest, _context: object) -> pb.TestJobResponse:
        """Runs a job as a test."""
        command = mapping.command_of_test(request, current_environment())
        return mapping.response_of_test(await self._test_job(command))

    async def InvokeJob(
        self, request: pb.InvokeJobRequest, _context: object
    ) -> pb.InvokeJobResponse:
        """Runs a job by its name."""
        started = await self._invoke_job(mapping.invoke_command(request, current_environment()))
        return pb.InvokeJobResponse(
            run_id=str(started.run_id), event_record_id=str(started.event_record_id)
        )

    async def DeleteJob(
        self, request: pb.DeleteJobRequest, _context: object
    ) -> pb.DeleteJobResponse:
        """Deletes a job."""
        place = mapping.place_of(current_environment())
        await self._delete_job(place, required_id(request.id, "id"))
        return pb.DeleteJobResponse()
