"""Events that are replayed, and requests that are refused, over a real channel."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import orjson
import pytest

from kongflow.events.v1 import event_replays_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.ids import new_id
from kongflow_common.testing.refusals import refusal
from services.events.tests.events_context import EventsContext
from services.events.tests.replays import ReplayCalls, refuse_negative_totals, refused


@pytest.fixture
def replays(context: EventsContext) -> ReplayCalls:
    return ReplayCalls(context)


async def test_replay_has_what_the_original_has_and_a_new_id(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send(
        payload={"total": 7}, context={"by": "test"}, account_id="acme", event_id="order-1"
    )
    replay = await replays.one(id=original.id)
    assert replay.id != original.id
    assert replay.replay_of == original.id
    assert replay.event_id.startswith("order-1:replay:")
    same = ("name", "source", "account_id", "test", "payload_type", "priority", "event_time")
    for name in same:
        assert getattr(replay, name) == getattr(original, name), name
    stored, before = await context.get(replay.id), await context.get(original.id)
    assert (stored.payload, stored.context) == (before.payload, before.context)
    assert not before.replay_of


async def test_replays_of_one_millisecond_have_ids_of_their_own(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send(event_id="order-1")
    context.clock.at = context.clock.now()
    ids = {(await replays.one(event_id="order-1")).event_id for _ in range(3)}
    assert len(ids) == 3
    assert await context.count("event_records") == 4
    assert original.event_id not in ids


async def test_replay_with_an_id_is_idempotent(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send()
    other = await context.send(event_id="taken")
    first = await replays.one(id=original.id, new_event_id="again")
    second = await replays.one(id=original.id, new_event_id="again")
    assert (first.id, await context.count("event_records")) == (second.id, 3)
    details = await refused(
        replays.one(id=original.id, new_event_id=other.event_id), grpc.StatusCode.ALREADY_EXISTS
    )
    assert "taken" in details


async def test_replay_goes_to_the_dispatchers_of_now(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send()
    await context.deliver(original)
    assert (await context.get(original.id)).state == EventRecord.STATE_UNMATCHED
    await context.put("late")
    replay = await replays.one(id=original.id)
    await context.deliver(replay)
    assert (await context.get(replay.id)).matched_count == 1


async def test_replay_is_checked_with_the_schema_of_now(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send(payload={"total": -1})
    await refuse_negative_totals(context)
    await refused(replays.one(id=original.id), grpc.StatusCode.INVALID_ARGUMENT)
    assert await context.count("event_records") == 1


async def test_replay_to_one_dispatcher_is_told_to_no_other(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send()
    wanted = (await context.put("wanted")).event_dispatcher
    await context.put("other")
    replay = await replays.one(id=original.id, dispatcher_id=wanted.id)
    assert (replay.matched_count, replay.state) == (1, EventRecord.STATE_DELIVERED)
    # The delivery of the original is another's; the replay has none.
    [invocation] = await context.enqueued("events.invokeDispatcher", 1)
    assert orjson.loads(invocation.args or b"") == {
        "dispatcherId": wanted.id,
        "eventRecordId": replay.id,
    }
    await context.enqueued("deliverEvent", 1)


async def test_replay_to_a_dispatcher_that_does_not_take_it_stores_nothing(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send(payload={"total": 1})
    picky = (await context.put("picky", payload_filter={"total": [2]})).event_dispatcher
    details = await refused(
        replays.one(id=original.id, dispatcher_id=picky.id), grpc.StatusCode.FAILED_PRECONDITION
    )
    assert "payload_filter" in details
    await refused(
        replays.one(id=original.id, dispatcher_id=str(new_id())), grpc.StatusCode.NOT_FOUND
    )
    assert await context.count("event_records") == 1


async def test_events_of_another_environment_are_not_there(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send()
    dispatcher = (await context.put("job")).event_dispatcher
    running = await replays.begin()
    stranger = ReplayCalls(context, context.server.credentials.add_environment())
    own = await stranger.send(context)
    not_found = grpc.StatusCode.NOT_FOUND
    await refused(stranger.one(id=original.id), not_found)
    await refused(stranger.one(event_id=original.event_id), not_found)
    await refused(stranger.one(id=own.id, dispatcher_id=dispatcher.id), not_found)
    await refused(stranger.begin(dispatcher_id=dispatcher.id), not_found)
    await refused(stranger.backfill(dispatcher.id), not_found)
    await refused(stranger.get(running.id), not_found)
    await refused(stranger.cancel(running.id), not_found)
    assert await stranger.list() == []
    assert (await stranger.begin(dry_run=True)).total_count == 0
    assert await context.count("event_records") == 2


async def test_events_of_the_system_are_not_replayed(
    context: EventsContext, replays: ReplayCalls
) -> None:
    original = await context.send()
    await context.deliver(original)
    await context.database.pool.execute("UPDATE events.event_records SET internal = true")
    await refused(replays.one(id=original.id), grpc.StatusCode.FAILED_PRECONDITION)
    assert (await replays.begin(dry_run=True)).total_count == 0


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("filter", {"filter": "nonsense = 1"}),
        ("events_per_second", {"events_per_second": 1_001}),
        ("events_per_second", {"events_per_second": -1}),
        ("dispatcher_id", {"dispatcher_id": "none"}),
    ],
)
async def test_requests_that_make_no_sense(
    context: EventsContext, replays: ReplayCalls, field: str, request_: dict[str, Any]
) -> None:
    details = await refused(replays.begin(**request_), grpc.StatusCode.INVALID_ARGUMENT)
    assert field in details
    assert await context.count("event_replays") == 0


async def test_end_before_the_beginning_is_refused(
    context: EventsContext, replays: ReplayCalls
) -> None:
    now = context.clock.now()
    await refused(replays.begin(start=now, end=now), grpc.StatusCode.INVALID_ARGUMENT)
    await refused(
        replays.begin(start=now, end=now - timedelta(seconds=1)), grpc.StatusCode.INVALID_ARGUMENT
    )
    no_start = pb.BackfillEventDispatcherRequest(dispatcher_id=str(uuid4()))
    await refused(
        replays.stub.BackfillEventDispatcher(no_start, **replays.call),
        grpc.StatusCode.INVALID_ARGUMENT,
    )


@pytest.mark.parametrize("dry_run", [False, True])
async def test_beginning_in_the_future_is_refused(
    context: EventsContext, replays: ReplayCalls, dry_run: bool
) -> None:
    dispatcher = (await context.put("job")).event_dispatcher
    context.clock.at = now = context.clock.now()
    future = now + timedelta(seconds=1)
    for call in (
        replays.begin(start=future, dry_run=dry_run),
        replays.backfill(dispatcher.id, start=future, dry_run=dry_run),
    ):
        with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused_with:
            await call
        assert list(refused_with.fields) == ["start_time"]
    assert await context.count("event_replays") == 0
    # The present is no future, and an end may lie there: until then there is nothing.
    assert (await replays.begin(start=now, end=future, dry_run=dry_run)).total_count == 0
