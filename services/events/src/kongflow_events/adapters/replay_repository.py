"""Replays inside a unit of work, and the stored events that they go through."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, cast, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.payload import JsonDocument
from kongflow_events.adapters.record_rows import select_records, to_record
from kongflow_events.adapters.replay_rows import (
    id_bounds,
    select_replays,
    selected_events,
    to_replay,
)
from kongflow_events.adapters.tables import EVENT_RECORDS, EVENT_REPLAYS
from kongflow_events.application.ports_replays import (
    NewReplay,
    ReplayBatch,
    ReplaySelection,
    StoredContent,
)
from kongflow_events.domain.event_record import EventContent, EventRecord
from kongflow_events.domain.event_replay import EventReplay, ReplayState

__all__ = ["SqlReplayRepository", "end_of_look", "next_events", "running_replays"]

_RECORD: Final = EVENT_RECORDS.c
_REPLAY: Final = EVENT_REPLAYS.c

# A filter may hold for few events: a step looks no further than this.
_LOOKED_AT: Final = 5_000
# Contents may be large: so many are read at a time, and no more once they are so long.
_READ_AT_ONCE: Final = 25
_MAX_BYTES: Final = 8 * 1024 * 1024

_KEEP_OTHERS_OUT: Final = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('event_replays:' || :environment, 0))"
)


def end_of_look(selection: ReplaySelection, after: UUID | None) -> Select[Any]:
    """The last event that a step looks at, by the index alone; none where fewer are left."""
    conditions = [*id_bounds(selection), *_further(after)]
    return (
        select(_RECORD.id).where(*conditions).order_by(_RECORD.id).offset(_LOOKED_AT - 1).limit(1)
    )


def next_events(
    selection: ReplaySelection, after: UUID | None, until: UUID | None, limit: int
) -> Select[Any]:
    """The next events of the selection, up to the last that a step looks at."""
    conditions = [*selected_events(selection), *_further(after)]
    if until is not None:
        conditions.append(_RECORD.id <= until)
    return select_records().where(*conditions).order_by(_RECORD.id).limit(limit)


def running_replays(environment_id: UUID) -> Select[Any]:
    """How many replays of the environment have not ended."""
    return select(func.count()).where(
        _REPLAY.environment_id == environment_id, _REPLAY.ended_at.is_(None)
    )


def _further(after: UUID | None) -> list[ColumnElement[bool]]:
    return [_RECORD.id > after] if after is not None else []


class SqlReplayRepository:
    """Implements ReplayRepository."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def begin(self, new: NewReplay, most_running: int) -> EventReplay | None:
        environment_id = new.tenancy.environment_id
        await self._connection.execute(_KEEP_OTHERS_OUT, {"environment": str(environment_id)})
        running = await self._connection.scalar(running_replays(environment_id))
        if running is not None and running >= most_running:
            return None
        await self._connection.execute(
            insert(EVENT_REPLAYS).values(
                id=new.id,
                environment_id=environment_id,
                project_id=new.tenancy.project_id,
                organization_id=new.tenancy.organization_id,
                kind=new.kind.value,
                filter=new.filter,
                start_at=new.start_at,
                # least() passes over null: what it makes itself is not part of it.
                end_at=func.least(new.end_at, func.now()),
                dispatcher_id=new.dispatcher_id,
                events_per_second=new.events_per_second,
                total_count=new.total.events,
                total_is_partial=new.total.is_partial,
                next_at=new.next_at,
            )
        )
        return await self.lock(environment_id, new.id)

    async def lock(self, environment_id: UUID, replay_id: UUID) -> EventReplay | None:
        statement = (
            select_replays()
            .where(_REPLAY.id == replay_id, _REPLAY.environment_id == environment_id)
            .with_for_update()
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return to_replay(row) if row is not None else None

    async def read(
        self, selection: ReplaySelection, *, after: UUID | None, limit: int
    ) -> ReplayBatch:
        last_looked_at = await self._connection.scalar(end_of_look(selection, after))
        statement = next_events(selection, after, last_looked_at, limit)
        records = [to_record(row) for row in await self._connection.execute(statement)]
        events, taken = await self._with_contents(records)
        if taken < len(records) or taken == limit:
            return ReplayBatch(events, cursor=records[taken - 1].id, complete=False)
        if last_looked_at is not None:
            return ReplayBatch(events, cursor=last_looked_at, complete=False)
        return ReplayBatch(events, cursor=records[-1].id if records else after, complete=True)

    async def _with_contents(
        self, records: Sequence[EventRecord]
    ) -> tuple[Sequence[StoredContent], int]:
        """The first of the records, as many as fit, with their contents; and how many they are."""
        events: list[StoredContent] = []
        size = 0
        for start in range(0, len(records), _READ_AT_ONCE):
            part = records[start : start + _READ_AT_ONCE]
            contents = await self._contents([record.id for record in part])
            # One that is missing was deleted since.
            found = [
                StoredContent(record, *contents[record.id])
                for record in part
                if record.id in contents
            ]
            events.extend(found)
            size += sum(
                len(each.content.payload.text) + len(each.content.context.text) for each in found
            )
            if size >= _MAX_BYTES:
                return events, start + len(part)
        return events, len(records)

    async def _contents(
        self, record_ids: Sequence[UUID]
    ) -> dict[UUID, tuple[EventContent, JsonDocument | None]]:
        statement = select(
            _RECORD.id,
            cast(_RECORD.payload, Text),
            cast(_RECORD.context, Text),
            cast(_RECORD.source_context, Text),
        ).where(_RECORD.id.in_(record_ids))
        return {
            row[0]: (
                EventContent(JsonDocument(row[1].encode()), JsonDocument(row[2].encode())),
                JsonDocument(row[3].encode()) if row[3] is not None else None,
            )
            for row in await self._connection.execute(statement)
        }

    async def advance(self, replay: EventReplay) -> None:
        has_ended = replay.state is not ReplayState.RUNNING
        await self._connection.execute(
            update(EVENT_REPLAYS)
            .where(_REPLAY.id == replay.id)
            .values(
                replayed_count=replay.counts.replayed,
                skipped_count=replay.counts.skipped,
                refused_count=replay.counts.refused,
                last_record_id=replay.cursor,
                next_at=replay.next_at,
                ended_as=replay.state.value if has_ended else None,
                ended_at=replay.ended_at,
                error_message=replay.error,
            )
        )
