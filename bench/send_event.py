"""SendEvent calls per second by a number of callers, each waiting for its answer."""

import asyncio
import time
from typing import TYPE_CHECKING
from uuid import uuid4

from bench.system import CALL_TIMEOUT_S, System, events_channel
from kongflow.events.v1 import event_record_pb2, events_service_pb2
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub

if TYPE_CHECKING:
    from kongflow.events.v1.events_service_pb2_grpc import EventsServiceAsyncStub

PAYLOAD = b'{"kind": "order", "amount": 12, "customer": "c-1042", "currency": "EUR"}'
CHANNELS = 4


def new_request(name: str) -> events_service_pb2.SendEventRequest:
    """An event of about 70 bytes with an id of its own."""
    request = events_service_pb2.SendEventRequest(
        event=event_record_pb2.EventRecord(event_id=str(uuid4()), name=name)
    )
    request.event.payload.json = PAYLOAD
    return request


async def send_for(system: System, *, name: str, callers: int, seconds: float) -> float:
    """Calls per second with so many callers over so many seconds."""
    return (await _send(system, name, callers, until=time.perf_counter() + seconds, count=None))[1]


async def send_count(system: System, *, name: str, callers: int, count: int) -> tuple[int, float]:
    """Sends exactly `count` events; answers how many and the calls per second."""
    return await _send(system, name, callers, until=None, count=count)


async def _send(
    system: System, name: str, callers: int, *, until: float | None, count: int | None
) -> tuple[int, float]:
    channels = [events_channel(system) for _ in range(min(callers, CHANNELS))]
    left = count if count is not None else 0
    sent = 0

    async def caller(stub: "EventsServiceAsyncStub") -> None:
        nonlocal left, sent
        while True:
            if count is not None:
                if left == 0:
                    return
                left -= 1
            elif until is not None and time.perf_counter() >= until:
                return
            await stub.SendEvent(
                new_request(name), metadata=system.metadata, timeout=CALL_TIMEOUT_S
            )
            sent += 1

    started = time.perf_counter()
    try:
        await asyncio.gather(
            *(caller(EventsServiceStub(channels[i % len(channels)])) for i in range(callers))
        )
        return sent, sent / (time.perf_counter() - started)
    finally:
        for channel in channels:
            await channel.close()
