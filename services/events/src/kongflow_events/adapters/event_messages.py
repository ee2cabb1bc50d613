"""The queued jobs of this context as outbox messages."""

from datetime import datetime
from typing import Final
from uuid import UUID

from kongflow_common.ids import id_text, new_id
from kongflow_common.outbox.message import JobKeyMode, Operation, OutboxMessage, Priority
from kongflow_events.domain import event_record

__all__ = [
    "advance_event_replay",
    "deliver_event",
    "expire_dispatcher",
    "invoke_dispatcher",
    "invoke_ephemeral_dispatcher",
    "remove_deliver_event",
    "remove_expire_dispatcher",
]

# The kinds that kongflow.events.tasks.v1 declares.
_DELIVER_EVENT: Final = "deliverEvent"
_INVOKE_DISPATCHER: Final = "events.invokeDispatcher"
_INVOKE_EPHEMERAL: Final = "invokeEphemeralDispatcher"
_EXPIRE_DISPATCHER: Final = "expireDispatcher"
_ADVANCE_EVENT_REPLAY: Final = "advanceEventReplay"

_PRIORITIES: Final = {each: Priority(each.value) for each in event_record.Priority}


def deliver_event(
    record_id: UUID,
    revision: int,
    *,
    environment_id: UUID,
    run_at: datetime | None,
    priority: event_record.Priority,
    traceparent: str,
    message_id: UUID | None = None,
) -> OutboxMessage:
    """Deliver this revision, in place of the plan that holds the event's key."""
    return OutboxMessage(
        id=message_id or new_id(),
        operation=Operation.ENQUEUE,
        kind=_DELIVER_EVENT,
        # Written by hand: an id and a number need no escaping, and this is on the hot path.
        args=b'{"eventRecordId":"%b","deliveryRevision":%d}'
        % (id_text(record_id).encode(), revision),
        job_key=_job_key(record_id),
        generation=revision,
        run_at=run_at,
        priority=_PRIORITIES[priority],
        environment_id=environment_id,
        traceparent=traceparent,
    )


def remove_deliver_event(
    record_id: UUID, revision: int, *, environment_id: UUID, traceparent: str
) -> OutboxMessage:
    """Take the planned delivery of this revision back."""
    return OutboxMessage(
        id=new_id(),
        operation=Operation.REMOVE,
        kind=_DELIVER_EVENT,
        job_key=_job_key(record_id),
        generation=revision,
        environment_id=environment_id,
        traceparent=traceparent,
    )


def invoke_dispatcher(
    dispatcher_id: UUID,
    record_id: UUID,
    *,
    environment_id: UUID,
    priority: event_record.Priority,
    traceparent: str,
) -> OutboxMessage:
    """Invoke the dispatcher for the event."""
    return OutboxMessage(
        id=new_id(),
        operation=Operation.ENQUEUE,
        kind=_INVOKE_DISPATCHER,
        args=b'{"dispatcherId":"%b","eventRecordId":"%b"}'
        % (id_text(dispatcher_id).encode(), id_text(record_id).encode()),
        priority=_PRIORITIES[priority],
        environment_id=environment_id,
        traceparent=traceparent,
    )


def invoke_ephemeral_dispatcher(
    dispatcher_id: UUID, record_id: UUID, *, environment_id: UUID, traceparent: str
) -> OutboxMessage:
    """Call the dispatcher's URL; one that is planned already stays."""
    return OutboxMessage(
        id=new_id(),
        operation=Operation.ENQUEUE,
        kind=_INVOKE_EPHEMERAL,
        args=b'{"dispatcherId":"%b","eventRecordId":"%b"}'
        % (id_text(dispatcher_id).encode(), id_text(record_id).encode()),
        job_key=f"invoke:ephemeral:{dispatcher_id}",
        job_key_mode=JobKeyMode.KEEP_FIRST,
        environment_id=environment_id,
        traceparent=traceparent,
    )


def expire_dispatcher(
    dispatcher_id: UUID, *, environment_id: UUID, run_at: datetime, traceparent: str
) -> OutboxMessage:
    """Delete the dispatcher then."""
    return OutboxMessage(
        id=new_id(),
        operation=Operation.ENQUEUE,
        kind=_EXPIRE_DISPATCHER,
        args=b'{"dispatcherId":"%b"}' % id_text(dispatcher_id).encode(),
        job_key=f"expire:{dispatcher_id}",
        run_at=run_at,
        environment_id=environment_id,
        traceparent=traceparent,
    )


def remove_expire_dispatcher(
    dispatcher_id: UUID, *, environment_id: UUID, traceparent: str = ""
) -> OutboxMessage:
    """Take that plan back."""
    return OutboxMessage(
        id=new_id(),
        operation=Operation.REMOVE,
        kind=_EXPIRE_DISPATCHER,
        job_key=f"expire:{dispatcher_id}",
        environment_id=environment_id,
        traceparent=traceparent,
    )


def advance_event_replay(
    replay_id: UUID, *, environment_id: UUID, run_at: datetime, traceparent: str
) -> OutboxMessage:
    """Carry the replay out, from then on."""
    return OutboxMessage(
        id=new_id(),
        operation=Operation.ENQUEUE,
        kind=_ADVANCE_EVENT_REPLAY,
        args=b'{"eventReplayId":"%b"}' % id_text(replay_id).encode(),
        job_key=f"event_replay:{replay_id}",
        job_key_mode=JobKeyMode.KEEP_FIRST,
        run_at=run_at,
        environment_id=environment_id,
        traceparent=traceparent,
    )


def _job_key(record_id: UUID) -> str:
    return f"event:{record_id}"
