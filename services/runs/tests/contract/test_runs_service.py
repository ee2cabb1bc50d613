"""The runs service over a real channel, with its real database."""

import grpc
import pytest

from kongflow.runs.internal.v1 import runs_internal_service_pb2 as internal_pb
from kongflow.runs.internal.v1.runs_internal_service_pb2_grpc import RunsInternalServiceStub
from kongflow.runs.tasks.v1 import runs_tasks_service_pb2 as tasks_pb
from kongflow.runs.tasks.v1.runs_tasks_service_pb2_grpc import RunsTasksServiceStub
from kongflow.runs.v1 import run_pb2, runs_service_pb2
from kongflow.runs.v1.runs_service_pb2_grpc import RunsServiceStub
from kongflow.workerqueue.v1 import envelope_pb2
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.grpc_server import InProcessServer, bearer, in_process_server
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.adapters.start_planner import TimelyStartPlanner
from kongflow_runs.application.start_run import PlanStarts
from kongflow_runs.main import grpc_services
from kongflow_runs.rpc.error_catalog import CATALOG
from services.runs.tests.neighbours import Others, answered

TIMEOUT = 10.0

Metadata = tuple[tuple[str, str], ...]


def request_in(environment: EnvironmentScope) -> internal_pb.CreateRunRequest:
    """A request for a run of its own."""
    return internal_pb.CreateRunRequest(
        environment_id=str(environment.environment_id),
        project_id=str(environment.project_id),
        organization_id=str(environment.organization_id),
        event_record_id=str(new_id()),
        dispatcher_id=str(new_id()),
        job_id=str(new_id()),
        alias="latest",
    )


async def create(server: InProcessServer, *requests: internal_pb.CreateRunRequest) -> list[str]:
    """Creates runs as the events service does; answers their ids."""
    stub = RunsInternalServiceStub(server.tasks_channel)
    response = await server.caller("events").call(
        stub.BatchCreateRuns,
        internal_pb.BatchCreateRunsRequest(requests=requests),
        timeout=TIMEOUT,
    )
    return [result.run_id for result in response.results]


async def test_a_run_is_created_started_and_read(server: InProcessServer) -> None:
    environment = server.credentials.add_environment()
    key = server.credentials.add_secret_key(environment)
    request = request_in(environment)
    (run_id,) = await create(server, request)
    assert await create(server, request) == [run_id]

    stub = RunsServiceStub(server.channel)
    read = await stub.GetRun(
        runs_service_pb2.GetRunRequest(id=run_id), metadata=bearer(key), timeout=TIMEOUT
    )
    assert read.run.state == run_pb2.Run.STATE_PENDING
    assert read.run.number == 0
    assert (read.run.version_alias, read.run.version) == ("latest", "")

    await server.caller("workerqueue").call(
        RunsTasksServiceStub(server.tasks_channel).BatchStartRuns,
        tasks_pb.BatchStartRunsRequest(
            requests=[tasks_pb.StartRunRequest(run_id=run_id)],
            envelopes=[
                envelope_pb2.Envelope(
                    queued_job_id=str(new_id()),
                    attempt=1,
                    fencing_token=1,
                    environment_id=str(environment.environment_id),
                )
            ],
        ),
        timeout=TIMEOUT,
    )
    read = await stub.GetRun(
        runs_service_pb2.GetRunRequest(id=run_id),
        metadata=bearer(server.credentials.add_public_key(environment)),
        timeout=TIMEOUT,
    )
    assert read.run.state == run_pb2.Run.STATE_QUEUED
    assert read.run.number == 1
    assert read.run.HasField("queue_time")


async def test_a_new_run_is_there_as_a_started_one(
    database: Database, relay: OutboxRelay, writer: BatchingRunWriter, others: Others
) -> None:
    planner = TimelyStartPlanner(PlanStarts(others, others))
    client_services, tasks_services = grpc_services(
        database, relay, writer, others.neighbours, planner
    )
    async with (
        planner,
        in_process_server(
            catalog=CATALOG, client_services=client_services, tasks_services=tasks_services
        ) as server,
    ):
        environment = server.credentials.add_environment()
        request = request_in(environment)
        alone = await server.caller("jobs").call(
            RunsInternalServiceStub(server.tasks_channel).CreateRun, request, timeout=TIMEOUT
        )
        request.event_record_id = str(new_id())
        run_ids = [alone.run_id, *await create(server, request)]
        runs = [
            await RunsServiceStub(server.channel).GetRun(
                runs_service_pb2.GetRunRequest(id=run_id),
                metadata=bearer(server.credentials.add_secret_key(environment)),
                timeout=TIMEOUT,
            )
            for run_id in run_ids
        ]
    assert [(each.run.state, each.run.number) for each in runs] == [
        (run_pb2.Run.STATE_QUEUED, 1),
        (run_pb2.Run.STATE_QUEUED, 2),
    ]
    assert all(each.run.HasField("queue_time") for each in runs)


async def test_a_bad_request_does_not_hold_up_its_neighbours(server: InProcessServer) -> None:
    environment = server.credentials.add_environment()
    bad = request_in(environment)
    bad.job_id = "not-an-id"
    stub = RunsInternalServiceStub(server.tasks_channel)
    response = await server.caller("events").call(
        stub.BatchCreateRuns,
        internal_pb.BatchCreateRunsRequest(
            requests=[request_in(environment), bad, request_in(environment)]
        ),
        timeout=TIMEOUT,
    )
    assert [result.status.code for result in response.results] == [0, 3, 0]
    assert [bool(result.run_id) for result in response.results] == [True, False, True]


async def test_lists_page_and_filter_within_the_environment(server: InProcessServer) -> None:
    environment = server.credentials.add_environment()
    stranger = server.credentials.add_environment()
    await create(server, request_in(stranger))
    created = await create(server, *(request_in(environment) for _ in range(5)))
    metadata = bearer(server.credentials.add_secret_key(environment))
    stub = RunsServiceStub(server.channel)
    listed: list[str] = []
    token = ""
    while True:
        page = await stub.ListRuns(
            runs_service_pb2.ListRunsRequest(
                page_size=2, page_token=token, filter='state = "PENDING"'
            ),
            metadata=metadata,
            timeout=TIMEOUT,
        )
        listed.extend(run.id for run in page.runs)
        token = page.next_page_token
        if not token:
            break
    assert sorted(listed) == sorted(created)
    empty = await stub.ListRuns(
        runs_service_pb2.ListRunsRequest(filter='state = "SUCCESS"'),
        metadata=metadata,
        timeout=TIMEOUT,
    )
    assert not empty.runs


async def test_another_environments_run_is_not_found(server: InProcessServer) -> None:
    (run_id,) = await create(server, request_in(server.credentials.add_environment()))
    stranger = server.credentials.add_secret_key(server.credentials.add_environment())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await RunsServiceStub(server.channel).GetRun(
            runs_service_pb2.GetRunRequest(id=run_id), metadata=bearer(stranger), timeout=TIMEOUT
        )
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_users_key_creates_no_run(server: InProcessServer) -> None:
    environment = server.credentials.add_environment()
    key = server.credentials.add_secret_key(environment)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await RunsInternalServiceStub(server.tasks_channel).CreateRun(
            request_in(environment), metadata=bearer(key), timeout=TIMEOUT
        )
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def turn(environment: EnvironmentScope, queued_job_id: str, token: int) -> Metadata:
    """What the worker queue tells of a queued job."""
    return (
        ("kongflow-queued-job-id", queued_job_id),
        ("kongflow-attempt", "1"),
        ("kongflow-fencing-token", str(token)),
        ("kongflow-environment", str(environment.environment_id)),
    )


async def started_run(server: InProcessServer, environment: EnvironmentScope) -> str:
    (run_id,) = await create(server, request_in(environment))
    await server.caller("workerqueue").call(
        RunsTasksServiceStub(server.tasks_channel).StartRun,
        tasks_pb.StartRunRequest(run_id=run_id),
        timeout=TIMEOUT,
        metadata=turn(environment, str(new_id()), 1),
    )
    return run_id


async def read_run(
    server: InProcessServer, environment: EnvironmentScope, run_id: str
) -> run_pb2.Run:
    return (
        await RunsServiceStub(server.channel).GetRun(
            runs_service_pb2.GetRunRequest(id=run_id),
            metadata=bearer(server.credentials.add_secret_key(environment)),
            timeout=TIMEOUT,
        )
    ).run


async def perform(
    server: InProcessServer,
    environment: EnvironmentScope,
    run_id: str,
    queued_job_id: str,
    token: int = 1,
) -> dict[str, str]:
    """Executes a run as the worker queue does; answers the trailing metadata."""
    call = RunsTasksServiceStub(server.tasks_channel).PerformRunExecution(
        tasks_pb.PerformRunExecutionRequest(run_id=run_id),
        metadata=(
            *bearer(server.service_token("workerqueue")),
            *turn(environment, queued_job_id, token),
        ),
        timeout=TIMEOUT,
    )
    await call
    return {str(key): str(value) for key, value in await call.trailing_metadata() or ()}


async def test_a_run_is_executed_to_its_end(server: InProcessServer, others: Others) -> None:
    environment = server.credentials.add_environment()
    run_id = await started_run(server, environment)
    others.outcomes = [answered(b'{"status":"SUCCESS","output":{"sum":3}}')]
    await perform(server, environment, run_id, str(new_id()))
    run = await read_run(server, environment, run_id)
    assert run.state == run_pb2.Run.STATE_SUCCESS
    assert run.output.value.struct_value.fields["sum"].number_value == 3
    assert (run.job_slug, run.number) == ("order", 1)
    assert (run.execution_count, run.execution_failure_count) == (1, 0)
    assert run.execution_duration.ToMilliseconds() == 12
    assert run.HasField("complete_time")
    # A repeat asks nobody.
    await perform(server, environment, run_id, str(new_id()))
    assert len(others.bodies) == 1


async def test_an_undefined_output_is_not_null(server: InProcessServer, others: Others) -> None:
    environment = server.credentials.add_environment()
    others.outcomes = [
        answered(b'{"status":"SUCCESS"}'),
        answered(b'{"status":"SUCCESS","output":null}'),
    ]
    undefined = await started_run(server, environment)
    await perform(server, environment, undefined, str(new_id()))
    null = await started_run(server, environment)
    await perform(server, environment, null, str(new_id()))
    assert not (await read_run(server, environment, undefined)).HasField("output")
    assert (await read_run(server, environment, null)).output.value.HasField("null_value")


async def test_an_unreachable_endpoint_is_asked_again_later(
    server: InProcessServer, others: Others
) -> None:
    environment = server.credentials.add_environment()
    run_id = await started_run(server, environment)
    queued_job_id = str(new_id())
    others.outcomes = [answered(b"", 503), answered(b'{"status":"SUCCESS","output":1}')]
    trailing = await perform(server, environment, run_id, queued_job_id, 1)
    assert trailing["kongflow-snooze"] == "0.750000s"
    run = await read_run(server, environment, run_id)
    assert run.state == run_pb2.Run.STATE_WAITING_TO_EXECUTE
    assert (run.execution_count, run.execution_failure_count) == (1, 1)
    assert "kongflow-snooze" not in await perform(server, environment, run_id, queued_job_id, 2)
    run = await read_run(server, environment, run_id)
    assert run.state == run_pb2.Run.STATE_SUCCESS
    assert (run.execution_count, run.execution_failure_count) == (2, 1)


async def test_of_two_turns_the_older_one_stores_nothing(
    server: InProcessServer, others: Others
) -> None:
    environment = server.credentials.add_environment()
    run_id = await started_run(server, environment)
    queued_job_id = str(new_id())
    others.outcomes = [answered(b"", 503)]
    await perform(server, environment, run_id, queued_job_id, 5)
    others.away = True
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await perform(server, environment, run_id, queued_job_id, 6)
    # Nobody could be asked: that spends no attempt.
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    others.away = False
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await perform(server, environment, run_id, queued_job_id, 5)
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert len(others.bodies) == 1
    others.outcomes = [answered(b'{"status":"SUCCESS","output":1}')]
    await perform(server, environment, run_id, queued_job_id, 6)
    assert (await read_run(server, environment, run_id)).state == run_pb2.Run.STATE_SUCCESS


async def test_a_run_of_an_unknown_job_ends_with_a_message(
    server: InProcessServer, others: Others
) -> None:
    environment = server.credentials.add_environment()
    others.version = None
    run_id = await started_run(server, environment)
    run = await read_run(server, environment, run_id)
    assert run.state == run_pb2.Run.STATE_FAILURE
    assert run.error_message == f"Job {run.job_id} is not registered in this environment"
    assert run.number == 0


async def test_a_run_that_is_given_up_ends_with_the_reason(server: InProcessServer) -> None:
    environment = server.credentials.add_environment()
    run_id = await started_run(server, environment)
    request = tasks_pb.FailRunRequest(
        request=tasks_pb.PerformRunExecutionRequest(run_id=run_id),
        discard=envelope_pb2.Discard(attempts=12),
    )
    request.discard.status.message = "it broke"
    stub = RunsTasksServiceStub(server.tasks_channel)
    for _ in range(2):
        await server.caller("workerqueue").call(
            stub.FailRun,
            request,
            timeout=TIMEOUT,
            metadata=turn(environment, str(new_id()), 1),
        )
    run = await read_run(server, environment, run_id)
    assert run.state == run_pb2.Run.STATE_FAILURE
    assert run.error_message == "The execution was given up after 12 attempts: it broke"


async def test_a_run_without_a_dispatcher_is_unique_by_its_request(
    server: InProcessServer,
) -> None:
    environment = server.credentials.add_environment()
    request = request_in(environment)
    request.ClearField("dispatcher_id")
    request.request_id = "event:1"
    request.version_id = str(new_id())
    (run_id,) = await create(server, request)
    assert await create(server, request, request) == [run_id, run_id]
    elsewhere = request_in(server.credentials.add_environment())
    elsewhere.ClearField("dispatcher_id")
    elsewhere.request_id = "event:1"
    (other,) = await create(server, elsewhere)
    assert other != run_id
    neither = request_in(environment)
    neither.ClearField("dispatcher_id")
    assert await create(server, neither) == [""]
