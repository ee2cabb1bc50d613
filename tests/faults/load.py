"""Sends events as a careful client does: ids of its own, retries as its service config says."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import grpc
from google.protobuf.duration_pb2 import Duration

from kongflow.events.v1 import event_record_pb2, events_service_pb2
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from tests.faults.program import EVENT_NAME
from tests.local_system import LocalSystem

CALLERS = 16
SERVICE_CONFIG = (
    Path(__file__).parents[2] / "protos/kongflow/events/v1/events_grpc_service_config.json"
)


@dataclass
class Sent:
    """What became of the calls."""

    record_ids: list[str] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def retrying_channel(system: LocalSystem) -> grpc.aio.Channel:
    """A channel that retries as the service config beside the protos says."""
    return grpc.aio.insecure_channel(
        system.target("events"),
        options=[
            ("grpc.service_config", SERVICE_CONFIG.read_text()),
            ("grpc.enable_retries", 1),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ],
    )


async def send(
    system: LocalSystem, count: int, *, sent: Sent, rate: float, after_seconds: int = 0
) -> None:
    """Sends `count` events at about `rate` per second from 16 callers."""
    metadata = system.metadata
    left = count
    async with retrying_channel(system) as channel:
        stub = EventsServiceStub(channel)

        async def caller() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                request = events_service_pb2.SendEventRequest(
                    event=event_record_pb2.EventRecord(event_id=str(uuid4()), name=EVENT_NAME)
                )
                if after_seconds:
                    request.deliver_after.CopyFrom(Duration(seconds=after_seconds))
                try:
                    answer = await stub.SendEvent(request, metadata=metadata)
                except grpc.aio.AioRpcError as error:
                    sent.refused.append(f"{error.code().name}: {error.details()}")
                else:
                    sent.record_ids.append(answer.event_record.id)
                    sent.event_ids.append(answer.event_record.event_id)
                await asyncio.sleep(CALLERS / rate)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))


def distinct(ids: Sequence[str]) -> int:
    """How many different ids there are."""
    return len(set(ids))
