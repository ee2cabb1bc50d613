"""WorkerQueueService: what operators see of the queue, and how they step in."""

from uuid import UUID

import grpc

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceServicer
from kongflow_common.auth.principals import current_environment_or_none
from kongflow_common.rpc.field_parsing import required_id
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.paging import PageCursor, page_request
from kongflow_workerqueue.application.queries import FILTER_FIELDS, QueuedJobQueries
from kongflow_workerqueue.application.retry_queued_job import RetryQueuedJob
from kongflow_workerqueue.rpc.queued_job_mapping import to_proto

_GetContext = grpc.aio.ServicerContext[pb.GetQueuedJobRequest, pb.GetQueuedJobResponse]
_ListContext = grpc.aio.ServicerContext[pb.ListQueuedJobsRequest, pb.ListQueuedJobsResponse]
_RetryContext = grpc.aio.ServicerContext[pb.RetryQueuedJobRequest, pb.RetryQueuedJobResponse]

# An answer holds 4 MiB. A page that would pass it ends early; the newest error and the notes of
# an enqueuer are bounded, but a thousand of them are not.
_MAX_PAGE_BYTES = 3 * 1024 * 1024


class WorkerQueueServicer(WorkerQueueServiceServicer):
    """Serves kongflow.workerqueue.v1.WorkerQueueService."""

    def __init__(self, queries: QueuedJobQueries, retry_queued_job: RetryQueuedJob) -> None:
        self._queries = queries
        self._retry_queued_job = retry_queued_job

    async def GetQueuedJob(
        self, request: pb.GetQueuedJobRequest, _context: _GetContext
    ) -> pb.GetQueuedJobResponse:
        job = await self._queries.get(required_id(request.id, "id"), _environment_id())
        return pb.GetQueuedJobResponse(queued_job=to_proto(job))

    async def ListQueuedJobs(
        self, request: pb.ListQueuedJobsRequest, _context: _ListContext
    ) -> pb.ListQueuedJobsResponse:
        environment_id = _environment_id()
        page = page_request(
            method="ListQueuedJobs",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=environment_id,
        )
        jobs = await self._queries.list(
            environment_id,
            parse_filter(request.filter, FILTER_FIELDS),
            before=page.after.id if page.after else None,
            limit=page.size + 1,
        )
        response = pb.ListQueuedJobsResponse()
        size = 0
        for job in jobs[: page.size]:
            message = to_proto(job)
            size += message.ByteSize()
            if size > _MAX_PAGE_BYTES and response.queued_jobs:
                break
            response.queued_jobs.append(message)
        shown = len(response.queued_jobs)
        if shown < len(jobs):
            last = jobs[shown - 1]
            response.next_page_token = page.next_page_token(PageCursor(last.created_at, last.id))
        return response

    async def RetryQueuedJob(
        self, request: pb.RetryQueuedJobRequest, _context: _RetryContext
    ) -> pb.RetryQueuedJobResponse:
        job = await self._retry_queued_job(required_id(request.id, "id"), _environment_id())
        return pb.RetryQueuedJobResponse(queued_job=to_proto(job))


def _environment_id() -> UUID | None:
    """The environment that the caller named; None shows the jobs of all."""
    environment = current_environment_or_none()
    return environment.environment_id if environment is not None else None
