"""Ends a replay of many events before it has gone through all of them."""

from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_events.application.ports import UnitOfWorkFactory
from kongflow_events.domain.errors import EventReplayNotFound
from kongflow_events.domain.event_replay import EventReplay, ReplayState

__all__ = ["CancelEventReplay", "FailEventReplay"]


class CancelEventReplay:
    """Ends a replay, after the step that is being taken, if one is."""

    def __init__(self, unit_of_work: UnitOfWorkFactory, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def __call__(self, environment_id: UUID, replay_id: UUID) -> EventReplay:
        """The replay as it stands then. Raises EventReplayNotFound."""
        ended = await _end(
            self._unit_of_work, self._clock, environment_id, replay_id, ReplayState.CANCELLED
        )
        if ended is None:
            raise EventReplayNotFound(replay_id)
        return ended


class FailEventReplay:
    """Ends a replay whose queued job was given up. Idempotent."""

    def __init__(self, unit_of_work: UnitOfWorkFactory, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def __call__(self, environment_id: UUID, replay_id: UUID, reason: str) -> None:
        _ = await _end(
            self._unit_of_work, self._clock, environment_id, replay_id, ReplayState.FAILED, reason
        )


async def _end(
    unit_of_work: UnitOfWorkFactory,
    clock: Clock,
    environment_id: UUID,
    replay_id: UUID,
    state: ReplayState,
    error: str | None = None,
) -> EventReplay | None:
    """The replay as it stands then; None where there is none."""
    async with unit_of_work() as uow:
        replay = await uow.replays.lock(environment_id, replay_id)
        if replay is None or replay.state is not ReplayState.RUNNING:
            return replay
        ended = replay.end(state, clock.now(), error)
        await uow.replays.advance(ended)
        await uow.commit()
    return ended
