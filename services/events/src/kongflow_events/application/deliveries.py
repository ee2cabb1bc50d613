"""Planned deliveries of events, and what all ways to carry them out share."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kongflow_common.tracing import parse_traceparent
from kongflow_events.application.ports import Delivery, DueEvent

__all__ = ["DeliverEvent", "bounded", "is_over", "log_delivered"]

_logger = logging.getLogger(__name__)

_INVOCATIONS_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class DeliverEvent:
    """A planned delivery: of which event, and which of its revisions."""

    event_record_id: UUID
    delivery_revision: int
    environment_id: UUID | None
    traceparent: str


def is_over(event: DueEvent, command: DeliverEvent) -> bool:
    """Whether nothing is left to deliver, or a later plan delivers it."""
    record = event.record
    return (
        record.cancelled_at is not None
        or record.processed_at is not None
        or command.delivery_revision < record.delivery_revision
    )


def bounded(deliveries: Sequence[Delivery]) -> Iterator[Sequence[Delivery]]:
    """Batches whose invocations fit into one statement."""
    batch: list[Delivery] = []
    invocations = 0
    for delivery in deliveries:
        if batch and invocations + len(delivery.dispatcher_ids) > _INVOCATIONS_AT_ONCE:
            yield batch
            batch, invocations = [], 0
        batch.append(delivery)
        invocations += len(delivery.dispatcher_ids)
    if batch:
        yield batch


def log_delivered(delivery: Delivery) -> None:
    """The line at INFO that says so."""
    trace = parse_traceparent(delivery.traceparent)
    _logger.info(
        "event delivered",
        extra={
            "trace_id": trace.trace_id if trace is not None else "",
            "fields": {
                "event_record_id": str(delivery.record.id),
                "environment_id": str(delivery.record.tenancy.environment_id),
                "matched": len(delivery.dispatcher_ids),
            },
        },
    )
