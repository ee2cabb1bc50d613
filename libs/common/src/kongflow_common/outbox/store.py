"""The outbox as ordinary use cases see it: part of their unit of work."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.db.unit_of_work import UnitOfWork
from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay

__all__ = ["Outbox", "OutboxUnitOfWork", "Published", "PublishingUnitOfWork"]


class Outbox:
    """Takes messages that are to be sent if, and only if, the unit of work is committed."""

    def __init__(self) -> None:
        self._messages: list[OutboxMessage] = []

    @property
    def messages(self) -> tuple[OutboxMessage, ...]:
        """What was added so far."""
        return tuple(self._messages)

    async def add(self, *messages: OutboxMessage) -> None:
        """Add messages; they are written together with the commit, in this order."""
        self._messages.extend(messages)


class Published:
    """Takes events that are to be logged if, and only if, the unit of work is committed."""

    def __init__(self) -> None:
        self._events: list[PublishedEvent] = []

    @property
    def events(self) -> tuple[PublishedEvent, ...]:
        """What was added so far."""
        return tuple(self._events)

    async def add(self, *events: PublishedEvent) -> None:
        """Add events; they are written together with the commit, in this order."""
        self._events.extend(events)


class PublishingUnitOfWork(UnitOfWork):
    """A unit of work whose changes may have events beside them.

    Who publishes events has the table `published_events` in its schema.

    Contexts subclass it as they would UnitOfWork: `attach` for their repositories.
    """

    def __init__(self, database: Database, schema: str) -> None:
        super().__init__(database)
        self._published_rows = PublishedRows(schema)
        self.published = Published()

    async def before_commit(self) -> None:
        if self.published.events:
            await self.write_published(self.published.events)

    async def write_published(self, events: Sequence[PublishedEvent]) -> None:
        """Write events as part of the transaction, to be brought to the log."""
        await self.connection.exec_driver_sql(
            self._published_rows.insert,
            self._published_rows.bind([(event.id, event) for event in events]),
        )


class OutboxUnitOfWork(PublishingUnitOfWork):
    """A unit of work whose changes may have messages to the worker queue, and events, beside them.

    Contexts subclass it as they would UnitOfWork: `attach` for their repositories.
    """

    def __init__(self, database: Database, relay: OutboxRelay) -> None:
        super().__init__(database, relay.schema)
        self._relay = relay
        self._rows = OutboxRows(relay.schema)
        self._claimed_by: str | None = None
        self.outbox = Outbox()

    async def before_commit(self) -> None:
        messages = self.outbox.messages
        if messages:
            self._claimed_by = self._relay.claimed_by_for_new_rows()
            await _insert(self.connection, self._rows, messages, self._claimed_by)
        await super().before_commit()

    def after_commit(self) -> None:
        if self.outbox.messages:
            self._relay.committed(self.outbox.messages, self._claimed_by)


async def _insert(
    connection: AsyncConnection,
    rows: OutboxRows,
    messages: tuple[OutboxMessage, ...],
    claimed_by: str | None,
) -> None:
    await connection.exec_driver_sql(rows.insert, rows.bind(messages, claimed_by))
