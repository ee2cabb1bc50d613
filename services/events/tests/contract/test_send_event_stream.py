"""SendEventStream over a real channel: results come while events still go."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal
from services.events.tests.bulk_requests import one_event
from services.events.tests.events_context import EventsContext

# Any: the types of grpc.aio's streams are not known to their stubs.
Stream = Any


@asynccontextmanager
async def opened(context: EventsContext, key: str = "") -> AsyncIterator[Stream]:
    metadata = (("authorization", f"Bearer {key}"),) if key else context.as_sender
    stream: Stream = context.client.SendEventStream(metadata=metadata, timeout=30)
    try:
        yield stream
    finally:
        stream.cancel()


async def write(stream: Stream, *requests: pb.SendEventRequest) -> None:
    await stream.write(pb.SendEventStreamRequest(requests=requests))


async def results_of(stream: Stream, count: int) -> list[pb.SendEventResult]:
    """The next results, which may come in several answers."""
    results: list[pb.SendEventResult] = []
    while len(results) < count:
        answer = await stream.read()
        assert answer is not grpc.aio.EOF
        results.extend(answer.results)
    assert len(results) == count
    return results


async def test_results_come_while_the_stream_is_open(context: EventsContext) -> None:
    async with opened(context) as stream:
        await write(stream, one_event("a"))
        [first] = await results_of(stream, 1)
        assert (await context.get(first.event_record_id)).event_id == "a"
        await write(stream, one_event("b"), one_event(name=""), one_event("a"))
        second, refused, again = await results_of(stream, 3)
        assert (second.is_new, again.is_new) == (True, False)
        assert again.event_record_id == first.event_record_id
        assert refused.status.code == code_pb2.INVALID_ARGUMENT
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
    assert await context.count("event_records") == 2


async def test_events_that_wait_are_stored_together(context: EventsContext) -> None:
    async with opened(context) as stream:
        async with context.database.pool.connection() as held, held.transaction():
            await held.execute("LOCK TABLE events.event_records IN ACCESS EXCLUSIVE MODE")
            for n in range(2_000):
                await write(stream, one_event(f"event-{n}"))
            await stream.done_writing()
        answers = [answer async for answer in stream]
    results = [result for answer in answers for result in answer.results]
    assert len(results) == 2_000
    # By the thousand, but for a few before the lock was met; on a busy machine, where reading
    # the stream takes longer than storing, in groups of what has come meanwhile.
    assert len(answers) < 500
    rows = await context.database.pool.execute("SELECT id, event_id FROM events.event_records")
    stored = {str(record_id): event_id for record_id, event_id in rows}
    assert [stored[each.event_record_id] for each in results] == [
        f"event-{n}" for n in range(2_000)
    ]


async def test_a_stream_that_nobody_reads_is_held_up(context: EventsContext) -> None:
    async with opened(context) as stream:
        written, written_at = 0, time.monotonic()

        async def send() -> None:
            nonlocal written, written_at
            large = one_event(raw=b'"' + b"x" * 250_000 + b'"')
            refused = [one_event(name="") for _ in range(999)]
            while True:
                await write(stream, large, *refused)
                written, written_at = written + 1, time.monotonic()

        sending = asyncio.ensure_future(send())
        await eventually(lambda: written and time.monotonic() - written_at > 1.0, 20)
        assert written < 100
        # Once it is read it goes on.
        at = written
        while written < at + 20:
            await stream.read()
        sending.cancel()


async def test_too_many_events_in_a_message_end_the_stream_after_the_others(
    context: EventsContext,
) -> None:
    async with opened(context) as stream:
        await write(stream, one_event("a"))
        await write(stream, *(one_event() for _ in range(1_001)))
        assert (await results_of(stream, 1))[0].is_new
        with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
            await stream.read()
    assert list(refused.fields) == ["requests"]
    assert await context.count("event_records") == 1


async def test_what_is_no_message_ends_the_stream(context: EventsContext) -> None:
    invoke: Any = context.server.channel.stream_stream(
        "/kongflow.events.v1.EventsService/SendEventStream"
    )
    stream = invoke(metadata=context.as_sender, timeout=10)
    await stream.write(b"\xff\xff")
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await stream.read()
    assert refused.reason == "REQUEST_NOT_DECODABLE"


async def test_a_draining_server_answers_what_it_has_read(context: EventsContext) -> None:
    async with opened(context) as stream:
        await write(stream, one_event("a"))
        await results_of(stream, 1)
        draining = asyncio.ensure_future(context.server.server.drain())
        with refusal(grpc.StatusCode.UNAVAILABLE) as refused:
            while await stream.read() is not grpc.aio.EOF:
                pass
        assert refused.reason == "SERVER_DRAINING"
        async with asyncio.timeout(10):
            await draining


async def test_a_key_that_is_revoked_ends_the_stream(context: EventsContext) -> None:
    key = context.server.credentials.add_secret_key(context.environment)
    async with opened(context, key) as stream:
        await write(stream, one_event("a"))
        await results_of(stream, 1)
        context.server.credentials.revoke(key)
        async with asyncio.timeout(10):
            with refusal(grpc.StatusCode.UNAUTHENTICATED):
                await stream.read()


async def test_streams_have_an_end_in_number(context: EventsContext) -> None:
    streams = []
    for _ in range(64):
        stream: Stream = context.client.SendEventStream(metadata=context.as_sender, timeout=30)
        await write(stream, one_event())
        await results_of(stream, 1)
        streams.append(stream)
    async with opened(context) as stream:
        with refusal(grpc.StatusCode.RESOURCE_EXHAUSTED) as refused:
            await write(stream, one_event())
            await stream.read()
        assert refused.retry_seconds
    for each in streams:
        await each.done_writing()
        assert await each.code() is grpc.StatusCode.OK
    async with opened(context) as stream:
        await write(stream, one_event())
        assert (await results_of(stream, 1))[0].is_new


@pytest.mark.parametrize("ends", ["cancel", "done"])
async def test_a_sender_that_goes_leaves_nothing_behind(context: EventsContext, ends: str) -> None:
    async with opened(context) as stream:
        await write(stream, one_event("a"))
        await results_of(stream, 1)
        assert any("RequestGroups" in str(task.get_coro()) for task in asyncio.all_tasks())
        if ends == "done":
            await stream.done_writing()

    def is_gone() -> bool:
        running = [str(task.get_coro()) for task in asyncio.all_tasks()]
        return not any("RequestGroups" in each for each in running)

    await eventually(is_gone)
