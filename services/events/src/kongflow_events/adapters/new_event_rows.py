"""New events as rows: the statements that store them, and what these take and give."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self, TypeAlias
from uuid import UUID

from kongflow_common.db.row_parameters import ArrayParameter, RowParameters
from kongflow_common.ids import new_id
from kongflow_common.outbox.columns import CLAIM_SECONDS
from kongflow_common.outbox.message import OutboxMessage
from kongflow_events.adapters.event_messages import deliver_event, invoke_dispatcher
from kongflow_events.adapters.record_rows import (
    RECORD_COLUMNS,
    RECORD_SOURCE,
    notes_document,
    to_record,
)
from kongflow_events.adapters.resource_log_writer import LOG_INGESTED
from kongflow_events.application.new_event import NewEvent, NewlyStored, StoredEvent
from kongflow_events.application.ports import SchemasChanged
from kongflow_events.domain.event_record import EventRecord

__all__ = [
    "ACCOUNTS",
    "ADD_ACCOUNTS",
    "ADD_EVENTS",
    "ADD_EVENTS_WITH_ACCOUNTS",
    "EVENTS",
    "INVOCATIONS",
    "KEYS",
    "READ_EXISTING",
    "Arrival",
    "NewEventRows",
    "StoredRow",
    "answers",
    "bounded_parts",
    "keys_of_missing",
]

# What a statement carries at most: events are up to 1 MiB each, and all of it is held in
# memory several times over.
_MAX_STATEMENT_BYTES: Final = 8 * 1024 * 1024
_MAX_STATEMENT_INVOCATIONS: Final = 2_000

ACCOUNTS: Final = RowParameters(
    "n", id="uuid", identifier="text", organization_id="uuid", environment_id="uuid"
)

ADD_ACCOUNTS: Final = f"""
    INSERT INTO events.external_accounts (id, identifier, organization_id, environment_id)
    SELECT {ACCOUNTS.columns} FROM {ACCOUNTS.source}
    ON CONFLICT (environment_id, identifier) DO NOTHING
"""

EVENTS: Final = RowParameters(
    "e",
    id="uuid",
    event_id="text",
    name="text",
    timestamp="timestamptz",
    payload="json",
    payload_type="text",
    context="json",
    source="text",
    organization_id="uuid",
    environment_id="uuid",
    project_id="uuid",
    deliver_at="timestamptz",
    is_test="boolean",
    priority="smallint",
    account="text",
    traceparent="text",
    version="bigint",
    matched="integer",
    schemas="bigint",
    notes="jsonb",
)

INVOCATIONS: Final = RowParameters(
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
    SELECT o.id, 'enqueue', 'deliverEvent',
           jsonb_build_object('eventRecordId', o.id, 'deliveryRevision', 1), 'event:' || o.id, 1,
           o.deliver_at, o.priority, o.environment_id, o.traceparent, {_CLAIMED}
      FROM unnest(%(e_id)b, %(e_deliver_at)b, %(e_priority)b, %(e_environment_id)b,
                  %(e_traceparent)b)
           AS o(id, deliver_at, priority, environment_id, traceparent)
      JOIN stored ON stored.id = o.id AND stored.processed_at IS NULL
"""

_INVOKE: Final = f"""
    INSERT INTO events.outbox (
        id, operation, kind, args, priority, environment_id, traceparent, claimed_until, claimed_by)
    SELECT i.id, 'enqueue', 'events.invokeDispatcher',
           jsonb_build_object('dispatcherId', i.dispatcher_id, 'eventRecordId', i.record_id),
           stored.priority, stored.environment_id, i.traceparent, {_CLAIMED}
      FROM {INVOCATIONS.source}
      JOIN stored ON stored.id = i.record_id AND stored.processed_at IS NOT NULL
"""

# An event is stored only if it was checked with the present schemas of its environment, and is
# matched only as of the present version of its dispatchers, unless it is addressed to one. That
# is read by the statement that stores it: whoever changes one has committed before, and then the
# version is another, or is not seen by this event.
_NEW: Final = f"""
    SELECT e.*, e.version = coalesce(v.version, 0) OR e.notes ? 'addressed' AS is_matched
      FROM {EVENTS.streamed}
      LEFT JOIN LATERAL (
               SELECT d.version, d.schema_version FROM events.dispatcher_versions d
                WHERE d.environment_id = e.environment_id LIMIT 1) v ON true
     WHERE e.schemas = coalesce(v.schema_version, 0)
"""


def _add_events(account_id: str, accounts: str) -> str:
    statement = f"""
    WITH e AS ({_NEW}), stored AS (
        INSERT INTO events.event_records (
            id, event_id, name, "timestamp", payload, payload_type, context, source,
            organization_id, environment_id, project_id, external_account_id, deliver_at,
            is_test, priority, processed_at, delivered_at, matched_count, source_context,
            schema_check, replay_of)
        SELECT e.id, e.event_id, e.name, coalesce(e.timestamp, now()), e.payload,
               e.payload_type, e.context, e.source, e.organization_id, e.environment_id,
               e.project_id, {account_id}, coalesce(e.deliver_at, now()), e.is_test, e.priority,
               CASE WHEN e.is_matched THEN now() END,
               CASE WHEN e.is_matched AND e.matched > 0 THEN now() END,
               CASE WHEN e.is_matched THEN e.matched ELSE 0 END,
               nullif(e.notes->'context', 'null'), nullif(e.notes->'check', 'null'),
               (e.notes->>'replayOf')::uuid
          FROM e {accounts}
        ON CONFLICT (event_id, environment_id) DO NOTHING
        RETURNING id, event_id, name, source, organization_id, project_id, environment_id,
                  created_at, external_account_id, processed_at, matched_count, priority
    ), planned AS ({_DELIVER}), invoked AS ({_INVOKE}), logged AS ({LOG_INGESTED})
    SELECT id, created_at, external_account_id, processed_at FROM stored
    """
    # psycopg reads a statement of 4,096 characters or more anew each time that it is executed.
    return " ".join(statement.split())


ADD_EVENTS: Final = _add_events("NULL::uuid", "")
ADD_EVENTS_WITH_ACCOUNTS: Final = _add_events(
    "a.id",
    "LEFT JOIN events.external_accounts a "
    "ON a.environment_id = e.environment_id AND a.identifier = e.account",
)

KEYS: Final = RowParameters("k", event_id="text", environment_id="uuid")

READ_EXISTING: Final = f"""
    SELECT {RECORD_COLUMNS} FROM {RECORD_SOURCE}
      JOIN {KEYS.source} ON r.event_id = k.event_id AND r.environment_id = k.environment_id
"""

Key: TypeAlias = tuple[UUID, str]
StoredRow: TypeAlias = tuple[UUID, datetime, UUID | None, datetime | None]


def event_key(event: NewEvent) -> Key:
    """What an event is unique by."""
    return event.tenancy.environment_id, event.event_id


class NewEventRows:
    """Some new events on their way through one statement.

    `events` are in one order everywhere: transactions that store the same ids, or accounts, wait
    for each other, and would do so crosswise.
    """

    def __init__(self, events: Sequence[NewEvent], claimed_by: str | None) -> None:
        self.events = sorted(events, key=event_key)
        self.claimed_by = claimed_by
        self._arrivals = [Arrival.of(event) for event in self.events]
        self.has_accounts = any(event.account_id is not None for event in self.events)
        self.statement = ADD_EVENTS_WITH_ACCOUNTS if self.has_accounts else ADD_EVENTS
        self.parameters: Mapping[str, object] = {
            **EVENTS.bind([each.row for each in self._arrivals]),
            **INVOCATIONS.bind(
                [row for each in self._arrivals if each.invocations for row in each.invocation_rows]
            ),
            "claimed_by": claimed_by,
        }

    @property
    def account_parameters(self) -> Mapping[str, ArrayParameter]:
        """What ADD_ACCOUNTS takes; that comes first, as a statement does not see its own rows."""
        return account_parameters(self.events)

    def stored(
        self, rows: Sequence[StoredRow]
    ) -> tuple[dict[int, StoredEvent], Sequence[OutboxMessage]]:
        """What the statement stored, by the ids' numbers, and what it enqueued and claimed."""
        # A UUID's hash is Python code, its number's is not.
        by_id = {row[0].int: row for row in rows}
        stored: dict[int, StoredEvent] = {}
        messages: list[OutboxMessage] = []
        for arrival in self._arrivals:
            event = arrival.event
            row = by_id.get(event.id.int)
            if row is not None:
                _, created_at, external_account_id, processed_at = row
                stored[event.id.int] = NewlyStored(
                    event, created_at, external_account_id, processed_at
                )
                if self.claimed_by is not None:
                    messages.extend(arrival.messages(is_matched=processed_at is not None))
        return stored, messages


def account_parameters(events: Sequence[NewEvent]) -> Mapping[str, ArrayParameter]:
    """What ADD_ACCOUNTS takes for the accounts that these events name."""
    accounts: dict[Key, tuple[UUID, str, UUID, UUID]] = {}
    for event in events:
        if event.account_id is not None:
            tenancy = event.tenancy
            accounts[tenancy.environment_id, event.account_id] = (
                new_id(),
                event.account_id,
                tenancy.organization_id,
                tenancy.environment_id,
            )
    return ACCOUNTS.bind([accounts[key] for key in sorted(accounts)])


# Not frozen, as NewEvent.
@dataclass(slots=True)
class Arrival:
    """An event, and what is enqueued with it: its invocations if it is matched, else a delivery."""

    event: NewEvent
    invocations: Sequence[OutboxMessage]

    @classmethod
    def of(cls, event: NewEvent) -> Self:
        taking = _taking(event)
        if not taking:
            return cls(event, ())
        invocations = [
            invoke_dispatcher(
                dispatcher_id,
                event.id,
                environment_id=event.tenancy.environment_id,
                priority=event.priority,
                traceparent=event.traceparent,
            )
            for dispatcher_id in taking
        ]
        return cls(event, invocations)

    def messages(self, *, is_matched: bool) -> Sequence[OutboxMessage]:
        """What was enqueued."""
        if is_matched:
            return self.invocations
        event = self.event
        delivery = deliver_event(
            event.id,
            1,
            environment_id=event.tenancy.environment_id,
            run_at=event.deliver_at,
            priority=event.priority,
            traceparent=event.traceparent,
            # A new event has one planned delivery: its own id will do, and need not be sent.
            message_id=event.id,
        )
        return (delivery,)

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
            event.priority,
            event.account_id,
            event.traceparent,
            event.matched.version if event.matched is not None else None,
            len(self.invocations),
            event.schemas_version,
            notes_document(event),
        )

    @property
    def invocation_rows(self) -> Iterator[tuple[object, ...]]:
        event = self.event
        for message, dispatcher_id in zip(self.invocations, _taking(event), strict=True):
            yield message.id, dispatcher_id, event.id, event.traceparent


def _taking(event: NewEvent) -> Sequence[UUID]:
    return event.matched.dispatcher_ids if event.matched is not None else ()


def bounded_parts(events: Sequence[NewEvent], most_rows: int) -> Iterator[Sequence[NewEvent]]:
    """The events, in their order, in parts that fit into one statement each."""
    part: list[NewEvent] = []
    size = invocations = 0
    for event in events:
        added = len(event.content.payload.text) + len(event.content.context.text)
        taking = len(_taking(event))
        if part and (
            len(part) >= most_rows
            or size + added > _MAX_STATEMENT_BYTES
            or invocations + taking > _MAX_STATEMENT_INVOCATIONS
        ):
            yield part
            part, size, invocations = [], 0, 0
        part.append(event)
        size += added
        invocations += taking
    if part:
        yield part


def keys_of_missing(
    events: Sequence[NewEvent], stored: Mapping[int, StoredEvent]
) -> Mapping[str, ArrayParameter]:
    """What READ_EXISTING takes for the events that have no record of their own."""
    keys = {event_key(event) for event in events if event.id.int not in stored}
    return KEYS.bind([(event_id, environment_id) for environment_id, event_id in keys])


def answers(
    events: Sequence[NewEvent],
    stored: Mapping[int, StoredEvent],
    existing_rows: Sequence[Sequence[object]],
) -> Sequence[StoredEvent | SchemasChanged]:
    """What became of each event; `existing_rows` are those that READ_EXISTING gave.

    One that has no record was checked with schemas that are out of date, or was deleted at this
    moment: both are to be sent again.
    """
    found = [to_record(row) for row in existing_rows]
    existing = {(record.tenancy.environment_id, record.event_id): record for record in found}
    return [stored.get(event.id.int) or _answer(event, existing) for event in events]


def _answer(event: NewEvent, existing: Mapping[Key, EventRecord]) -> StoredEvent | SchemasChanged:
    record = existing.get(event_key(event))
    if record is None:
        return SchemasChanged()
    # Its own record, when a part of the batch was committed before another part failed.
    return StoredEvent(record, is_new=record.id == event.id)
