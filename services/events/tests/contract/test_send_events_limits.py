"""SendEvents at its limits: of bytes, of callers, of what is known about dispatchers."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.workerqueue.v1.job_options_pb2 import PRIORITY_LOW
from kongflow_common.db.engine import Database
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal
from services.events.tests.bulk_requests import one_event
from services.events.tests.events_context import EventsContext

MEBIBYTE = 1024 * 1024
LARGE = 500_000

DELIVERED = EventRecord.STATE_DELIVERED
UNMATCHED = EventRecord.STATE_UNMATCHED
PENDING = EventRecord.STATE_PENDING


def request_of(size: int) -> pb.SendEventsRequest:
    """A request that has exactly so many bytes on the wire."""
    request = pb.SendEventsRequest(
        requests=[one_event(raw=b'"' + b"x" * LARGE + b'"') for _ in range(size // LARGE)]
    )
    last = one_event(raw=b'""')
    request.requests.append(last)
    # Its lengths take more bytes when there is more to tell.
    for _ in range(4):
        missing = size - request.ByteSize()
        payload = request.requests[-1].event.payload
        payload.json = b'"' + b"x" * (len(payload.json) - 2 + missing) + b'"'
    assert request.ByteSize() == size
    return request


@pytest.mark.parametrize("atomic", [False, True])
async def test_a_request_has_16_mebibytes_and_not_one_byte_more(
    context: EventsContext, atomic: bool
) -> None:
    # `atomic` itself takes two bytes.
    too_large = request_of(16 * MEBIBYTE + 1 - (2 if atomic else 0))
    too_large.atomic = atomic
    assert too_large.ByteSize() == 16 * MEBIBYTE + 1
    with refusal(grpc.StatusCode.RESOURCE_EXHAUSTED):
        await context.client.SendEvents(too_large, metadata=context.as_sender, timeout=30)
    assert await context.count("event_records") == 0
    largest = request_of(16 * MEBIBYTE - (2 if atomic else 0))
    largest.atomic = atomic
    answer = await context.client.SendEvents(largest, metadata=context.as_sender, timeout=30)
    assert all(each.is_new for each in answer.results)
    assert await context.count("event_records") == len(largest.requests)


async def test_one_id_from_100_callers_at_once_is_one_event(context: EventsContext) -> None:
    async def single() -> tuple[str, bool]:
        return (await context.send(event_id="one", payload={"n": 1})).id, False

    async def many(atomic: bool) -> tuple[str, bool]:
        requests = [one_event(each, payload={"n": 1}) for each in ("one", "", "one")]
        results = await context.send_many(*requests, atomic=atomic)
        assert results[0].event_record_id == results[2].event_record_id
        assert not results[2].is_new
        return results[0].event_record_id, results[0].is_new

    answers = await asyncio.gather(
        *(single() for _ in range(34)),
        *(many(False) for _ in range(33)),
        *(many(True) for _ in range(33)),
    )
    assert len({record_id for record_id, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) <= 1
    # The one, and one without an id of its own for each call with several.
    assert await context.count("event_records") == 1 + 66
    await context.enqueued("deliverEvent", 1 + 66)


@pytest.mark.parametrize("atomic", [False, True])
async def test_what_goes_with_an_event_is_kept(context: EventsContext, atomic: bool) -> None:
    context.clock.at = datetime(2031, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    request = one_event("a", payload={"n": 1}, account_id="acme")
    request.deliver_after.FromTimedelta(timedelta(seconds=90))
    request.test = True
    request.priority = PRIORITY_LOW
    request.event.source = "shop"
    request.event.context.json = b'{"trace": 7}'
    request.event.event_time.FromDatetime(datetime(2020, 2, 29, tzinfo=UTC))
    [result] = await context.send_many(request, atomic=atomic)
    record = await context.get(result.event_record_id)
    assert record.test
    assert (record.source, record.priority) == ("shop", PRIORITY_LOW)
    assert record.event_time.ToDatetime(UTC) == datetime(2020, 2, 29, tzinfo=UTC)
    at = context.clock.at + timedelta(seconds=90)
    assert record.deliver_time.ToDatetime(UTC) == at
    [planned] = await context.enqueued("deliverEvent", 1)
    assert planned.run_at == at


@pytest.mark.parametrize("atomic", [False, True])
async def test_an_event_is_matched_with_the_dispatchers_that_are_there_now(
    matching_context: EventsContext, database: Database, atomic: bool
) -> None:
    context = matching_context
    await context.put("job", payload_filter={"n": [{"$gte": 1}]})

    async def states() -> list[int]:
        results = await context.send_many(
            *(one_event(payload={"n": n}) for n in range(3)), atomic=atomic
        )
        return [each.state for each in results]

    async def are_matched() -> bool:
        return await states() == [UNMATCHED, DELIVERED, DELIVERED]

    async def are_not_taken() -> bool:
        return await states() == [UNMATCHED] * 3

    # What is known in memory is asked for by the first events.
    await eventually(are_matched)
    await database.pool.execute(
        "UPDATE events.event_dispatchers SET enabled = false WHERE dispatchable_id = 'job'"
    )
    await context.relay_is_idle()
    context.worker_queue.messages.clear()
    # They were matched with what was known before: nothing of that is done.
    assert await states() == [PENDING] * 3
    await context.enqueued("deliverEvent", 3)
    await context.enqueued("events.invokeDispatcher", 0)
    await eventually(are_not_taken)
