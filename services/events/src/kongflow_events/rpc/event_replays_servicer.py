"""EventReplaysService: what clients call."""

from typing import Any, Final

import grpc

from kongflow.events.v1 import event_replays_service_pb2 as pb
from kongflow.events.v1.event_replay_pb2 import EventReplay
from kongflow.events.v1.event_replays_service_pb2_grpc import EventReplaysServiceServicer
from kongflow_common.auth.principals import current_environment
from kongflow_common.rpc.deadline import time_left
from kongflow_common.rpc.field_parsing import required_id
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.page_size import fitting
from kongflow_common.rpc.paging import PageCursor, page_request
from kongflow_events.application.begin_event_replay import BeginEventReplay
from kongflow_events.application.end_event_replay import CancelEventReplay
from kongflow_events.application.event_replay_queries import EventReplayQueries
from kongflow_events.application.ports import Selection
from kongflow_events.application.replay_event import ReplayEvent
from kongflow_events.rpc.event_mapping import to_event, to_tenancy
from kongflow_events.rpc.event_replay_mapping import (
    REPLAY_FILTER_FIELDS,
    to_counted,
    to_event_replay,
    to_replay_many,
    to_replay_one,
)

__all__ = ["EventReplaysServicer"]

# Less than a caller waits as a rule: how many events there are is worth no more.
_COUNTING_SECONDS: Final = 4.0

# Any: the context is used by no method; its request and answer types are the method's.
_Context = grpc.aio.ServicerContext[Any, Any]


class EventReplaysServicer(EventReplaysServiceServicer):
    """Parses, calls the use case, serialises."""

    def __init__(
        self,
        *,
        replay_event: ReplayEvent,
        begin: BeginEventReplay,
        cancel: CancelEventReplay,
        queries: EventReplayQueries,
    ) -> None:
        self._replay_event = replay_event
        self._begin = begin
        self._cancel = cancel
        self._queries = queries

    async def ReplayEvent(
        self, request: pb.ReplayEventRequest, context: _Context
    ) -> pb.ReplayEventResponse:
        command = to_replay_one(request, to_tenancy(current_environment()))
        return pb.ReplayEventResponse(event_record=to_event(await self._replay_event(command)))

    async def ReplayEvents(
        self, request: pb.ReplayEventsRequest, context: _Context
    ) -> pb.ReplayEventsResponse:
        return pb.ReplayEventsResponse(event_replay=await self._begun(request))

    async def BackfillEventDispatcher(
        self, request: pb.BackfillEventDispatcherRequest, context: _Context
    ) -> pb.BackfillEventDispatcherResponse:
        return pb.BackfillEventDispatcherResponse(event_replay=await self._begun(request))

    async def _begun(
        self, request: pb.ReplayEventsRequest | pb.BackfillEventDispatcherRequest
    ) -> EventReplay:
        command = to_replay_many(request, to_tenancy(current_environment()))
        seconds = time_left(_COUNTING_SECONDS)
        if request.dry_run:
            return to_counted(command, await self._begin.count(command, seconds=seconds))
        return to_event_replay(await self._begin(command, seconds=seconds))

    async def GetEventReplay(
        self, request: pb.GetEventReplayRequest, context: _Context
    ) -> pb.GetEventReplayResponse:
        replay = await self._queries.get(
            current_environment().environment_id, required_id(request.id, "id")
        )
        return pb.GetEventReplayResponse(event_replay=to_event_replay(replay))

    async def ListEventReplays(
        self, request: pb.ListEventReplaysRequest, context: _Context
    ) -> pb.ListEventReplaysResponse:
        environment_id = current_environment().environment_id
        asked = page_request(
            method="ListEventReplays",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=environment_id,
        )
        page = await self._queries.list(
            Selection(
                environment_id=environment_id,
                filter=parse_filter(request.filter, REPLAY_FILTER_FIELDS),
                after=asked.after.id if asked.after is not None else None,
                limit=asked.size,
            )
        )
        messages = fitting([to_event_replay(each) for each in page.items])
        token = ""
        if not page.complete or len(messages) < len(page.items):
            last = page.items[len(messages) - 1]
            token = asked.next_page_token(PageCursor(last.created_at, last.id))
        return pb.ListEventReplaysResponse(event_replays=messages, next_page_token=token)

    async def CancelEventReplay(
        self, request: pb.CancelEventReplayRequest, context: _Context
    ) -> pb.CancelEventReplayResponse:
        replay = await self._cancel(
            current_environment().environment_id, required_id(request.id, "id")
        )
        return pb.CancelEventReplayResponse(event_replay=to_event_replay(replay))
