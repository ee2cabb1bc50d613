"""Calls the URL of an ephemeral dispatcher back, and expires dispatchers."""

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from kongflow_events.application.invocation_ports import EphemeralCaller, EphemeralDesk
from kongflow_events.application.read_event_record import ExecutedEvents
from kongflow_events.application.task_outcome import DONE, Snooze, TaskOutcome
from kongflow_events.domain.errors import EphemeralCallFailed, EphemeralUrlRefused

__all__ = ["ExpireDispatcher", "InvokeEphemeralDispatcher"]

_logger = logging.getLogger(__name__)

# Longer than the kind's own timeout: by then the one who has it has ended, or was ended.
_LEASE: Final = timedelta(seconds=40)


class InvokeEphemeralDispatcher:
    """Tells the URL of the one event that has claimed the dispatcher, then deletes it.

    No transaction is open while the URL is called, and nobody else calls it meanwhile. It is
    called more than once only when a call fails, or this process ends between the answer and its
    note of it. Raises EphemeralCallFailed, to be tried again, and EphemeralUrlRefused.
    """

    def __init__(
        self, desk: EphemeralDesk, events: ExecutedEvents, caller: EphemeralCaller
    ) -> None:
        self._desk = desk
        self._events = events
        self._caller = caller

    async def __call__(
        self, environment_id: UUID, dispatcher_id: UUID, event_record_id: UUID
    ) -> TaskOutcome:
        call = await self._desk.begin(environment_id, dispatcher_id, event_record_id, _LEASE)
        if call is None:
            return DONE
        if isinstance(call, timedelta):
            return Snooze(call)
        event = await self._events.find(environment_id, event_record_id)
        if event is None:
            return DONE
        try:
            await self._caller.call(call.url, event)
        except (EphemeralCallFailed, EphemeralUrlRefused):
            await self._desk.give_back(call)
            raise
        await self._desk.expire(environment_id, dispatcher_id)
        _logger.info(
            "ephemeral dispatcher invoked",
            extra={
                "fields": {
                    "dispatcher_id": str(dispatcher_id),
                    "event_record_id": str(event_record_id),
                    "environment_id": str(environment_id),
                }
            },
        )
        return DONE


class ExpireDispatcher:
    """Deletes an ephemeral dispatcher whose time is over. Idempotent."""

    def __init__(self, desk: EphemeralDesk) -> None:
        self._desk = desk

    async def __call__(self, environment_id: UUID, dispatcher_id: UUID) -> None:
        if await self._desk.expire(environment_id, dispatcher_id):
            _logger.info(
                "ephemeral dispatcher expired",
                extra={
                    "fields": {
                        "dispatcher_id": str(dispatcher_id),
                        "environment_id": str(environment_id),
                    }
                },
            )
