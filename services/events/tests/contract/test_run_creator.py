"""Creating runs over a real channel to a server that speaks for the runs service."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import grpc
import pytest
from google.rpc import code_pb2, status_pb2

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as pb
from kongflow.runs.internal.v1.runs_internal_service_pb2_grpc import RunsInternalServiceServicer
from kongflow_common.errors import DependencyUnavailable, NotFound, PermissionDenied
from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.server import GrpcService
from kongflow_common.testing.grpc_server import InProcessServer, in_process_server
from kongflow_events.adapters.run_canceller import GrpcRunCanceller
from kongflow_events.adapters.run_creator import GrpcRunCreator
from kongflow_events.adapters.unfinished_runs import GrpcRunsOfEvents
from kongflow_events.application.invocation_ports import CancelledRuns, InvokedEvent, NewRun
from kongflow_events.domain.errors import RunNotCreated, RunRefused
from kongflow_events.domain.event_record import Tenancy

Answer = Callable[[pb.CreateRunRequest], pb.CreateRunResult]


class Runs(RunsInternalServiceServicer):
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[pb.BatchCreateRunsRequest] = []
        self.answer: Answer = lambda _: pb.CreateRunResult(run_id=str(new_id()))
        self.failure: Exception | None = None
        self.results_too_few = False

    async def CreateRun(  # noqa: N802 - named by the .proto file
        self, request: pb.CreateRunRequest, context: Any
    ) -> pb.CreateRunResponse:
        raise AssertionError("runs are created in batches")

    async def BatchCreateRuns(  # noqa: N802
        self, request: pb.BatchCreateRunsRequest, context: Any
    ) -> pb.BatchCreateRunsResponse:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        results = [self.answer(each) for each in request.requests]
        return pb.BatchCreateRunsResponse(results=results[1:] if self.results_too_few else results)

    async def CancelRunsOfEvent(  # noqa: N802
        self, request: pb.CancelRunsOfEventRequest, context: Any
    ) -> pb.CancelRunsOfEventResponse:
        if self.failure is not None:
            raise self.failure
        return pb.CancelRunsOfEventResponse(
            cancelled_run_ids=[request.event_record_id], failed_run_ids=[request.environment_id]
        )

    async def ListUnfinishedEvents(  # noqa: N802
        self, request: pb.ListUnfinishedEventsRequest, context: Any
    ) -> pb.ListUnfinishedEventsResponse:
        if self.failure is not None:
            raise self.failure
        return pb.ListUnfinishedEventsResponse(event_record_ids=request.event_record_ids[:1])


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
async def server(runs: Runs) -> AsyncIterator[InProcessServer]:
    async with in_process_server(
        catalog=ErrorCatalog("runs.kongflow", {}),
        tasks_services=[GrpcService(pb.DESCRIPTOR.services_by_name["RunsInternalService"], runs)],
    ) as running:
        yield running


@pytest.fixture
def creator(server: InProcessServer) -> GrpcRunCreator:
    return GrpcRunCreator(server.caller("events"), timeout_seconds=5)


VERSION_ID = new_id()


def new_run(*, version: str | None = None, account: UUID | None = None) -> NewRun:
    return NewRun(
        event=InvokedEvent(
            id=new_id(),
            event_id="one",
            tenancy=Tenancy(new_id(), new_id(), new_id()),
            external_account_id=account,
            is_test=True,
            internal=False,
        ),
        dispatcher_id=new_id(),
        job_id=new_id(),
        alias=None if version else "latest",
        version=version,
        version_id=VERSION_ID,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def refused(code: int, message: str = "no") -> Answer:
    return lambda _: pb.CreateRunResult(status=status_pb2.Status(code=code, message=message))


async def test_all_runs_are_asked_for_in_one_call(creator: GrpcRunCreator, runs: Runs) -> None:
    account = new_id()
    wanted = [new_run(), new_run(version="1.0.0", account=account)]
    created = await creator.create_runs(wanted)
    assert all(isinstance(run_id, UUID) for run_id in created)
    [request] = runs.requests
    first, second = request.requests
    event = wanted[0].event
    assert first == pb.CreateRunRequest(
        environment_id=str(event.tenancy.environment_id),
        project_id=str(event.tenancy.project_id),
        organization_id=str(event.tenancy.organization_id),
        event_record_id=str(event.id),
        dispatcher_id=str(wanted[0].dispatcher_id),
        job_id=str(wanted[0].job_id),
        alias="latest",
        test=True,
        traceparent=wanted[0].traceparent,
        version_id=str(VERSION_ID),
    )
    assert (second.version, second.external_account_id) == ("1.0.0", str(account))
    assert second.version_id == str(VERSION_ID)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (code_pb2.INVALID_ARGUMENT, RunRefused),
        (code_pb2.FAILED_PRECONDITION, RunRefused),
        (code_pb2.OUT_OF_RANGE, RunRefused),
        (code_pb2.UNAVAILABLE, DependencyUnavailable),
        (code_pb2.DEADLINE_EXCEEDED, DependencyUnavailable),
        (code_pb2.NOT_FOUND, RunNotCreated),
        (code_pb2.INTERNAL, RunNotCreated),
        (99, RunNotCreated),
    ],
)
async def test_one_run_may_be_refused_by_itself(
    creator: GrpcRunCreator, runs: Runs, code: int, error: type[Exception]
) -> None:
    runs.answer = refused(code)
    [answer] = await creator.create_runs([new_run()])
    assert type(answer) is error


async def test_a_service_that_is_away_or_does_not_know_us_could_not_be_asked(
    server: InProcessServer, creator: GrpcRunCreator, runs: Runs
) -> None:
    runs.failure = DependencyUnavailable("postgresql")
    with pytest.raises(DependencyUnavailable, match="runs"):
        await creator.create_runs([new_run()])
    stranger = GrpcRunCreator(server.caller("events"), timeout_seconds=5)
    await server.server.drain()
    with pytest.raises(DependencyUnavailable, match="runs"):
        await stranger.create_runs([new_run()])


async def test_other_refusals_and_a_wrong_number_of_results_are_our_mistakes(
    creator: GrpcRunCreator, runs: Runs
) -> None:
    runs.failure = PermissionDenied()
    with pytest.raises(RemoteError) as raised:
        await creator.create_runs([new_run()])
    assert raised.value.code is grpc.StatusCode.PERMISSION_DENIED
    runs.failure = NotFound()
    with pytest.raises(RemoteError):
        await creator.create_runs([new_run()])
    runs.failure = None
    runs.results_too_few = True
    with pytest.raises(RuntimeError, match="asked for 2 runs, runs answered 1"):
        await creator.create_runs([new_run(), new_run()])


async def test_runs_of_an_event_are_cancelled(server: InProcessServer, runs: Runs) -> None:
    canceller = GrpcRunCanceller(server.caller("events"), timeout_seconds=5)
    environment_id, event_record_id = new_id(), new_id()
    answer = await canceller.cancel_runs(environment_id, event_record_id)
    assert answer == CancelledRuns([event_record_id], [environment_id])
    runs.failure = DependencyUnavailable("postgresql")
    with pytest.raises(DependencyUnavailable):
        await canceller.cancel_runs(environment_id, event_record_id)


async def test_runs_that_do_not_know_of_cancelling_are_away(server: InProcessServer) -> None:
    # The clients' listener does not serve it, as a runs service of an older version would not.
    channel = ServiceCaller(server.channel, "runs", server.service_keys.signer("events"))
    with pytest.raises(DependencyUnavailable):
        await GrpcRunCanceller(channel, timeout_seconds=5).cancel_runs(new_id(), new_id())


async def test_which_events_are_still_needed_is_asked_of_runs(
    server: InProcessServer, runs: Runs
) -> None:
    asking = GrpcRunsOfEvents(server.caller("events"), timeout_seconds=5)
    ids = [new_id(), new_id()]
    assert await asking.unfinished(new_id(), ids) == {ids[0]}
    assert await asking.unfinished(new_id(), []) == frozenset()
    runs.failure = DependencyUnavailable("postgresql")
    with pytest.raises(DependencyUnavailable):
        await asking.unfinished(new_id(), ids)
    runs.failure = PermissionDenied("not for you")
    with pytest.raises(RemoteError):
        await asking.unfinished(new_id(), ids)
