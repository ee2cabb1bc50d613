"""Reads replays for queries, and counts what they would go through."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import filter_condition
from kongflow_events.adapters.replay_counts import count_events
from kongflow_events.adapters.replay_rows import REPLAY_TARGETS, select_replays, to_replay
from kongflow_events.adapters.tables import EVENT_REPLAYS
from kongflow_events.application.ports_replays import EventCount, ReplaySelection
from kongflow_events.application.selection import Selection
from kongflow_events.domain.event_replay import EventReplay

__all__ = ["SqlReplayReader"]

_REPLAY: Final = EVENT_REPLAYS.c


class SqlReplayReader:
    """Implements ReplayReader."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_replay(self, environment_id: UUID, replay_id: UUID) -> EventReplay | None:
        found = await self._read(
            select_replays().where(
                _REPLAY.id == replay_id, _REPLAY.environment_id == environment_id
            )
        )
        return found[0] if found else None

    async def list_replays(self, selection: Selection) -> Sequence[EventReplay]:
        statement = select_replays().where(_REPLAY.environment_id == selection.environment_id)
        if selection.after is not None:
            statement = statement.where(_REPLAY.id < selection.after)
        if selection.filter is not None:
            statement = statement.where(filter_condition(selection.filter, REPLAY_TARGETS))
        return await self._read(statement.order_by(_REPLAY.id.desc()).limit(selection.limit))

    async def count_events(self, selection: ReplaySelection, *, seconds: float) -> EventCount:
        return await count_events(self._database, selection, seconds=seconds)

    async def _read(self, statement: Select[Any]) -> Sequence[EventReplay]:
        async with self._database.reading() as connection:
            return [to_replay(row) for row in await connection.execute(statement)]
