"""The queued jobs of this context, over the outbox of a unit of work."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from kongflow_common.outbox.store import Outbox
from kongflow_events.adapters.event_messages import (
    advance_event_replay,
    deliver_event,
    expire_dispatcher,
    invoke_dispatcher,
    remove_deliver_event,
    remove_expire_dispatcher,
)
from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_record import EventRecord
from kongflow_events.domain.event_replay import EventReplay

__all__ = ["OutboxEventsQueue"]


class OutboxEventsQueue:
    """Implements EventsQueue."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def enqueue_deliver_event(
        self, record: EventRecord, *, run_at: datetime | None, traceparent: str
    ) -> None:
        await self._outbox.add(
            deliver_event(
                record.id,
                record.delivery_revision,
                environment_id=record.tenancy.environment_id,
                run_at=run_at,
                priority=record.priority,
                traceparent=traceparent,
            )
        )

    async def remove_deliver_event(self, record: EventRecord, *, traceparent: str) -> None:
        await self._outbox.add(
            remove_deliver_event(
                record.id,
                record.delivery_revision,
                environment_id=record.tenancy.environment_id,
                traceparent=traceparent,
            )
        )

    async def enqueue_invoke_dispatchers(
        self, record: EventRecord, dispatcher_ids: Sequence[UUID], *, traceparent: str
    ) -> None:
        await self._outbox.add(
            *(
                invoke_dispatcher(
                    dispatcher_id,
                    record.id,
                    environment_id=record.tenancy.environment_id,
                    priority=record.priority,
                    traceparent=traceparent,
                )
                for dispatcher_id in dispatcher_ids
            )
        )

    async def enqueue_expire_dispatcher(
        self, dispatcher: EventDispatcher, *, run_at: datetime, traceparent: str
    ) -> None:
        await self._outbox.add(
            expire_dispatcher(
                dispatcher.id,
                environment_id=dispatcher.environment_id,
                run_at=run_at,
                traceparent=traceparent,
            )
        )

    async def remove_expire_dispatcher(
        self, dispatcher: EventDispatcher, *, traceparent: str
    ) -> None:
        await self._outbox.add(
            remove_expire_dispatcher(
                dispatcher.id, environment_id=dispatcher.environment_id, traceparent=traceparent
            )
        )

    async def enqueue_advance_event_replay(
        self, replay: EventReplay, *, run_at: datetime, traceparent: str
    ) -> None:
        await self._outbox.add(
            advance_event_replay(
                replay.id,
                environment_id=replay.tenancy.environment_id,
                run_at=run_at,
                traceparent=traceparent,
            )
        )
