"""Events in the log, and a watch of it, for tests."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_event_pb2 import ResourceEvent
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.clock import SystemClock
from kongflow_common.db.connection_pool import Connection
from kongflow_common.eventing.envelope import Belonging, PublishedEvent, published_event
from kongflow_common.eventing.event_type import EventType
from kongflow_common.ids import new_id
from kongflow_events.adapters.resource_log_writer import RECORD, record_parameters
from services.events.tests.events_context import EventsContext

__all__ = ["Watch", "happened", "log", "log_in"]


def happened(
    environment: EnvironmentScope,
    type_: str = "event.delivered",
    *,
    resource_id: str = "resource",
    matched: object = 1,
    above: bool = False,
) -> PublishedEvent:
    """An event of the environment, or of its project."""
    event = published_event(
        # Of a type that takes any data: what the log holds is not checked again.
        EventType(type_),
        resource_id,
        {"matchedCount": matched},
        belonging=Belonging(
            environment.environment_id, environment.project_id, environment.organization_id
        ),
        clock=SystemClock(),
        new_id=new_id,
    )
    if above:
        belonging = replace(event.belonging, environment_id=None)
        event = replace(event, belonging=belonging)
    return event


async def log_in(connection: Connection, *events: PublishedEvent) -> None:
    """Log events in a transaction of the caller's."""
    await connection.cursor(binary=True).execute(RECORD, record_parameters(events))


async def log(context: EventsContext, *events: PublishedEvent) -> None:
    """Log events in one transaction."""
    async with context.database.pool.connection() as connection, connection.transaction():
        await log_in(connection, *events)


class Watch:
    """A watch, what it has told so far, and where to go on."""

    def __init__(
        self,
        context: EventsContext,
        *,
        token: str = "",
        metadata: tuple[tuple[str, str], ...] | None = None,
        **fields: Any,
    ) -> None:
        self.call = context.resource_events.WatchEvents(
            pb.WatchEventsRequest(resume_token=token, **fields),
            metadata=metadata or context.as_sender,
            timeout=60,
        )
        self._answers: AsyncIterator[pb.WatchEventsResponse] = aiter(self.call)
        self.events: list[ResourceEvent] = []
        self.token = token

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.events]

    async def __aenter__(self) -> "Watch":
        if not self.token:
            await self.answer()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.call.cancel()

    async def answer(self) -> pb.WatchEventsResponse:
        async with asyncio.timeout(30):
            answer = await anext(self._answers)
        self.events += answer.resource_events
        self.token = answer.resume_token
        return answer

    async def until(self, count: int) -> list[str]:
        """The ids of all that was told, once it is so many."""
        while len(self.events) < count:
            await self.answer()
        return self.ids
