"""Makes one queued job of an integration event for each kind that consumes it."""

from kongflow_common.errors import InvalidField
from kongflow_common.eventing.event_type import InvalidEventType, check_type_name
from kongflow_common.eventing.publisher import PUBLISH
from kongflow_common.ids import parse_id
from kongflow_common.payload import MAX_PAYLOAD_BYTES, parse_json
from kongflow_workerqueue.application.enqueue_command import MAX_ARGS_DEPTH, EnqueueCommand
from kongflow_workerqueue.application.ports import ArgsRefused, Catalogue, EventHead, NewJob
from kongflow_workerqueue.domain.errors import EventTypeNotOwned
from kongflow_workerqueue.domain.subscription import job_id_of

__all__ = ["PUBLISH", "event_jobs"]


def event_jobs(command: EnqueueCommand, catalogue: Catalogue, caller: str) -> list[NewJob]:
    """The jobs of an event, none when nobody consumes its type.

    Raises InvalidField and EventTypeNotOwned.
    """
    _check_nothing_else(command)
    document = parse_json(
        command.args, field="args", max_bytes=MAX_PAYLOAD_BYTES, max_depth=MAX_ARGS_DEPTH - 1
    )
    head = _head(document.text, catalogue)
    owner = catalogue.publisher(head.type)
    if owner != caller:
        raise EventTypeNotOwned(head.type, owner)
    event_id = parse_id(head.id, "args.id")
    return [
        NewJob(
            id=job_id_of(event_id, kind.kind),
            kind=kind.kind,
            args=b'{"event":%b}' % document.text,
            queue=kind.queue,
            priority=kind.priority,
            max_attempts=kind.max_attempts,
            environment_id=command.environment_id,
            run_at=command.run_at,
            tags=(*command.tags, head.type),
            metadata=command.metadata,
            traceparent=command.traceparent,
        )
        for kind in catalogue.consumers(head.type)
    ]


def _check_nothing_else(command: EnqueueCommand) -> None:
    given = {
        "queue": command.queue,
        "job_key": command.job_key,
        "priority": command.priority,
        "max_attempts": command.max_attempts,
        "unique": command.unique,
    }
    for field, value in given.items():
        if value:
            raise InvalidField(field, f"is the subscribers' own to say, not {PUBLISH}'s")


def _head(event: bytes, catalogue: Catalogue) -> EventHead:
    try:
        head = catalogue.read_event(event)
        check_type_name(head.type)
    except ArgsRefused as error:
        raise InvalidField("args", f"is no integration event: {error}") from error
    except InvalidEventType as error:
        raise InvalidField("args.type", str(error)) from error
    if head.version < 1:
        raise InvalidField("args.version", "must be 1 or more")
    if head.timestamp < 1:
        raise InvalidField("args.timestamp", "must be milliseconds since 1970")
    if not head.resource_id:
        raise InvalidField("args.resourceId", "must not be empty")
    return head
