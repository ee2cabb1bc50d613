"""Gets and lists replays of many events, each within the caller's environment."""

from dataclasses import replace
from uuid import UUID

from kongflow_events.application.ports import Selection
from kongflow_events.application.ports_replays import ReplayReader
from kongflow_events.application.queries import Page
from kongflow_events.domain.errors import EventReplayNotFound
from kongflow_events.domain.event_replay import EventReplay

__all__ = ["EventReplayQueries"]


class EventReplayQueries:
    """Gets and lists replays."""

    def __init__(self, reader: ReplayReader) -> None:
        self._reader = reader

    async def get(self, environment_id: UUID, replay_id: UUID) -> EventReplay:
        """The replay. Raises EventReplayNotFound."""
        found = await self._reader.find_replay(environment_id, replay_id)
        if found is None:
            raise EventReplayNotFound(replay_id)
        return found

    async def list(self, selection: Selection) -> Page[EventReplay]:
        """At most `selection.limit` replays."""
        found = await self._reader.list_replays(replace(selection, limit=selection.limit + 1))
        return Page(found[: selection.limit], complete=len(found) <= selection.limit)
