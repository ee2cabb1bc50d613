"""Deliveries of a batch: read in two statements, settled in one."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.adapters.dispatcher_rows import select_dispatchers, to_dispatcher
from kongflow_events.adapters.event_messages import invoke_dispatcher
from kongflow_events.adapters.record_rows import RECORD_COLUMNS, RECORD_SOURCE, to_record
from kongflow_events.adapters.tables import EVENT_DISPATCHERS
from kongflow_events.application.ports import CandidatePage, Delivery, DueEvent
from kongflow_events.domain.dispatcher_match import CompiledDispatcher
from kongflow_events.domain.event_record import EventContent, EventRecord

__all__ = ["SqlDeliveryDesk"]

_KEYS: Final = RowParameters("k", id="uuid", environment_id="uuid")

_READ_EVENTS: Final = f"""
    SELECT {RECORD_COLUMNS},
           convert_to(r.payload::text, 'UTF8'), convert_to(r.context::text, 'UTF8'),
           r.deliver_at - now()
      FROM {RECORD_SOURCE} JOIN {_KEYS.source} ON r.id = k.id
     WHERE k.environment_id IS NULL OR k.environment_id = r.environment_id
"""  # nosec B608 - made of constants

_WANTED: Final = RowParameters("w", environment_id="uuid", name="text", source="text")

_READ_CANDIDATES: Final = f"""
    SELECT DISTINCT d.id, d.generation
      FROM {_WANTED.source} JOIN events.event_dispatchers d
        ON d.environment_id = w.environment_id AND d.event @> ARRAY[w.name]
       AND d.source = w.source
     WHERE d.enabled AND NOT d.manual
     LIMIT %(limit)s
"""  # nosec B608

_OUTCOMES: Final = RowParameters("w", id="uuid", revision="integer", matched="integer")

_INVOCATIONS: Final = OutboxRows("events", join="JOIN settled ON settled.id = o.owner")

# Guarded: of two deliveries, or a delivery and a cancelling, that race for an event the second
# finds another state than it read, and changes nothing.
_SETTLE: Final = f"""
    WITH settled AS (
        UPDATE events.event_records r
           SET processed_at = now(), matched_count = w.matched,
               delivered_at = CASE WHEN w.matched > 0 THEN now() END
          FROM {_OUTCOMES.source}
         WHERE r.id = w.id AND r.delivery_revision = w.revision
           AND r.processed_at IS NULL AND r.cancelled_at IS NULL AND r.delivery_cursor IS NULL
        RETURNING r.id
    ), enqueued AS ({_INVOCATIONS.insert})
    SELECT id FROM settled
"""  # nosec B608


class SqlDeliveryDesk:
    """Implements DeliveryDesk."""

    def __init__(
        self, database: Database, compiled: CompiledDispatchers, relay: OutboxRelay
    ) -> None:
        self._database = database
        self._compiled = compiled
        self._relay = relay

    async def read_events(self, keys: Sequence[tuple[UUID, UUID | None]]) -> Sequence[DueEvent]:
        rows = await self._database.pool.execute(_READ_EVENTS, _KEYS.bind(keys))
        return [
            DueEvent(
                record=to_record(row),
                content=EventContent(JsonDocument(row[-3]), JsonDocument(row[-2])),
                due_in=row[-1],
            )
            for row in rows
        ]

    async def read_candidates(self, records: Sequence[EventRecord], limit: int) -> CandidatePage:
        wanted = {(record.tenancy.environment_id, record.name, record.source) for record in records}
        rows: list[tuple[UUID, int]] = await self._database.pool.execute(
            _READ_CANDIDATES, {**_WANTED.bind(list(wanted)), "limit": limit + 1}
        )
        if len(rows) > limit:
            return CandidatePage((), complete=False)
        found: list[CompiledDispatcher] = []
        missing: list[UUID] = []
        for dispatcher_id, generation in rows:
            kept = self._compiled.get(dispatcher_id, generation)
            if kept is not None:
                found.append(kept)
            else:
                missing.append(dispatcher_id)
        if missing:
            found.extend(await self._compile(missing))
        return CandidatePage(found, complete=True)

    async def _compile(self, dispatcher_ids: Sequence[UUID]) -> list[CompiledDispatcher]:
        table = EVENT_DISPATCHERS.c
        # Asked again: one may have been disabled since its id was read.
        statement = select_dispatchers().where(
            table.id.in_(dispatcher_ids), table.enabled, ~table.manual
        )
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [self._compiled.compile(to_dispatcher(row)) for row in rows]

    async def settle(self, deliveries: Sequence[Delivery]) -> frozenset[UUID]:
        outcomes: list[tuple[UUID, int, int]] = []
        messages: list[OutboxMessage] = []
        owners: list[UUID] = []
        # In one order everywhere, so that two batches seldom wait for each other crosswise.
        for delivery in sorted(deliveries, key=lambda each: each.record.id):
            record = delivery.record
            outcomes.append((record.id, record.delivery_revision, len(delivery.dispatcher_ids)))
            for dispatcher_id in delivery.dispatcher_ids:
                owners.append(record.id)
                messages.append(
                    invoke_dispatcher(
                        dispatcher_id,
                        record.id,
                        environment_id=record.tenancy.environment_id,
                        priority=record.priority,
                        traceparent=delivery.traceparent,
                    )
                )
        claimed_by = self._relay.claimed_by_for_new_rows()
        rows: list[tuple[UUID]] = await self._database.pool.execute(
            _SETTLE,
            {**_OUTCOMES.bind(outcomes), **_INVOCATIONS.bind(messages, claimed_by, owners)},
        )
        settled = frozenset(record_id for (record_id,) in rows)
        self._relay.committed(
            [message for message, owner in zip(messages, owners, strict=True) if owner in settled],
            claimed_by,
        )
        return settled
