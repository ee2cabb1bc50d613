"""A watch of what happens goes on through a Redis that is killed and emptied."""

import asyncio
import signal
from collections.abc import Sequence
from uuid import uuid4

import grpc
import orjson
import pytest

from kongflow.events.v1 import event_record_pb2, events_service_pb2
from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from kongflow.events.v1.resource_events_service_pb2_grpc import ResourceEventsServiceStub
from tests.faults.chaos import empty_valkey
from tests.local_system import LocalSystem, poll_until

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(240)]

SECONDS = 60.0


class Watcher:
    """What a watch has told of events that are ingested, by their ids, over all its calls."""

    def __init__(self, system: LocalSystem, channel: grpc.aio.Channel) -> None:
        self._metadata = system.metadata
        self._stub = ResourceEventsServiceStub(channel)
        self._token = ""
        self.told: list[str] = []

    async def until(self, event_ids: Sequence[str]) -> None:
        """Watch, from where the call before ended, until it has told of all of them."""
        call = self._stub.WatchEvents(
            pb.WatchEventsRequest(resume_token=self._token, types=["event.ingested"]),
            metadata=self._metadata,
            timeout=SECONDS,
        )
        async for answer in call:
            self._token = answer.resume_token
            self.told += [
                orjson.loads(event.data.json)["eventId"] for event in answer.resource_events
            ]
            if set(event_ids) <= set(self.told):
                call.cancel()
                return
        raise AssertionError("the watch has ended")


async def send(system: LocalSystem, channel: grpc.aio.Channel, event_ids: Sequence[str]) -> None:
    """Sends events that nobody takes."""
    stub = EventsServiceStub(channel)
    for event_id in event_ids:
        event = event_record_pb2.EventRecord(event_id=event_id, name="watched.event")
        await stub.SendEvent(
            events_service_pb2.SendEventRequest(event=event), metadata=system.metadata, timeout=20
        )


async def test_a_watch_has_no_gap_and_no_repetition_over_a_restart_of_redis(
    system: LocalSystem,
) -> None:
    before, meanwhile, after, unwatched = ([str(uuid4()) for _ in range(5)] for _ in range(4))
    async with grpc.aio.insecure_channel(system.target("events")) as channel:
        watcher = Watcher(system, channel)
        await watcher.until([])
        # One call sees the server go and come back, empty.
        watching = asyncio.create_task(watcher.until([*before, *meanwhile, *after]))
        await send(system, channel, before)
        await empty_valkey(system)
        killed = system.signal("valkey", signal.SIGKILL)
        assert killed is not None
        await send(system, channel, meanwhile)
        await asyncio.to_thread(
            poll_until,
            lambda: system.pid("valkey") not in {None, killed},
            seconds=SECONDS,
            what="the restart of Valkey",
        )
        await send(system, channel, after)
        await watching
        # The next one goes on behind it, with what came while nobody watched.
        await send(system, channel, unwatched)
        await watcher.until(unwatched)
    sent = [*before, *meanwhile, *after, *unwatched]
    assert [event_id for event_id in watcher.told if event_id in sent] == sent
