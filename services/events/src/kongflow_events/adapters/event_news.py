"""What becomes of events, told in the transaction that it is the work of.

Storing and delivering in batches tell of it in statements of their own.
"""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.clock import SystemClock
from kongflow_common.eventing.declared_data import EventCancelled, EventDelivered
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging, published_event
from kongflow_common.eventing.event_type import EventType
from kongflow_common.eventing.typed_data import TypedData
from kongflow_common.ids import new_id
from kongflow_events.adapters.resource_log_writer import RECORD, record_parameters
from kongflow_events.domain.event_record import EventRecord

__all__ = ["SqlEventNews"]

_DELIVERED: Final = DECLARED_TYPES["event.delivered"]
_CANCELLED: Final = DECLARED_TYPES["event.cancelled"]


class SqlEventNews:
    """Implements EventNews."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def delivered(self, record: EventRecord, matched_count: int) -> None:
        """Says that an event was matched."""
        await self._publish(_DELIVERED, record, EventDelivered(matched_count=matched_count))

    async def cancelled(self, record: EventRecord) -> None:
        """Says that an event was taken back."""
        await self._publish(
            _CANCELLED, record, EventCancelled(event_id=record.event_id, name=record.name)
        )

    async def _publish(self, type_: EventType, record: EventRecord, data: TypedData) -> None:
        tenancy = record.tenancy
        event = published_event(
            type_,
            str(record.id),
            data,
            belonging=Belonging(
                tenancy.environment_id, tenancy.project_id, tenancy.organization_id
            ),
            clock=SystemClock(),
            new_id=new_id,
        )
        await self._connection.exec_driver_sql(RECORD, dict(record_parameters([event])))
