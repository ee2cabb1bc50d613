"""Events that go straight to a job, each in one transaction, and what a job is told of events."""

from typing import Any, Final
from uuid import UUID

from kongflow_common.db.connection_pool import Connection
from kongflow_common.db.engine import Database
from kongflow_common.errors import Contended
from kongflow_common.ids import new_id
from kongflow_common.payload import JsonDocument
from kongflow_events.application.read_event_record import ExecutedEvent
from kongflow_events.application.store_event_record import DirectEvent, StoredDirectEvent

__all__ = ["SqlDirectEvents"]

_ADD_ACCOUNT: Final = """
    INSERT INTO events.external_accounts (id, identifier, organization_id, environment_id)
    VALUES (%(id)b::uuid, %(identifier)b::text, %(organization_id)b::uuid,
            %(environment_id)b::uuid)
    ON CONFLICT (environment_id, identifier) DO NOTHING
"""
_FIND_ACCOUNT: Final = """
    SELECT id FROM events.external_accounts
     WHERE environment_id = %(environment_id)b::uuid AND identifier = %(identifier)b::text
"""
_ADD: Final = """
    INSERT INTO events.event_records (
        id, event_id, name, payload, context, source, organization_id, environment_id, project_id,
        external_account_id, is_test, internal, processed_at, delivered_at, matched_count)
    VALUES (%(id)b::uuid, %(event_id)b::text, %(name)b::text, %(payload)b::json,
            %(context)b::json, %(source)b::text, %(organization_id)b::uuid,
            %(environment_id)b::uuid, %(project_id)b::uuid, %(account)b::uuid,
            %(is_test)b::boolean, %(internal)b::boolean, now(), now(), 1)
    ON CONFLICT (event_id, environment_id) DO NOTHING
    RETURNING id
"""
_FIND: Final = """
    SELECT id, external_account_id FROM events.event_records
     WHERE event_id = %(event_id)b::text AND environment_id = %(environment_id)b::uuid
"""
_READ: Final = """
    SELECT r.id, r.event_id, r.name, r.source, convert_to(r.payload::text, 'UTF8'),
           convert_to(r.context::text, 'UTF8'), convert_to(r.source_context::text, 'UTF8'),
           r.timestamp, r.deliver_at, r.delivered_at, a.identifier,
           convert_to(a.metadata::text, 'UTF8')
      FROM events.event_records r
      LEFT JOIN events.external_accounts a ON a.id = r.external_account_id
     WHERE r.id = %(id)b::uuid AND r.environment_id = %(environment_id)b::uuid
"""


class SqlDirectEvents:
    """Implements DirectEvents and ExecutedEvents."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def store(self, event: DirectEvent) -> StoredDirectEvent:
        async with self._pool.connection() as connection, connection.transaction():
            account = await _account(connection, event)
            rows = await _fetch(
                connection,
                _ADD,
                id=event.id,
                event_id=event.event_id,
                name=event.name,
                payload=event.content.payload.text.decode(),
                context=event.content.context.text.decode(),
                source=event.source,
                organization_id=event.tenancy.organization_id,
                environment_id=event.tenancy.environment_id,
                project_id=event.tenancy.project_id,
                account=account,
                is_test=event.is_test,
                internal=event.internal,
            )
            if rows:
                return StoredDirectEvent(event.id, event.event_id, account, created=True)
            found = await _fetch(
                connection,
                _FIND,
                event_id=event.event_id,
                environment_id=event.tenancy.environment_id,
            )
        if not found:
            raise Contended("the event with this id was deleted at this moment; store it again")
        [(record_id, account)] = found
        return StoredDirectEvent(record_id, event.event_id, account, created=False)

    async def find(self, environment_id: UUID, record_id: UUID) -> ExecutedEvent | None:
        rows = await self._pool.execute(_READ, {"id": record_id, "environment_id": environment_id})
        if not rows:
            return None
        [row] = rows
        return ExecutedEvent(
            id=row[0],
            event_id=row[1],
            name=row[2],
            source=row[3],
            payload=JsonDocument(row[4]),
            context=JsonDocument(row[5]),
            source_context=None if row[6] is None else JsonDocument(row[6]),
            timestamp=row[7],
            deliver_at=row[8],
            delivered_at=row[9],
            account_id=row[10],
            account_metadata=None if row[11] is None else JsonDocument(row[11]),
        )


async def _account(connection: Connection, event: DirectEvent) -> UUID | None:
    if event.account_id is None:
        return None
    key = {"identifier": event.account_id, "environment_id": event.tenancy.environment_id}
    found = await _fetch(connection, _FIND_ACCOUNT, **key)
    if not found:
        await _fetch(
            connection,
            _ADD_ACCOUNT,
            id=new_id(),
            organization_id=event.tenancy.organization_id,
            **key,
        )
        found = await _fetch(connection, _FIND_ACCOUNT, **key)
    [(account,)] = found
    return UUID(str(account))


async def _fetch(connection: Connection, statement: str, **parameters: object) -> list[Any]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall() if cursor.description is not None else []
