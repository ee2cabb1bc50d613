"""Publishing integration events, in the transaction that they tell of.

An event is a message in the outbox of the service that publishes it. The worker queue makes one
queued job of it for each method that consumes its type.

    event = events.event(RUN_FAILED, str(run.id), RunFailed(...), belonging=belonging)
    if await events.wanted(RUN_FAILED):
        await uow.outbox.add(events.enqueued(event))
    await uow.commit()

For what nobody consumes no message is written; logged it is all the same (`PublishedRows`).
"""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

import orjson

from kongflow_common.clock import Clock
from kongflow_common.eventing.envelope import Belonging, PublishedEvent, published_event
from kongflow_common.eventing.event_type import EventType
from kongflow_common.eventing.typed_data import EventData, TypedData
from kongflow_common.outbox.message import OutboxMessage

__all__ = ["PUBLISH", "Always", "EventPublisher", "IntegrationEvents", "Interest"]

PUBLISH = "publishIntegrationEvent"
"""The kind that stands for the kinds of all subscribers."""


class Interest(Protocol):
    """Whether anybody listens."""

    async def wanted(self, type_name: str) -> bool:
        """Whether any method consumes the type; True while that is not known."""
        ...


class Always:
    """An Interest of services that tell what happens once, and rarely, to whoever listens later."""

    async def wanted(self, type_name: str) -> bool:
        """True."""
        return True


class IntegrationEvents(Protocol):
    """Makes the messages that publish events."""

    async def wanted(self, type_: EventType) -> bool:
        """Whether to publish events of the type at all; asked before a transaction is opened."""
        ...

    def event(
        self,
        type_: EventType,
        resource_id: str,
        data: TypedData | EventData,
        *,
        belonging: Belonging,
        user_id: str = "",
    ) -> PublishedEvent:
        """The event with its envelope, to be logged; `resource_id` is what it happened to."""
        ...

    def enqueued(self, event: PublishedEvent) -> OutboxMessage:
        """What to add to the outbox for those who consume it."""
        ...


class EventPublisher:
    """The IntegrationEvents of a service. `new_id` makes UUIDs."""

    def __init__(self, interest: Interest, clock: Clock, new_id: Callable[[], UUID]) -> None:
        self._interest = interest
        self._clock = clock
        self._new_id = new_id

    async def wanted(self, type_: EventType) -> bool:
        """See IntegrationEvents.wanted."""
        return await self._interest.wanted(type_.name)

    def event(
        self,
        type_: EventType,
        resource_id: str,
        data: TypedData | EventData,
        *,
        belonging: Belonging,
        user_id: str = "",
    ) -> PublishedEvent:
        """See IntegrationEvents.event."""
        return published_event(
            type_,
            resource_id,
            data,
            belonging=belonging,
            clock=self._clock,
            new_id=self._new_id,
            user_id=user_id,
        )

    def enqueued(self, event: PublishedEvent) -> OutboxMessage:
        """See IntegrationEvents.enqueued."""
        # Proto JSON writes 64-bit integers as text.
        document = {**event.document(), "timestamp": str(event.milliseconds)}
        return OutboxMessage.enqueue(
            PUBLISH, orjson.dumps(document), environment_id=event.belonging.environment_id
        )
