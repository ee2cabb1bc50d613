"""A target for tests: a real server with the task methods of our services, and a memory."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2 as endpoints_pb
from kongflow.endpoints.tasks.v1.endpoints_tasks_service_pb2_grpc import (
    EndpointsTasksServiceServicer,
    add_EndpointsTasksServiceServicer_to_server,
)
from kongflow.events.tasks.v1 import events_tasks_service_pb2 as events_pb
from kongflow.events.tasks.v1.events_tasks_service_pb2_grpc import (
    EventsTasksServiceServicer,
    add_EventsTasksServiceServicer_to_server,
)
from kongflow.runs.tasks.v1 import runs_tasks_service_pb2 as runs_pb
from kongflow.runs.tasks.v1.runs_tasks_service_pb2_grpc import (
    RunsTasksServiceServicer,
    add_RunsTasksServiceServicer_to_server,
)
from kongflow.workerqueue.v1.envelope_pb2 import JobResult
from kongflow_common.rpc.envelope import Envelope


@dataclass(frozen=True)
class Received:
    """One job as the target saw it; `calls` numbers the rpc that brought it."""

    method: str
    call: int
    argument: str
    envelope: Envelope
    metadata: dict[str, str]


@dataclass
class Refusal(Exception):
    """Makes the whole call fail."""

    code: grpc.StatusCode
    message: str = "refused"
    trailing: tuple[tuple[str, str | bytes], ...] = ()


Answer = Callable[[Received], Awaitable[JobResult] | JobResult]
OnCall = Callable[[str, Sequence[Received]], Awaitable[None]]


async def _nothing(_method: str, _jobs: Sequence[Received]) -> None:
    return None


def done(_job: Received) -> JobResult:
    return JobResult()


def failed(code: grpc.StatusCode, message: str = "no") -> JobResult:
    return JobResult(status=status_pb2.Status(code=code.value[0], message=message))


@dataclass
class TasksServer:
    """`answer` says what becomes of a job; `on_call` may delay or refuse the whole call.

    `given_up` are the registrations whose end it was told of.
    """

    answer: Answer = done
    on_call: OnCall = _nothing
    received: list[Received] = field(default_factory=list)
    calls: int = 0
    batch_sizes: list[int] = field(default_factory=list)
    given_up: list[endpoints_pb.FailRegisterJobRequest] = field(default_factory=list)
    port: int = 0
    _server: grpc.aio.Server | None = None
    _health: Any = None

    async def start(self) -> None:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._health = health_aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        add_EndpointsTasksServiceServicer_to_server(_Endpoints(self), server)
        add_EventsTasksServiceServicer_to_server(_Events(self), server)
        add_RunsTasksServiceServicer_to_server(_Runs(self), server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.set_serving(serving=True)
        await server.start()
        self._server = server

    async def stop(self, grace: float = 0.0) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop(grace)

    async def set_serving(self, *, serving: bool) -> None:
        word = "SERVING" if serving else "NOT_SERVING"
        await self._health.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(word))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ids(self) -> list[str]:
        return [str(job.envelope.queued_job_id) for job in self.received]

    def note(
        self, method: str, arguments: Sequence[str], envelopes: Sequence[Envelope], context: Any
    ) -> list[Received]:
        self.calls += 1
        metadata = dict(context.invocation_metadata())
        jobs = [
            Received(method, self.calls, argument, envelope, metadata)
            for argument, envelope in zip(arguments, envelopes, strict=True)
        ]
        self.received += jobs
        self.batch_sizes.append(len(jobs))
        return jobs

    async def one(self, method: str, argument: str, context: Any) -> None:
        envelope = Envelope.from_metadata(context.invocation_metadata())
        [job] = self.note(method, [argument], [envelope], context)
        await self._call(method, [job], context)
        result = await _result(self.answer, job)
        if result.status.code:
            await context.abort(_code(result.status.code), result.status.message)
        if result.HasField("snooze"):
            seconds = result.snooze.ToTimedelta().total_seconds()
            context.set_trailing_metadata((("kongflow-snooze", f"{seconds}s"),))

    async def batch(
        self, method: str, arguments: Sequence[str], envelopes: Any, context: Any
    ) -> list[JobResult]:
        read = [Envelope.from_proto(envelope) for envelope in envelopes]
        jobs = self.note(method, arguments, read, context)
        await self._call(method, jobs, context)
        return [await _result(self.answer, job) for job in jobs]

    async def _call(self, method: str, jobs: Sequence[Received], context: Any) -> None:
        try:
            await self.on_call(method, jobs)
        except Refusal as refusal:
            if refusal.trailing:
                context.set_trailing_metadata(refusal.trailing)
            await context.abort(refusal.code, refusal.message)


async def _result(answer: Answer, job: Received) -> JobResult:
    result = answer(job)
    return result if isinstance(result, JobResult) else await result


def _code(number: int) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == number)


class _Endpoints(EndpointsTasksServiceServicer):
    def __init__(self, server: TasksServer) -> None:
        self._server = server

    async def PurgeEnvironment(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PurgeEnvironment", request.event.resource_id, context)
        return endpoints_pb.PurgeEnvironmentResponse()

    async def PerformEndpointIndexing(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PerformEndpointIndexing", request.endpoint_index_id, context)
        return endpoints_pb.PerformEndpointIndexingResponse()

    async def FailEndpointIndex(self, request: Any, context: Any) -> Any:  # noqa: N802
        index_id = request.request.endpoint_index_id
        await self._server.one("FailEndpointIndex", index_id, context)
        return endpoints_pb.FailEndpointIndexResponse()

    async def RegisterJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("RegisterJob", request.item_id, context)
        return endpoints_pb.RegisterJobResponse()

    async def BatchRegisterJobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        arguments = [each.item_id for each in request.requests]
        results = await self._server.batch(
            "BatchRegisterJobs", arguments, request.envelopes, context
        )
        return endpoints_pb.BatchRegisterJobsResponse(results=results)

    async def FailRegisterJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("FailRegisterJob", request.request.item_id, context)
        self._server.given_up.append(request)
        return endpoints_pb.FailRegisterJobResponse()

    async def ProbeEndpoint(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("ProbeEndpoint", request.endpoint_id, context)
        return endpoints_pb.ProbeEndpointResponse()

    # What the clock sends is not noted: no test knows whether its moment comes.
    async def AutoIndexProductionEndpoints(self, request: Any, context: Any) -> Any:  # noqa: N802
        return endpoints_pb.AutoIndexProductionEndpointsResponse()

    async def PurgeOldIndexings(self, request: Any, context: Any) -> Any:  # noqa: N802
        return endpoints_pb.PurgeOldIndexingsResponse()


class _Events(EventsTasksServiceServicer):
    def __init__(self, server: TasksServer) -> None:
        self._server = server

    async def DeliverEvent(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("DeliverEvent", request.event_record_id, context)
        return events_pb.DeliverEventResponse()

    async def BatchDeliverEvents(self, request: Any, context: Any) -> Any:  # noqa: N802
        arguments = [each.event_record_id for each in request.requests]
        results = await self._server.batch(
            "BatchDeliverEvents", arguments, request.envelopes, context
        )
        return events_pb.BatchDeliverEventsResponse(results=results)

    async def InvokeDispatcher(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("InvokeDispatcher", request.event_record_id, context)
        return events_pb.InvokeDispatcherResponse()

    async def BatchInvokeDispatchers(self, request: Any, context: Any) -> Any:  # noqa: N802
        arguments = [each.event_record_id for each in request.requests]
        results = await self._server.batch(
            "BatchInvokeDispatchers", arguments, request.envelopes, context
        )
        return events_pb.BatchInvokeDispatchersResponse(results=results)

    async def InvokeEphemeralDispatcher(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("InvokeEphemeralDispatcher", request.dispatcher_id, context)
        return events_pb.InvokeEphemeralDispatcherResponse()

    async def ExpireDispatcher(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("ExpireDispatcher", request.dispatcher_id, context)
        return events_pb.ExpireDispatcherResponse()

    async def AdvanceEventReplay(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("AdvanceEventReplay", request.event_replay_id, context)
        return events_pb.AdvanceEventReplayResponse()

    async def FailEventReplay(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("FailEventReplay", request.request.event_replay_id, context)
        return events_pb.FailEventReplayResponse()

    async def PurgeOldEvents(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PurgeOldEvents", "", context)
        return events_pb.PurgeOldEventsResponse()

    async def PurgeEnvironment(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PurgeEnvironment", request.event.resource_id, context)
        return events_pb.PurgeEnvironmentResponse()

    async def PurgeAccount(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PurgeAccount", request.event.resource_id, context)
        return events_pb.PurgeAccountResponse()

    async def ReplayDomainEvent(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("ReplayDomainEvent", request.event.id, context)
        return events_pb.ReplayDomainEventResponse()


class _Runs(RunsTasksServiceServicer):
    def __init__(self, server: TasksServer) -> None:
        self._server = server

    async def PurgeEnvironment(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PurgeEnvironment", request.event.resource_id, context)
        return runs_pb.PurgeEnvironmentResponse()

    async def PurgeAccount(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PurgeAccount", request.event.resource_id, context)
        return runs_pb.PurgeAccountResponse()

    async def PurgeProject(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PurgeProject", request.event.resource_id, context)
        return runs_pb.PurgeProjectResponse()

    async def PerformRunExecution(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("PerformRunExecution", request.run_id, context)
        return runs_pb.PerformRunExecutionResponse()

    async def FailRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("FailRun", request.request.run_id, context)
        return runs_pb.FailRunResponse()

    async def StartRun(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("StartRun", request.run_id, context)
        return runs_pb.StartRunResponse()

    async def BatchStartRuns(self, request: Any, context: Any) -> Any:  # noqa: N802
        arguments = [each.run_id for each in request.requests]
        results = await self._server.batch("BatchStartRuns", arguments, request.envelopes, context)
        return runs_pb.BatchStartRunsResponse(results=results)

    async def ReplayDomainEvent(self, request: Any, context: Any) -> Any:  # noqa: N802
        await self._server.one("ReplayDomainEvent", request.event.id, context)
        return runs_pb.ReplayDomainEventResponse()


class Gate:
    """Holds calls until it is opened."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self._opened = asyncio.Event()

    async def __call__(self, _method: str, _jobs: Sequence[Received]) -> None:
        self.entered.set()
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()
