"""Makes one queued job of an integration event for each kind that consumes it."""

from dataclasses import fields, replace
from typing import Final
from uuid import UUID

from kongflow_common.errors import InvalidField
from kongflow_common.eventing.event_type import InvalidEventType, check_type_name
from kongflow_common.eventing.publisher import PUBLISH
from kongflow_common.ids import parse_id
from kongflow_common.payload import MAX_PAYLOAD_BYTES, parse_json
from kongflow_workerqueue.application.catalogue_ports import (
    ArgsRefused,
    Catalogue,
    EventHead,
    KindPolicy,
)
from kongflow_workerqueue.application.enqueue_command import (
    MAX_ARGS_DEPTH,
    EnqueueCommand,
    ledger_command,
)
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.domain.errors import EventTypeNotOwned
from kongflow_workerqueue.domain.subscription import job_id_of

__all__ = ["PUBLISH", "event_jobs"]

KEEPER_OF_THE_LOG: Final = "events"
"""Publishes what others have published once more, and says so in the event."""

# What a job's arguments have around the event.
_ROOM = len(b'{"event":}')
# What the publisher says of all the jobs. Without a job key the mode and the generation say
# nothing.
_PUBLISHERS = frozenset(
    {
        "id",
        "kind",
        "args",
        "run_at",
        "delay",
        "tags",
        "metadata",
        "environment_id",
        "traceparent",
        "job_key_mode",
        "generation",
    }
)


def event_jobs(command: EnqueueCommand, catalogue: Catalogue, caller: str) -> list[NewJob]:
    """The jobs of an event, none when nobody consumes its type.

    Raises InvalidField and EventTypeNotOwned.
    """
    _check_nothing_else(command)
    document = parse_json(
        command.args,
        field="args",
        max_bytes=MAX_PAYLOAD_BYTES - _ROOM,
        max_depth=MAX_ARGS_DEPTH - 1,
    )
    head = _head(document.text, catalogue)
    _check_publisher(head, catalogue, caller)
    event_id = parse_id(head.id, "args.id")
    args = b'{"event":%b}' % document.text
    return [
        _job(command, kind, job_id_of(event_id, kind.kind), args, head.type, catalogue)
        for kind in catalogue.consumers(head.type)
    ]


def _check_publisher(head: EventHead, catalogue: Catalogue, caller: str) -> None:
    """Raises EventTypeNotOwned, and InvalidField for a replay of nothing."""
    if head.replay_of:
        parse_id(head.replay_of, "args.replayOf")
        if caller == KEEPER_OF_THE_LOG:
            return
    owner = catalogue.publisher(head.type)
    if owner != caller:
        raise EventTypeNotOwned(head.type, owner)


def _job(
    command: EnqueueCommand,
    kind: KindPolicy,
    id_: UUID,
    args: bytes,
    type_: str,
    catalogue: Catalogue,
) -> NewJob:
    """The job of one subscriber: as if its own target had enqueued it."""
    own = replace(command, id=id_, kind=kind.kind, args=args, tags=(*command.tags, type_))
    # A newer publisher's event has fields more; its subscribers read what they know.
    job = ledger_command(own, catalogue, kind.target, with_unknown_args=True)
    if not isinstance(job, NewJob):
        raise TypeError(f"{kind.kind} got {type(job).__name__} of an event")
    return job


def _check_nothing_else(command: EnqueueCommand) -> None:
    """A subscriber's own option, also one that is thought of later, decides how its job runs."""
    for field in fields(command):
        if field.name not in _PUBLISHERS and getattr(command, field.name):
            raise InvalidField(field.name, f"is the subscribers' own to say, not {PUBLISH}'s")


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
