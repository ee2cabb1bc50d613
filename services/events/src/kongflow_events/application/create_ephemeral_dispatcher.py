"""Creates a dispatcher that calls a URL back once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from kongflow_common.clock import Clock
from kongflow_common.errors import Contended
from kongflow_common.payload import JsonDocument
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.checked_filter import check_filter
from kongflow_events.application.ports import EventsUnitOfWork, UnitOfWorkFactory
from kongflow_events.domain.dispatchable import Ephemeral, write_dispatchable
from kongflow_events.domain.event_dispatcher import (
    FIRST_GENERATION,
    DispatcherSpecification,
    EventDispatcher,
)
from kongflow_events.domain.event_record import Tenancy

__all__ = ["CreateEphemeralDispatcher", "CreatedDispatcher", "EphemeralCommand"]

_logger = logging.getLogger(__name__)

# Another call for the same URL may store it between two statements; it is there after that.
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class EphemeralCommand:
    """Whom to call back, for which events, and for how long to wait for one."""

    tenancy: Tenancy
    url: str
    event_names: tuple[str, ...]
    source: str
    payload_filter: JsonDocument | None
    context_filter: JsonDocument | None
    account_id: str | None
    timeout: timedelta


@dataclass(frozen=True, slots=True)
class CreatedDispatcher:
    """The dispatcher that the URL has now, and what is probably not meant, a sentence each."""

    dispatcher: EventDispatcher
    created: bool
    warnings: Sequence[str]


class CreateEphemeralDispatcher:
    """Stores the dispatcher with the queued job that expires it, both or neither.

    Unique by URL and environment: one that is there is answered unchanged. Raises InvalidField
    for a filter that could never match.
    """

    def __init__(self, unit_of_work: UnitOfWorkFactory, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def __call__(self, command: EphemeralCommand) -> CreatedDispatcher:
        warnings = [
            *check_filter(command.payload_filter, "payload_filter"),
            *check_filter(command.context_filter, "context_filter"),
        ]
        environment_id = command.tenancy.environment_id
        for _ in range(_ROUNDS):
            async with self._unit_of_work() as uow:
                stored = await uow.dispatchers.lock(environment_id, command.url)
                if stored is not None:
                    return CreatedDispatcher(stored, created=False, warnings=warnings)
                created = await self._store(uow, command)
            if created is not None:
                _log(created)
                return CreatedDispatcher(created, created=True, warnings=warnings)
        raise Contended("the dispatcher is being changed by others; nothing was stored")

    async def _store(
        self, uow: EventsUnitOfWork, command: EphemeralCommand
    ) -> EventDispatcher | None:
        """Write the dispatcher; None if another call has stored the same URL meanwhile."""
        account = None
        if command.account_id is not None:
            account = await uow.dispatchers.account(command.tenancy, command.account_id)
        expires_at = self._clock.now() + command.timeout
        written = await uow.dispatchers.add(
            command.tenancy.environment_id,
            command.url,
            DispatcherSpecification(
                event_names=command.event_names,
                source=command.source,
                payload_filter=command.payload_filter,
                context_filter=command.context_filter,
                manual=False,
                enabled=True,
                dispatchable=write_dispatchable(Ephemeral(command.url, expires_at)),
            ),
            external_account_id=account,
            generation=FIRST_GENERATION,
        )
        if not written:
            return None
        dispatcher = await uow.dispatchers.lock(command.tenancy.environment_id, command.url)
        if dispatcher is None:
            return None
        await uow.queue.enqueue_expire_dispatcher(
            dispatcher, run_at=expires_at, traceparent=current_traceparent()
        )
        await uow.commit()
        return dispatcher


def _log(dispatcher: EventDispatcher) -> None:
    # Not the URL: it may hold a secret, as those of callbacks do.
    _logger.info(
        "ephemeral dispatcher created",
        extra={
            "fields": {
                "dispatcher_id": str(dispatcher.id),
                "environment_id": str(dispatcher.environment_id),
            }
        },
    )
