"""Publishing domain events once more, in the service that owns their types.

    replay = domain_replays(database, "jobs", "job")

Whatever must hold together with a domain event is done by the handlers of its type, which are
this service's: so it is this service that publishes it again, in a transaction of its own, as a
queued job. That comes at least once; a row with the new event's id, written in the transaction,
has it done once.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

from alembic import op
from sqlalchemy import Column, DateTime, Index, MetaData, Table, Uuid, text

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.event_messages import read_message
from kongflow_common.eventing.event_type import Layer, domain_of
from kongflow_common.eventing.layers import EventSink, LayeredPublisher
from kongflow_common.eventing.publisher import Always, EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.store import PublishingUnitOfWork

__all__ = [
    "ReplayDomainEvent",
    "ReplayUnitOfWork",
    "ReplayWork",
    "create_replayed_events_table",
    "domain_replays",
    "replayed_events_table",
]

_KEPT: Final = timedelta(days=30)
"""No queued job is tried again after so long."""


def create_replayed_events_table(schema: str) -> None:
    """Create the table, for a migration.

    What a released migration calls must not change: later changes get functions of their own.
    """
    op.execute(
        f"""
        CREATE TABLE {schema}.replayed_events (
            id uuid CONSTRAINT replayed_events_pkey PRIMARY KEY,
            replayed_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX replayed_events_replayed_at_idx ON {schema}.replayed_events (replayed_at)
        """
    )


def replayed_events_table(metadata: MetaData) -> Table:
    """Declare the table."""
    table = Table(
        "replayed_events",
        metadata,
        # That of the new event.
        Column("id", Uuid, primary_key=True),
        Column(
            "replayed_at", DateTime(timezone=True), nullable=False, server_default=text("now()")
        ),
    )
    Index("replayed_events_replayed_at_idx", table.c.replayed_at)
    return table


class ReplayWork(EventSink, Protocol):
    """The transaction that a replay is carried out in; leaving without commit rolls back."""

    async def is_new(self, event_id: UUID) -> bool:
        """Whether no transaction has carried the replay out, which this one does then."""
        ...

    async def commit(self) -> None:
        """Make it last."""
        ...


class ReplayDomainEvent:
    """Publishes events again whose types are of `domains`, each once however often it is asked."""

    def __init__(
        self,
        layers: LayeredPublisher,
        domains: frozenset[str],
        unit_of_work: Callable[[], AbstractAsyncContextManager[ReplayWork]],
    ) -> None:
        self._layers = layers
        self._domains = domains
        self._unit_of_work = unit_of_work

    async def __call__(self, message: pb.PublishedEvent) -> None:
        """Publish it. Raises InvalidField for what this service cannot replay."""
        try:
            event = read_message(message)
        except InvalidField as error:
            raise error.within("event") from None
        type_ = DECLARED_TYPES.get(event.type)
        if type_ is None or type_.layer is not Layer.DOMAIN:
            raise InvalidField("event.type", f"{event.type} is no type of domain event")
        if domain_of(event.type) not in self._domains:
            raise InvalidField("event.type", f"{event.type} is another service's")
        if event.replay_of is None:
            raise InvalidField("event.replay_of", "must name the event that is replayed")
        async with self._unit_of_work() as work:
            if await work.is_new(event.id):
                await self._layers.publish_again(work, type_, event)
                await work.commit()


class _NoOutbox:
    async def add(self, *_messages: OutboxMessage) -> None:
        raise RuntimeError("a handler that enqueues needs a unit of work with an outbox")


class ReplayUnitOfWork(PublishingUnitOfWork):
    """A ReplayWork for services whose handlers enqueue nothing."""

    def __init__(self, database: Database, schema: str) -> None:
        super().__init__(database, schema)
        self.outbox = _NoOutbox()
        self._insert = text(
            f"INSERT INTO {schema}.replayed_events (id) VALUES (:id) "  # nosec B608 - constants
            "ON CONFLICT (id) DO NOTHING RETURNING id"
        )
        self._forget = text(
            f"DELETE FROM {schema}.replayed_events WHERE id = ANY(ARRAY("  # nosec B608 - constants
            f"SELECT r.id FROM {schema}.replayed_events r WHERE r.replayed_at < now() - :kept "
            "ORDER BY r.replayed_at LIMIT 100))"
        )

    async def is_new(self, event_id: UUID) -> bool:
        """See ReplayWork.is_new."""
        inserted = await self.connection.execute(self._insert, {"id": event_id})
        if inserted.first() is None:
            return False
        await self.connection.execute(self._forget, {"kept": _KEPT})
        return True


def domain_replays(
    database: Database,
    schema: str,
    *domains: str,
    unit_of_work: Callable[[], AbstractAsyncContextManager[ReplayWork]] | None = None,
) -> ReplayDomainEvent:
    """What a service whose domain events have no handlers does to publish them once more."""
    return ReplayDomainEvent(
        LayeredPublisher(EventPublisher(Always(), SystemClock(), new_id)),
        frozenset(domains),
        unit_of_work or (lambda: ReplayUnitOfWork(database, schema)),
    )
