"""Answers the worker queue: starts runs."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from kongflow.runs.tasks.v1 import runs_tasks_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.envelope import Envelope, envelopes_of_batch
from kongflow_common.rpc.field_parsing import required_id
from kongflow_common.rpc.task_results import TaskOutcome, job_results
from kongflow_runs.application.start_run import Start, StartRuns
from kongflow_runs.rpc.error_catalog import CATALOG


class _Metadata(Protocol):
    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None: ...


class RunsTasksServicer:
    """kongflow.runs.tasks.v1.RunsTasksService."""

    def __init__(self, start_runs: StartRuns) -> None:
        self._start_runs = start_runs

    async def StartRun(
        self, request: pb.StartRunRequest, context: _Metadata
    ) -> pb.StartRunResponse:
        """Numbers a pending run and marks it queued."""
        envelope = Envelope.from_metadata(context.invocation_metadata())
        await self._start_runs([_start(request, envelope)])
        return pb.StartRunResponse()

    async def BatchStartRuns(
        self, request: pb.BatchStartRunsRequest, _context: object
    ) -> pb.BatchStartRunsResponse:
        """Starts many runs."""
        outcomes: list[TaskOutcome] = []
        starts: list[Start] = []
        for each, envelope in zip(
            request.requests,
            envelopes_of_batch(request.requests, request.envelopes),
            strict=True,
        ):
            try:
                starts.append(_start(each, envelope))
            except InvalidField as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        await self._start_runs(starts)
        return pb.BatchStartRunsResponse(results=job_results(outcomes, CATALOG))


def _start(request: pb.StartRunRequest, envelope: Envelope) -> Start:
    return Start(
        environment_id=_environment(envelope),
        run_id=required_id(request.run_id, "run_id"),
        trace_id=envelope.traceparent[3:35],
    )


def _environment(envelope: Envelope) -> UUID:
    if envelope.environment_id is None:
        raise InvalidField("kongflow-environment", "is required: a run belongs to an environment")
    return envelope.environment_id
