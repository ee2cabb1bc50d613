"""Realtime events in Redis: after the commit, in the order of the log, and never in the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from redis.asyncio import Redis

from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.eventing.envelope import Belonging, PublishedEvent, published_event
from kongflow_common.eventing.event_columns import columns_of
from kongflow_common.eventing.event_type import EventType
from kongflow_common.ids import new_id
from kongflow_common.supervision import BackgroundTasks
from kongflow_events.adapters import realtime_channel
from kongflow_events.adapters.realtime_channel import RealtimeChannel
from kongflow_events.adapters.resource_log_writer import PostgresLogWriter

SECONDS = 10


def progress(resource_id: str, type_: str = "progress.updated") -> PublishedEvent:
    return published_event(
        EventType(type_),
        resource_id,
        {"projectId": "p", "step": "build", "progress": 7, "message": "on it"},
        belonging=Belonging(project_id=uuid4()),
        clock=SystemClock(),
        new_id=new_id,
        user_id="user-7",
    )


class Listener:
    """Whoever is watching a resource in Redis."""

    def __init__(self, redis: Redis) -> None:
        self._channel = redis.pubsub(ignore_subscribe_messages=False)

    async def subscribe(self, *resource_ids: str) -> None:
        await self._channel.subscribe(*(f"realtime:{each}" for each in resource_ids))
        for _ in resource_ids:
            assert (await self.message())["type"] == "subscribe"

    async def message(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            while True:
                message = await self._channel.get_message(timeout=SECONDS)
                if message is not None:
                    return dict(message)

    async def documents(self, count: int) -> list[dict[str, object]]:
        messages = [await self.message() for _ in range(count)]
        return [orjson.loads(message["data"]) for message in messages]


@asynccontextmanager
async def listening(url: str, *resource_ids: str) -> AsyncIterator[Listener]:
    redis = Redis.from_url(url)
    try:
        listener = Listener(redis)
        await listener.subscribe(*resource_ids)
        yield listener
    finally:
        await redis.aclose()


@pytest.fixture
async def channel(valkey_url: str) -> AsyncIterator[RealtimeChannel]:
    channel = RealtimeChannel(valkey_url)
    async with BackgroundTasks() as tasks:
        _ = tasks.supervise("realtime channel", channel.run)
        yield channel


async def test_who_listens_is_told_of_what_is_logged_once(
    database: Database, valkey_url: str, channel: RealtimeChannel
) -> None:
    writer = PostgresLogWriter(database, channel.push)
    mine = [progress("mine"), progress("mine", "status.changed"), progress("mine")]
    async with listening(valkey_url, "mine", "end") as listener:
        await writer.record(
            columns_of([*mine[:2], progress("another"), progress("mine", "project.updated")])
        )
        # What is sent again was told of.
        await writer.record(columns_of(mine))
        await writer.record(columns_of([progress("end")]))
        *told, last = await listener.documents(4)
        assert told == [orjson.loads(orjson.dumps(event.document())) for event in mine]
        assert last["resourceId"] == "end"
        assert told[0] == {
            "id": str(mine[0].id),
            "type": "progress.updated",
            "version": 1,
            "timestamp": mine[0].milliseconds,
            "resourceId": "mine",
            "userId": "user-7",
            "data": {"projectId": "p", "step": "build", "progress": 7, "message": "on it"},
        }


async def test_what_is_told_of_is_in_the_log(
    database: Database, valkey_url: str, channel: RealtimeChannel
) -> None:
    event = progress("mine")
    found: list[Sequence[object]] = []

    async with listening(valkey_url, "mine") as listener:
        await PostgresLogWriter(database, channel.push).record(columns_of([event]))
        await listener.documents(1)
        found = await database.pool.execute(
            "SELECT id FROM events.resource_events WHERE id = %s", [event.id]
        )
    assert found == [(event.id,)]


async def test_what_is_not_logged_is_not_told_of(
    database: Database, valkey_url: str, channel: RealtimeChannel
) -> None:
    told: list[PublishedEvent] = []
    refused = replace(progress("mine"), data=b"{")
    with pytest.raises(Exception, match="json"):
        await PostgresLogWriter(database, told.extend).record(columns_of([refused]))
    assert told == []


async def test_without_redis_all_is_logged_and_nobody_waits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_channel, "_PAUSE_WHILE_AWAY_SECONDS", 0.01)
    # Nobody listens on the port of "discard".
    channel = RealtimeChannel("redis://127.0.0.1:9/0")
    events = [progress("mine") for _ in range(3)]
    async with BackgroundTasks() as tasks, asyncio.timeout(SECONDS):
        _ = tasks.supervise("realtime channel", channel.run)
        await PostgresLogWriter(database, channel.push).record(columns_of(events))
        [(count,)] = await database.pool.execute("SELECT count(*) FROM events.resource_events")
        assert count == 3


async def test_what_nobody_could_be_told_of_is_left_out_from_the_oldest_on(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_channel, "_MAX_WAITING", 3)
    channel = RealtimeChannel(valkey_url)
    events = [progress("mine") for _ in range(5)]
    # As while a call to Redis hangs.
    for event in events:
        channel.push([event])
    async with listening(valkey_url, "mine") as listener, BackgroundTasks() as tasks:
        _ = tasks.supervise("realtime channel", channel.run)
        told = await listener.documents(3)
    assert [document["id"] for document in told] == [str(event.id) for event in events[2:]]


async def test_it_tells_again_when_redis_is_back(
    valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realtime_channel, "_PAUSE_WHILE_AWAY_SECONDS", 0.01)
    channel = RealtimeChannel(valkey_url)
    async with listening(valkey_url, "mine") as listener, BackgroundTasks() as tasks:
        _ = tasks.supervise("realtime channel", channel.run)
        channel.push([progress("mine")])
        await listener.documents(1)
        # The server ends the connection of the channel, not that of the listener.
        redis = Redis.from_url(valkey_url)
        await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await redis.aclose()
        found: list[object] = []
        async with asyncio.timeout(SECONDS):
            while not found:
                event = progress("mine")
                channel.push([event])
                message = await listener._channel.get_message(timeout=0.2)
                if message is not None:
                    found.append(message)
    assert found
