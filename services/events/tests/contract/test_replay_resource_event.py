"""ReplayResourceEvent over a real channel, and what the worker queue calls for it."""

import asyncio
from dataclasses import replace
from uuid import UUID

import grpc
import orjson
import pytest
from google.protobuf import json_format

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as internal_pb
from kongflow.events.tasks.v1 import events_tasks_service_pb2 as tasks_pb
from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_event_pb2 import ResourceEvent
from kongflow_common.db.purge import Purge
from kongflow_common.eventing import declared_types
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.event_type import EventType
from kongflow_common.eventing.publisher import PUBLISH
from kongflow_common.ids import new_id
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from kongflow_events.adapters.purges import OF_ENVIRONMENT
from kongflow_events.application import replay_resource_event
from services.events.tests.events_context import EventsContext
from services.events.tests.resource_log import Watch, happened, log

TIMEOUT = 10.0
OWN_KIND = "events.replayDomainEvent"


async def replayed(context: EventsContext, event: PublishedEvent, **fields: str) -> ResourceEvent:
    answer = await context.resource_events.ReplayResourceEvent(
        pb.ReplayResourceEventRequest(id=str(event.id), **fields),
        metadata=context.as_sender,
        timeout=TIMEOUT,
    )
    return answer.resource_event


async def listed(context: EventsContext, resource_id: str = "resource") -> list[ResourceEvent]:
    answer = await context.resource_events.ListResourceEvents(
        pb.ListResourceEventsRequest(resource_id=resource_id),
        metadata=context.as_sender,
        timeout=TIMEOUT,
    )
    return list(answer.resource_events)


async def carry_out(context: EventsContext, args: bytes) -> None:
    """Call the method, as the worker queue does."""
    request = json_format.Parse(args, tasks_pb.ReplayDomainEventRequest())
    await context.tasks.ReplayDomainEvent(request, metadata=context.as_worker, timeout=TIMEOUT)


async def test_an_integration_event_goes_to_its_consumers_again(context: EventsContext) -> None:
    original = happened(context.environment, "run.completed.success")
    original = replace(original, user_id="user-7", data=b'{"state":"SUCCESS"}')
    await log(context, original)
    new = await replayed(context, original)
    assert new.id != str(original.id)
    assert (new.replay_of, new.type, new.user_id) == (
        str(original.id),
        "run.completed.success",
        "user-7",
    )
    assert new.time.ToDatetime(original.timestamp.tzinfo) > original.timestamp
    assert [event.id for event in await listed(context)] == [str(original.id), new.id]
    [message] = await context.enqueued(PUBLISH, 1)
    assert message.environment_id == context.environment.environment_id
    sent = orjson.loads(message.args)
    assert sent == {
        "id": new.id,
        "type": "run.completed.success",
        "version": 1,
        "timestamp": str(new.time.ToMilliseconds()),
        "resourceId": "resource",
        "userId": "user-7",
        "replayOf": str(original.id),
        "data": {"state": "SUCCESS"},
    }


@pytest.mark.parametrize(
    ("type_", "kind"), [("event.delivered", OWN_KIND), ("job.registered", "jobs.replayDomainEvent")]
)
async def test_a_domain_event_is_replayed_by_a_job_of_its_owner(
    context: EventsContext, type_: str, kind: str
) -> None:
    original = happened(context.environment, type_)
    await log(context, original)
    new = await replayed(context, original)
    [message] = await context.enqueued(kind, 1)
    assert message.environment_id == context.environment.environment_id
    told = json_format.Parse(message.args, tasks_pb.ReplayDomainEventRequest()).event
    assert told == internal_pb.PublishedEvent(
        id=new.id,
        type=type_,
        version=1,
        time=new.time,
        resource_id="resource",
        data=told.data,
        environment_id=str(context.environment.environment_id),
        project_id=str(context.environment.project_id),
        organization_id=str(context.environment.organization_id),
        replay_of=str(original.id),
    )
    assert orjson.loads(told.data) == {"matchedCount": 1}
    # Its owner has not published it yet.
    assert [event.id for event in await listed(context)] == [str(original.id)]


async def test_events_of_this_service_are_published_again_once(context: EventsContext) -> None:
    original = happened(context.environment)
    await log(context, original)
    async with Watch(context, resource_id="resource") as watch:
        new = await replayed(context, original, resource_id="resource")
        [message] = await context.enqueued(OWN_KIND, 1)
        await asyncio.gather(*(carry_out(context, message.args) for _ in range(5)))
        await carry_out(context, message.args)
        assert await watch.until(1) == [new.id]
    assert [event.id for event in await listed(context)] == [str(original.id), new.id]
    # A replay is an event like others, and causes nothing more.
    again = await replayed(context, replace(original, id=UUID(new.id)))
    assert again.replay_of == new.id
    await context.enqueued(OWN_KIND, 2)
    assert len(context.worker_queue.messages) == 2


async def test_a_request_with_an_id_replays_once_however_often_it_comes(
    context: EventsContext,
) -> None:
    original, other = (happened(context.environment, "endpoint.index.failure") for _ in range(2))
    await log(context, original, other)
    answers = await asyncio.gather(
        *(replayed(context, original, request_id="r1") for _ in range(10))
    )
    first = answers[0]
    assert all(answer == first for answer in answers)
    assert await replayed(context, original, request_id="r1") == first
    assert [event.id for event in await listed(context)] == [
        str(original.id),
        str(other.id),
        first.id,
    ]
    await context.enqueued(PUBLISH, 1)
    with refusal() as refused:
        await replayed(context, other, request_id="r1")
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "REQUEST_ID_REUSED",
    )
    # Another environment's ids are its own.
    assert (await replayed(context, original, request_id="r2")).id != first.id


async def test_without_an_id_each_request_replays(context: EventsContext) -> None:
    original = happened(context.environment, "endpoint.index.failure")
    await log(context, original)
    ids = {(await replayed(context, original)).id for _ in range(3)}
    assert len(ids) == 3
    await context.enqueued(PUBLISH, 3)


async def test_what_is_not_there_is_not_found(context: EventsContext) -> None:
    original = happened(context.environment, "endpoint.index.failure")
    await log(context, original)
    unknown = replace(original, id=new_id())
    environment = context.server.credentials.add_environment()
    stranger = bearer(context.server.credentials.add_secret_key(environment))
    for event, fields, metadata in (
        (unknown, {}, context.as_sender),
        (original, {"resource_id": "another"}, context.as_sender),
        (original, {}, stranger),
    ):
        with refusal() as refused:
            await context.resource_events.ReplayResourceEvent(
                pb.ReplayResourceEventRequest(id=str(event.id), **fields),
                metadata=metadata,
                timeout=TIMEOUT,
            )
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "RESOURCE_EVENT_NOT_FOUND",
        )
        assert str(event.id) in refused.message
    assert len(await listed(context)) == 1
    assert await context.enqueued(PUBLISH, 0) == []


@pytest.mark.parametrize("type_", ["progress.updated", "project.init.started", "sun.risen"])
async def test_what_nobody_replays_is_refused(context: EventsContext, type_: str) -> None:
    original = replace(happened(context.environment), type=type_)
    await log(context, original)
    with refusal() as refused:
        await replayed(context, original)
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "RESOURCE_EVENT_NOT_REPLAYABLE",
    )
    assert type_ in refused.message
    assert len(await listed(context)) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("id", ""), ("id", "7"), ("request_id", "r" * 129), ("resource_id", "\0")]
)
async def test_bad_requests_name_the_field(context: EventsContext, field: str, value: str) -> None:
    request = pb.ReplayResourceEventRequest(id=str(new_id()))
    setattr(request, field, value)
    with refusal() as refused:
        await context.resource_events.ReplayResourceEvent(
            request, metadata=context.as_sender, timeout=TIMEOUT
        )
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(refused.fields) == [field]


async def test_old_data_are_replayed_as_the_newest_version_has_them(
    context: EventsContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = happened(context.environment, "endpoint.index.failure")
    await log(context, original)
    newest = EventType(
        "endpoint.index.failure", version=2, upcasts={1: lambda data: {**data, "since": 2}}
    )
    monkeypatch.setattr(
        replay_resource_event, "DECLARED_TYPES", declared_types.DeclaredTypes([newest])
    )
    new = await replayed(context, original)
    assert new.version == 2
    [message] = await context.enqueued(PUBLISH, 1)
    sent = orjson.loads(message.args)
    assert (sent["version"], sent["data"]) == (2, {"matchedCount": 1, "since": 2})


async def test_requests_of_an_environment_go_with_it(context: EventsContext) -> None:
    original = happened(context.environment, "endpoint.index.failure")
    await log(context, original)
    await replayed(context, original, request_id="r1")
    purge = Purge(context.database.pool, OF_ENVIRONMENT)
    await purge(context.environment.environment_id)
    [(left,)] = await context.database.pool.execute(
        "SELECT count(*) FROM events.resource_event_replays"
    )
    assert left == 0


async def test_requests_are_forgotten_after_the_log_s_days(context: EventsContext) -> None:
    original = happened(context.environment, "endpoint.index.failure")
    await log(context, original)
    first = await replayed(context, original, request_id="r1")
    await context.database.pool.execute(
        "UPDATE events.resource_event_replays SET created_at = now() - interval '31 days'"
    )
    assert (await replayed(context, original, request_id="r1")).id != first.id


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": "job.registered"}, "event.type"),
        ({"type": "endpoint.index.failure"}, "event.type"),
        ({"type": "Sun"}, "event.type"),
        ({"replay_of": ""}, "event.replay_of"),
    ],
)
async def test_a_job_for_another_service_is_refused(
    context: EventsContext, changes: dict[str, str], field: str
) -> None:
    original = happened(context.environment)
    await log(context, original)
    await replayed(context, original)
    [message] = await context.enqueued(OWN_KIND, 1)
    request = json_format.Parse(message.args, tasks_pb.ReplayDomainEventRequest())
    for name, value in changes.items():
        setattr(request.event, name, value)
    with refusal() as refused:
        await context.tasks.ReplayDomainEvent(request, metadata=context.as_worker, timeout=TIMEOUT)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(refused.fields) == [field]
    assert len(await listed(context)) == 1
