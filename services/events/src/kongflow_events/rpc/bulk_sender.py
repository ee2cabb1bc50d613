"""Events in bulk, in one request or over a stream."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Final

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import InvalidFields, ResourceExhausted
from kongflow_common.rpc.error_catalog import ErrorCatalog
from kongflow_common.rpc.request_size import request_size
from kongflow_events.application.bulk_admission import BulkAdmission
from kongflow_events.application.event_entry import SendEvent
from kongflow_events.application.send_events import SendEvents, SentEvent
from kongflow_events.application.send_events_together import SendEventsTogether
from kongflow_events.rpc.bulk_mapping import check_count, to_commands, write_results
from kongflow_events.rpc.cloud_event_mapping import to_cloud_commands
from kongflow_events.rpc.request_groups import RequestGroups

__all__ = ["BulkSender"]

_MOST_EVENTS: Final = 10_000
_MOST_STREAMS: Final = 64


class BulkSender:
    """Parses, calls the use cases, serialises: for the methods that take many events."""

    def __init__(
        self,
        *,
        send_events: SendEvents,
        send_events_together: SendEventsTogether,
        admission: BulkAdmission,
        catalog: ErrorCatalog,
    ) -> None:
        self._send_events = send_events
        self._send_events_together = send_events_together
        self._admission = admission
        self._catalog = catalog
        self._streams = 0

    async def answer(
        self, request: pb.SendEventsRequest, scope: EnvironmentScope
    ) -> pb.SendEventsResponse:
        """Answer a request with one result per event."""
        check_count(request.requests, at_most=_MOST_EVENTS)
        outcomes = await self._send(request, to_commands(request.requests, scope))
        answer = pb.SendEventsResponse()
        await write_results(outcomes, self._catalog, answer)
        return answer

    async def answer_cloud_events(
        self, request: pb.SendCloudEventsRequest, scope: EnvironmentScope
    ) -> pb.SendCloudEventsResponse:
        """The same for events in formats of CloudEvents."""
        check_count(request.requests, at_most=_MOST_EVENTS)
        outcomes = await self._send(request, to_cloud_commands(request.requests, scope))
        answer = pb.SendCloudEventsResponse()
        await write_results(outcomes, self._catalog, answer)
        return answer

    async def _send(
        self,
        request: pb.SendEventsRequest | pb.SendCloudEventsRequest,
        commands: Iterable[SendEvent | InvalidFields],
    ) -> Sequence[SentEvent]:
        async with self._admission.admitted(request_size()):
            if request.atomic:
                return await self._send_events_together(commands)
            return await self._send_events(commands)

    async def answer_stream(
        self, messages: AsyncIterator[pb.SendEventStreamRequest], scope: EnvironmentScope
    ) -> AsyncGenerator[pb.SendEventStreamResponse, None]:
        """Answer what comes, group by group, in its order."""
        if self._streams >= _MOST_STREAMS:
            raise ResourceExhausted(f"{_MOST_STREAMS} streams of events are open already")
        self._streams += 1
        try:
            async with RequestGroups(messages) as groups:
                while True:
                    requests, size = await groups.take()
                    if not requests:
                        return
                    async with self._admission.turn(size):
                        outcomes = await self._send_events(to_commands(requests, scope))
                    answer = pb.SendEventStreamResponse()
                    await write_results(outcomes, self._catalog, answer)
                    yield answer
        finally:
            self._streams -= 1
