"""Planned deliveries of events, and what all ways to carry them out share."""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kongflow_common.ids import id_text
from kongflow_common.tracing import trace_id_of
from kongflow_events.application.ports import Delivery, DueEvent
from kongflow_events.domain.dispatcher_match import CompiledDispatcher, MatchableEvent
from kongflow_events.domain.event_record import EventRecord

__all__ = [
    "DELIVERED",
    "DeliverEvent",
    "bounded",
    "delivered_fields",
    "dispatchers_taking",
    "is_over",
    "log_delivered",
]

_logger = logging.getLogger(__name__)

DELIVERED: Final = "event delivered"
"""The message of the line at INFO about a delivered event."""

_INVOCATIONS_AT_ONCE: Final = 2_000
_SECONDS_IN_A_ROW: Final = 0.02


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


async def dispatchers_taking(
    candidates: Iterable[CompiledDispatcher], event: MatchableEvent, record: EventRecord
) -> list[UUID]:
    """Those that take the event, which is the record's, asked in their order.

    Other calls are answered in between: filters and events may be large.
    """
    was_exhausted, until = event.is_exhausted, time.monotonic() + _SECONDS_IN_A_ROW
    taking: list[UUID] = []
    for candidate in candidates:
        if candidate.takes(event):
            taking.append(candidate.id)
        if time.monotonic() > until:
            await asyncio.sleep(0)
            until = time.monotonic() + _SECONDS_IN_A_ROW
    if event.is_exhausted and not was_exhausted:
        _logger.warning(
            "filters ask too much of an event; those that were left do not hold",
            extra={
                "fields": {
                    "event_record_id": id_text(record.id),
                    "environment_id": id_text(record.tenancy.environment_id),
                }
            },
        )
    return taking


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
    _logger.info(
        DELIVERED,
        extra={
            "trace_id": trace_id_of(delivery.traceparent),
            "fields": delivered_fields(delivery.record, delivery.dispatcher_ids),
        },
    )


def delivered_fields(record: EventRecord, dispatcher_ids: Sequence[UUID]) -> Mapping[str, object]:
    """What the line at INFO about a delivered event says."""
    return {
        "event_record_id": id_text(record.id),
        "environment_id": id_text(record.tenancy.environment_id),
        "matched": len(dispatcher_ids),
    }
