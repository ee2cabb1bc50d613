"""New events, those of many callers in one statement."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Final, Self, TypeAlias
from uuid import UUID

from kongflow_common.batcher import Batcher
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.errors import Contended
from kongflow_common.ids import new_id
from kongflow_common.outbox.columns import CLAIM_SECONDS
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_events.adapters.event_messages import deliver_event, invoke_dispatcher
from kongflow_events.adapters.record_rows import RECORD_COLUMNS, RECORD_SOURCE, to_record
from kongflow_events.application.ports import NewEvent, StoredEvent
from kongflow_events.domain.event_record import EventRecord

__all__ = ["BatchingEventIntake"]

# What a statement carries at most: events are up to 1 MiB each, and all of it is held in
# memory several times over.
_MAX_STATEMENT_BYTES: Final = 8 * 1024 * 1024
_MAX_STATEMENT_INVOCATIONS: Final = 2_000

_ACCOUNTS: Final = RowParameters(
    "n", id="uuid", identifier="text", organization_id="uuid", environment_id="uuid"
)

_ADD_ACCOUNTS: Final = f"""
    INSERT INTO events.external_accounts (id, identifier, organization_id, environment_id)
    SELECT {_ACCOUNTS.columns} FROM {_ACCOUNTS.source}
    ON CONFLICT (environment_id, identifier) DO NOTHING
"""

_EVENTS: Final = RowParameters(
    "e",
    id="uuid",
    event_id="text",
    name="text",
    timestamp="timestamptz",
    payload="jsonb",
    payload_type="text",
    context="jsonb",
    source="text",
    organization_id="uuid",
    environment_id="uuid",
    project_id="uuid",
    deliver_at="timestamptz",
    is_test="boolean",
    priority="smallint",
    account="text",
    message_id="uuid",
    traceparent="text",
    version="bigint",
    matched="integer",
)

_INVOCATIONS: Final = RowParameters(
    "i", id="uuid", dispatcher_id="uuid", record_id="uuid", traceparent="text"
)

# The messages are made of columns that are there already: half as many parameters as
# OutboxRows takes, and binding them is what a lone statement spends most of its time on.
# `deliver_event` and `invoke_dispatcher` say the same for the relay; a test holds them together.
_CLAIMED: Final = f"""CASE WHEN %(claimed_by)s::text IS NOT NULL
                THEN clock_timestamp() + interval '{CLAIM_SECONDS} seconds' END,
           %(claimed_by)s::text"""

_DELIVER: Final = f"""
    INSERT INTO events.outbox (
        id, operation, kind, args, job_key, generation, run_at, priority, environment_id,
        traceparent, claimed_until, claimed_by)
    SELECT o.message_id, 'enqueue', 'deliverEvent',
           jsonb_build_object('eventRecordId', o.id, 'deliveryRevision', 1), 'event:' || o.id, 1,
           o.deliver_at, o.priority, o.environment_id, o.traceparent, {_CLAIMED}
      FROM unnest(%(e_id)b, %(e_message_id)b, %(e_deliver_at)b, %(e_priority)b,
                  %(e_environment_id)b, %(e_traceparent)b)
           AS o(id, message_id, deliver_at, priority, environment_id, traceparent)
      JOIN stored ON stored.id = o.id AND stored.processed_at IS NULL
"""

_INVOKE: Final = f"""
    INSERT INTO events.outbox (
        id, operation, kind, args, priority, environment_id, traceparent, claimed_until, claimed_by)
    SELECT i.id, 'enqueue', 'events.invokeDispatcher',
           jsonb_build_object('dispatcherId', i.dispatcher_id, 'eventRecordId', i.record_id),
           stored.priority, stored.environment_id, i.traceparent, {_CLAIMED}
      FROM {_INVOCATIONS.source}
      JOIN stored ON stored.id = i.record_id AND stored.processed_at IS NOT NULL
"""

# Its id in the log is that of its record, which is as unique and costs nothing.
_LOG: Final = """
    INSERT INTO events.resource_events (
        id, type, version, "timestamp", resource_id, data, organization_id, project_id,
        environment_id, scope_id)
    SELECT id, 'event.ingested', 1, created_at, id::text, jsonb_build_object('eventId', event_id,
           'name', name, 'source', source, 'matchedCount',
           CASE WHEN processed_at IS NOT NULL THEN matched_count END),
           organization_id, project_id, environment_id, environment_id FROM stored
"""

# An event is matched only as of the present version of its environment's dispatchers. That is read
# by the statement that stores it: whoever changes one has committed before, and then the version
# is another, or is not seen by this event.
_NEW: Final = f"""
    SELECT e.*, e.version = coalesce((
               SELECT v.version FROM events.dispatcher_versions v
                WHERE v.environment_id = e.environment_id), 0) AS is_matched
      FROM {_EVENTS.source}
"""


def _add_events(account_id: str, accounts: str) -> str:
    return f"""
    WITH e AS MATERIALIZED ({_NEW}), stored AS (
        INSERT INTO events.event_records (
            id, event_id, name, "timestamp", payload, payload_type, context, source,
            organization_id, environment_id, project_id, external_account_id, deliver_at,
            is_test, priority, processed_at, delivered_at, matched_count)
        SELECT e.id, e.event_id, e.name, coalesce(e.timestamp, now()), e.payload,
               e.payload_type, e.context, e.source, e.organization_id, e.environment_id,
               e.project_id, {account_id}, coalesce(e.deliver_at, now()), e.is_test, e.priority,
               CASE WHEN e.is_matched THEN now() END,
               CASE WHEN e.is_matched AND e.matched > 0 THEN now() END,
               CASE WHEN e.is_matched THEN e.matched ELSE 0 END
          FROM e {accounts}
        ON CONFLICT (event_id, environment_id) DO NOTHING
        RETURNING id, event_id, name, source, organization_id, project_id, environment_id,
                  created_at, external_account_id, processed_at, matched_count, priority
    ), planned AS ({_DELIVER}), invoked AS ({_INVOKE}), logged AS ({_LOG})
    SELECT id, created_at, external_account_id, processed_at FROM stored
    """


_ADD_EVENTS: Final = _add_events("NULL::uuid", "")
_ADD_EVENTS_WITH_ACCOUNTS: Final = _add_events(
    "a.id",
    "LEFT JOIN events.external_accounts a "
    "ON a.environment_id = e.environment_id AND a.identifier = e.account",
)

_KEYS: Final = RowParameters("k", event_id="text", environment_id="uuid")

_READ_EXISTING: Final = f"""
    SELECT {RECORD_COLUMNS} FROM {RECORD_SOURCE}
      JOIN {_KEYS.source} ON r.event_id = k.event_id AND r.environment_id = k.environment_id
"""

_Key: TypeAlias = tuple[UUID, str]
_StoredRow: TypeAlias = tuple[UUID, datetime, UUID | None, datetime | None]


class BatchingEventIntake:
    """Implements EventIntake: calls that wait at the same time become one transaction."""

    def __init__(self, database: Database, relay: OutboxRelay, *, max_batch: int = 500) -> None:
        self._database = database
        self._relay = relay
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

    async def _flush(self, events: Sequence[NewEvent]) -> Sequence[StoredEvent | Exception]:
        records: dict[UUID, EventRecord] = {}
        for part in _bounded(events):
            records.update(await self._add(part))
        existing: Mapping[_Key, EventRecord] = {}
        if len(records) < len(events):
            existing = await self._read_existing(
                {_key(event) for event in events if event.id not in records}
            )
        return [_answer(event, records, existing) for event in events]

    async def _add(self, events: Sequence[NewEvent]) -> dict[UUID, EventRecord]:
        """Store the events whose ids are new; gives the records that were stored."""
        # In one order everywhere: transactions that store the same ids, or accounts, wait for
        # each other, and would do so crosswise.
        ordered = sorted(events, key=_key)
        arrivals = [_Arrival.of(event) for event in ordered]
        claimed_by = self._relay.claimed_by_for_new_rows()
        parameters: dict[str, object] = {
            **_EVENTS.bind([arrival.row for arrival in arrivals]),
            **_INVOCATIONS.bind([row for each in arrivals for row in each.invocation_rows]),
            "claimed_by": claimed_by,
        }
        rows: list[_StoredRow]
        if any(event.account_id is not None for event in ordered):
            rows = await self._add_with_accounts(ordered, parameters)
        else:
            rows = await self._database.pool.execute(_ADD_EVENTS, parameters)
        stored = {row[0]: row for row in rows}
        messages: list[OutboxMessage] = []
        for arrival in arrivals:
            row = stored.get(arrival.event.id)
            if row is not None:
                messages.extend(arrival.messages(is_matched=row[3] is not None))
        self._relay.committed(messages, claimed_by)
        return {
            event.id: _record(event, stored[event.id]) for event in ordered if event.id in stored
        }

    async def _add_with_accounts(
        self, events: Sequence[NewEvent], parameters: Mapping[str, object]
    ) -> list[_StoredRow]:
        accounts: dict[_Key, tuple[UUID, str, UUID, UUID]] = {}
        for event in events:
            if event.account_id is not None:
                tenancy = event.tenancy
                accounts[tenancy.environment_id, event.account_id] = (
                    new_id(),
                    event.account_id,
                    tenancy.organization_id,
                    tenancy.environment_id,
                )
        ordered = [accounts[key] for key in sorted(accounts)]
        async with self._database.pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_ADD_ACCOUNTS, _ACCOUNTS.bind(ordered))
            # A statement of its own, because one does not see the rows that it writes itself.
            await cursor.execute(_ADD_EVENTS_WITH_ACCOUNTS, parameters)
            return await cursor.fetchall()

    async def _read_existing(self, keys: set[_Key]) -> Mapping[_Key, EventRecord]:
        rows = await self._database.pool.execute(
            _READ_EXISTING,
            _KEYS.bind([(event_id, environment_id) for environment_id, event_id in keys]),
        )
        records = [to_record(row) for row in rows]
        return {(record.tenancy.environment_id, record.event_id): record for record in records}


def _key(event: NewEvent) -> _Key:
    return event.tenancy.environment_id, event.event_id


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An event, and what is enqueued with it: its invocations if it is matched, else a delivery."""

    event: NewEvent
    delivery: OutboxMessage
    invocations: Sequence[OutboxMessage]

    @classmethod
    def of(cls, event: NewEvent) -> Self:
        environment_id, priority = event.tenancy.environment_id, event.priority
        delivery = deliver_event(
            event.id,
            1,
            environment_id=environment_id,
            run_at=event.deliver_at,
            priority=priority,
            traceparent=event.traceparent,
        )
        invocations = [
            invoke_dispatcher(
                dispatcher_id,
                event.id,
                environment_id=environment_id,
                priority=priority,
                traceparent=event.traceparent,
            )
            for dispatcher_id in _taking(event)
        ]
        return cls(event, delivery, invocations)

    def messages(self, *, is_matched: bool) -> Sequence[OutboxMessage]:
        """What was enqueued."""
        return self.invocations if is_matched else (self.delivery,)

    @property
    def row(self) -> tuple[object, ...]:
        event, tenancy = self.event, self.event.tenancy
        return (
            event.id,
            event.event_id,
            event.name,
            event.timestamp,
            event.content.payload.text,
            event.payload_type.value,
            event.content.context.text,
            event.source,
            tenancy.organization_id,
            tenancy.environment_id,
            tenancy.project_id,
            event.deliver_at,
            event.is_test,
            event.priority.value,
            event.account_id,
            self.delivery.id,
            event.traceparent,
            event.matched.version if event.matched is not None else None,
            len(_taking(event)),
        )

    @property
    def invocation_rows(self) -> Iterator[tuple[object, ...]]:
        event = self.event
        for message, dispatcher_id in zip(self.invocations, _taking(event), strict=True):
            yield message.id, dispatcher_id, event.id, event.traceparent


def _taking(event: NewEvent) -> Sequence[UUID]:
    return event.matched.dispatcher_ids if event.matched is not None else ()


def _bounded(events: Sequence[NewEvent]) -> Iterator[Sequence[NewEvent]]:
    """The events in parts whose documents and invocations fit into one statement."""
    part: list[NewEvent] = []
    size = invocations = 0
    for event in events:
        added = len(event.content.payload.text) + len(event.content.context.text)
        taking = len(_taking(event))
        if part and (
            size + added > _MAX_STATEMENT_BYTES or invocations + taking > _MAX_STATEMENT_INVOCATIONS
        ):
            yield part
            part, size, invocations = [], 0, 0
        part.append(event)
        size += added
        invocations += taking
    yield part


def _record(event: NewEvent, row: _StoredRow) -> EventRecord:
    _, created_at, external_account_id, processed_at = row
    matched_count = len(_taking(event)) if processed_at is not None else 0
    return EventRecord(
        id=event.id,
        event_id=event.event_id,
        name=event.name,
        source=event.source,
        timestamp=event.timestamp or created_at,
        payload_type=event.payload_type,
        tenancy=event.tenancy,
        deliver_at=event.deliver_at or created_at,
        created_at=created_at,
        updated_at=created_at,
        delivered_at=processed_at if matched_count > 0 else None,
        processed_at=processed_at,
        matched_count=matched_count,
        is_test=event.is_test,
        priority=event.priority,
        account_id=event.account_id,
        external_account_id=external_account_id,
    )


def _answer(
    event: NewEvent,
    records: Mapping[UUID, EventRecord],
    existing: Mapping[_Key, EventRecord],
) -> StoredEvent | Exception:
    record = records.get(event.id)
    if record is not None:
        return StoredEvent(record, is_new=True)
    record = existing.get(_key(event))
    if record is None:
        return Contended("the event with this id was deleted at this moment; send it again")
    # Its own record, when a part of the batch was committed before another part failed.
    return StoredEvent(record, is_new=record.id == event.id)
