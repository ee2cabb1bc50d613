"""Events per second in calls of 1,000, by one caller and by several."""

import asyncio
import time
from typing import Final
from uuid import uuid4

from bench.system import CALL_TIMEOUT_S, System, events_channel
from kongflow.events.v1 import events_service_pb2
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub

EVENTS_PER_CALL: Final = 1_000
CALLERS: Final = (1, 4)
SECONDS: Final = 2.0

SMALL: Final = b'{"kind": "order", "amount": 12, "id": 7}'
LARGE: Final = (
    b'{"kind": "order", "amount": 12, "customer": {"id": "c-1042", "name": "Ada"}, "lines": ['
    + b", ".join(b'{"sku": "sku-%05d", "count": %d, "price": 12.5}' % (n, n) for n in range(18))
    + b'], "note": "the quick brown fox"}'
)
PAYLOADS: Final = {"40 bytes": SMALL, "1 KB": LARGE}


def new_call(name: str, payload: bytes) -> events_service_pb2.SendEventsRequest:
    """A call with 1,000 events, each with an id of its own."""
    request = events_service_pb2.SendEventsRequest()
    call = uuid4().hex
    for number in range(EVENTS_PER_CALL):
        event = request.requests.add().event
        event.event_id = f"{call}-{number}"
        event.name = name
        event.payload.json = payload
    return request


async def bulk_eps(system: System, payload: bytes, callers: int) -> float:
    """Events per second that are stored; no dispatcher takes them."""
    until = time.perf_counter() + SECONDS
    channels = [events_channel(system) for _ in range(callers)]

    async def caller(number: int) -> int:
        stub = EventsServiceStub(channels[number])
        stored = 0
        while time.perf_counter() < until:
            answer = await stub.SendEvents(
                new_call("bench.none", payload), metadata=system.metadata, timeout=CALL_TIMEOUT_S
            )
            stored += sum(each.is_new for each in answer.results)
        return stored

    started = time.perf_counter()
    try:
        stored = sum(await asyncio.gather(*(caller(number) for number in range(callers))))
        return stored / (time.perf_counter() - started)
    finally:
        for channel in channels:
            await channel.close()
