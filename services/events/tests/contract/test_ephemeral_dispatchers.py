"""Ephemeral dispatchers over a real channel, calling a real HTTP server."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from google.protobuf.duration_pb2 import Duration

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as tasks_pb
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import JobKeyMode, Operation
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from services.events.tests.events_context import EventsContext

TIMEOUT = 10.0


class Callbacks:
    """An HTTP server that remembers what it was told, and answers as it is told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, object]] = []
        self.statuses: list[int] = []
        self.answer_when: asyncio.Event | None = None
        self.called = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(orjson.loads(await request.read()))
        self.called.set()
        if self.answer_when is not None:
            await self.answer_when.wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
async def callbacks() -> AsyncIterator[Callbacks]:
    callbacks = Callbacks()
    app = web.Application()
    app.router.add_post("/{name}", callbacks.handle)
    async with TestServer(app) as server:
        callbacks.url = str(server.make_url("/called"))
        yield callbacks


async def create(
    context: EventsContext,
    url: str,
    *,
    account_id: str = "",
    payload_filter: object = None,
    seconds: int | None = None,
) -> pb.CreateEphemeralDispatcherResponse:
    request = pb.CreateEphemeralDispatcherRequest(
        url=url,
        event_names=["order.created"],
        account_id=account_id,
        timeout=None if seconds is None else Duration(seconds=seconds),
    )
    if payload_filter is not None:
        request.payload_filter.json = orjson.dumps(payload_filter)
    return await context.client.CreateEphemeralDispatcher(
        request, metadata=context.as_sender, timeout=TIMEOUT
    )


async def call_back(
    context: EventsContext,
    dispatcher_id: str,
    record_id: str,
    environment: EnvironmentScope | None = None,
) -> dict[str, str]:
    """Runs the queued call as the worker queue does; answers the trailing metadata."""
    scope = environment or context.environment
    call = context.tasks.InvokeEphemeralDispatcher(
        tasks_pb.InvokeEphemeralDispatcherRequest(
            dispatcher_id=dispatcher_id, event_record_id=record_id
        ),
        metadata=bearer(context.server.service_token(), environment_id=scope.environment_id),
        timeout=TIMEOUT,
    )
    await call
    return {str(key): str(value) for key, value in await call.trailing_metadata() or ()}


async def expire(context: EventsContext, dispatcher_id: str) -> None:
    await context.tasks.ExpireDispatcher(
        tasks_pb.ExpireDispatcherRequest(dispatcher_id=dispatcher_id),
        metadata=context.as_worker,
        timeout=TIMEOUT,
    )


async def claimed(context: EventsContext, dispatcher_id: str, **event: str) -> EventRecord:
    """An event that the dispatcher took and was invoked for."""
    record = await context.send(**event)  # type: ignore[arg-type]
    await context.deliver(record)
    [result] = await context.invoke((dispatcher_id, record.id))
    assert result.status.code == 0
    return record


async def test_the_url_is_told_of_the_event_once_and_the_dispatcher_is_gone(
    context: EventsContext, callbacks: Callbacks
) -> None:
    created = await create(context, callbacks.url)
    dispatcher_id = created.event_dispatcher.id
    assert created.created
    assert created.event_dispatcher.dispatchable.ephemeral.url == callbacks.url
    [expiry] = await context.enqueued("expireDispatcher", 1)
    assert expiry.job_key == f"expire:{dispatcher_id}"
    assert expiry.run_at is not None
    wait = expiry.run_at - created.event_dispatcher.create_time.ToDatetime(expiry.run_at.tzinfo)
    assert 3595 < wait.total_seconds() < 3605

    record = await context.send(
        event_id="e1", payload={"n": 1}, context={"who": "me"}, account_id="acme"
    )
    await context.deliver(record)
    [invoked] = await context.enqueued("events.invokeDispatcher", 1)
    assert orjson.loads(invoked.args)["dispatcherId"] == dispatcher_id
    await context.invoke((dispatcher_id, record.id))
    [call] = await context.enqueued("invokeEphemeralDispatcher", 1)
    assert call.job_key == f"invoke:ephemeral:{dispatcher_id}"
    assert call.job_key_mode is JobKeyMode.KEEP_FIRST
    assert orjson.loads(call.args) == {"dispatcherId": dispatcher_id, "eventRecordId": record.id}
    assert callbacks.bodies == [], "no call while the dispatcher is invoked"

    await call_back(context, dispatcher_id, record.id)
    timestamp = record.event_time.ToDatetime().isoformat(timespec="milliseconds") + "Z"
    assert callbacks.bodies == [
        {
            "id": "e1",
            "source": "trigger.dev",
            "name": "order.created",
            "payload": {"n": 1},
            "context": {"who": "me"},
            "timestamp": timestamp,
            "accountId": "acme",
        }
    ]
    assert await context.count("event_dispatchers") == 0
    assert await context.count("ephemeral_claims") == 0
    _, removed = await context.enqueued("expireDispatcher", 2)
    assert (removed.operation, removed.job_key) == (Operation.REMOVE, expiry.job_key)
    # The queued call may come again, as after a crash; so may the expiry.
    await call_back(context, dispatcher_id, record.id)
    await expire(context, dispatcher_id)
    assert len(callbacks.bodies) == 1


async def test_of_many_events_at_once_one_is_told(
    context: EventsContext, callbacks: Callbacks
) -> None:
    dispatcher_id = (await create(context, callbacks.url)).event_dispatcher.id
    records = [await context.send() for _ in range(12)]
    await context.deliver(*records)
    assert [(await context.get(each.id)).matched_count for each in records] == [1] * 12
    await asyncio.gather(
        *(context.invoke((dispatcher_id, record.id)) for record in records for _ in range(2))
    )
    await context.relay_is_idle()
    calls = context.worker_queue.of_kind("invokeEphemeralDispatcher")
    [told] = {orjson.loads(call.args)["eventRecordId"] for call in calls}
    # Whoever asks, in whatever order: another event's call finds it claimed.
    await asyncio.gather(
        *(call_back(context, dispatcher_id, record.id) for record in records for _ in range(2))
    )
    assert len(callbacks.bodies) == 1
    assert callbacks.bodies[0]["id"] == next(
        record.event_id for record in records if record.id == told
    )


async def test_a_claimed_dispatcher_takes_no_further_event(
    context: EventsContext, callbacks: Callbacks
) -> None:
    dispatcher_id = (await create(context, callbacks.url)).event_dispatcher.id
    await claimed(context, dispatcher_id)
    later = await context.send()
    await context.deliver(later)
    assert (await context.get(later.id)).matched_count == 0


async def test_nobody_else_calls_while_a_call_is_under_way(
    context: EventsContext, callbacks: Callbacks
) -> None:
    dispatcher_id = (await create(context, callbacks.url)).event_dispatcher.id
    record = await claimed(context, dispatcher_id)
    callbacks.answer_when = asyncio.Event()
    first = asyncio.ensure_future(call_back(context, dispatcher_id, record.id))
    await asyncio.wait_for(callbacks.called.wait(), TIMEOUT)
    assert "kongflow-snooze" in await call_back(context, dispatcher_id, record.id)
    callbacks.answer_when.set()
    assert "kongflow-snooze" not in await first
    assert "kongflow-snooze" not in await call_back(context, dispatcher_id, record.id)
    assert len(callbacks.bodies) == 1


async def test_a_call_that_fails_is_tried_again(
    context: EventsContext, callbacks: Callbacks
) -> None:
    dispatcher_id = (await create(context, callbacks.url)).event_dispatcher.id
    record = await claimed(context, dispatcher_id)
    callbacks.statuses = [503, 302, 201]
    for text in ("Service Unavailable [503]", "Found [302]"):
        with refusal(grpc.StatusCode.UNKNOWN) as refused:
            await call_back(context, dispatcher_id, record.id)
        assert refused.reason == "EPHEMERAL_CALL_FAILED"
        assert refused.message == f"Failed to invoke ephemeral dispatcher: {text}"
    await call_back(context, dispatcher_id, record.id)
    assert len(callbacks.bodies) == 3
    assert await context.count("event_dispatchers") == 0


async def test_an_unreachable_url_is_tried_again_and_a_forbidden_one_is_not(
    context: EventsContext,
) -> None:
    for url, code in (
        ("http://127.0.0.1:9/gone", grpc.StatusCode.UNKNOWN),
        ("http://169.254.169.254/latest", grpc.StatusCode.FAILED_PRECONDITION),
    ):
        dispatcher_id = (await create(context, url)).event_dispatcher.id
        record = await claimed(context, dispatcher_id)
        with refusal(code):
            await call_back(context, dispatcher_id, record.id)


async def test_the_url_has_one_dispatcher_which_stays_as_it_is(
    context: EventsContext, callbacks: Callbacks
) -> None:
    answers = await asyncio.gather(
        *(create(context, callbacks.url, payload_filter={"n": [n]}) for n in range(8))
    )
    assert len({answer.event_dispatcher.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1
    [first] = [answer for answer in answers if answer.created]
    again = await create(context, callbacks.url, seconds=10, account_id="other")
    assert not again.created
    assert again.event_dispatcher == first.event_dispatcher
    await context.enqueued("expireDispatcher", 1)


async def test_q3_the_account_is_respected_without_filters(
    context: EventsContext, callbacks: Callbacks
) -> None:
    await create(context, callbacks.url, account_id="acme")
    for account_id, matched in (("", 0), ("other", 0), ("acme", 1)):
        record = await context.send(account_id=account_id)
        await context.deliver(record)
        assert (await context.get(record.id)).matched_count == matched


async def test_an_expired_dispatcher_is_gone_and_other_kinds_do_not_expire(
    context: EventsContext, callbacks: Callbacks
) -> None:
    dispatcher_id = (await create(context, callbacks.url, seconds=10)).event_dispatcher.id
    kept = (await context.put()).event_dispatcher.id
    stranger = context.server.credentials.add_environment()
    await context.tasks.ExpireDispatcher(
        tasks_pb.ExpireDispatcherRequest(dispatcher_id=dispatcher_id),
        metadata=bearer(context.server.service_token(), environment_id=stranger.environment_id),
        timeout=TIMEOUT,
    )
    assert await context.count("event_dispatchers") == 2
    record = await claimed(context, dispatcher_id)
    await expire(context, dispatcher_id)
    await expire(context, kept)
    assert await context.count("event_dispatchers") == 1
    await call_back(context, dispatcher_id, record.id)
    assert callbacks.bodies == []


async def test_a_disabled_dispatcher_and_another_environments_call_nobody(
    context: EventsContext, callbacks: Callbacks
) -> None:
    dispatcher_id = (await create(context, callbacks.url)).event_dispatcher.id
    record = await claimed(context, dispatcher_id)
    await call_back(context, dispatcher_id, record.id, context.server.credentials.add_environment())
    await context.client.DisableEventDispatcher(
        pb.DisableEventDispatcherRequest(id=dispatcher_id),
        metadata=context.as_sender,
        timeout=TIMEOUT,
    )
    await call_back(context, dispatcher_id, record.id)
    assert callbacks.bodies == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "http://user:secret@example.com/"}, "url"),
        ({"url": "http://example.com/" + "x" * 2048}, "url"),
        ({"url": "http://example.com/" + "\u00e9" * 1500}, "url"),
        ({"event_names": []}, "event_names"),
        ({"timeout": Duration(seconds=9)}, "timeout"),
        ({"timeout": Duration(seconds=31_536_001)}, "timeout"),
        ({"timeout": Duration(seconds=10, nanos=500_000_000)}, "timeout"),
    ],
)
async def test_bad_requests_are_refused(
    context: EventsContext, changes: dict[str, object], field: str
) -> None:
    fields: dict[str, object] = {"url": "http://example.com/", "event_names": ["a"], **changes}
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.CreateEphemeralDispatcher(
            pb.CreateEphemeralDispatcherRequest(**fields),  # type: ignore[arg-type]
            metadata=context.as_sender,
            timeout=TIMEOUT,
        )
    assert list(refused.fields) == [field]
    assert await context.count("event_dispatchers") == 0


async def test_a_filter_that_could_never_match_is_refused(context: EventsContext) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await create(context, "http://example.com/", payload_filter={"a": [None]})
    assert next(iter(refused.fields)).startswith("payload_filter")


async def test_upserts_do_not_make_ephemeral_ones(context: EventsContext) -> None:
    request = pb.UpsertEventDispatcherRequest()
    request.event_dispatcher.dispatchable_id = "x"
    request.event_dispatcher.event_names.append("a")
    request.event_dispatcher.dispatchable.ephemeral.url = "http://example.com/"
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.UpsertEventDispatcher(
            request, metadata=context.as_sender, timeout=TIMEOUT
        )
    assert list(refused.fields) == ["event_dispatcher.dispatchable.ephemeral"]


async def test_a_deleted_one_has_no_expiry(context: EventsContext, callbacks: Callbacks) -> None:
    dispatcher_id = (await create(context, callbacks.url)).event_dispatcher.id
    await context.client.DeleteEventDispatcher(
        pb.DeleteEventDispatcherRequest(dispatchable_id=callbacks.url),
        metadata=context.as_sender,
        timeout=TIMEOUT,
    )
    _, removed = await context.enqueued("expireDispatcher", 2)
    assert (removed.operation, removed.job_key) == (Operation.REMOVE, f"expire:{dispatcher_id}")
    [result] = await context.invoke((dispatcher_id, str(new_id())))
    assert result.status.code != 0
