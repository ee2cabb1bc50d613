"""ResourceEventsService: what clients ask of the log."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import grpc

from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_events_service_pb2_grpc import ResourceEventsServiceServicer
from kongflow_common.auth.principals import current_environment
from kongflow_common.rpc.page_size import fitting
from kongflow_common.rpc.paging import PageCursor, page_request
from kongflow_events.application.replay_resource_event import ReplayResourceEvent
from kongflow_events.application.resource_events import (
    EventPlace,
    ListResourceEvents,
    LogReader,
)
from kongflow_events.application.watch_events import WatchEvents
from kongflow_events.rpc.resource_event_mapping import (
    to_log_selection,
    to_replay,
    to_resource_event,
    to_resource_selection,
)
from kongflow_events.rpc.resume_token import read_resume_token, resume_token

__all__ = ["ResourceEventsServicer"]

_PAGE_SIZE: Final = 100

# Any: the context is used by no method; its request and answer types are the method's.
_Context = grpc.aio.ServicerContext[Any, Any]


class ResourceEventsServicer(ResourceEventsServiceServicer):
    """Parses, calls the use case, serialises."""

    def __init__(
        self,
        *,
        log: LogReader,
        list_resource_events: ListResourceEvents,
        watch_events: WatchEvents,
        replay_resource_event: ReplayResourceEvent,
    ) -> None:
        self._log = log
        self._list_resource_events = list_resource_events
        self._watch_events = watch_events
        self._replay_resource_event = replay_resource_event

    async def ListResourceEvents(
        self, request: pb.ListResourceEventsRequest, context: _Context
    ) -> pb.ListResourceEventsResponse:
        scope = current_environment()
        asked = page_request(
            method="ListResourceEvents",
            page_size=request.page_size or _PAGE_SIZE,
            page_token=request.page_token,
            filter_text=f"{request.resource_id} {request.start_time} {request.end_time}",
            environment_id=scope.environment_id,
        )
        after = asked.after
        page = await self._list_resource_events(
            to_resource_selection(
                request,
                scope,
                after=EventPlace(after.time, after.id) if after is not None else None,
                limit=asked.size,
            )
        )
        messages = fitting([to_resource_event(event) for event in page.events])
        token = ""
        if not page.complete or len(messages) < len(page.events):
            last = page.events[len(messages) - 1]
            token = asked.next_page_token(PageCursor(last.timestamp, last.id))
        return pb.ListResourceEventsResponse(resource_events=messages, next_page_token=token)

    async def ReplayResourceEvent(
        self, request: pb.ReplayResourceEventRequest, context: _Context
    ) -> pb.ReplayResourceEventResponse:
        event = await self._replay_resource_event(to_replay(request, current_environment()))
        return pb.ReplayResourceEventResponse(resource_event=to_resource_event(event))

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: _Context
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        selection = to_log_selection(request, current_environment())
        key = await self._log.token_key()
        position = read_resume_token(request.resume_token, selection, key)
        watch = self._watch_events(selection, position)
        async with aclosing(watch):
            async for told in watch:
                yield pb.WatchEventsResponse(
                    resource_events=[to_resource_event(event) for event in told.events],
                    resume_token=resume_token(told.position, selection, key),
                )
