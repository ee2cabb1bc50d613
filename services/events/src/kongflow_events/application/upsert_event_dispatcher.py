"""Registers a dispatcher, or replaces what it holds."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kongflow_common.errors import Contended
from kongflow_events.application.checked_filter import check_filter
from kongflow_events.application.ports import EventsUnitOfWork, UnitOfWorkFactory
from kongflow_events.domain.errors import DispatcherKept
from kongflow_events.domain.event_dispatcher import (
    FIRST_GENERATION,
    DispatcherSpecification,
    EventDispatcher,
)
from kongflow_events.domain.event_names import check_names
from kongflow_events.domain.event_record import Tenancy

__all__ = ["DispatcherCommand", "UpsertEventDispatcher", "UpsertedDispatcher"]

_logger = logging.getLogger(__name__)

# Another upsert of the same id may store it between two statements; it is there after that.
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class DispatcherCommand:
    """What a dispatcher is to hold; `generation` None follows the stored one.

    `by_keeper`: said by the service that owns what the dispatcher starts.
    """

    tenancy: Tenancy
    dispatchable_id: str
    specification: DispatcherSpecification
    account_id: str | None = None
    generation: int | None = None
    by_keeper: bool = False


@dataclass(frozen=True, slots=True)
class UpsertedDispatcher:
    """The dispatcher as it is stored, and what is probably not meant, a sentence each."""

    dispatcher: EventDispatcher
    warnings: Sequence[str]


class UpsertEventDispatcher:
    """Stores the dispatcher under its dispatchable id; all that it held before is replaced.

    A filter or an account that is left out is gone. With a generation that is not newer than
    the stored one nothing changes. One that is kept by the owner of what it starts is changed by
    that owner alone, whose generations are its own. Raises InvalidField for a filter that could
    never match and a name that is no pattern where patterns are meant, and DispatcherKept.
    """

    def __init__(self, unit_of_work: UnitOfWorkFactory) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(self, command: DispatcherCommand) -> UpsertedDispatcher:
        specification = command.specification
        check_names(specification.event_names, specification.name_match)
        warnings = [
            *check_filter(specification.payload_filter, "event_dispatcher.payload_filter"),
            *check_filter(specification.context_filter, "event_dispatcher.context_filter"),
        ]
        for _ in range(_ROUNDS):
            async with self._unit_of_work() as uow:
                stored = await self._store(uow, command)
            if stored is not None:
                return UpsertedDispatcher(stored, warnings)
        raise Contended("the dispatcher is being changed by others; nothing was stored")

    async def _store(
        self, uow: EventsUnitOfWork, command: DispatcherCommand
    ) -> EventDispatcher | None:
        """Write what the command says; None if another has stored the same id meanwhile."""
        environment_id = command.tenancy.environment_id
        account = None
        if command.account_id is not None:
            account = await uow.dispatchers.account(command.tenancy, command.account_id)
        stored = await uow.dispatchers.lock(environment_id, command.dispatchable_id)
        if stored is not None and stored.is_kept and not command.by_keeper:
            raise DispatcherKept(command.dispatchable_id)
        if stored is not None and command.by_keeper and not stored.is_kept:
            # Somebody used the id before. Its generations say nothing of the keeper's, and would
            # have the keeper's changes ignored.
            await uow.dispatchers.set_aside(stored)
            stored = None
        if stored is None:
            written = await uow.dispatchers.add(
                environment_id,
                command.dispatchable_id,
                command.specification,
                external_account_id=account,
                generation=command.generation or FIRST_GENERATION,
            )
            if not written:
                return None
        else:
            generation = stored.next_generation(command.generation)
            if generation is None:
                return stored
            await uow.dispatchers.replace(
                stored, command.specification, external_account_id=account, generation=generation
            )
        dispatcher = await uow.dispatchers.lock(environment_id, command.dispatchable_id)
        await uow.commit()
        if dispatcher is not None:
            _log(dispatcher)
        return dispatcher


def _log(dispatcher: EventDispatcher) -> None:
    _logger.info(
        "dispatcher stored",
        extra={
            "fields": {
                "dispatcher_id": str(dispatcher.id),
                "dispatchable_id": dispatcher.dispatchable_id,
                "generation": dispatcher.generation,
                "environment_id": str(dispatcher.environment_id),
            }
        },
    )
