"""WorkerQueueService: what operators see of the queue, and how they step in."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from uuid import UUID

import grpc

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob as QueuedJobMessage
from kongflow.workerqueue.v1.redrive_pb2 import Redrive
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceServicer
from kongflow_common.auth.principals import (
    CallerKind,
    current_environment_or_none,
    current_principal,
)
from kongflow_common.errors import InvalidField
from kongflow_common.filtering import Filter, FilterField, fields_of
from kongflow_common.rpc.field_parsing import bounded_int, required_id, required_text
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.paging import PageCursor, page_request
from kongflow_workerqueue.application.audit_queries import AUDIT_FIELDS, AuditQueries
from kongflow_workerqueue.application.cancel_queued_job import CancelQueuedJob
from kongflow_workerqueue.application.delete_queued_job import DeleteQueuedJob
from kongflow_workerqueue.application.edit_dead_letters import ArgsChange
from kongflow_workerqueue.application.limit_queue import LimitQueue
from kongflow_workerqueue.application.pause_queue import PauseQueue
from kongflow_workerqueue.application.ports import JobPlace, QueuedJob
from kongflow_workerqueue.application.queries import ARGUMENTS, FILTER_FIELDS, QueuedJobQueries
from kongflow_workerqueue.application.queue_queries import QueueQueries
from kongflow_workerqueue.application.redrive_queued_jobs import (
    REDRIVE_FIELDS,
    RedriveQueuedJobs,
)
from kongflow_workerqueue.application.retry_queued_job import RetryQueuedJob
from kongflow_workerqueue.application.watch_queued_jobs import WatchQueuedJobs
from kongflow_workerqueue.domain.errors import ArgumentsHidden
from kongflow_workerqueue.rpc.audit_mapping import entry_to_proto
from kongflow_workerqueue.rpc.interventions import intervention
from kongflow_workerqueue.rpc.name_pages import name_before, token_after
from kongflow_workerqueue.rpc.queue_mapping import queue_to_proto, stats_to_proto
from kongflow_workerqueue.rpc.queued_job_mapping import in_portions, to_proto
from kongflow_workerqueue.rpc.redrive_mapping import (
    dry_run_to_proto,
    redrive_to_proto,
    set_change,
)
from kongflow_workerqueue.rpc.watch_mapping import changes_to_proto

_GetContext = grpc.aio.ServicerContext[pb.GetQueuedJobRequest, pb.GetQueuedJobResponse]
_ListContext = grpc.aio.ServicerContext[pb.ListQueuedJobsRequest, pb.ListQueuedJobsResponse]
_RetryContext = grpc.aio.ServicerContext[pb.RetryQueuedJobRequest, pb.RetryQueuedJobResponse]
_CancelContext = grpc.aio.ServicerContext[pb.CancelQueuedJobRequest, pb.CancelQueuedJobResponse]
_DeleteContext = grpc.aio.ServicerContext[pb.DeleteQueuedJobRequest, pb.DeleteQueuedJobResponse]
_QueuesContext = grpc.aio.ServicerContext[pb.ListQueuesRequest, pb.ListQueuesResponse]
_StatsContext = grpc.aio.ServicerContext[pb.GetQueueStatsRequest, pb.GetQueueStatsResponse]
_PauseContext = grpc.aio.ServicerContext[pb.PauseQueueRequest, pb.PauseQueueResponse]
_ResumeContext = grpc.aio.ServicerContext[pb.ResumeQueueRequest, pb.ResumeQueueResponse]
_LimitContext = grpc.aio.ServicerContext[pb.LimitQueueRequest, pb.LimitQueueResponse]
_RedriveContext = grpc.aio.ServicerContext[
    pb.RedriveQueuedJobsRequest, pb.RedriveQueuedJobsResponse
]
_GetRedriveContext = grpc.aio.ServicerContext[pb.GetRedriveRequest, pb.GetRedriveResponse]
_WatchContext = grpc.aio.ServicerContext[pb.WatchQueuedJobsRequest, pb.WatchQueuedJobsResponse]
_AuditContext = grpc.aio.ServicerContext[pb.ListAuditEntriesRequest, pb.ListAuditEntriesResponse]
_CancelRedriveContext = grpc.aio.ServicerContext[pb.CancelRedriveRequest, pb.CancelRedriveResponse]

# An answer holds 4 MiB. A page that would pass it ends early; the newest error and the notes of
# an enqueuer are bounded, but a thousand of them are not.
_MAX_PAGE_BYTES = 3 * 1024 * 1024
_MAX_QUEUE_NAME = 128
_MAX_QUEUE_RUNNING = 100_000
_DEFAULT_REDRIVE_RATE = 100
_MAX_REDRIVE_RATE = 1_000
_ARGUMENTS_SCOPE = "queue:arguments"


class WorkerQueueServicer(WorkerQueueServiceServicer):
    """Serves kongflow.workerqueue.v1.WorkerQueueService."""

    def __init__(
        self,
        queries: QueuedJobQueries,
        queues: QueueQueries,
        *,
        retry_queued_job: RetryQueuedJob,
        cancel_queued_job: CancelQueuedJob,
        delete_queued_job: DeleteQueuedJob,
        pause_queue: PauseQueue,
        limit_queue: LimitQueue,
        redrives: RedriveQueuedJobs,
        audit: AuditQueries,
        watch_queued_jobs: WatchQueuedJobs,
    ) -> None:
        self._queries = queries
        self._queues = queues
        self._retry_queued_job = retry_queued_job
        self._cancel_queued_job = cancel_queued_job
        self._delete_queued_job = delete_queued_job
        self._pause_queue = pause_queue
        self._limit_queue = limit_queue
        self._redrives = redrives
        self._audit = audit
        self._watch_queued_jobs = watch_queued_jobs

    async def GetQueuedJob(
        self, request: pb.GetQueuedJobRequest, _context: _GetContext
    ) -> pb.GetQueuedJobResponse:
        job = await self._queries.get(
            required_id(request.id, "id"), _environment_id(), service=_service()
        )
        return pb.GetQueuedJobResponse(queued_job=_shown(job))

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
        found = await self._queries.list(
            environment_id,
            _filter(request.filter, FILTER_FIELDS),
            after=JobPlace(page.after.time, page.after.id) if page.after else None,
            limit=page.size,
            service=_service(),
        )
        response = pb.ListQueuedJobsResponse(
            queued_jobs=next(in_portions([to_proto(job) for job in found.jobs], _MAX_PAGE_BYTES))
        )
        shown = len(response.queued_jobs)
        end = found.end
        if shown < len(found.jobs):
            last = found.jobs[shown - 1]
            end = JobPlace(last.created_at, last.id)
        if end is not None:
            response.next_page_token = page.next_page_token(PageCursor(end.created_at, end.id))
        return response

    async def WatchQueuedJobs(
        self, request: pb.WatchQueuedJobsRequest, _context: _WatchContext
    ) -> AsyncIterator[pb.WatchQueuedJobsResponse]:
        changes = self._watch_queued_jobs(
            _environment_id(),
            _filter(request.filter, FILTER_FIELDS),
            with_present=request.with_present,
        )
        async with aclosing(changes):
            async for change in changes:
                for response in changes_to_proto(change, _MAX_PAGE_BYTES):
                    yield response

    async def RetryQueuedJob(
        self, request: pb.RetryQueuedJobRequest, _context: _RetryContext
    ) -> pb.RetryQueuedJobResponse:
        job = await self._retry_queued_job(
            required_id(request.id, "id"),
            _environment_id(),
            intervention(request.reason),
            args=_other_args(request.args),
        )
        return pb.RetryQueuedJobResponse(queued_job=_shown(job))

    async def CancelQueuedJob(
        self, request: pb.CancelQueuedJobRequest, _context: _CancelContext
    ) -> pb.CancelQueuedJobResponse:
        job = await self._cancel_queued_job(
            required_id(request.id, "id"), _environment_id(), intervention(request.reason)
        )
        return pb.CancelQueuedJobResponse(queued_job=_shown(job))

    async def DeleteQueuedJob(
        self, request: pb.DeleteQueuedJobRequest, _context: _DeleteContext
    ) -> pb.DeleteQueuedJobResponse:
        await self._delete_queued_job(
            required_id(request.id, "id"), _environment_id(), intervention(request.reason)
        )
        return pb.DeleteQueuedJobResponse()

    async def ListQueues(
        self, request: pb.ListQueuesRequest, _context: _QueuesContext
    ) -> pb.ListQueuesResponse:
        size = page_request(method="ListQueues", page_size=request.page_size, page_token="").size
        queues = await self._queues.list(after=name_before(request.page_token), limit=size + 1)
        shown = queues[:size]
        return pb.ListQueuesResponse(
            queues=[queue_to_proto(queue) for queue in shown],
            next_page_token=token_after(shown[-1].name) if len(queues) > size else "",
        )

    async def GetQueueStats(
        self, request: pb.GetQueueStatsRequest, _context: _StatsContext
    ) -> pb.GetQueueStatsResponse:
        stats = await self._queues.stats(_queue_name(request.queue))
        return pb.GetQueueStatsResponse(queue_stats=stats_to_proto(stats))

    async def PauseQueue(
        self, request: pb.PauseQueueRequest, _context: _PauseContext
    ) -> pb.PauseQueueResponse:
        _of_all_environments()
        queue = await self._pause_queue.pause(
            _queue_name(request.queue), intervention(request.reason)
        )
        return pb.PauseQueueResponse(queue=queue_to_proto(queue))

    async def ResumeQueue(
        self, request: pb.ResumeQueueRequest, _context: _ResumeContext
    ) -> pb.ResumeQueueResponse:
        _of_all_environments()
        queue = await self._pause_queue.resume(
            _queue_name(request.queue), intervention(request.reason)
        )
        return pb.ResumeQueueResponse(queue=queue_to_proto(queue))

    async def LimitQueue(
        self, request: pb.LimitQueueRequest, _context: _LimitContext
    ) -> pb.LimitQueueResponse:
        _of_all_environments()
        most = bounded_int(
            request.max_running, "max_running", at_least=0, at_most=_MAX_QUEUE_RUNNING
        )
        queue = await self._limit_queue(
            _queue_name(request.queue), most or None, intervention(request.reason)
        )
        return pb.LimitQueueResponse(queue=queue_to_proto(queue))

    async def RedriveQueuedJobs(
        self, request: pb.RedriveQueuedJobsRequest, _context: _RedriveContext
    ) -> pb.RedriveQueuedJobsResponse:
        environment_id = _environment_id()
        condition = _filter(request.filter, REDRIVE_FIELDS)
        rate = bounded_int(
            request.jobs_per_second or _DEFAULT_REDRIVE_RATE,
            "jobs_per_second",
            at_least=1,
            at_most=_MAX_REDRIVE_RATE,
        )
        by = intervention(request.reason)
        change = _change(request)
        if request.validate_only:
            dry_run = await self._redrives.dry_run(environment_id, condition, change=change)
            told = Redrive(
                filter=request.filter,
                environment_id=str(environment_id or ""),
                jobs_per_second=rate,
                total_count=dry_run.total,
            )
            if change is not None:
                set_change(told, change)
            return dry_run_to_proto(told, dry_run, _MAX_PAGE_BYTES)
        redrive = await self._redrives.begin(
            environment_id, request.filter, condition, rate, by, change=change
        )
        return pb.RedriveQueuedJobsResponse(
            redrive=redrive_to_proto(redrive, with_args=_sees_arguments())
        )

    async def GetRedrive(
        self, request: pb.GetRedriveRequest, _context: _GetRedriveContext
    ) -> pb.GetRedriveResponse:
        redrive = await self._redrives.get(required_id(request.id, "id"), _environment_id())
        return pb.GetRedriveResponse(redrive=redrive_to_proto(redrive, with_args=_sees_arguments()))

    async def CancelRedrive(
        self, request: pb.CancelRedriveRequest, _context: _CancelRedriveContext
    ) -> pb.CancelRedriveResponse:
        redrive = await self._redrives.cancel(
            required_id(request.id, "id"), _environment_id(), intervention(request.reason)
        )
        return pb.CancelRedriveResponse(
            redrive=redrive_to_proto(redrive, with_args=_sees_arguments())
        )

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, _context: _AuditContext
    ) -> pb.ListAuditEntriesResponse:
        environment_id = _environment_id()
        page = page_request(
            method="ListAuditEntries",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=environment_id,
        )
        entries = await self._audit.list(
            environment_id,
            parse_filter(request.filter, AUDIT_FIELDS),
            before=page.after.id if page.after else None,
            limit=page.size + 1,
        )
        with_args = _sees_arguments()
        messages = [entry_to_proto(each, with_args=with_args) for each in entries[: page.size]]
        response = pb.ListAuditEntriesResponse(
            audit_entries=next(in_portions(messages, _MAX_PAGE_BYTES))
        )
        shown = len(response.audit_entries)
        if shown < len(entries):
            last = entries[shown - 1]
            response.next_page_token = page.next_page_token(PageCursor(last.created_at, last.id))
        return response


def _environment_id() -> UUID | None:
    """The environment that the caller named; None shows the jobs of all."""
    environment = current_environment_or_none()
    return environment.environment_id if environment is not None else None


def _of_all_environments() -> None:
    """Whoever names an environment does not mean what would happen to the queue of all."""
    if _environment_id() is not None:
        raise InvalidField(
            "kongflow-environment", "must be left out: a queue is that of all environments"
        )


def _service() -> str | None:
    """The service that calls, which sees its own kinds; None for an operator."""
    principal = current_principal()
    return principal.name if principal.kind is CallerKind.SERVICE else None


def _filter(text: str, fields: Sequence[FilterField]) -> Filter | None:
    condition = parse_filter(text, fields)
    if condition is not None and ARGUMENTS in fields_of(condition) and not _sees_arguments():
        # Who may not see them must not find them out by asking.
        raise ArgumentsHidden(_ARGUMENTS_SCOPE)
    return condition


def _sees_arguments() -> bool:
    principal = current_principal()
    return principal.kind is not CallerKind.OPERATOR or principal.may(_ARGUMENTS_SCOPE)


def _queue_name(value: str) -> str:
    return required_text(value, "queue", max_length=_MAX_QUEUE_NAME)


def _other_args(args: bytes) -> bytes | None:
    if args and not current_principal().may(_ARGUMENTS_SCOPE):
        raise ArgumentsHidden(_ARGUMENTS_SCOPE)
    return args or None


def _change(request: pb.RedriveQueuedJobsRequest) -> ArgsChange | None:
    if request.WhichOneof("edit") is None:
        return None
    text = _other_args(request.args or request.args_patch) or b""
    return ArgsChange(text, is_patch=request.HasField("args_patch"))


def _shown(job: QueuedJob) -> QueuedJobMessage:
    """What the caller may see of a job: arguments hold what users sent, and keys may too."""
    message = to_proto(job)
    if not _sees_arguments():
        for field in ("args", "serial_key", "concurrency_key", "rate_key"):
            message.ClearField(field)
    return message
