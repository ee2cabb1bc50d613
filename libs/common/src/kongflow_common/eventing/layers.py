"""Publishing events of the three layers inside a unit of work.

    layers = LayeredPublisher(publisher, {PROJECT_CREATED.name: [start_trial]})
    async with self._unit_of_work() as uow:
        await uow.projects.add(project)
        data = ProjectCreated(project_id=str(project.id), name=project.name, ...)
        await layers.publish_domain(uow, PROJECT_CREATED, str(project.id), data, belonging=...)
        await uow.commit()

Whatever the layer, the event is logged with the commit, or not at all.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from kongflow_common.eventing.envelope import Belonging, PublishedEvent
from kongflow_common.eventing.event_type import EventType, InvalidEventType, Layer
from kongflow_common.eventing.publisher import IntegrationEvents
from kongflow_common.eventing.typed_data import EventData, TypedData
from kongflow_common.outbox.message import OutboxMessage

__all__ = ["DomainHandler", "EventSink", "LayeredPublisher"]

DomainHandler: TypeAlias = Callable[["EventSink", PublishedEvent], Awaitable[None]]
"""Does what must hold together with an event; what it raises undoes both."""

_NO_HANDLERS: Final[Mapping[str, Sequence[DomainHandler]]] = MappingProxyType({})


class _Messages(Protocol):
    async def add(self, *messages: OutboxMessage) -> None: ...


class _Events(Protocol):
    async def add(self, *events: PublishedEvent) -> None: ...


class EventSink(Protocol):
    """The unit of work that an event is part of."""

    @property
    def outbox(self) -> _Messages: ...

    @property
    def published(self) -> _Events: ...


class LayeredPublisher:
    """Publishes events. Each method raises InvalidEventType for a type of another layer."""

    def __init__(
        self,
        events: IntegrationEvents,
        handlers: Mapping[str, Sequence[DomainHandler]] = _NO_HANDLERS,
    ) -> None:
        self._events = events
        self._handlers = handlers

    async def publish_domain(
        self,
        sink: EventSink,
        type_: EventType,
        resource_id: str,
        data: TypedData | EventData,
        *,
        belonging: Belonging,
        user_id: str = "",
    ) -> PublishedEvent:
        """Calls the handlers of the type, one after the other, inside the transaction."""
        _check(type_, Layer.DOMAIN)
        event = self._events.event(type_, resource_id, data, belonging=belonging, user_id=user_id)
        await self._publish_domain(sink, event)
        return event

    async def publish_integration(
        self,
        sink: EventSink,
        type_: EventType,
        resource_id: str,
        data: TypedData | EventData,
        *,
        belonging: Belonging,
        user_id: str = "",
    ) -> PublishedEvent:
        """Has a queued job made for each method that consumes the type.

        Whether there is any may be asked of the worker queue, for half a second at most: who
        cannot wait for that inside a transaction asks `IntegrationEvents.wanted` before.
        """
        _check(type_, Layer.INTEGRATION)
        event = self._events.event(type_, resource_id, data, belonging=belonging, user_id=user_id)
        if await self._events.wanted(type_):
            await sink.outbox.add(self._events.enqueued(event))
        await sink.published.add(event)
        return event

    async def publish_realtime(
        self,
        sink: EventSink,
        type_: EventType,
        resource_id: str,
        data: TypedData | EventData,
        *,
        belonging: Belonging,
        user_id: str = "",
    ) -> PublishedEvent:
        """Tells whoever is watching, or listening in Redis, when the log has it."""
        _check(type_, Layer.REALTIME)
        event = self._events.event(type_, resource_id, data, belonging=belonging, user_id=user_id)
        await sink.published.add(event)
        return event

    async def publish_again(self, sink: EventSink, type_: EventType, event: PublishedEvent) -> None:
        """Publishes a replay, an event that names the one it repeats, by the layer of its type.

        An integration event goes to whoever consumes it now, whether that is known or not.
        """
        if type_.layer is Layer.DOMAIN:
            await self._publish_domain(sink, event)
        elif type_.layer is Layer.INTEGRATION:
            await sink.outbox.add(self._events.enqueued(event))
            await sink.published.add(event)
        else:
            raise InvalidEventType(f"{type_.name} is of the layer {type_.layer.value}")

    async def _publish_domain(self, sink: EventSink, event: PublishedEvent) -> None:
        for handler in self._handlers.get(event.type, ()):
            await handler(sink, event)
        await sink.published.add(event)


def _check(type_: EventType, layer: Layer) -> None:
    if type_.layer is not layer:
        raise InvalidEventType(f"{type_.name} is of the layer {type_.layer.value}")
