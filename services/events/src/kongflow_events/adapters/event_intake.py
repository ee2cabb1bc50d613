"""New events, those of many callers in one statement."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from kongflow_common.batcher import Batcher, is_data_error
from kongflow_common.db.engine import Database
from kongflow_common.errors import Contended
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_events.adapters.new_event_rows import (
    ADD_ACCOUNTS,
    READ_EXISTING,
    NewEventRows,
    StoredRow,
    answers,
    bounded_parts,
    keys_of_missing,
)
from kongflow_events.application.ports import NewEvent, StoredEvent

__all__ = ["BatchingEventIntake"]

_CONTENDED_ATTEMPTS: Final = 3
_CONTENDED_PAUSE_SECONDS: Final = 0.01


class BatchingEventIntake:
    """Implements EventIntake: calls that wait at the same time become one transaction.

    Events that come many at a time are their own batches, and do not hold up the others.
    """

    def __init__(self, database: Database, relay: OutboxRelay, *, max_batch: int = 500) -> None:
        self._database = database
        self._relay = relay
        self._max_batch = max_batch
        # The others need connections too.
        self._bulk_turns = asyncio.Semaphore(max(1, database.pool.size // 2))
        self._batcher: Batcher[NewEvent, StoredEvent] = Batcher(
            self._flush, name="event intake", max_items=max_batch
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._batcher.close()

    async def add(self, event: NewEvent) -> StoredEvent:
        return await self._batcher.submit(event)

    async def add_many(self, events: Sequence[NewEvent]) -> Sequence[StoredEvent | Exception]:
        try:
            return await self._flush_past_contention(events)
        except Exception as error:
            if not is_data_error(error):
                raise
            if len(events) == 1:
                return [error]
        # One of them is at fault; what was stored before it failed is recognised.
        middle = len(events) // 2
        return [*await self.add_many(events[:middle]), *await self.add_many(events[middle:])]

    async def _flush_past_contention(
        self, events: Sequence[NewEvent]
    ) -> Sequence[StoredEvent | Exception]:
        for attempt in range(1, _CONTENDED_ATTEMPTS):
            try:
                async with self._bulk_turns:
                    return await self._flush(events)
            except Contended:
                # Whoever was in the way goes first, or is met again.
                await asyncio.sleep(attempt * _CONTENDED_PAUSE_SECONDS)
        async with self._bulk_turns:
            return await self._flush(events)

    async def _flush(self, events: Sequence[NewEvent]) -> Sequence[StoredEvent | Exception]:
        stored: dict[int, StoredEvent] = {}
        for part in bounded_parts(events, self._max_batch):
            stored.update(await self._add(part))
        existing: Sequence[Sequence[object]] = ()
        if len(stored) < len(events):
            keys = keys_of_missing(events, stored)
            existing = await self._database.pool.execute(READ_EXISTING, keys)
        return answers(events, stored, existing)

    async def _add(self, events: Sequence[NewEvent]) -> dict[int, StoredEvent]:
        """Store the events whose ids are new; gives those, by the numbers of their ids."""
        batch = NewEventRows(events, self._relay.claimed_by_for_new_rows())
        rows: list[StoredRow]
        if batch.has_accounts:
            rows = await self._add_with_accounts(batch)
        else:
            rows = await self._database.pool.execute(batch.statement, batch.parameters)
        stored, messages = batch.stored(rows)
        self._relay.committed(messages, batch.claimed_by)
        return stored

    async def _add_with_accounts(self, batch: NewEventRows) -> list[StoredRow]:
        async with self._database.pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(ADD_ACCOUNTS, batch.account_parameters)
            await cursor.execute(batch.statement, batch.parameters)
            return await cursor.fetchall()
