"""Stops a replay of many events."""

from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_events.application.ports import UnitOfWorkFactory
from kongflow_events.domain.errors import EventReplayNotFound
from kongflow_events.domain.event_replay import EventReplay, ReplayState

__all__ = ["CancelEventReplay"]


class CancelEventReplay:
    """Ends a replay, after the step that is being taken, if one is."""

    def __init__(self, unit_of_work: UnitOfWorkFactory, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def __call__(self, environment_id: UUID, replay_id: UUID) -> EventReplay:
        """The replay as it stands then. Raises EventReplayNotFound."""
        async with self._unit_of_work() as uow:
            replay = await uow.replays.lock(environment_id, replay_id)
            if replay is None:
                raise EventReplayNotFound(replay_id)
            if replay.state is not ReplayState.RUNNING:
                return replay
            ended = replay.end(ReplayState.CANCELLED, self._clock.now())
            await uow.replays.advance(ended)
            await uow.commit()
        return ended
