"""Who may call what: every method of both services."""

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as tasks_pb
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from services.events.tests.events_context import EventsContext

CLIENT_METHODS = list(pb.DESCRIPTOR.services_by_name["EventsService"].methods)
TASK_METHODS = list(tasks_pb.DESCRIPTOR.services_by_name["EventsTasksService"].methods)


async def call(
    channel: grpc.aio.Channel, method: MethodDescriptor, metadata: tuple[tuple[str, str], ...]
) -> None:
    service = method.containing_service
    assert service is not None
    request = GetMessageClass(method.input_type)()
    rpc: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
        f"/{service.full_name}/{method.name}"
    )
    await rpc(request.SerializeToString(), metadata=metadata, timeout=5)


@pytest.mark.parametrize("method", CLIENT_METHODS, ids=lambda method: method.name)
async def test_methods_for_clients(context: EventsContext, method: MethodDescriptor) -> None:
    credentials = context.server.credentials
    channel = context.server.channel
    for metadata in ((), bearer("tr_dev_unknown0000000000000"), bearer("nonsense")):
        with refusal(grpc.StatusCode.UNAUTHENTICATED):
            await call(channel, method, metadata)
    public_key = bearer(credentials.add_public_key(context.environment))
    expected = (
        grpc.StatusCode.INVALID_ARGUMENT
        if method.name == "GetEventRecord"
        else grpc.StatusCode.PERMISSION_DENIED
    )
    with refusal(expected):
        await call(channel, method, public_key)
    without_scopes = credentials.add_operator()
    with refusal(grpc.StatusCode.PERMISSION_DENIED) as refused:
        await call(
            channel,
            method,
            bearer(without_scopes, environment_id=context.environment.environment_id),
        )
    assert refused.reason == "OPERATOR_SCOPE_MISSING"
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await call(channel, method, bearer(credentials.add_operator("*")))
    assert refused.reason == "ENVIRONMENT_REQUIRED"


@pytest.mark.parametrize("method", TASK_METHODS, ids=lambda method: method.name)
async def test_methods_for_the_worker_queue(
    context: EventsContext, method: MethodDescriptor
) -> None:
    channel = context.server.tasks_channel
    for credential in (context.key, context.server.credentials.add_operator("*")):
        with refusal(grpc.StatusCode.PERMISSION_DENIED):
            await call(channel, method, bearer(credential))
    for metadata in ((), bearer(context.server.service_token(audience="runs"))):
        with refusal(grpc.StatusCode.UNAUTHENTICATED):
            await call(channel, method, metadata)
    # They are not there for clients at all.
    with refusal(grpc.StatusCode.UNIMPLEMENTED):
        await call(context.server.channel, method, bearer(context.server.service_token()))


async def test_operator_acts_in_the_environment_that_the_call_names(
    context: EventsContext,
) -> None:
    record = await context.send(event_id="one")
    operator = context.server.credentials.add_operator("events:read")
    answer = await context.client.GetEventRecord(
        pb.GetEventRecordRequest(event_id="one"),
        metadata=bearer(operator, environment_id=context.environment.environment_id),
        timeout=5,
    )
    assert answer.event_record.id == record.id
    other = context.server.credentials.add_environment()
    with refusal(grpc.StatusCode.NOT_FOUND):
        await context.client.GetEventRecord(
            pb.GetEventRecordRequest(id=record.id),
            metadata=bearer(operator, environment_id=other.environment_id),
            timeout=5,
        )


async def test_public_key_gets_an_event(context: EventsContext) -> None:
    record = await context.send()
    public_key = context.server.credentials.add_public_key(context.environment)
    answer = await context.client.GetEventRecord(
        pb.GetEventRecordRequest(id=record.id), metadata=bearer(public_key), timeout=5
    )
    assert answer.event_record.id == record.id
