"""Payloads and contexts are kept as they were written, by whichever way they came."""

from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
import psycopg
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from services.events.tests.contract.test_events_internal import read, store
from services.events.tests.events_context import EventsContext

# As jsonb it would have other spaces, another order of its members, one `a` and no exponents.
WRITTEN: Final = (
    b'{ "zeta" : 1e2,\t"a": 0.10,\n "a":[ 1 ,2.50 ], "\\u0041": "\\u00e9 \xc3\xa9", "n": -1E-3}'
)
CONTEXT: Final = b'{"b":1, "a":  null}'


def request(event_id: str) -> pb.SendEventRequest:
    made = pb.SendEventRequest()
    made.event.event_id = event_id
    made.event.name = "order.created"
    made.event.payload.json = WRITTEN
    made.event.context.json = CONTEXT
    return made


async def documents(context: EventsContext, record_id: str) -> tuple[bytes, bytes]:
    [(payload, context_document)] = await context.database.pool.execute(
        "SELECT payload::text, context::text FROM events.event_records WHERE id = %s", [record_id]
    )
    return payload.encode(), context_document.encode()


async def test_an_event_alone(context: EventsContext) -> None:
    answer = await context.client.SendEvent(request("1"), metadata=context.as_sender, timeout=5)
    assert await documents(context, answer.event_record.id) == (WRITTEN, CONTEXT)
    # This is what a run is told.
    told = await read(context, answer.event_record.id)
    assert (told.payload, told.context) == (WRITTEN, CONTEXT)


@pytest.mark.parametrize("atomic", [False, True])
async def test_one_of_many(context: EventsContext, *, atomic: bool) -> None:
    results = await context.send_many(request("1"), request("2"), atomic=atomic)
    for result in results:
        assert await documents(context, result.event_record_id) == (WRITTEN, CONTEXT)


async def test_an_event_that_is_sent_again(context: EventsContext) -> None:
    first = request("1")
    first.event.payload.json = first.event.context.json = b"{}"
    first.deliver_time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    await context.client.SendEvent(first, metadata=context.as_sender, timeout=5)
    again = await context.client.SendEvent(request("1"), metadata=context.as_sender, timeout=5)
    assert await documents(context, again.event_record.id) == (WRITTEN, CONTEXT)


async def test_an_event_of_another_service(context: EventsContext) -> None:
    stored = await store(context, payload=WRITTEN)
    assert (await documents(context, stored.event_record_id))[0] == WRITTEN


async def test_what_a_server_of_the_release_before_writes_is_taken(context: EventsContext) -> None:
    answer = await context.client.SendEvent(request("1"), metadata=context.as_sender, timeout=5)
    # It binds jsonb, which the column casts as it is assigned.
    await context.database.pool.execute(
        "UPDATE events.event_records SET payload = %s::text::jsonb WHERE id = %s",
        ['{"b": 1, "a": [2]}', answer.event_record.id],
    )
    told = await read(context, answer.event_record.id)
    assert orjson.loads(told.payload) == {"b": 1, "a": [2]}


async def test_the_database_refuses_what_is_no_document(context: EventsContext) -> None:
    answer = await context.client.SendEvent(request("1"), metadata=context.as_sender, timeout=5)
    with pytest.raises(psycopg.DataError):
        await context.database.pool.execute(
            "UPDATE events.event_records SET payload = %s::text::json WHERE id = %s",
            ["{", answer.event_record.id],
        )
