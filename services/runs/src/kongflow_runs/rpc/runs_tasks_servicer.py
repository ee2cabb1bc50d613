"""Answers the worker queue: starts runs, has them executed, ends those that are given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from kongflow.runs.tasks.v1 import runs_tasks_service_pb2 as pb
from kongflow_common.db.purge import Purge
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.domain_replays import ReplayDomainEvent
from kongflow_common.rpc.envelope import Envelope, envelopes_of_batch
from kongflow_common.rpc.field_parsing import required_id
from kongflow_common.rpc.purge_call import purged_rows
from kongflow_common.rpc.task_results import Snooze, TaskOutcome, job_results, say_snooze
from kongflow_common.tracing import trace_id_of
from kongflow_runs.application.perform_run_execution import (
    FailRun,
    PerformRunExecution,
    PerformRunExecutions,
)
from kongflow_runs.application.ports import ExecutionTurn
from kongflow_runs.application.start_run import Start, StartRuns
from kongflow_runs.rpc.error_catalog import CATALOG

_LONGEST_REASON = 2_000


class _Context(Protocol):
    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None: ...

    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...], /) -> None: ...


@dataclass(frozen=True, slots=True)
class RunPurges:
    """What is deleted with what runs belong to."""

    environment: Purge
    account: Purge
    project: Purge


class RunsTasksServicer:
    """kongflow.runs.tasks.v1.RunsTasksService."""

    def __init__(
        self,
        start_runs: StartRuns,
        perform_run_execution: PerformRunExecutions,
        fail_run: FailRun,
        purges: RunPurges,
        replay_domain_event: ReplayDomainEvent,
    ) -> None:
        self._start_runs = start_runs
        self._perform_run_execution = perform_run_execution
        self._fail_run = fail_run
        self._purges = purges
        self._replay_domain_event = replay_domain_event

    async def StartRun(self, request: pb.StartRunRequest, context: _Context) -> pb.StartRunResponse:
        """Numbers a pending run, marks it queued and enqueues its execution."""
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

    async def PerformRunExecution(
        self, request: pb.PerformRunExecutionRequest, context: _Context
    ) -> pb.PerformRunExecutionResponse:
        """Has the endpoint execute a run once."""
        envelope = Envelope.from_metadata(context.invocation_metadata())
        again = await self._perform_run_execution(
            PerformRunExecution(
                environment_id=_environment(envelope),
                run_id=required_id(request.run_id, "run_id"),
                turn=ExecutionTurn(envelope.queued_job_id, envelope.fencing_token),
                trace_id=trace_id_of(envelope.traceparent),
            )
        )
        if again is not None:
            say_snooze(context, Snooze(again))
        return pb.PerformRunExecutionResponse()

    async def FailRun(self, request: pb.FailRunRequest, context: _Context) -> pb.FailRunResponse:
        """Ends a run whose execution was given up."""
        envelope = Envelope.from_metadata(context.invocation_metadata())
        message = request.discard.status.message[:_LONGEST_REASON]
        await self._fail_run(
            _environment(envelope),
            required_id(request.request.run_id, "request.run_id"),
            f"The execution was given up after {request.discard.attempts} attempts: {message}",
        )
        return pb.FailRunResponse()

    async def PurgeEnvironment(
        self, request: pb.PurgeEnvironmentRequest, context: _Context
    ) -> pb.PurgeEnvironmentResponse:
        """Deletes the runs of an environment that is deleted."""
        deleted = await purged_rows(self._purges.environment, request.event.resource_id, context)
        return pb.PurgeEnvironmentResponse(deleted=deleted)

    async def PurgeAccount(
        self, request: pb.PurgeAccountRequest, context: _Context
    ) -> pb.PurgeAccountResponse:
        """Deletes the runs of an account that is deleted."""
        deleted = await purged_rows(self._purges.account, request.event.resource_id, context)
        return pb.PurgeAccountResponse(deleted=deleted)

    async def PurgeProject(
        self, request: pb.PurgeProjectRequest, context: _Context
    ) -> pb.PurgeProjectResponse:
        """Deletes what is counted of the jobs of a project that is deleted."""
        deleted = await purged_rows(self._purges.project, request.event.resource_id, context)
        return pb.PurgeProjectResponse(deleted=deleted)

    async def ReplayDomainEvent(
        self, request: pb.ReplayDomainEventRequest, _context: object
    ) -> pb.ReplayDomainEventResponse:
        """Publishes an event of a run once more."""
        await self._replay_domain_event(request.event)
        return pb.ReplayDomainEventResponse()


def _start(request: pb.StartRunRequest, envelope: Envelope) -> Start:
    return Start(
        environment_id=_environment(envelope),
        run_id=required_id(request.run_id, "run_id"),
        traceparent=envelope.traceparent,
    )


def _environment(envelope: Envelope) -> UUID:
    if envelope.environment_id is None:
        raise InvalidField("kongflow-environment", "is required: a run belongs to an environment")
    return envelope.environment_id
