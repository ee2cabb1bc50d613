"""Publishing events of the log once more: the transactions, and what is put together for it."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import orjson
from google.protobuf import json_format
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from kongflow_common.clock import Clock
from kongflow_common.db.engine import Database
from kongflow_common.eventing.domain_replays import (
    ReplayDomainEvent,
    ReplayUnitOfWork,
    domain_replays,
)
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.event_messages import to_message
from kongflow_common.eventing.layers import LayeredPublisher
from kongflow_common.eventing.publisher import Always, EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.outbox.store import OutboxUnitOfWork
from kongflow_events.adapters.log_tables import RESOURCE_EVENT_REPLAYS
from kongflow_events.adapters.resource_log_reader import PostgresLogReader
from kongflow_events.adapters.resource_log_writer import RECORD, record_parameters
from kongflow_events.adapters.schema import SCHEMA
from kongflow_events.application.replay_resource_event import KeptReplay, ReplayResourceEvent
from kongflow_events.domain.log_position import KEPT

__all__ = ["SqlResourceReplayUnitOfWork", "own_domain_replays", "resource_replays"]

_KEPT: Final = RESOURCE_EVENT_REPLAYS.c
_COLUMNS: Final = (_KEPT.id, _KEPT.replay_of, _KEPT.created_at)
# So many a call are forgotten whose time is over: more than are added.
_FORGOTTEN: Final = 10


class SqlResourceReplayUnitOfWork(OutboxUnitOfWork):
    """Implements ResourceReplayUnitOfWork."""

    async def keep(self, environment_id: UUID, request_id: str, new: KeptReplay) -> KeptReplay:
        over = select(_KEPT.id).where(_KEPT.created_at < func.now() - KEPT).limit(_FORGOTTEN)
        await self.connection.execute(
            delete(RESOURCE_EVENT_REPLAYS).where(
                _KEPT.id.in_(over.with_for_update(skip_locked=True))
            )
        )
        inserted = await self.connection.execute(
            insert(RESOURCE_EVENT_REPLAYS)
            .values(
                id=new.id,
                environment_id=environment_id,
                request_id=request_id,
                replay_of=new.replay_of,
                created_at=new.at,
            )
            .on_conflict_do_nothing(
                constraint="resource_event_replays_environment_id_request_id_key"
            )
            .returning(_KEPT.id)
        )
        if inserted.first() is not None:
            return new
        # The other transaction is over: its insert was waited for.
        row = await self.connection.execute(
            select(*_COLUMNS).where(
                _KEPT.environment_id == environment_id, _KEPT.request_id == request_id
            )
        )
        return KeptReplay(*row.one())

    async def replay_domain_event(self, kind: str, event: PublishedEvent) -> None:
        # The requests of all services that have the method hold an event and no more.
        args = orjson.dumps({"event": json_format.MessageToDict(to_message(event))})
        await self.outbox.add(
            OutboxMessage.enqueue(kind, args, environment_id=event.belonging.environment_id)
        )

    async def write_published(self, events: Sequence[PublishedEvent]) -> None:
        await self.connection.exec_driver_sql(RECORD, dict(record_parameters(events)))


class _OwnReplayUnitOfWork(ReplayUnitOfWork):
    """Of events of this service, which are written into the log itself."""

    async def write_published(self, events: Sequence[PublishedEvent]) -> None:
        await self.connection.exec_driver_sql(RECORD, dict(record_parameters(events)))


def resource_replays(database: Database, relay: OutboxRelay, clock: Clock) -> ReplayResourceEvent:
    """Publishes events of all services once more."""
    return ReplayResourceEvent(
        PostgresLogReader(database),
        LayeredPublisher(EventPublisher(Always(), clock, new_id)),
        lambda: SqlResourceReplayUnitOfWork(database, relay),
        clock,
        new_id,
    )


def own_domain_replays(database: Database) -> ReplayDomainEvent:
    """Publishes domain events of this service once more."""
    return domain_replays(
        database, SCHEMA, "event", unit_of_work=lambda: _OwnReplayUnitOfWork(database, SCHEMA)
    )
