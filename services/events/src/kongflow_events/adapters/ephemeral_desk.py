"""Claims, begins and ends the calls of ephemeral dispatchers, a statement each."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.outbox.columns import OutboxRows
from kongflow_common.outbox.message import OutboxMessage
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.event_messages import (
    invoke_ephemeral_dispatcher,
    remove_expire_dispatcher,
)
from kongflow_events.adapters.tables import SCHEMA
from kongflow_events.application.invocation_ports import EphemeralCall, InvokedEvent
from kongflow_events.domain.dispatchable import (
    Ephemeral,
    UnparsableDispatchable,
    parse_dispatchable,
)

__all__ = ["SqlEphemeralDesk"]

_CALLS: Final = OutboxRows(SCHEMA, join="JOIN mine ON mine.id = o.owner")
_REMOVALS: Final = OutboxRows(SCHEMA, join="JOIN gone ON gone.id = o.owner")

# The primary key decides between events. The dispatcher is locked, so that it is not deleted
# between the two; and it takes no events any more, which every change of it tells everywhere.
_CLAIM: Final = f"""
    WITH found AS (
        SELECT id, environment_id FROM events.event_dispatchers
         WHERE id = %(id)b::uuid AND (environment_id = %(environment_id)b::uuid) IS TRUE
           AND enabled
           FOR NO KEY UPDATE
    ), claimed AS (
        INSERT INTO events.ephemeral_claims (dispatcher_id, event_record_id)
        SELECT id, %(event_record_id)b::uuid FROM found
        ON CONFLICT (dispatcher_id) DO NOTHING
        RETURNING dispatcher_id
    ), stopped AS (
        UPDATE events.event_dispatchers d SET manual = true, generation = d.generation + 1
          FROM claimed WHERE d.id = claimed.dispatcher_id
    ), mine AS (
        SELECT dispatcher_id AS id FROM claimed
        UNION ALL
        SELECT c.dispatcher_id FROM events.ephemeral_claims c
          JOIN found ON found.id = c.dispatcher_id
         WHERE c.event_record_id = %(event_record_id)b::uuid
    ), sent AS ({_CALLS.insert})
    SELECT id FROM mine
"""  # nosec B608 - made of constants

_CALLABLE: Final = """
      FROM events.event_dispatchers d, events.event_records r
     WHERE c.dispatcher_id = %(id)b::uuid AND c.event_record_id = %(event_record_id)b::uuid
       AND d.id = c.dispatcher_id AND (d.environment_id = %(environment_id)b::uuid) IS TRUE
       AND d.enabled
       AND r.id = c.event_record_id AND (r.environment_id = d.environment_id) IS TRUE
       AND r.cancelled_at IS NULL
"""
_BEGIN: Final = f"""
    UPDATE events.ephemeral_claims c SET calling_until = clock_timestamp() + %(lease)b::interval
    {_CALLABLE}
       AND (c.calling_until IS NULL OR c.calling_until <= clock_timestamp())
    RETURNING convert_to(d.dispatchable::text, 'UTF8')
"""  # nosec B608
_HELD: Final = """
    SELECT c.calling_until - clock_timestamp() FROM events.ephemeral_claims c
      JOIN events.event_dispatchers d ON d.id = c.dispatcher_id
     WHERE c.dispatcher_id = %(id)b::uuid AND c.event_record_id = %(event_record_id)b::uuid
       AND (d.environment_id = %(environment_id)b::uuid) IS TRUE AND d.enabled
       AND c.calling_until > clock_timestamp()
"""
_GIVE_BACK: Final = """
    UPDATE events.ephemeral_claims SET calling_until = NULL
     WHERE dispatcher_id = %(id)b::uuid AND event_record_id = %(event_record_id)b::uuid
"""
_EXPIRE: Final = f"""
    WITH gone AS (
        DELETE FROM events.event_dispatchers
         WHERE id = %(id)b::uuid AND (environment_id = %(environment_id)b::uuid) IS TRUE
           AND (dispatchable ->> 'type' = 'EPHEMERAL') IS TRUE
        RETURNING id
    ), sent AS ({_REMOVALS.insert})
    SELECT id FROM gone
"""  # nosec B608


class SqlEphemeralDesk:
    """Implements EphemeralDesk."""

    def __init__(self, database: Database, relay: OutboxRelay) -> None:
        self._pool = database.pool
        self._relay = relay

    async def claim(self, dispatcher_id: UUID, event: InvokedEvent, traceparent: str) -> bool:
        environment_id = event.tenancy.environment_id
        message = invoke_ephemeral_dispatcher(
            dispatcher_id, event.id, environment_id=environment_id, traceparent=traceparent
        )
        return await self._write(
            _CLAIM,
            _CALLS,
            message,
            id=dispatcher_id,
            environment_id=environment_id,
            event_record_id=event.id,
        )

    async def begin(
        self, environment_id: UUID, dispatcher_id: UUID, event_record_id: UUID, lease: timedelta
    ) -> EphemeralCall | timedelta | None:
        key = {
            "id": dispatcher_id,
            "environment_id": environment_id,
            "event_record_id": event_record_id,
        }
        rows = await self._pool.execute(_BEGIN, {**key, "lease": lease})
        if not rows:
            held = await self._pool.execute(_HELD, key)
            return held[0][0] if held else None
        try:
            dispatchable = parse_dispatchable(JsonDocument(rows[0][0]))
        except UnparsableDispatchable:
            return None
        if not isinstance(dispatchable, Ephemeral):
            return None
        return EphemeralCall(dispatcher_id, environment_id, event_record_id, dispatchable.url)

    async def give_back(self, call: EphemeralCall) -> None:
        await self._pool.execute(
            _GIVE_BACK, {"id": call.dispatcher_id, "event_record_id": call.event_record_id}
        )

    async def expire(self, environment_id: UUID, dispatcher_id: UUID) -> bool:
        message = remove_expire_dispatcher(dispatcher_id, environment_id=environment_id)
        return await self._write(
            _EXPIRE, _REMOVALS, message, id=dispatcher_id, environment_id=environment_id
        )

    async def _write(
        self, statement: str, rows: OutboxRows, message: OutboxMessage, **parameters: UUID
    ) -> bool:
        """Run a statement that sends the message, unless it finds nothing to change."""
        claimed_by = self._relay.claimed_by_for_new_rows()
        changed = await self._pool.execute(
            statement, {**rows.bind([message], claimed_by, [parameters["id"]]), **parameters}
        )
        if not changed:
            return False
        self._relay.committed([message], claimed_by)
        return True
