"""Replays as rows, and the stored events that they go through as conditions."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, func, select

from kongflow_common.db.filter_sql import FilterTarget, filter_condition
from kongflow_events.adapters.event_lists import EVENT_TARGETS
from kongflow_events.adapters.tables import EVENT_RECORDS, EVENT_REPLAYS
from kongflow_events.application.ports_replays import ReplaySelection
from kongflow_events.domain.event_record import Tenancy
from kongflow_events.domain.event_replay import EventReplay, ReplayKind, ReplayState, StepCounts
from kongflow_events.domain.id_times import first_id_at

__all__ = ["REPLAY_TARGETS", "id_bounds", "select_replays", "selected_events", "to_replay"]

_RECORD: Final = EVENT_RECORDS.c
_REPLAY: Final = EVENT_REPLAYS.c

REPLAY_TARGETS: Final[Mapping[str, FilterTarget]] = {
    "state": case((_REPLAY.ended_as.is_(None), ReplayState.RUNNING.value), else_=_REPLAY.ended_as),
    "kind": _REPLAY.kind,
    "dispatcher_id": _REPLAY.dispatcher_id,
    "create_time": _REPLAY.created_at,
}

# Wider than for a list: what a list leaves out is looked for again, what a replay does is not.
_CLOCKS_DIFFER: Final = timedelta(hours=1)


def select_replays() -> Select[Any]:
    """What `to_replay` reads."""
    return select(
        _REPLAY.id,
        _REPLAY.environment_id,
        _REPLAY.project_id,
        _REPLAY.organization_id,
        _REPLAY.kind,
        _REPLAY.filter,
        _REPLAY.start_at,
        _REPLAY.end_at,
        _REPLAY.dispatcher_id,
        _REPLAY.events_per_second,
        _REPLAY.total_count,
        _REPLAY.replayed_count,
        _REPLAY.skipped_count,
        _REPLAY.refused_count,
        _REPLAY.last_record_id,
        _REPLAY.next_at,
        _REPLAY.created_at,
        _REPLAY.ended_as,
        _REPLAY.ended_at,
        _REPLAY.error_message,
        _REPLAY.total_is_partial,
    )


def to_replay(row: Sequence[Any]) -> EventReplay:
    """Read a row of the columns above."""
    return EventReplay(
        id=row[0],
        tenancy=Tenancy(environment_id=row[1], project_id=row[2], organization_id=row[3]),
        kind=ReplayKind(row[4]),
        filter=row[5],
        start_at=row[6],
        end_at=row[7],
        dispatcher_id=row[8],
        events_per_second=row[9],
        total=row[10],
        counts=StepCounts(replayed=row[11], skipped=row[12], refused=row[13]),
        cursor=row[14],
        next_at=row[15],
        created_at=row[16],
        state=ReplayState(row[17]) if row[17] is not None else ReplayState.RUNNING,
        ended_at=row[18],
        error=row[19],
        total_is_partial=row[20],
    )


def id_bounds(selection: ReplaySelection) -> list[ColumnElement[bool]]:
    """The environment and what the times mean for ids: all that an index is asked for."""
    conditions: list[ColumnElement[bool]] = [_RECORD.environment_id == selection.environment_id]
    if selection.start_at is not None:
        conditions.append(_RECORD.id >= first_id_at(selection.start_at, -_CLOCKS_DIFFER))
    if selection.end_at is not None:
        conditions.append(_RECORD.id < first_id_at(selection.end_at, _CLOCKS_DIFFER))
    return conditions


def selected_events(selection: ReplaySelection) -> list[ColumnElement[bool]]:
    """The conditions of the selection, with `id_bounds`."""
    conditions = [
        *id_bounds(selection),
        _RECORD.created_at < (func.now() if selection.end_at is None else selection.end_at),
        _RECORD.processed_at.is_not(None),
        _RECORD.cancelled_at.is_(None),
        ~_RECORD.internal,
    ]
    if selection.start_at is not None:
        conditions.append(_RECORD.created_at >= selection.start_at)
    if selection.source is not None:
        conditions.append(_RECORD.source == selection.source)
    if selection.names is not None:
        conditions.append(_RECORD.name.in_(selection.names))
    if selection.filter is not None:
        conditions.append(filter_condition(selection.filter, EVENT_TARGETS))
    return conditions
