"""The log of the events service, as other services reach it."""

from collections.abc import AsyncIterator

import grpc
import pytest

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.rpc.channel import RemoteError
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.remote_event_log import RemoteEventLog
from kongflow_common.rpc.server import GrpcService
from kongflow_common.testing.grpc_server import in_process_server

EVENTS = [pb.PublishedEvent(id=str(number)) for number in range(1_200)]


class EventsServicer:
    """Takes at most `most` events a call, and no event whose id is `bad`."""

    def __init__(self) -> None:
        self.most = 2_000
        self.bad = ""
        self.calls: list[list[str]] = []

    async def RecordResourceEvents(  # noqa: N802
        self, request: pb.RecordResourceEventsRequest, _context: object
    ) -> pb.RecordResourceEventsResponse:
        if len(request.events) > self.most:
            raise InvalidField("events", f"has {len(request.events)} items; {self.most} at most")
        if self.bad in {event.id for event in request.events}:
            raise InvalidField("events[0].id", "must be a UUID")
        self.calls.append([event.id for event in request.events])
        return pb.RecordResourceEventsResponse()


@pytest.fixture
def servicer() -> EventsServicer:
    return EventsServicer()


@pytest.fixture
async def log(servicer: EventsServicer) -> AsyncIterator[RemoteEventLog]:
    descriptor = pb.DESCRIPTOR.services_by_name["ResourceEventsInternalService"]
    async with in_process_server(
        catalog=ErrorCatalog("events.kongflow", {}),
        tasks_services=[GrpcService(descriptor, servicer)],
    ) as server:
        yield RemoteEventLog(server.caller("runs"))


async def test_events_go_together(servicer: EventsServicer, log: RemoteEventLog) -> None:
    await log.record(EVENTS)
    assert [len(call) for call in servicer.calls] == [1_200]


async def test_a_log_of_before_gets_as_many_as_it_takes(
    servicer: EventsServicer, log: RemoteEventLog
) -> None:
    servicer.most = 500
    await log.record(EVENTS)
    assert [len(call) for call in servicer.calls] == [500, 500, 200]
    assert [id_ for call in servicer.calls for id_ in call] == [event.id for event in EVENTS]


@pytest.mark.parametrize("count", [3, 1_200])
async def test_what_the_log_refuses_is_an_error(
    servicer: EventsServicer, log: RemoteEventLog, count: int
) -> None:
    servicer.bad = "1"
    with pytest.raises(RemoteError) as refused:
        await log.record(EVENTS[:count])
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert servicer.calls == []
