"""Request ids and the audit in PostgreSQL."""

import logging
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.ids import new_id
from kongflow_common.tracing import current_trace
from kongflow_tenancy.adapters.tables import AUDIT_ENTRIES, WRITE_REQUESTS
from kongflow_tenancy.application.ports import Write
from kongflow_tenancy.domain.errors import RequestIdReused

logger = logging.getLogger(__name__)


class PostgresWrites:
    """What was asked by whom."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def begin(self, write: Write, resource_id: UUID) -> UUID:
        """Remembers that the request makes this resource, unless an earlier call did."""
        if not write.request_id:
            return resource_id
        # Waits for a call with the same request id that is under way, then finds its row.
        statement = (
            postgresql.insert(WRITE_REQUESTS)
            .values(
                operator_id=write.operator_id,
                method=write.method,
                request_id=write.request_id,
                fingerprint=write.fingerprint,
                resource_id=resource_id,
            )
            .on_conflict_do_nothing()
            .returning(WRITE_REQUESTS.c.resource_id)
        )
        if (await self._connection.execute(statement)).one_or_none() is not None:
            return resource_id
        query = select(WRITE_REQUESTS.c.resource_id, WRITE_REQUESTS.c.fingerprint).where(
            WRITE_REQUESTS.c.operator_id == write.operator_id,
            WRITE_REQUESTS.c.method == write.method,
            WRITE_REQUESTS.c.request_id == write.request_id,
        )
        row = (await self._connection.execute(query)).one()
        if bytes(row.fingerprint) != write.fingerprint:
            raise RequestIdReused(request_id=write.request_id)
        return UUID(str(row.resource_id))

    async def audit(self, write: Write, subject: str, **details: object) -> None:
        """Notes who did what to which resource."""
        trace = current_trace()
        logger.info(
            "operator's write",
            extra={
                "fields": {
                    "action": write.method,
                    "subject": subject,
                    "operator": write.operator_name,
                }
            },
        )
        await self._connection.execute(
            insert(AUDIT_ENTRIES).values(
                id=new_id(),
                operator_id=write.operator_id,
                operator_name=write.operator_name,
                action=write.method,
                subject=subject,
                details=details,
                trace_id=trace.trace_id if trace else "",
            )
        )
