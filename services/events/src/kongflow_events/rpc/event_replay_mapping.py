"""Replays between the wire and the program."""

from collections.abc import Mapping
from typing import Final

from kongflow.events.v1 import event_replay_pb2
from kongflow.events.v1 import event_replays_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.filtering import FieldType, Filter, FilterField
from kongflow_common.rpc.field_parsing import (
    bounded_int,
    optional_text,
    required_id,
    required_one_of,
    required_text,
)
from kongflow_common.rpc.filtering import parse_filter
from kongflow_common.rpc.timestamps import from_timestamp, to_timestamp
from kongflow_events.application.begin_event_replay import ReplayMany
from kongflow_events.application.ports_replays import EventCount
from kongflow_events.application.replay_event import ReplayOne
from kongflow_events.domain.event_record import Tenancy
from kongflow_events.domain.event_replay import EventReplay, ReplayKind, ReplayState
from kongflow_events.rpc.event_mapping import EVENT_FILTER_FIELDS

__all__ = [
    "REPLAY_FILTER_FIELDS",
    "read_event_filter",
    "to_counted",
    "to_event_replay",
    "to_replay_many",
    "to_replay_one",
]

_Replay = event_replay_pb2.EventReplay

_DEFAULT_RATE: Final = 100
_MAX_RATE: Final = 1_000

REPLAY_FILTER_FIELDS: Final = (
    FilterField("state", FieldType.ENUM, tuple(state.value for state in ReplayState)),
    FilterField("kind", FieldType.ENUM, tuple(kind.value for kind in ReplayKind)),
    FilterField("dispatcher_id", FieldType.ID),
    FilterField("create_time", FieldType.TIME),
)

_KINDS: Final[Mapping[ReplayKind, _Replay.Kind.ValueType]] = {
    ReplayKind.REPLAY: _Replay.KIND_REPLAY,
    ReplayKind.BACKFILL: _Replay.KIND_BACKFILL,
}
_STATES: Final[Mapping[ReplayState, _Replay.State.ValueType]] = {
    ReplayState.RUNNING: _Replay.STATE_RUNNING,
    ReplayState.SUCCEEDED: _Replay.STATE_SUCCEEDED,
    ReplayState.CANCELLED: _Replay.STATE_CANCELLED,
    ReplayState.FAILED: _Replay.STATE_FAILED,
}


def read_event_filter(text: str) -> Filter | None:
    """Read which events a replay is about. Raises InvalidField."""
    return parse_filter(text, EVENT_FILTER_FIELDS)


def to_replay_one(request: pb.ReplayEventRequest, tenancy: Tenancy) -> ReplayOne:
    """Read which event is to be sent once more. Raises InvalidField."""
    by_id = required_one_of(request, "key") == "id"
    return ReplayOne(
        tenancy=tenancy,
        key=required_id(request.id, "id") if by_id else required_text(request.event_id, "event_id"),
        dispatcher_id=(
            required_id(request.dispatcher_id, "dispatcher_id") if request.dispatcher_id else None
        ),
        new_event_id=optional_text(request.new_event_id, "new_event_id"),
    )


def to_replay_many(
    request: pb.ReplayEventsRequest | pb.BackfillEventDispatcherRequest, tenancy: Tenancy
) -> ReplayMany:
    """Read which events are to be gone through. Raises InvalidField."""
    is_backfill = isinstance(request, pb.BackfillEventDispatcherRequest)
    start_at = (
        from_timestamp(request.start_time, "start_time") if request.HasField("start_time") else None
    )
    end_at = from_timestamp(request.end_time, "end_time") if request.HasField("end_time") else None
    if start_at is None and is_backfill:
        raise InvalidField("start_time", "is required")
    if start_at is not None and end_at is not None and end_at <= start_at:
        raise InvalidField("end_time", "must be after start_time")
    return ReplayMany(
        tenancy=tenancy,
        kind=ReplayKind.BACKFILL if is_backfill else ReplayKind.REPLAY,
        filter_text=request.filter,
        filter=read_event_filter(request.filter),
        start_at=start_at,
        end_at=end_at,
        dispatcher_id=(
            required_id(request.dispatcher_id, "dispatcher_id")
            if is_backfill or request.dispatcher_id
            else None
        ),
        events_per_second=bounded_int(
            request.events_per_second or _DEFAULT_RATE,
            "events_per_second",
            at_least=1,
            at_most=_MAX_RATE,
        ),
    )


def to_counted(command: ReplayMany, total: EventCount) -> _Replay:
    """Write a replay that was not begun."""
    message = _Replay(
        kind=_KINDS[command.kind],
        filter=command.filter_text,
        dispatcher_id=str(command.dispatcher_id or ""),
        events_per_second=command.events_per_second,
        total_count=total.events,
        total_is_partial=total.is_partial,
    )
    if command.start_at is not None:
        message.start_time.CopyFrom(to_timestamp(command.start_at))
    if command.end_at is not None:
        message.end_time.CopyFrom(to_timestamp(command.end_at))
    return message


def to_event_replay(replay: EventReplay) -> _Replay:
    """Write a replay."""
    message = _Replay(
        id=str(replay.id),
        kind=_KINDS[replay.kind],
        state=_STATES[replay.state],
        filter=replay.filter,
        end_time=to_timestamp(replay.end_at),
        dispatcher_id=str(replay.dispatcher_id or ""),
        events_per_second=replay.events_per_second,
        total_count=replay.total,
        total_is_partial=replay.total_is_partial,
        replayed_count=replay.counts.replayed,
        skipped_count=replay.counts.skipped,
        refused_count=replay.counts.refused,
        create_time=to_timestamp(replay.created_at),
        error_message=replay.error or "",
    )
    if replay.start_at is not None:
        message.start_time.CopyFrom(to_timestamp(replay.start_at))
    if replay.ended_at is not None:
        message.finish_time.CopyFrom(to_timestamp(replay.ended_at))
    return message
