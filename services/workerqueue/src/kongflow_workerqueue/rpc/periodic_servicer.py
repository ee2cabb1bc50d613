"""PeriodicJobsService: what is enqueued by the clock, and how operators step in."""

import grpc

from kongflow.workerqueue.v1 import periodic_jobs_service_pb2 as pb
from kongflow.workerqueue.v1.periodic_job_pb2 import PeriodicJob as PeriodicJobMessage
from kongflow.workerqueue.v1.periodic_jobs_service_pb2_grpc import PeriodicJobsServiceServicer
from kongflow_common.rpc.field_parsing import required_text
from kongflow_common.rpc.paging import page_request
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_workerqueue.application.periodic_jobs import PeriodicJob
from kongflow_workerqueue.application.steer_periodic_jobs import SteerPeriodicJobs
from kongflow_workerqueue.rpc.interventions import intervention
from kongflow_workerqueue.rpc.name_pages import name_before, token_after

_ListContext = grpc.aio.ServicerContext[pb.ListPeriodicJobsRequest, pb.ListPeriodicJobsResponse]
_PauseContext = grpc.aio.ServicerContext[pb.PausePeriodicJobRequest, pb.PausePeriodicJobResponse]
_ResumeContext = grpc.aio.ServicerContext[pb.ResumePeriodicJobRequest, pb.ResumePeriodicJobResponse]
_RunContext = grpc.aio.ServicerContext[pb.RunPeriodicJobRequest, pb.RunPeriodicJobResponse]

_MAX_NAME = 200


class PeriodicJobsServicer(PeriodicJobsServiceServicer):
    """Serves kongflow.workerqueue.v1.PeriodicJobsService."""

    def __init__(self, steer: SteerPeriodicJobs) -> None:
        self._steer = steer

    async def ListPeriodicJobs(
        self, request: pb.ListPeriodicJobsRequest, _context: _ListContext
    ) -> pb.ListPeriodicJobsResponse:
        size = page_request(
            method="ListPeriodicJobs", page_size=request.page_size, page_token=""
        ).size
        jobs = await self._steer.list(after=name_before(request.page_token), limit=size + 1)
        shown = jobs[:size]
        return pb.ListPeriodicJobsResponse(
            periodic_jobs=[_to_proto(job) for job in shown],
            next_page_token=token_after(shown[-1].name) if len(jobs) > size else "",
        )

    async def PausePeriodicJob(
        self, request: pb.PausePeriodicJobRequest, _context: _PauseContext
    ) -> pb.PausePeriodicJobResponse:
        job = await self._steer.pause(_name(request.name), intervention(request.reason))
        return pb.PausePeriodicJobResponse(periodic_job=_to_proto(job))

    async def ResumePeriodicJob(
        self, request: pb.ResumePeriodicJobRequest, _context: _ResumeContext
    ) -> pb.ResumePeriodicJobResponse:
        job = await self._steer.resume(_name(request.name), intervention(request.reason))
        return pb.ResumePeriodicJobResponse(periodic_job=_to_proto(job))

    async def RunPeriodicJob(
        self, request: pb.RunPeriodicJobRequest, _context: _RunContext
    ) -> pb.RunPeriodicJobResponse:
        job, queued_job_id = await self._steer.run(
            _name(request.name), intervention(request.reason)
        )
        return pb.RunPeriodicJobResponse(
            periodic_job=_to_proto(job), queued_job_id=str(queued_job_id or "")
        )


def _name(value: str) -> str:
    return required_text(value, "name", max_length=_MAX_NAME)


def _to_proto(job: PeriodicJob) -> PeriodicJobMessage:
    return PeriodicJobMessage(
        name=job.name,
        kind=job.kind,
        cron=job.schedule.cron,
        time_zone=job.schedule.time_zone,
        next_time=to_timestamp(job.next_at),
        last_time=to_timestamp(job.last_at) if job.last_at else None,
        last_queued_job_id=str(job.last_job_id or ""),
        pause_time=to_timestamp(job.paused_at) if job.paused_at else None,
    )
