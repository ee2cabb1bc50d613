"""The queued jobs of this context, over the outbox of a unit of work."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson

from kongflow_common.outbox.message import OutboxMessage, Priority
from kongflow_common.outbox.store import Outbox

__all__ = ["OutboxEndpointsQueue", "perform_indexing", "probe_endpoint", "register_job"]


def perform_indexing(
    index_id: UUID,
    environment_id: UUID,
    *,
    run_at: datetime | None = None,
    priority: Priority = Priority.OF_KIND,
) -> OutboxMessage:
    """Has an index performed."""
    return OutboxMessage.enqueue(
        "performEndpointIndexing",
        orjson.dumps({"endpointIndexId": str(index_id)}),
        environment_id=environment_id,
        run_at=run_at,
        priority=priority,
    )


def probe_endpoint(endpoint_id: UUID, environment_id: UUID) -> OutboxMessage:
    """Has an endpoint's limit measured."""
    return OutboxMessage.enqueue(
        "probeEndpoint",
        orjson.dumps({"endpointId": str(endpoint_id)}),
        environment_id=environment_id,
    )


def register_job(index_id: UUID, environment_id: UUID, item_id: UUID) -> OutboxMessage:
    """Has the job of an item registered or disabled."""
    return OutboxMessage.enqueue(
        "registerJob",
        orjson.dumps({"endpointIndexId": str(index_id), "itemId": str(item_id)}),
        environment_id=environment_id,
    )


class OutboxEndpointsQueue:
    """Implements EndpointsQueue."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def enqueue_index_endpoint(
        self, index_id: UUID, environment_id: UUID, *, run_at: datetime | None = None
    ) -> None:
        await self._outbox.add(perform_indexing(index_id, environment_id, run_at=run_at))

    async def enqueue_register_jobs(
        self, index_id: UUID, environment_id: UUID, item_ids: Sequence[UUID]
    ) -> None:
        await self._outbox.add(
            *(register_job(index_id, environment_id, item_id) for item_id in item_ids)
        )
