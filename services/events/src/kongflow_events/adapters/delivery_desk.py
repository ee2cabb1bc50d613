"""Deliveries of a batch: read in two statements, settled in one."""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.errors import Contended
from kongflow_common.ids import new_id
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.adapters.dispatcher_rows import select_dispatchers, to_dispatcher
from kongflow_events.adapters.event_messages import invoke_dispatcher
from kongflow_events.adapters.record_rows import RECORD_COLUMNS, RECORD_SOURCE, to_record
from kongflow_events.adapters.tables import EVENT_DISPATCHERS
from kongflow_events.application.ports import Delivery, DueBatch, DueEvent
from kongflow_events.domain.dispatcher_match import CompiledDispatcher
from kongflow_events.domain.event_record import EventContent

__all__ = ["SqlDeliveryDesk"]

_CONTENDED_ATTEMPTS: Final = 3
_CONTENDED_PAUSE_SECONDS: Final = 0.1

_KEYS: Final = RowParameters("k", id="uuid", environment_id="uuid")

# Events and candidates in one statement, because a delivery that nobody queues behind takes as
# long as its round trips. The first row carries the candidates of all.
_READ: Final = f"""
    WITH events AS MATERIALIZED (
        SELECT r.id, r.environment_id, r.name, r.source,
               r.processed_at IS NULL AND r.cancelled_at IS NULL AND r.deliver_at <= now() AS due
          FROM events.event_records r JOIN {_KEYS.source} ON r.id = k.id
         WHERE k.environment_id IS NULL OR k.environment_id = r.environment_id
    ), candidates AS (
        SELECT DISTINCT d.id, d.generation
          FROM (SELECT DISTINCT e.environment_id, e.name, e.source FROM events e WHERE e.due) w
          CROSS JOIN LATERAL (
                SELECT d.id, d.generation FROM events.event_dispatchers d
                 WHERE d.environment_id = w.environment_id AND d.event @> ARRAY[w.name]
                   AND d.source = w.source AND d.enabled AND NOT d.manual
                   AND d.name_patterns IS NULL
                UNION ALL
                SELECT d.id, d.generation FROM events.event_dispatchers d
                 WHERE d.environment_id = w.environment_id AND d.source = w.source
                   AND d.enabled AND NOT d.manual AND d.name_patterns IS NOT NULL
                   AND w.name LIKE ANY (d.name_patterns)
               ) d
         LIMIT %(limit)b
    ), gathered AS MATERIALIZED (
        SELECT array_agg(id) AS ids, array_agg(generation) AS generations FROM candidates
    )
    SELECT {RECORD_COLUMNS},
           convert_to(r.payload::text, 'UTF8'), convert_to(r.context::text, 'UTF8'),
           r.deliver_at - now(), c.ids, c.generations
      FROM (SELECT e.id, row_number() OVER () AS place FROM events e) e
      JOIN ({RECORD_SOURCE}) ON r.id = e.id
      LEFT JOIN gathered c ON e.place = 1
"""

_READ_EVENTS: Final = f"""
    SELECT {RECORD_COLUMNS},
           convert_to(r.payload::text, 'UTF8'), convert_to(r.context::text, 'UTF8'),
           r.deliver_at - now()
      FROM ({RECORD_SOURCE}) JOIN {_KEYS.source} ON r.id = k.id
     WHERE k.environment_id IS NULL OR k.environment_id = r.environment_id
"""

_OUTCOMES: Final = RowParameters(
    "w",
    id="uuid",
    revision="integer",
    matched="integer",
    version="bigint",
    environment_id="uuid",
    log_id="uuid",
)

_INVOCATIONS: Final = OutboxRows("events", join="JOIN settled ON settled.id = o.owner")

# Guarded: of two deliveries, or a delivery and a cancelling, that race for an event the second
# finds another state than it read, and changes nothing. Nor does one that was matched in memory
# with dispatchers of another version than the present one.
_SETTLE: Final = f"""
    WITH w AS MATERIALIZED (
        SELECT w.*, w.version IS NULL OR w.version = coalesce((
                   SELECT v.version FROM events.dispatcher_versions v
                    WHERE v.environment_id = w.environment_id), 0) AS is_present
          FROM {_OUTCOMES.source}
    ), settled AS (
        UPDATE events.event_records r
           SET processed_at = now(), matched_count = w.matched,
               delivered_at = CASE WHEN w.matched > 0 THEN now() END
          FROM w
         WHERE r.id = w.id AND w.is_present AND r.delivery_revision = w.revision
           AND r.processed_at IS NULL AND r.cancelled_at IS NULL AND r.delivery_cursor IS NULL
        RETURNING r.id, r.processed_at, r.matched_count, r.organization_id, r.project_id,
                  r.environment_id, w.log_id
    ), enqueued AS ({_INVOCATIONS.insert}), logged AS (
        INSERT INTO events.resource_events (
            id, type, version, "timestamp", resource_id, data, organization_id, project_id,
            environment_id, scope_id)
        SELECT log_id, 'event.delivered', 1, processed_at, id::text,
               jsonb_build_object('matchedCount', matched_count),
               organization_id, project_id, environment_id, environment_id FROM settled
    )
    SELECT id FROM settled
"""


class SqlDeliveryDesk:
    """Implements DeliveryDesk."""

    def __init__(
        self, database: Database, compiled: CompiledDispatchers, relay: OutboxRelay
    ) -> None:
        self._database = database
        self._compiled = compiled
        self._relay = relay

    async def read(
        self, keys: Sequence[tuple[UUID, UUID | None]], most_candidates: int
    ) -> DueBatch:
        rows = await self._database.pool.execute(
            _READ, {**_KEYS.bind(keys), "limit": most_candidates + 1}
        )
        events: list[DueEvent] = []
        candidates: Sequence[CompiledDispatcher] | None = ()
        for row in rows:
            payload, context, due_in, dispatcher_ids, generations = row[-5:]
            content = EventContent(JsonDocument(payload), JsonDocument(context))
            events.append(DueEvent(to_record(row), content, due_in))
            if dispatcher_ids is None:
                continue
            if len(dispatcher_ids) > most_candidates:
                candidates = None
            else:
                candidates = await self._compiled_ones(dispatcher_ids, generations)
        return DueBatch(events, candidates)

    async def read_events(self, keys: Sequence[tuple[UUID, UUID | None]]) -> Sequence[DueEvent]:
        rows = await self._database.pool.execute(_READ_EVENTS, _KEYS.bind(keys))
        return [
            DueEvent(
                to_record(row), EventContent(JsonDocument(row[-3]), JsonDocument(row[-2])), row[-1]
            )
            for row in rows
        ]

    async def _compiled_ones(
        self, dispatcher_ids: Sequence[UUID], generations: Sequence[int]
    ) -> Sequence[CompiledDispatcher]:
        found: list[CompiledDispatcher] = []
        missing: list[UUID] = []
        for dispatcher_id, generation in zip(dispatcher_ids, generations, strict=True):
            kept = self._compiled.get(dispatcher_id, generation)
            if kept is not None:
                found.append(kept)
            else:
                missing.append(dispatcher_id)
        if missing:
            found.extend(await self._compile(missing))
        return found

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
        outcomes: list[tuple[UUID, int, int, int | None, UUID, UUID]] = []
        messages: list[OutboxMessage] = []
        owners: list[UUID] = []
        # In one order everywhere, so that two batches seldom wait for each other crosswise.
        for delivery in sorted(deliveries, key=lambda each: each.record.id):
            record = delivery.record
            outcomes.append(
                (
                    record.id,
                    record.delivery_revision,
                    len(delivery.dispatcher_ids),
                    delivery.version,
                    record.tenancy.environment_id,
                    new_id(),
                )
            )
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
        rows = await self._settle_past_contention(
            {**_OUTCOMES.bind(outcomes), **_INVOCATIONS.bind(messages, claimed_by, owners)}
        )
        settled = frozenset(record_id for (record_id,) in rows)
        self._relay.committed(
            [message for message, owner in zip(messages, owners, strict=True) if owner in settled],
            claimed_by,
        )
        return settled

    async def _settle_past_contention(self, parameters: dict[str, object]) -> list[tuple[UUID]]:
        # Batches that hold the same events, after a lease that ended, may wait for each other
        # crosswise; the one that PostgreSQL ends has changed nothing and comes second. It lets the
        # other go first: at once it would take the same locks again and meet it again.
        for attempt in range(1, _CONTENDED_ATTEMPTS):
            try:
                return await self._database.pool.execute(_SETTLE, parameters)
            except Contended:
                await asyncio.sleep(attempt * _CONTENDED_PAUSE_SECONDS)
        return await self._database.pool.execute(_SETTLE, parameters)
