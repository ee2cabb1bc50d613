"""Sends a stored event once more."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.errors import Contended
from kongflow_common.payload import JsonDocument
from kongflow_events.application.event_entry import EventEntry, SendEvent
from kongflow_events.application.ports import (
    DispatcherReader,
    EventIntake,
    EventKey,
    EventReader,
    SchemasChanged,
)
from kongflow_events.application.read_cloud_event import SourceContexts
from kongflow_events.domain.dispatcher_match import MatchableEvent
from kongflow_events.domain.errors import (
    DispatcherNotFound,
    EventIdTaken,
    EventNotFound,
    EventNotReplayable,
    EventNotTaken,
)
from kongflow_events.domain.event_record import EventContent, EventRecord, Priority, Tenancy
from kongflow_events.domain.event_replay import new_event_id
from kongflow_events.domain.match_explanation import judge

__all__ = ["ReplayEvent", "ReplayOne", "to_new_event"]

_logger = logging.getLogger(__name__)

# As many replays of one event in one millisecond, or changes of schemas in a row, are no chance.
_ROUNDS: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReplayOne:
    """The event to be sent once more, and what is said beside it."""

    tenancy: Tenancy
    key: EventKey
    dispatcher_id: UUID | None
    new_event_id: str | None


class ReplayEvent:
    """Stores a new event with what the original holds, by the road of an event that is sent.

    Schemas and dispatchers are those of now; with a dispatcher only that one is asked.
    """

    def __init__(
        self,
        events: EventReader,
        sources: SourceContexts,
        dispatchers: DispatcherReader,
        intake: EventIntake,
        entry: EventEntry,
        clock: Clock,
    ) -> None:
        self._events = events
        self._sources = sources
        self._dispatchers = dispatchers
        self._intake = intake
        self._entry = entry
        self._clock = clock

    async def __call__(self, command: ReplayOne) -> EventRecord:
        """The new event.

        Raises EventNotFound, DispatcherNotFound, EventNotReplayable, EventNotTaken, EventIdTaken
        and, where the present schema refuses it, InvalidFields.
        """
        environment_id = command.tenancy.environment_id
        found = await self._events.find_event(environment_id, command.key)
        if found is None:
            raise EventNotFound(command.key)
        original, content = found
        if original.internal:
            raise EventNotReplayable(original.event_id)
        if command.dispatcher_id is not None:
            await self._check_taken(original, content, command.dispatcher_id)
        contexts = await self._sources.read_source_contexts([original.id])
        milliseconds = (self._clock.now() - _EPOCH) // timedelta(milliseconds=1)
        event_id = command.new_event_id or new_event_id(original.event_id, milliseconds)
        entrance = self._entry.begin()
        for _ in range(_ROUNDS):
            new = to_new_event(
                original,
                content,
                contexts.get(original.id),
                event_id=event_id,
                dispatcher_id=command.dispatcher_id,
                priority=original.priority,
            )
            event = await entrance.prepare(new)
            try:
                stored = await self._intake.add(event)
            except SchemasChanged:
                await entrance.renew(new)
                continue
            if stored.is_new:
                self._entry.refresh(event, stored)
                _log(stored.record)
                return stored.record
            if command.new_event_id is not None:
                if stored.record.replay_of == original.id:
                    return stored.record
                raise EventIdTaken(event_id)
            milliseconds += 1
            event_id = new_event_id(original.event_id, milliseconds)
        raise Contended("the event, or schemas, change all the time; nothing was stored")

    async def _check_taken(
        self, original: EventRecord, content: EventContent, dispatcher_id: UUID
    ) -> None:
        dispatcher = await self._dispatchers.find_dispatcher(
            original.tenancy.environment_id, dispatcher_id
        )
        if dispatcher is None:
            raise DispatcherNotFound(dispatcher_id)
        event = MatchableEvent(original.payload_type, content, original.external_account_id)
        explanation = judge(original, event, dispatcher).explanation
        if explanation is not None:
            raise EventNotTaken(original.event_id, dispatcher_id, explanation.reason.value)


def to_new_event(
    original: EventRecord,
    content: EventContent,
    source_context: JsonDocument | None,
    *,
    event_id: str,
    dispatcher_id: UUID | None,
    priority: Priority,
) -> SendEvent:
    """The event that repeats the original, due at once."""
    return SendEvent(
        tenancy=original.tenancy,
        name=original.name,
        event_id=event_id,
        source=original.source,
        timestamp=original.timestamp,
        payload=content.payload,
        context=content.context,
        payload_type=original.payload_type,
        account_id=original.account_id,
        is_test=original.is_test,
        priority=priority,
        source_context=source_context,
        replay_of=original.id,
        only_dispatcher_id=dispatcher_id,
    )


def _log(record: EventRecord) -> None:
    _logger.info(
        "event replayed",
        extra={
            "fields": {
                "event_record_id": str(record.id),
                "event_id": record.event_id,
                "replay_of": str(record.replay_of),
                "environment_id": str(record.tenancy.environment_id),
            }
        },
    )
