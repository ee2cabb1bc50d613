"""The runs service over a real channel, with its real database."""

from collections.abc import AsyncIterator

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
from kongflow_common.rpc.server import GrpcService
from kongflow_common.testing.grpc_server import InProcessServer, bearer, in_process_server
from kongflow_runs.adapters.run_reader import PostgresRunReader
from kongflow_runs.adapters.run_starter import PostgresRunStarter
from kongflow_runs.adapters.run_writer import BatchingRunWriter
from kongflow_runs.application.create_run import CreateRun
from kongflow_runs.application.queries import GetRun, ListRuns
from kongflow_runs.application.start_run import StartRuns
from kongflow_runs.rpc.error_catalog import CATALOG
from kongflow_runs.rpc.runs_internal_servicer import RunsInternalServicer
from kongflow_runs.rpc.runs_servicer import RunsServicer
from kongflow_runs.rpc.runs_tasks_servicer import RunsTasksServicer

TIMEOUT = 10.0


@pytest.fixture
async def server(database: Database, writer: BatchingRunWriter) -> AsyncIterator[InProcessServer]:
    """The runs service in this process, as its main puts it together."""
    reader = PostgresRunReader(database)
    async with in_process_server(
        catalog=CATALOG,
        client_services=[
            GrpcService(
                runs_service_pb2.DESCRIPTOR.services_by_name["RunsService"],
                RunsServicer(GetRun(reader), ListRuns(reader)),
            )
        ],
        tasks_services=[
            GrpcService(
                internal_pb.DESCRIPTOR.services_by_name["RunsInternalService"],
                RunsInternalServicer(CreateRun(writer)),
            ),
            GrpcService(
                tasks_pb.DESCRIPTOR.services_by_name["RunsTasksService"],
                RunsTasksServicer(StartRuns(PostgresRunStarter(database))),
            ),
        ],
    ) as server:
        yield server


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
