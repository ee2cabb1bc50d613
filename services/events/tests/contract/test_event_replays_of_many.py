"""Replays of many events and back-fills over a real channel."""

from datetime import timedelta

import grpc
import orjson
import pytest
from google.rpc import status_pb2

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as tasks_pb
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.workerqueue.v1.envelope_pb2 import Discard
from services.events.tests.events_context import EventsContext
from services.events.tests.replays import (
    ReplayCalls,
    delivered,
    records,
    refuse_negative_totals,
    refused,
)


@pytest.fixture
def replays(context: EventsContext) -> ReplayCalls:
    return ReplayCalls(context)


async def test_dry_run_counts_and_stores_nothing(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await delivered(context, "order.created", 3)
    await delivered(context, "order.paid", 2)
    await context.send("order.paid")  # Waits for its delivery.
    counted = await replays.begin(filter='name = "order.paid"', dry_run=True)
    assert (counted.id, counted.total_count) == ("", 2)
    assert await context.count("event_replays") == 0
    assert not context.worker_queue.of_kind("advanceEventReplay")


async def test_replay_of_many_goes_through_all_that_were_selected(
    context: EventsContext, replays: ReplayCalls
) -> None:
    paid = await delivered(context, "order.paid", 5)
    await delivered(context, "order.created", 2)
    await context.put("job", "order.paid")
    begun = await replays.begin(filter='name = "order.paid"')
    [job] = await context.enqueued("advanceEventReplay", 1)
    assert orjson.loads(job.args or b"") == {"eventReplayId": begun.id}
    assert job.environment_id == context.environment.environment_id
    ended = await replays.run_to_end(begun.id)
    assert ended.state == ended.STATE_SUCCEEDED
    assert (ended.total_count, ended.replayed_count, ended.skipped_count) == (5, 5, 0)
    new = await records(context, f'replay_of = "{paid[0].id}"')
    assert [each.name for each in new] == ["order.paid"]
    everything = [each for each in await records(context) if each.replay_of]
    assert {each.replay_of for each in everything} == {each.id for each in paid}
    await context.deliver(*everything)
    assert {each.matched_count for each in await records(context) if each.replay_of} == {1}


async def test_what_the_present_schema_refuses_is_counted(
    context: EventsContext, replays: ReplayCalls
) -> None:
    good = await context.send(payload={"total": 1})
    bad = await context.send(payload={"total": -1})
    await context.deliver(good, bad)
    await refuse_negative_totals(context)
    ended = await replays.run_to_end((await replays.begin()).id)
    assert (ended.replayed_count, ended.refused_count) == (1, 1)
    assert [each.replay_of for each in await records(context) if each.replay_of] == [good.id]


async def test_replay_of_many_to_one_dispatcher(
    context: EventsContext, replays: ReplayCalls
) -> None:
    events = [await context.send(payload={"total": total}) for total in (1, 2, 1)]
    await context.deliver(*events)
    await context.put("other")
    wanted = (await context.put("wanted", payload_filter={"total": [1]})).event_dispatcher
    ended = await replays.run_to_end((await replays.begin(dispatcher_id=wanted.id)).id)
    assert (ended.replayed_count, ended.skipped_count) == (2, 1)
    invocations = await context.enqueued("events.invokeDispatcher", 2)
    assert {orjson.loads(each.args or b"")["dispatcherId"] for each in invocations} == {wanted.id}
    new = [each for each in await records(context) if each.replay_of]
    assert {(each.state, each.matched_count) for each in new} == {(EventRecord.STATE_DELIVERED, 1)}


async def test_backfill_invokes_with_the_originals_once_however_often(
    context: EventsContext, replays: ReplayCalls
) -> None:
    events = [await context.send(payload={"total": total}) for total in (1, 2, 1)]
    await context.deliver(*events)
    late = (await context.put("late", payload_filter={"total": [1]})).event_dispatcher
    wanted = {(late.id, events[0].id), (late.id, events[2].id)}
    for _ in range(2):
        ended = await replays.run_to_end((await replays.backfill(late.id)).id)
        assert (ended.kind, ended.replayed_count, ended.skipped_count) == (
            ended.KIND_BACKFILL,
            2,
            1,
        )
        invocations = await context.enqueued("events.invokeDispatcher", 2 * (_ + 1))
        args = [orjson.loads(each.args or b"") for each in invocations]
        pairs = {(each["dispatcherId"], each["eventRecordId"]) for each in args}
        assert pairs == wanted
        await context.invoke(*sorted(pairs))
    assert len(context.runs.runs) == 2
    assert await context.count("event_records") == 3


async def test_backfill_begins_where_it_is_told(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await delivered(context, "order.created", 2)
    [(boundary,)] = await context.database.pool.execute("SELECT clock_timestamp()")
    after = await delivered(context, "order.created", 3)
    late = (await context.put("late")).event_dispatcher
    counted = await replays.backfill(late.id, start=boundary, dry_run=True)
    assert counted.total_count == 3
    await replays.run_to_end((await replays.backfill(late.id, start=boundary)).id)
    invocations = await context.enqueued("events.invokeDispatcher", 3)
    invoked = {orjson.loads(each.args or b"")["eventRecordId"] for each in invocations}
    assert invoked == {each.id for each in after}


async def test_dispatcher_that_takes_nothing_or_goes_away(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await delivered(context, "order.created", 2)
    off = (await context.put("off", enabled=False)).event_dispatcher
    await refused(replays.backfill(off.id), grpc.StatusCode.FAILED_PRECONDITION)
    gone = (await context.put("gone")).event_dispatcher
    begun = await replays.backfill(gone.id)
    await context.client.DeleteEventDispatcher(
        events_pb.DeleteEventDispatcherRequest(id=gone.id), metadata=context.as_sender, timeout=10
    )
    ended = await replays.run_to_end(begun.id)
    assert (ended.state, ended.replayed_count) == (ended.STATE_FAILED, 0)
    assert ended.error_message == "its dispatcher is gone"
    assert not await context.enqueued("events.invokeDispatcher", 0)


async def test_rate_is_kept(context: EventsContext, replays: ReplayCalls) -> None:
    await delivered(context, "order.created", 8)
    context.clock.at = context.clock.now()
    begun = await replays.begin(events_per_second=3)
    seen: list[int] = []
    # Nothing before everything that came in is known to be stored.
    # The queue may be late: it is asked to call again half a second early.
    assert await replays.advance(begun.id) == timedelta(seconds=1.5)
    assert (await replays.get(begun.id)).replayed_count == 0
    context.clock.offset += timedelta(seconds=2)
    for _ in range(3):
        wait = await replays.advance(begun.id)
        # Asked too early it does nothing and says how long to wait.
        assert await replays.advance(begun.id) == wait
        seen.append((await replays.get(begun.id)).replayed_count)
        context.clock.offset += timedelta(seconds=1)
    assert seen == [3, 6, 8]
    assert await context.count("event_records") == 16


async def test_what_is_due_in_half_a_second_is_waited_for(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await delivered(context, "order.created", 8)
    begun = await replays.begin(events_per_second=3)
    counts: list[int] = []
    # From the second step on the call comes a third of a second too early.
    for seconds in (2.0, 0.7, 0.7):
        context.clock.offset += timedelta(seconds=seconds)
        await replays.advance(begun.id)
        counts.append((await replays.get(begun.id)).replayed_count)
    assert counts == [3, 6, 8]


async def test_cancelled_replay_does_nothing_more(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await delivered(context, "order.created", 6)
    begun = await replays.begin(events_per_second=2)
    context.clock.offset += timedelta(seconds=2)
    await replays.advance(begun.id)
    cancelled = await replays.cancel(begun.id)
    assert (cancelled.state, cancelled.replayed_count) == (cancelled.STATE_CANCELLED, 2)
    context.clock.offset += timedelta(minutes=1)
    assert await replays.advance(begun.id) is None
    assert await replays.get(begun.id) == cancelled
    assert await replays.cancel(begun.id) == cancelled
    assert await context.count("event_records") == 8


async def test_replay_whose_job_is_given_up_says_why(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await delivered(context, "order.created", 2)
    begun = await replays.begin()
    request = tasks_pb.FailEventReplayRequest(
        request=tasks_pb.AdvanceEventReplayRequest(event_replay_id=begun.id),
        discard=Discard(attempts=10, status=status_pb2.Status(message="out of order")),
    )
    for _ in range(2):
        await context.tasks.FailEventReplay(request, metadata=context.as_worker, timeout=10)
        failed = await replays.get(begun.id)
        assert failed.state == failed.STATE_FAILED
        assert failed.error_message == "given up after 10 attempts: out of order"
    # A dead letter that is made to run again finds nothing to do.
    context.clock.offset += timedelta(minutes=1)
    assert await replays.advance(begun.id) is None
    assert await context.count("event_records") == 2


async def test_no_more_than_three_run_at_a_time(
    context: EventsContext, replays: ReplayCalls
) -> None:
    begun = [await replays.begin() for _ in range(3)]
    await refused(replays.begin(), grpc.StatusCode.RESOURCE_EXHAUSTED)
    await replays.cancel(begun[0].id)
    last = await replays.begin()
    listed = await replays.list()
    assert [each.id for each in listed] == [last.id, *(each.id for each in reversed(begun))]
    assert [each.id for each in await replays.list('state = "CANCELLED"')] == [begun[0].id]


async def test_list_goes_on_where_the_page_before_ended(
    context: EventsContext, replays: ReplayCalls
) -> None:
    begun = [await replays.begin() for _ in range(3)]
    first = await replays.page(page_size=2)
    second = await replays.page(page_size=2, page_token=first.next_page_token)
    ids = [each.id for page in (first, second) for each in page.event_replays]
    assert ids == [each.id for each in reversed(begun)]
    assert not second.next_page_token
