"""One trace leads from the call that sent an event to the run, through every service's log."""

import json
import secrets
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import grpc
import pytest

from kongflow.events.v1 import event_record_pb2, events_service_pb2
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub
from tests.e2e.changing_program import changing_program, job
from tests.e2e.test_jobs import Scene
from tests.local_system import LocalSystem, poll_until

pytestmark = pytest.mark.e2e

ROAD = {
    ("events", "event accepted"),
    ("events", "event delivered"),
    ("events", "dispatcher invoked"),
    ("runs", "run created"),
    ("runs", "run queued"),
    ("worker", "queued job completed"),
}


def lines_of(system: LocalSystem, trace_id: str) -> Iterator[dict[str, Any]]:
    """The log lines of all services that belong to a trace."""
    for file in sorted((system.state_dir / "logs").glob("*.log")):
        for line in file.read_text().splitlines():
            if trace_id in line:
                yield json.loads(line)


@pytest.fixture
def event_name(system: LocalSystem) -> Iterator[str]:
    """An event that a registered job takes: what is not registered is never queued."""
    name = f"traced-{uuid4().hex[:8]}"
    contexts = ("endpoints", "jobs")
    channels = {each: grpc.insecure_channel(system.target(each)) for each in contexts}
    with changing_program(name) as program:
        Scene(system, program, channels).index(job(name, name))
        yield name
    for channel in channels.values():
        channel.close()


async def test_every_step_of_an_event_is_logged_under_the_senders_trace(
    system: LocalSystem, event_name: str
) -> None:
    trace_id = secrets.token_hex(16)
    async with grpc.aio.insecure_channel(system.target("events")) as channel:
        await EventsServiceStub(channel).SendEvent(
            events_service_pb2.SendEventRequest(
                event=event_record_pb2.EventRecord(event_id=str(uuid4()), name=event_name)
            ),
            metadata=(*system.metadata, ("traceparent", f"00-{trace_id}-{'ab' * 8}-01")),
            timeout=20,
        )

    def road() -> set[tuple[str, str]]:
        return {
            (str(line["service"]), str(line["message"]))
            for line in lines_of(system, trace_id)
            if line.get("trace_id") == trace_id
        }

    poll_until(lambda: road() >= ROAD, seconds=30, what=f"{ROAD} in the logs")
    secret = system.connection()["api_key"].rpartition("_")[2]
    for file in (system.state_dir / "logs").glob("*.log"):
        assert secret not in file.read_text()
