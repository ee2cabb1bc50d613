"""What other services ask of events, over a real channel."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import grpc
import orjson
import pytest

from kongflow.events.internal.v1 import events_internal_service_pb2 as pb
from kongflow.events.internal.v1.events_internal_service_pb2_grpc import EventsInternalServiceStub
from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.event_dispatcher_pb2 import EventDispatcher
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import RemoteError
from kongflow_common.testing.refusals import refusal
from services.events.tests.cloud_events import send, structured
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext

TIMEOUT = 10.0


async def store(
    context: EventsContext,
    event_id: str = "",
    *,
    scope: EnvironmentScope | None = None,
    name: str = "order.created",
    payload: bytes = b"",
    account_id: str = "",
    source: str = "",
    test: bool = False,
    internal: bool = True,
) -> pb.StoreEventRecordResponse:
    scope = scope or context.environment
    return await context.server.caller("jobs").call(
        EventsInternalServiceStub(context.server.tasks_channel).StoreEventRecord,
        pb.StoreEventRecordRequest(
            environment_id=str(scope.environment_id),
            project_id=str(scope.project_id),
            organization_id=str(scope.organization_id),
            event_id=event_id,
            name=name,
            payload=payload,
            source=source,
            account_id=account_id,
            test=test,
            internal=internal,
        ),
        timeout=TIMEOUT,
    )


async def read(
    context: EventsContext, record_id: str, environment_id: UUID | None = None
) -> pb.ReadEventRecordResponse:
    return await context.server.caller("runs").call(
        EventsInternalServiceStub(context.server.tasks_channel).ReadEventRecord,
        pb.ReadEventRecordRequest(
            environment_id=str(environment_id or context.environment.environment_id),
            event_record_id=record_id,
        ),
        timeout=TIMEOUT,
    )


async def put(
    context: EventsContext,
    generation: int,
    *,
    enabled: bool = True,
    payload_filter: object = None,
    names: tuple[str, ...] = ("order.created",),
    version_id: UUID | None = None,
) -> pb.PutEventDispatcherResponse:
    dispatcher = EventDispatcher(dispatchable_id="job", event_names=names)
    dispatcher.dispatchable.job_version.job_id = str(new_id())
    dispatcher.dispatchable.job_version.alias = "latest"
    dispatcher.dispatchable.job_version.version_id = str(version_id or new_id())
    if payload_filter is not None:
        dispatcher.payload_filter.json = orjson.dumps(payload_filter)
    return await context.server.caller("jobs").call(
        EventsInternalServiceStub(context.server.tasks_channel).PutEventDispatcher,
        pb.PutEventDispatcherRequest(
            environment_id=str(context.environment.environment_id),
            project_id=str(context.environment.project_id),
            organization_id=str(context.environment.organization_id),
            event_dispatcher=dispatcher,
            generation=generation,
            enabled=enabled,
        ),
        timeout=TIMEOUT,
    )


async def test_a_stored_event_is_an_event_that_is_delivered(context: EventsContext) -> None:
    stored = await store(
        context, "one", payload=b'{"n": 1}', account_id="customer-7", source="shop", test=True
    )
    assert (stored.event_id, stored.created) == ("one", True)
    record = await context.get(stored.event_record_id)
    assert record.state == EventRecord.STATE_DELIVERED
    assert (record.event_id, record.name, record.source) == ("one", "order.created", "shop")
    assert (record.test, record.internal, record.account_id) == (True, True, "customer-7")
    assert content_of(record.payload) == {"n": 1}
    assert content_of(record.context) == {}
    assert stored.external_account_id


async def test_what_is_left_out_has_the_defaults_of_events(context: EventsContext) -> None:
    stored = await store(context, payload=b"null", internal=False)
    record = await context.get(stored.event_record_id)
    assert record.event_id == stored.event_id == stored.event_record_id
    assert content_of(record.payload) == {}
    assert (record.source, record.test, record.internal) == ("trigger.dev", False, False)
    assert not stored.external_account_id


async def test_nothing_ever_delivers_a_stored_event(context: EventsContext) -> None:
    """Not by itself, not as a late queued job, not because its id is sent."""
    await context.put("job", "order.created")
    stored = await store(context, "one")
    record = await context.get(stored.event_record_id)
    again = await context.send(event_id="one", payload={"other": True}, deliver_after=3600)
    assert again.id == record.id
    assert await context.get(record.id) == record
    [result] = await context.deliver(record)
    assert result.status.code == 0, "an event that is delivered already is no failure"
    await context.enqueued("deliverEvent", 0)
    await context.enqueued("events.invokeDispatcher", 0)
    assert await context.get(record.id) == record
    with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused:
        await context.cancel(record.id)
    assert refused.reason == "EVENT_DELIVERY_BEGUN"


async def test_an_id_is_stored_once(context: EventsContext) -> None:
    answers = await asyncio.gather(
        *(store(context, "one", payload=b'{"n": %d}' % n, account_id="same") for n in range(20))
    )
    assert len({answer.event_record_id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    assert len({answer.external_account_id for answer in answers}) == 1
    assert await context.count("event_records") == 1
    assert await context.count("external_accounts") == 1


async def test_an_event_that_was_sent_is_answered_as_it_is(context: EventsContext) -> None:
    sent = await context.send(event_id="one", payload={"n": 1}, deliver_after=3600)
    before = await context.get(sent.id)
    stored = await store(context, "one", payload=b'{"n": 2}')
    assert (stored.event_record_id, stored.created) == (sent.id, False)
    assert await context.get(sent.id) == before


async def test_an_id_of_another_environment_is_another_event(context: EventsContext) -> None:
    other = context.server.credentials.add_environment()
    one, two = await store(context, "one"), await store(context, "one", scope=other)
    assert two.created
    assert one.event_record_id != two.event_record_id
    assert (await read(context, one.event_record_id)).event_id == "one"
    with pytest.raises(RemoteError) as caught:
        await read(context, one.event_record_id, other.environment_id)
    assert caught.value.code is grpc.StatusCode.NOT_FOUND


async def test_an_execution_is_told_all_of_an_event(context: EventsContext) -> None:
    sent = await context.send(
        event_id="one", payload={"n": 1}, context={"c": [2]}, account_id="customer-7", source="shop"
    )
    found = await read(context, sent.id)
    assert (found.event_record_id, found.event_id, found.name) == (sent.id, "one", sent.name)
    assert (found.source, found.source_context) == ("shop", b"")
    assert orjson.loads(found.payload) == {"n": 1}
    assert orjson.loads(found.context) == {"c": [2]}
    assert found.account.identifier == "customer-7"
    assert (found.event_time, found.deliver_time) == (sent.event_time, sent.deliver_time)
    assert not found.HasField("delivered_time")
    stored = await read(context, (await store(context)).event_record_id)
    assert stored.HasField("delivered_time")
    assert not stored.HasField("account")


async def test_an_execution_is_not_told_what_is_kept_of_a_cloud_event(
    context: EventsContext,
) -> None:
    sent = await send(context, structured(data={"n": 1}, ext="a"))
    found = await read(context, sent.id)
    assert (found.source, found.source_context) == ("/shop", b"")
    assert orjson.loads(found.context)["cloudEvent"]["ext"] == "a"


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda context: store(context, name=""), "name"),
        (lambda context: store(context, "x" * 513), "event_id"),
        (lambda context: store(context, payload=b"{"), "payload"),
        (lambda context: store(context, payload=b'"\\u0000"'), "payload"),
        (lambda context: store(context, account_id="x" * 513), "account_id"),
        (lambda context: read(context, "no id"), "event_record_id"),
        (lambda context: put(context, 0), "generation"),
        (lambda context: put(context, 1, names=()), "event_names"),
        (lambda context: put(context, 1, payload_filter={"a": [{"$no": 1}]}), "payload_filter.a"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    context: EventsContext, call: Callable[[EventsContext], Awaitable[object]], field: str
) -> None:
    with pytest.raises(RemoteError) as caught:
        await call(context)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in caught.value.message
    assert await context.count("event_records") == 0
    assert await context.count("event_dispatchers") == 0


async def test_a_dispatcher_that_is_put_says_which_version_it_is_for(
    context: EventsContext,
) -> None:
    version_id = new_id()
    answer = await put(
        context, 3, payload_filter={"n": [{"$gt": 1, "$lt": 5}]}, version_id=version_id
    )
    assert len(answer.warnings) == 1
    assert (await put(context, 2, names=("late",))).event_dispatcher_id == (
        answer.event_dispatcher_id
    )
    stored = await dispatcher(context)
    assert (stored.id, stored.generation) == (answer.event_dispatcher_id, 3)
    assert list(stored.event_names) == ["order.created"]
    assert stored.dispatchable.job_version.alias == "latest"
    assert stored.dispatchable.job_version.version_id == str(version_id)

    record = await context.send(payload={"n": 2})
    await context.deliver(record)
    await context.invoke((stored.id, record.id))
    [[run]] = context.runs.calls
    assert run.version_id == version_id


async def test_a_disabled_dispatcher_takes_nothing(context: EventsContext) -> None:
    await put(context, 1)
    await put(context, 2, enabled=False)
    assert not (await dispatcher(context)).enabled
    record = await context.send()
    await context.deliver(record)
    assert (await context.get(record.id)).state == EventRecord.STATE_UNMATCHED


async def test_a_kept_dispatcher_is_changed_by_its_keeper_alone(context: EventsContext) -> None:
    await put(context, 1)
    for generation in (None, 100):
        with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused:
            await context.put("job", "clients", generation=generation)
        assert refused.reason == "DISPATCHER_KEPT"
    assert list((await dispatcher(context)).event_names) == ["order.created"]
    await put(context, 2, names=("order.paid",))
    stored = await dispatcher(context)
    assert (list(stored.event_names), stored.generation) == (["order.paid"], 2)


async def test_clients_do_not_say_which_version_a_dispatcher_is_for(
    context: EventsContext,
) -> None:
    request = events_service_pb2.UpsertEventDispatcherRequest()
    request.event_dispatcher.dispatchable_id = "job"
    request.event_dispatcher.event_names.append("order.created")
    version = request.event_dispatcher.dispatchable.job_version
    version.job_id, version.version_id = str(new_id()), str(new_id())
    for generation in (1, 2):
        answer = await context.client.UpsertEventDispatcher(
            request, metadata=context.as_sender, timeout=TIMEOUT
        )
        assert answer.event_dispatcher.dispatchable.job_version.version_id == ""
        assert answer.event_dispatcher.generation == generation


async def test_a_keeper_gets_the_id_that_a_client_used_before(context: EventsContext) -> None:
    clients = (await context.put("job", generation=50)).event_dispatcher
    before = await context.send()
    await context.deliver(before)
    kept = await put(context, 1)
    assert kept.event_dispatcher_id != clients.id
    assert (await dispatcher(context)).id == kept.event_dispatcher_id

    after = await context.send()
    await context.deliver(after)
    messages = await context.enqueued("events.invokeDispatcher", 2)
    assert [orjson.loads(message.args)["dispatcherId"] for message in messages] == [
        clients.id,
        kept.event_dispatcher_id,
    ]
    # What the client's took while it had the id becomes a run all the same.
    await context.invoke((clients.id, before.id), (kept.event_dispatcher_id, after.id))
    assert len(context.runs.calls[0]) == 2
    await put(context, 2, names=("order.paid",))
    assert (await dispatcher(context)).generation == 2


async def dispatcher(context: EventsContext) -> EventDispatcher:
    answer = await context.client.GetEventDispatcher(
        events_service_pb2.GetEventDispatcherRequest(dispatchable_id="job"),
        metadata=context.as_sender,
        timeout=TIMEOUT,
    )
    return answer.event_dispatcher
