"""Accounts of senders inside a unit of work."""

from typing import Final
from uuid import UUID

from sqlalchemy import Text, cast, null, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.clock import SystemClock
from kongflow_common.eventing.declared_data import AccountDeleted
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging
from kongflow_common.eventing.publisher import Always, EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.store import Outbox
from kongflow_events.adapters.resource_log_writer import RECORD, record_parameters
from kongflow_events.adapters.tables import EXTERNAL_ACCOUNTS
from kongflow_events.domain.event_record import Tenancy

__all__ = ["LOCK_ACCOUNTS", "SqlAccountRepository"]

# Whoever uses an account inserts it first, if only in vain, and holds that lock until it commits.
# So none comes into use, or is used, meanwhile; nobody is held up for longer than this.
LOCK_ACCOUNTS: Final = """
    SET LOCAL lock_timeout = '200ms';
    LOCK TABLE events.external_accounts IN SHARE ROW EXCLUSIVE MODE
"""

_DELETED: Final = DECLARED_TYPES["account.deleted"]


class SqlAccountRepository:
    """Implements AccountRepository."""

    def __init__(self, connection: AsyncConnection, outbox: Outbox) -> None:
        self._connection = connection
        self._outbox = outbox

    async def delete(self, tenancy: Tenancy, account_id: str) -> UUID | None:
        table = EXTERNAL_ACCOUNTS
        await self._connection.exec_driver_sql(LOCK_ACCOUNTS)
        found = await self._connection.execute(
            update(table)
            .where(
                table.c.environment_id == tenancy.environment_id, table.c.identifier == account_id
            )
            # The row stays for as long as events and dispatchers name it.
            .values(identifier=cast(table.c.id, Text), metadata=null())
            .returning(table.c.id)
        )
        id_: UUID | None = found.scalar_one_or_none()
        if id_ is not None:
            await self._tell(tenancy, id_)
        return id_

    async def _tell(self, tenancy: Tenancy, id_: UUID) -> None:
        # It happens once: nobody asks whether anybody listens.
        publisher = EventPublisher(Always(), SystemClock(), new_id)
        belonging = Belonging(tenancy.environment_id, tenancy.project_id, tenancy.organization_id)
        event = publisher.event(_DELETED, str(id_), AccountDeleted(), belonging=belonging)
        await self._connection.exec_driver_sql(RECORD, dict(record_parameters([event])))
        await self._outbox.add(publisher.enqueued(event))
