"""What the worker queue and other services ask, over a real channel."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, status_pb2

from kongflow.endpoints.internal.v1 import endpoints_internal_service_pb2 as internal_pb
from kongflow.endpoints.internal.v1.endpoints_internal_service_pb2_grpc import (
    EndpointsInternalServiceStub,
)
from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2 as pb
from kongflow.endpoints.v1 import endpoints_service_pb2 as client_pb
from kongflow.endpoints.v1.endpoint_pb2 import Endpoint, EndpointIndex
from kongflow.endpoints.v1.endpoints_service_pb2_grpc import EndpointsServiceStub
from kongflow.workerqueue.v1 import envelope_pb2
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import InProcessServer, bearer
from services.endpoints.tests.conftest import (
    KeptJobs,
    Keys,
    Program,
    Programs,
    described,
    speaks,
)
from services.endpoints.tests.contract.conftest import Metadata
from services.endpoints.tests.contract.worker import perform, register, single, tasks


async def created(
    server: InProcessServer, mine: Metadata, program: Program
) -> client_pb.CreateEndpointResponse:
    request = client_pb.CreateEndpointRequest(endpoint=Endpoint(slug="shop", url=program.url))
    stub = EndpointsServiceStub(server.channel)
    return await stub.CreateEndpoint(request, metadata=mine)


async def index(server: InProcessServer, mine: Metadata, index_id: str) -> EndpointIndex:
    request = client_pb.GetEndpointIndexRequest(id=index_id)
    stub = EndpointsServiceStub(server.channel)
    return (await stub.GetEndpointIndex(request, metadata=mine)).endpoint_index


async def items(server: InProcessServer, mine: Metadata, index_id: str) -> list[str]:
    request = client_pb.ListEndpointIndexItemsRequest(endpoint_index_id=index_id)
    response = await EndpointsServiceStub(server.channel).ListEndpointIndexItems(
        request, metadata=mine
    )
    return [each.id for each in response.endpoint_index_items]


def discard(message: str) -> envelope_pb2.Discard:
    return envelope_pb2.Discard(
        status=status_pb2.Status(code=code_pb2.INTERNAL, message=message),
        attempts=3,
        queued_job_id=str(new_id()),
    )


async def test_each_item_of_a_batch_is_answered_for_itself(
    server: InProcessServer,
    here: EnvironmentScope,
    mine: Metadata,
    programs: Programs,
    jobs: KeptJobs,
) -> None:
    other = await programs(speaks(described("a"), described("b")))
    begun = (await created(server, mine, other)).endpoint_index
    await perform(server, here, begun.id)
    known = await items(server, mine, begun.id)
    jobs.away = True
    assert await register(server, here, begun.id, *known, "no id") == [
        code_pb2.UNAVAILABLE,
        code_pb2.UNAVAILABLE,
        code_pb2.INVALID_ARGUMENT,
    ]
    jobs.away = False
    # What is gone, or a stranger's, is done.
    stranger = server.credentials.add_environment()
    assert await register(server, stranger, begun.id, *known, str(new_id())) == [0, 0, 0]
    assert jobs.registered == []
    assert await register(server, here, begun.id, *known, *known) == [0, 0, 0, 0]
    assert (await index(server, mine, begun.id)).state == EndpointIndex.STATE_SUCCESS


async def test_who_is_given_up_says_why(
    server: InProcessServer, here: EnvironmentScope, mine: Metadata, programs: Programs
) -> None:
    other = await programs(speaks(described("a")))
    first = (await created(server, mine, other)).endpoint_index
    await perform(server, here, first.id)
    [item_id] = await items(server, mine, first.id)
    metadata = single(server, here.environment_id)
    register_request = pb.RegisterJobRequest(endpoint_index_id=first.id, item_id=item_id)
    for message in ("it broke", "late"):
        await tasks(server).FailRegisterJob(
            pb.FailRegisterJobRequest(request=register_request, discard=discard(message)),
            metadata=metadata,
        )
    ended = await index(server, mine, first.id)
    assert ended.state == EndpointIndex.STATE_SUCCESS
    assert [each.error_message for each in ended.failed_items] == [
        "Given up after 3 attempts: it broke"
    ]
    second = (await created(server, mine, other)).endpoint_index
    for message in ("no luck\0" + "x" * 5_000, "late"):
        await tasks(server).FailEndpointIndex(
            pb.FailEndpointIndexRequest(
                request=pb.PerformEndpointIndexingRequest(endpoint_index_id=second.id),
                discard=discard(message),
            ),
            metadata=metadata,
        )
    failed = await index(server, mine, second.id)
    assert failed.state == EndpointIndex.STATE_FAILURE
    assert failed.error.message.startswith("Given up after 3 attempts: no luck\ufffdxxx")
    assert len(failed.error.message) < 2_100


async def test_a_queued_job_without_an_environment_is_refused(
    server: InProcessServer, here: EnvironmentScope
) -> None:
    request = pb.PerformEndpointIndexingRequest(endpoint_index_id=str(new_id()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tasks(server).PerformEndpointIndexing(request, metadata=single(server, None))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    await perform(server, here, request.endpoint_index_id)


async def test_what_the_clock_has_done_is_above_environments(
    server: InProcessServer, programs: Programs, database: Database
) -> None:
    live = server.credentials.add_environment(slug="live", environment_type="PRODUCTION")
    mine = bearer(server.credentials.add_secret_key(live))
    first = (await created(server, mine, await programs(speaks()))).endpoint_index
    await perform(server, live, first.id)
    by_clock = single(server, None)
    due, old = pb.AutoIndexProductionEndpointsRequest(), pb.PurgeOldIndexingsRequest()
    assert (await tasks(server).AutoIndexProductionEndpoints(due, metadata=by_clock)).begun == 0
    await database.pool.execute(
        "UPDATE endpoints.endpoint_indexes SET created_at = now() - interval '8 days'"
    )
    assert (await tasks(server).PurgeOldIndexings(old, metadata=by_clock)).deleted == 0
    assert (await tasks(server).AutoIndexProductionEndpoints(due, metadata=by_clock)).begun == 1
    assert (await tasks(server).PurgeOldIndexings(old, metadata=by_clock)).deleted == 1
    listed = await EndpointsServiceStub(server.channel).ListEndpointIndexes(
        client_pb.ListEndpointIndexesRequest(endpoint_id=first.endpoint_id), metadata=mine
    )
    [begun] = listed.endpoint_indexes
    assert (begun.state, begun.source) == (
        EndpointIndex.STATE_PENDING,
        EndpointIndex.SOURCE_INTERNAL,
    )


async def test_what_a_probe_measured_is_the_limit_of_executions(
    server: InProcessServer, programs: Programs
) -> None:
    live = server.credentials.add_environment(slug="live", environment_type="PRODUCTION")
    mine = bearer(server.credentials.add_secret_key(live))
    other = await programs(speaks())
    endpoint = (await created(server, mine, other)).endpoint
    other.handle = lambda _headers, _body: (504, {}, b"")
    metadata = single(server, live.environment_id)
    request = pb.ProbeEndpointRequest(endpoint_id=endpoint.id)
    await tasks(server).ProbeEndpoint(request, metadata=metadata)
    limits = await EndpointsInternalServiceStub(server.tasks_channel).GetEndpointLimits(
        internal_pb.GetEndpointLimitsRequest(
            environment_id=str(live.environment_id), endpoint_id=endpoint.id
        ),
        metadata=bearer(server.service_token("runs")),
    )
    assert limits.run_chunk_execution_limit == Duration(seconds=10)
    for refused in (single(server, None), metadata):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await tasks(server).ProbeEndpoint(
                pb.ProbeEndpointRequest(endpoint_id="" if refused is metadata else endpoint.id),
                metadata=refused,
            )
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_endpoint_executes_a_job(
    server: InProcessServer,
    here: EnvironmentScope,
    mine: Metadata,
    programs: Programs,
    keys: Keys,
) -> None:
    other = await programs(speaks())
    endpoint = (await created(server, mine, other)).endpoint
    other.handle = lambda _headers, body: (
        200,
        {"x-trigger-run-metadata": '{"failedSubscription":true}'},
        b'{"status":"SUCCESS","output":%s}' % body,
    )
    stub = EndpointsInternalServiceStub(server.tasks_channel)
    runs = bearer(server.service_token("runs"))

    async def execute(**changes: object) -> internal_pb.ExecuteJobResponse:
        wanted: dict[str, object] = {
            "environment_id": str(here.environment_id),
            "endpoint_id": endpoint.id,
            "body": b'{"a":1}',
            "timeout": Duration(seconds=5),
            **changes,
        }
        request = internal_pb.ExecuteJobRequest(**wanted)  # type: ignore[arg-type]
        return await stub.ExecuteJob(request, metadata=runs)

    executed = await execute()
    assert executed.url == other.url
    assert executed.answer.status_code == 200
    assert executed.answer.body == b'{"status":"SUCCESS","output":{"a":1}}'
    assert executed.answer.run_metadata == '{"failedSubscription":true}'
    assert not executed.answer.timed_out
    assert executed.duration.ToTimedelta().total_seconds() > 0
    call = other.calls[-1]
    assert (call["x-trigger-action"], call["content-type"]) == ("EXECUTE_JOB", "application/json")

    limits = await stub.GetEndpointLimits(
        internal_pb.GetEndpointLimitsRequest(
            environment_id=str(here.environment_id), endpoint_id=endpoint.id
        ),
        metadata=runs,
    )
    assert (limits.has_url, limits.run_chunk_execution_limit) == (True, Duration(seconds=60))
    assert (
        limits.start_task_threshold_ms,
        limits.before_execute_task_threshold_ms,
        limits.before_complete_task_threshold_ms,
        limits.after_complete_task_threshold_ms,
    ) == (750, 1500, 750, 750)

    for seconds in (0, 301):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await execute(timeout=Duration(seconds=seconds))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await execute(environment_id=str(new_id()))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    keys.key = None
    assert (await execute()).unreachable.permanent
    await EndpointsServiceStub(server.channel).DeleteEndpoint(
        client_pb.DeleteEndpointRequest(id=endpoint.id), metadata=mine
    )
    assert (await execute()).WhichOneof("outcome") == "without_url"
