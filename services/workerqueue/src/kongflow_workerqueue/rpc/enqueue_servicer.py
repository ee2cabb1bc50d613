"""EnqueueService: what the services' outboxes are emptied into."""

import grpc

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceServicer
from kongflow_common.auth.principals import current_principal
from kongflow_common.errors import InvalidField
from kongflow_workerqueue.application.enqueue_jobs import EnqueueJobs
from kongflow_workerqueue.rpc.command_mapping import to_command, to_result
from kongflow_workerqueue.rpc.enqueue_counts import EnqueueCounts

MAX_COMMANDS = 10_000

_Context = grpc.aio.ServicerContext[pb.EnqueueJobsRequest, pb.EnqueueJobsResponse]


class EnqueueServicer(EnqueueServiceServicer):
    """Serves kongflow.workerqueue.internal.v1.EnqueueService."""

    def __init__(self, enqueue_jobs: EnqueueJobs, counts: EnqueueCounts) -> None:
        self._enqueue_jobs = enqueue_jobs
        self._counts = counts

    async def EnqueueJobs(
        self, request: pb.EnqueueJobsRequest, _context: _Context
    ) -> pb.EnqueueJobsResponse:
        if len(request.commands) > MAX_COMMANDS:
            raise InvalidField(
                "commands", f"has {len(request.commands)} items; at most {MAX_COMMANDS} are allowed"
            )
        commands = [to_command(message) for message in request.commands]
        outcomes = await self._enqueue_jobs(current_principal().name, commands)
        self._counts.note(outcomes)
        return pb.EnqueueJobsResponse(
            results=[to_result(outcome, index) for index, outcome in enumerate(outcomes)]
        )
