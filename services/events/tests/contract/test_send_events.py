"""SendEvents over a real channel: many events in a call, each with a result of its own."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.db.engine import Database
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal
from services.events.tests.bulk_requests import one_event
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext

PENDING = EventRecord.STATE_PENDING


def field_of(status: status_pb2.Status) -> str:
    """The field that a refused event's status names."""
    for detail in status.details:
        request = error_details_pb2.BadRequest()
        if detail.Unpack(request):
            return request.field_violations[0].field
    return ""


async def test_each_event_is_stored_and_has_a_result_in_its_place(context: EventsContext) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    results = await context.send_many(
        one_event("a", payload={"n": 1}, account_id="acme"),
        one_event(name="x" * 513),
        one_event(raw=b'{"n": }'),
        one_event(payload={"n": 4}, deliver_at=at),
    )
    assert [each.status.code for each in results] == [0, 3, 3, 0]
    assert [field_of(each.status) for each in results] == ["", "event.name", "event.payload", ""]
    assert [each.is_new for each in results] == [True, False, False, True]
    first = await context.get(results[0].event_record_id)
    last = await context.get(results[3].event_record_id)
    assert (first.event_id, first.account_id, content_of(first.payload)) == ("a", "acme", {"n": 1})
    assert last.event_id == last.id
    assert last.deliver_time.ToDatetime(UTC) == at
    assert await context.count("event_records") == 2
    messages = await context.enqueued("deliverEvent", 2)
    assert {each.run_at for each in messages} == {None, at}
    assert len({each.traceparent for each in messages}) == 1


async def test_repeats_within_a_call_and_of_stored_events_are_as_one_by_one(
    context: EventsContext,
) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    stored = await context.send(event_id="stored", payload={"n": 0})
    waiting = await context.send(event_id="waiting", payload={"n": 0}, deliver_at=at)
    results = await context.send_many(
        one_event("stored", payload={"n": 1}),
        one_event("waiting", payload={"n": 2}, deliver_at=at + timedelta(hours=1)),
        one_event("twice", payload={"n": 3}, deliver_at=at),
        one_event("now", payload={"n": 4}),
        one_event("twice", payload={"n": 5}),
        one_event("twice", payload={"n": 6}, deliver_at=at),
        one_event("now", payload={"n": 7}),
    )
    assert not any(each.status.code for each in results)
    assert [each.is_new for each in results] == [False, False, True, True, False, False, False]
    ids = [each.event_record_id for each in results]
    assert ids[:2] == [stored.id, waiting.id]
    assert ids[2] == ids[4] == ids[5]
    assert ids[3] == ids[6]
    contents = [content_of((await context.get(each)).payload) for each in ids]
    # The third "twice" came when the second had made it due at once.
    assert contents == [{"n": 0}, {"n": 2}, {"n": 5}, {"n": 4}, {"n": 5}, {"n": 5}, {"n": 4}]
    assert (await context.get(ids[2])).delivery_revision == 2


@pytest.mark.parametrize("milliseconds", [4_999, 5_000])
async def test_the_window_for_replacing_is_that_of_single_events(
    context: EventsContext, milliseconds: int
) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    context.clock.at = at - timedelta(milliseconds=milliseconds)
    for atomic in (False, True):
        event_id = f"at-{atomic}"
        await context.send_many(one_event(event_id, payload={"n": 1}, deliver_at=at))
        [again] = await context.send_many(one_event(event_id, payload={"n": 2}), atomic=atomic)
        assert not again.is_new
        payload = content_of((await context.get(again.event_record_id)).payload)
        assert payload == {"n": 2 if milliseconds >= 5_000 else 1}


async def test_events_are_matched_at_once(matching_context: EventsContext) -> None:
    context = matching_context
    await context.put("job", payload_filter={"n": [{"$gte": 3}]})

    # What is known in memory is asked for by the first event.
    async def is_matched() -> bool:
        return (await context.send(payload={"n": 0})).state == EventRecord.STATE_UNMATCHED

    await eventually(is_matched)
    results = await context.send_many(*(one_event(payload={"n": n}) for n in range(6)))
    delivered, unmatched = EventRecord.STATE_DELIVERED, EventRecord.STATE_UNMATCHED
    assert [each.state for each in results] == [unmatched] * 3 + [delivered] * 3
    await context.enqueued("events.invokeDispatcher", 3)


async def test_ten_thousand_events_in_a_call_and_not_one_more(context: EventsContext) -> None:
    requests = [one_event(f"event-{n}", payload={"n": n}) for n in range(10_001)]
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.send_many(*requests)
    assert list(refused.fields) == ["requests"]
    assert await context.count("event_records") == 0
    results = await context.send_many(*requests[:10_000])
    assert all(each.is_new for each in results)
    assert len({each.event_record_id for each in results}) == 10_000
    assert await context.count("event_records") == 10_000
    again = await context.send_many(*reversed(requests[:10_000]))
    assert [each.event_record_id for each in reversed(again)] == [
        each.event_record_id for each in results
    ]
    assert not any(each.is_new for each in again)


async def test_many_refused_events_do_not_make_the_answer_too_long(context: EventsContext) -> None:
    requests = [one_event(name="é" * 513) for _ in range(9_999)]
    results = await context.send_many(*requests, one_event("good"))
    assert [each.status.code for each in results[:-1]] == [code_pb2.INVALID_ARGUMENT] * 9_999
    assert field_of(results[0].status) == "event.name"
    assert not results[-2].status.details
    assert "event.name" in results[-2].status.message
    assert results[-1].is_new


async def test_large_events_are_taken_up_to_the_limit_of_a_request(context: EventsContext) -> None:
    raw = b'"' + b"x" * 500_000 + b'"'
    results = await context.send_many(*(one_event(raw=raw) for _ in range(33)))
    assert all(each.is_new for each in results)
    [(size,)] = await context.database.pool.execute(
        "SELECT min(length(payload #>> '{}')) FROM events.event_records"
    )
    assert size == 500_000
    with refusal(grpc.StatusCode.RESOURCE_EXHAUSTED):
        await context.send_many(*(one_event(raw=raw) for _ in range(34)))


async def test_the_server_answers_others_while_it_takes_many_events_in(
    context: EventsContext,
) -> None:
    await context.send()
    requests = [one_event(payload={"n": n, "text": "x" * 400}) for n in range(10_000)]
    many = asyncio.ensure_future(context.send_many(*requests))
    longest = 0.0
    while not many.done():
        # What this thread worked, not what it waited for on a busy machine.
        before = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - before)
    assert all(each.is_new for each in await many)
    # This loop is the client's too, which encodes and decodes the messages in one go.
    assert longest < 0.5


async def test_all_are_stored_together_or_none(context: EventsContext) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    waiting = await context.send(event_id="waiting", payload={"n": 0}, deliver_at=at)
    good = [
        one_event("a", account_id="acme"),
        one_event("waiting", payload={"n": 1}, deliver_at=at),
        *(one_event(f"more-{n}", account_id=f"account-{n % 7}") for n in range(1_200)),
        one_event("a"),
    ]
    bad = [*good[:3], one_event(name=""), *good[3:], one_event(raw=b"[1")]
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.send_many(*bad, atomic=True)
    last = f"requests[{len(bad) - 1}].event.payload"
    assert list(refused.fields) == ["requests[3].event.name", last]
    assert await context.count("event_records") == 1
    assert await context.count("external_accounts") == 0
    results = await context.send_many(*good, atomic=True)
    assert [each.is_new for each in results] == [True, False, *[True] * 1_200, False]
    assert results[0].event_record_id == results[-1].event_record_id
    assert results[1].event_record_id == waiting.id
    assert content_of((await context.get(waiting.id)).payload) == {"n": 1}
    assert await context.count("event_records") == 1_202
    # One for each new record, one for the event before, one for its replacement.
    await context.enqueued("deliverEvent", 1_203)


async def test_what_fails_in_the_middle_leaves_nothing_of_an_atomic_call(
    context: EventsContext, database: Database
) -> None:
    await database.pool.execute(
        "ALTER TABLE events.event_records ADD CONSTRAINT broken CHECK (event_id <> 'event-900')"
    )
    try:
        with refusal(grpc.StatusCode.INTERNAL):
            await context.send_many(
                *(one_event(f"event-{n:03d}") for n in range(1_000)), atomic=True
            )
        assert await context.count("event_records") == 0
        # On its own, each but the one at fault is stored.
        results = await context.send_many(*(one_event(f"event-{n:03d}") for n in range(1_000)))
    finally:
        await database.pool.execute("ALTER TABLE events.event_records DROP CONSTRAINT broken")
    assert [n for n, each in enumerate(results) if each.status.code] == [900]
    assert results[900].status.code == code_pb2.INTERNAL
    assert all(each.is_new for n, each in enumerate(results) if n != 900)
    assert await context.count("event_records") == 999
    await context.enqueued("deliverEvent", 999)


@pytest.mark.parametrize("atomic", [False, True])
async def test_same_events_from_many_callers_at_once_are_stored_once(
    context: EventsContext, atomic: bool
) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    requests = [
        one_event(
            f"event-{n}", account_id=f"account-{n % 5}", deliver_at=at if n % 4 == 0 else None
        )
        for n in range(200)
    ]
    calls = await asyncio.gather(
        *(
            context.send_many(*(requests if n % 2 else reversed(requests)), atomic=atomic)
            for n in range(6)
        )
    )
    assert sum(each.is_new for call in calls for each in call) == 200
    assert not any(each.status.code for call in calls for each in call)
    assert await context.count("event_records") == 200
    assert await context.count("external_accounts") == 5


async def test_nothing_to_send_is_nothing(context: EventsContext) -> None:
    assert await context.send_many() == []
    assert await context.send_many(atomic=True) == []


async def test_events_are_stored_in_the_callers_environment_only(context: EventsContext) -> None:
    other = context.server.credentials.add_environment(slug="other")
    key = context.server.credentials.add_secret_key(other)
    [mine] = await context.send_many(one_event("same"))
    answer = await context.client.SendEvents(
        pb.SendEventsRequest(requests=[one_event("same")]),
        metadata=(("authorization", f"Bearer {key}"),),
        timeout=10,
    )
    [theirs] = answer.results
    assert theirs.is_new
    assert theirs.event_record_id != mine.event_record_id
    assert mine.state == theirs.state == PENDING
