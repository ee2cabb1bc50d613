"""EventsService: what clients call."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import grpc

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceServicer
from kongflow_common.auth.principals import current_environment
from kongflow_common.rpc.deadline import time_left
from kongflow_common.rpc.field_parsing import optional_enum, required_text
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.page_size import fitting
from kongflow_common.rpc.paging import PageCursor, PageRequest, page_request
from kongflow_events.application.backtest_filter import BacktestFilter
from kongflow_events.application.cancel_event import CancelEvent
from kongflow_events.application.cancel_runs_for_event import CancelRunsForEvent
from kongflow_events.application.create_ephemeral_dispatcher import CreateEphemeralDispatcher
from kongflow_events.application.delete_event_dispatcher import DeleteEventDispatcher
from kongflow_events.application.delete_external_account import DeleteExternalAccount
from kongflow_events.application.explain_event import ExplainEvent
from kongflow_events.application.ingest_send_event import IngestSendEvent
from kongflow_events.application.ports import Selection
from kongflow_events.application.queries import DispatcherQueries, EventQueries
from kongflow_events.application.read_cloud_event import ReadCloudEvents
from kongflow_events.application.switch_event_dispatcher import SwitchEventDispatcher
from kongflow_events.application.try_filter import TryFilter
from kongflow_events.application.upsert_event_dispatcher import UpsertEventDispatcher
from kongflow_events.rpc.bulk_sender import BulkSender
from kongflow_events.rpc.cloud_event_mapping import (
    FORMATS,
    to_formatted,
    to_send_cloud_event,
)
from kongflow_events.rpc.dispatcher_mapping import (
    DISPATCHER_FILTER_FIELDS,
    to_dispatcher,
    to_dispatcher_command,
    to_dispatcher_key,
    to_ephemeral_command,
)
from kongflow_events.rpc.event_mapping import (
    EVENT_FILTER_FIELDS,
    to_event,
    to_event_key,
    to_send_event,
    to_tenancy,
    to_whole_event,
)
from kongflow_events.rpc.explanation_mapping import (
    to_backtest,
    to_filter_verdict,
    to_max_events,
    to_sample,
    to_tried_filters,
    to_verdict,
)

__all__ = ["DispatcherUseCases", "EventsServicer", "FilterUseCases"]

# How long explaining and back-testing may take, where the caller waits for longer.
_LONGEST_SECONDS: Final = 25.0
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SHOWS_CONTENT: Final[Mapping[int, bool]] = {pb.VIEW_BASIC: False, pb.VIEW_FULL: True}

# Any: the context is used by no method; its request and answer types are the method's.
_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class DispatcherUseCases:
    """What is done with dispatchers."""

    upsert: UpsertEventDispatcher
    create_ephemeral: CreateEphemeralDispatcher
    switch: SwitchEventDispatcher
    delete: DeleteEventDispatcher
    queries: DispatcherQueries


@dataclass(frozen=True, slots=True)
class FilterUseCases:
    """What says why filters hold, or would."""

    explain: ExplainEvent
    test: TryFilter
    backtest: BacktestFilter


class EventsServicer(EventsServiceServicer):
    """Parses, calls the use case, serialises."""

    def __init__(
        self,
        *,
        send_event: IngestSendEvent,
        send_many: BulkSender,
        cancel_event: CancelEvent,
        events: EventQueries,
        cloud_events: ReadCloudEvents,
        dispatchers: DispatcherUseCases,
        filters: FilterUseCases,
        cancel_runs_for_event: CancelRunsForEvent,
        delete_external_account: DeleteExternalAccount,
    ) -> None:
        self._send_event = send_event
        self._send_many = send_many
        self._cancel_event = cancel_event
        self._events = events
        self._cloud_events = cloud_events
        self._dispatchers = dispatchers
        self._filters = filters
        self._cancel_runs_for_event = cancel_runs_for_event
        self._delete_external_account = delete_external_account

    async def SendEvent(
        self, request: pb.SendEventRequest, context: _Context
    ) -> pb.SendEventResponse:
        record = await self._send_event(to_send_event(request, to_tenancy(current_environment())))
        return pb.SendEventResponse(event_record=to_event(record))

    async def SendEvents(
        self, request: pb.SendEventsRequest, context: _Context
    ) -> pb.SendEventsResponse:
        return await self._send_many.answer(request, current_environment())

    async def SendEventStream(
        self, requests: AsyncIterator[pb.SendEventStreamRequest], context: _Context
    ) -> AsyncGenerator[pb.SendEventStreamResponse, None]:
        answers = self._send_many.answer_stream(requests, current_environment())
        async with aclosing(answers):
            async for answer in answers:
                yield answer

    async def SendCloudEvent(
        self, request: pb.SendCloudEventRequest, context: _Context
    ) -> pb.SendCloudEventResponse:
        command = to_send_cloud_event(request, to_tenancy(current_environment()))
        return pb.SendCloudEventResponse(event_record=to_event(await self._send_event(command)))

    async def SendCloudEvents(
        self, request: pb.SendCloudEventsRequest, context: _Context
    ) -> pb.SendCloudEventsResponse:
        return await self._send_many.answer_cloud_events(request, current_environment())

    async def GetCloudEvent(
        self, request: pb.GetCloudEventRequest, context: _Context
    ) -> pb.GetCloudEventResponse:
        kind = optional_enum(request.format, "format", FORMATS) or "event"
        environment_id = current_environment().environment_id
        event = await self._cloud_events.get(environment_id, to_event_key(request))
        return pb.GetCloudEventResponse(cloud_event=to_formatted(event, kind))

    async def ListCloudEvents(
        self, request: pb.ListCloudEventsRequest, context: _Context
    ) -> pb.ListCloudEventsResponse:
        kind = optional_enum(request.format, "format", FORMATS) or "event"
        environment_id = current_environment().environment_id
        asked = page_request(
            method="ListCloudEvents",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=environment_id,
        )
        page = await self._cloud_events.list(
            Selection(
                environment_id=environment_id,
                filter=parse_filter(request.filter, EVENT_FILTER_FIELDS),
                after=_after(asked),
                limit=asked.size,
            )
        )
        messages = fitting([to_formatted(event, kind) for event in page.items])
        token = ""
        if len(messages) < len(page.items):
            token = _token_after(asked, page.items[len(messages) - 1].record.id)
        elif not page.complete:
            token = _token_after(asked, page.end or page.items[-1].record.id)
        return pb.ListCloudEventsResponse(cloud_events=messages, next_page_token=token)

    async def CancelEvent(
        self, request: pb.CancelEventRequest, context: _Context
    ) -> pb.CancelEventResponse:
        environment_id = current_environment().environment_id
        record = await self._cancel_event(environment_id, to_event_key(request))
        return pb.CancelEventResponse(event_record=to_event(record))

    async def CancelRunsForEvent(
        self, request: pb.CancelRunsForEventRequest, context: _Context
    ) -> pb.CancelRunsForEventResponse:
        environment_id = current_environment().environment_id
        runs = await self._cancel_runs_for_event(environment_id, to_event_key(request))
        return pb.CancelRunsForEventResponse(
            cancelled_run_ids=map(str, runs.cancelled), failed_run_ids=map(str, runs.failed)
        )

    async def GetEventRecord(
        self, request: pb.GetEventRecordRequest, context: _Context
    ) -> pb.GetEventRecordResponse:
        environment_id = current_environment().environment_id
        event = await self._events.get(environment_id, to_event_key(request))
        return pb.GetEventRecordResponse(event_record=to_whole_event(event))

    async def ListEventRecords(
        self, request: pb.ListEventRecordsRequest, context: _Context
    ) -> pb.ListEventRecordsResponse:
        environment_id = current_environment().environment_id
        asked = page_request(
            method="ListEventRecords",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=environment_id,
        )
        page = await self._events.list(
            Selection(
                environment_id=environment_id,
                filter=parse_filter(request.filter, EVENT_FILTER_FIELDS),
                after=_after(asked),
                limit=asked.size,
            ),
            with_content=optional_enum(request.view, "view", _SHOWS_CONTENT) or False,
        )
        messages = fitting([to_whole_event(event) for event in page.items])
        token = ""
        if len(messages) < len(page.items):
            token = _token_after(asked, page.items[len(messages) - 1].record.id)
        elif not page.complete:
            token = _token_after(asked, page.end or page.items[-1].record.id)
        return pb.ListEventRecordsResponse(event_records=messages, next_page_token=token)

    async def UpsertEventDispatcher(
        self, request: pb.UpsertEventDispatcherRequest, context: _Context
    ) -> pb.UpsertEventDispatcherResponse:
        command = to_dispatcher_command(request, current_environment())
        upserted = await self._dispatchers.upsert(command)
        return pb.UpsertEventDispatcherResponse(
            event_dispatcher=to_dispatcher(upserted.dispatcher), warnings=upserted.warnings
        )

    async def CreateEphemeralDispatcher(
        self, request: pb.CreateEphemeralDispatcherRequest, context: _Context
    ) -> pb.CreateEphemeralDispatcherResponse:
        command = to_ephemeral_command(request, current_environment())
        created = await self._dispatchers.create_ephemeral(command)
        return pb.CreateEphemeralDispatcherResponse(
            event_dispatcher=to_dispatcher(created.dispatcher),
            created=created.created,
            warnings=created.warnings,
        )

    async def EnableEventDispatcher(
        self, request: pb.EnableEventDispatcherRequest, context: _Context
    ) -> pb.EnableEventDispatcherResponse:
        dispatcher = await self._dispatchers.switch(
            current_environment().environment_id, to_dispatcher_key(request), enabled=True
        )
        return pb.EnableEventDispatcherResponse(event_dispatcher=to_dispatcher(dispatcher))

    async def DisableEventDispatcher(
        self, request: pb.DisableEventDispatcherRequest, context: _Context
    ) -> pb.DisableEventDispatcherResponse:
        dispatcher = await self._dispatchers.switch(
            current_environment().environment_id, to_dispatcher_key(request), enabled=False
        )
        return pb.DisableEventDispatcherResponse(event_dispatcher=to_dispatcher(dispatcher))

    async def DeleteEventDispatcher(
        self, request: pb.DeleteEventDispatcherRequest, context: _Context
    ) -> pb.DeleteEventDispatcherResponse:
        await self._dispatchers.delete(
            current_environment().environment_id, to_dispatcher_key(request)
        )
        return pb.DeleteEventDispatcherResponse()

    async def GetEventDispatcher(
        self, request: pb.GetEventDispatcherRequest, context: _Context
    ) -> pb.GetEventDispatcherResponse:
        environment_id = current_environment().environment_id
        dispatcher = await self._dispatchers.queries.get(environment_id, to_dispatcher_key(request))
        return pb.GetEventDispatcherResponse(event_dispatcher=to_dispatcher(dispatcher))

    async def ListEventDispatchers(
        self, request: pb.ListEventDispatchersRequest, context: _Context
    ) -> pb.ListEventDispatchersResponse:
        environment_id = current_environment().environment_id
        asked = page_request(
            method="ListEventDispatchers",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=environment_id,
        )
        page = await self._dispatchers.queries.list(
            Selection(
                environment_id=environment_id,
                filter=parse_filter(request.filter, DISPATCHER_FILTER_FIELDS),
                after=_after(asked),
                limit=asked.size,
            )
        )
        messages = fitting([to_dispatcher(each) for each in page.items])
        token = ""
        if not page.complete or len(messages) < len(page.items):
            last = page.items[len(messages) - 1]
            token = asked.next_page_token(PageCursor(last.created_at, last.id))
        return pb.ListEventDispatchersResponse(event_dispatchers=messages, next_page_token=token)

    async def DeleteExternalAccount(
        self, request: pb.DeleteExternalAccountRequest, context: _Context
    ) -> pb.DeleteExternalAccountResponse:
        await self._delete_external_account(
            to_tenancy(current_environment()), required_text(request.account_id, "account_id")
        )
        return pb.DeleteExternalAccountResponse()

    async def ExplainEvent(
        self, request: pb.ExplainEventRequest, context: _Context
    ) -> pb.ExplainEventResponse:
        environment_id = current_environment().environment_id
        key = to_event_key(request)
        asked = page_request(
            method=f"ExplainEvent {key}",
            page_size=request.page_size,
            page_token=request.page_token,
            filter_text=request.filter,
            environment_id=environment_id,
        )
        explained = await self._filters.explain(
            key,
            Selection(
                environment_id=environment_id,
                filter=parse_filter(request.filter, DISPATCHER_FILTER_FIELDS),
                after=_after(asked),
                limit=asked.size,
            ),
            seconds=time_left(_LONGEST_SECONDS),
        )
        messages = fitting([to_verdict(each) for each in explained.verdicts])
        token = ""
        if not explained.complete or len(messages) < len(explained.verdicts):
            last = explained.verdicts[len(messages) - 1].dispatcher
            token = asked.next_page_token(PageCursor(last.created_at, last.id))
        return pb.ExplainEventResponse(
            event_record=to_event(explained.record), verdicts=messages, next_page_token=token
        )

    async def TestFilter(
        self, request: pb.TestFilterRequest, context: _Context
    ) -> pb.TestFilterResponse:
        payload_type, content = to_sample(request)
        verdict = await self._filters.test(to_tried_filters(request), payload_type, content)
        return to_filter_verdict(verdict)

    async def BacktestFilter(
        self, request: pb.BacktestFilterRequest, context: _Context
    ) -> pb.BacktestFilterResponse:
        backtest = await self._filters.backtest(
            to_tried_filters(request),
            Selection(
                environment_id=current_environment().environment_id,
                filter=parse_filter(request.filter, EVENT_FILTER_FIELDS),
                after=None,
                limit=to_max_events(request),
            ),
            seconds=time_left(_LONGEST_SECONDS),
        )
        return to_backtest(backtest)


def _after(asked: PageRequest) -> UUID | None:
    return asked.after.id if asked.after is not None else None


def _token_after(asked: PageRequest, id_: UUID) -> str:
    # Lists of events are in the order of ids alone.
    return asked.next_page_token(PageCursor(_NO_TIME, id_))
