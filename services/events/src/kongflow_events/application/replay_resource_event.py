"""Publishes an event of the log once more, by the layer of its type."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import orjson

from kongflow_common.clock import Clock
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.event_type import EventType, Layer
from kongflow_common.eventing.layers import EventSink, LayeredPublisher
from kongflow_events.application.resource_events import LogReader
from kongflow_events.domain.errors import (
    RequestIdReused,
    ResourceEventNotFound,
    ResourceEventNotReplayable,
)

__all__ = [
    "KeptReplay",
    "ReplayResourceEvent",
    "ReplayResourceEventCommand",
    "ResourceReplayUnitOfWork",
]

_logger = logging.getLogger(__name__)

_NOBODY: Final = "is a type that no service here publishes"
_GONE: Final = "is realtime: it was for whoever was watching then"


@dataclass(frozen=True, slots=True)
class ReplayResourceEventCommand:
    """The event, as one of the caller's scopes, the narrowest of which is `environment_id`."""

    environment_id: UUID
    scope_ids: tuple[UUID, ...]
    event_id: UUID
    resource_id: str | None
    request_id: str | None


@dataclass(frozen=True, slots=True)
class KeptReplay:
    """What is kept of a replay: the ids of the new event and of the original, and its time."""

    id: UUID
    replay_of: UUID
    at: datetime


class ResourceReplayUnitOfWork(EventSink, Protocol):
    """One transaction; what is published in it is in the log with its commit."""

    async def keep(self, environment_id: UUID, request_id: str, new: KeptReplay) -> KeptReplay:
        """The replay that a request stands for: the new one, or one that is kept already."""
        ...

    async def replay_domain_event(self, kind: str, event: PublishedEvent) -> None:
        """Enqueue the job of the service that owns the event's type."""
        ...

    async def commit(self) -> None: ...


class ReplayResourceEvent:
    """Publishes the data of an event again, as the newest version of its type has them."""

    def __init__(
        self,
        log: LogReader,
        layers: LayeredPublisher,
        unit_of_work: Callable[[], AbstractAsyncContextManager[ResourceReplayUnitOfWork]],
        clock: Clock,
        new_id: Callable[[], UUID],
    ) -> None:
        self._log = log
        self._layers = layers
        self._unit_of_work = unit_of_work
        self._clock = clock
        self._new_id = new_id

    async def __call__(self, command: ReplayResourceEventCommand) -> PublishedEvent:
        """The new event.

        Raises ResourceEventNotFound, ResourceEventNotReplayable and RequestIdReused.
        """
        original = await self._log.find_event(command.scope_ids, command.event_id)
        if original is None or command.resource_id not in (None, original.resource_id):
            raise ResourceEventNotFound(command.event_id, command.resource_id)
        type_ = _replayable(original)
        new = KeptReplay(self._new_id(), original.id, self._clock.now())
        async with self._unit_of_work() as uow:
            if command.request_id is not None:
                kept = await uow.keep(command.environment_id, command.request_id, new)
                if kept.replay_of != original.id:
                    raise RequestIdReused(command.request_id, kept.replay_of)
                if kept.id != new.id:
                    return _repeated(original, kept, type_)
            event = _repeated(original, new, type_)
            if type_.layer is Layer.DOMAIN:
                await uow.replay_domain_event(type_.replayed_by, event)
            else:
                await self._layers.publish_again(uow, type_, event)
            await uow.commit()
        _log(event)
        return event


def _replayable(event: PublishedEvent) -> EventType:
    type_ = DECLARED_TYPES.get(event.type)
    if type_ is None or (type_.layer is Layer.DOMAIN and not type_.replayed_by):
        raise ResourceEventNotReplayable(event.id, event.type, _NOBODY)
    if type_.layer is Layer.REALTIME:
        raise ResourceEventNotReplayable(event.id, event.type, _GONE)
    return type_


def _repeated(original: PublishedEvent, new: KeptReplay, type_: EventType) -> PublishedEvent:
    version, data = original.version, original.data
    if version < type_.version:
        data = orjson.dumps(type_.upcast(version, orjson.loads(data)))
        version = type_.version
    return replace(
        original, id=new.id, replay_of=original.id, timestamp=new.at, version=version, data=data
    )


def _log(event: PublishedEvent) -> None:
    _logger.info(
        "resource event replayed",
        extra={
            "fields": {
                "type": event.type,
                "resource_event_id": str(event.id),
                "replay_of": str(event.replay_of),
            }
        },
    )
