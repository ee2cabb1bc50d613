"""The transaction of an events use case."""

from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.outbox.store import OutboxUnitOfWork
from kongflow_events.adapters.account_repository import SqlAccountRepository
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.adapters.dispatcher_repository import SqlDispatcherRepository
from kongflow_events.adapters.event_news import SqlEventNews
from kongflow_events.adapters.event_repository import SqlEventRepository
from kongflow_events.adapters.events_queue import OutboxEventsQueue
from kongflow_events.adapters.replay_repository import SqlReplayRepository
from kongflow_events.adapters.schema_repository import SqlSchemaRepository
from kongflow_events.application.ports import (
    DispatcherRepository,
    EventNews,
    EventRepository,
    EventsQueue,
)
from kongflow_events.application.ports_accounts import AccountRepository
from kongflow_events.application.ports_replays import ReplayRepository
from kongflow_events.application.ports_schemas import SchemaRepository

__all__ = ["SqlEventsUnitOfWork"]


class SqlEventsUnitOfWork(OutboxUnitOfWork):
    """Implements EventsUnitOfWork."""

    events: EventRepository
    accounts: AccountRepository
    dispatchers: DispatcherRepository
    queue: EventsQueue
    schemas: SchemaRepository
    news: EventNews
    replays: ReplayRepository

    def __init__(
        self, database: Database, relay: OutboxRelay, compiled: CompiledDispatchers
    ) -> None:
        super().__init__(database, relay)
        self._compiled = compiled

    def attach(self, connection: AsyncConnection) -> None:
        self._records = SqlEventRepository(connection)
        self.events = self._records
        self.accounts = SqlAccountRepository(connection, self.outbox)
        self.dispatchers = SqlDispatcherRepository(connection, self._compiled)
        self.schemas = SqlSchemaRepository(connection)
        self.replays = SqlReplayRepository(connection)
        self.queue = OutboxEventsQueue(self.outbox)
        self.news = SqlEventNews(connection)

    def after_commit(self) -> None:
        super().after_commit()
        if self._records.has_added:
            self._relay.wake()
