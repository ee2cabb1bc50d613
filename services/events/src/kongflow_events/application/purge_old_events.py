"""Deletes the events that their environments keep no longer."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

__all__ = [
    "EventPurge",
    "EventRetention",
    "KnownAccount",
    "OldEvents",
    "PurgeOldEvents",
    "Purged",
    "RunsOfEvents",
]

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 500
_NOTHING: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class EventRetention:
    """How long events are kept after they were delivered, or cancelled; None is for ever."""

    default: timedelta | None = None
    of_environments: Mapping[UUID, timedelta | None] = field(default_factory=dict)

    def of(self, environment_id: UUID) -> timedelta | None:
        """How long this environment keeps its events."""
        return self.of_environments.get(environment_id, self.default)


@dataclass(frozen=True, slots=True)
class OldEvents:
    """Some of an environment's old events; `last` is the one looked at last, None if none was."""

    over: Sequence[UUID]
    last: UUID | None


@dataclass(frozen=True, slots=True)
class Purged:
    """What a call deleted; `complete` unless it ran out of time."""

    events: int
    accounts: int
    complete: bool


class EventPurge(Protocol):
    """Finds and deletes what is kept no longer, each call in a transaction."""

    async def environment_after(self, environment_id: UUID) -> UUID | None:
        """The next environment that has events, in the order of their ids."""
        ...

    async def old(
        self, environment_id: UUID, kept: timedelta, after: UUID, limit: int
    ) -> OldEvents:
        """The next events that came in before that time, and which of them are over as long."""
        ...

    async def delete(self, environment_id: UUID, record_ids: Sequence[UUID]) -> int:
        """Delete those events that are over; answers how many."""
        ...

    async def accounts(self, after: UUID, limit: int) -> Sequence["KnownAccount"]:
        """The next accounts, in the order of their ids."""
        ...

    async def delete_accounts(self, account_ids: Sequence[UUID]) -> int:
        """Delete those accounts that have no event and no dispatcher; answers how many.

        None while accounts are busy: the next purge tries again.
        """
        ...


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account, for how long it has been known, and whether something belongs to it."""

    id: UUID
    environment_id: UUID
    age: timedelta
    is_idle: bool


class RunsOfEvents(Protocol):
    """Asks the runs service."""

    async def unfinished(self, environment_id: UUID, record_ids: Sequence[UUID]) -> frozenset[UUID]:
        """The events that have runs that have not ended. Raises DependencyUnavailable."""
        ...


class PurgeOldEvents:
    """Goes through the environments, oldest events first, a bounded number at a time.

    What was deleted stays so whenever it is interrupted; it begins from the start and finds what
    is left.
    """

    def __init__(
        self,
        purge: EventPurge,
        runs: RunsOfEvents,
        retention: EventRetention,
        *,
        at_once: int = _AT_ONCE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._purge = purge
        self._runs = runs
        self._retention = retention
        self._at_once = at_once
        self._monotonic = monotonic

    async def __call__(self, *, seconds: float) -> Purged:
        """Delete what there is time for. Raises DependencyUnavailable when runs does not answer."""
        until = self._monotonic() + seconds
        events = 0
        environment_id = await self._purge.environment_after(_NOTHING)
        while environment_id is not None:
            kept = self._retention.of(environment_id)
            after = _NOTHING
            while kept is not None:
                old = await self._purge.old(environment_id, kept, after, self._at_once)
                if old.last is None:
                    break
                events += await self._delete(environment_id, old.over)
                after = old.last
                if self._monotonic() > until:
                    return _log(Purged(events, 0, complete=False))
            environment_id = await self._purge.environment_after(environment_id)
        accounts, complete = await self._delete_accounts(until)
        return _log(Purged(events, accounts, complete))

    async def _delete(self, environment_id: UUID, over: Sequence[UUID]) -> int:
        if not over:
            return 0
        needed = await self._runs.unfinished(environment_id, over)
        free = [each for each in over if each not in needed]
        return await self._purge.delete(environment_id, free) if free else 0

    async def _delete_accounts(self, until: float) -> tuple[int, bool]:
        count, after = 0, _NOTHING
        while accounts := await self._purge.accounts(after, self._at_once):
            over = [each.id for each in accounts if self._is_over(each)]
            count += await self._purge.delete_accounts(over) if over else 0
            after = accounts[-1].id
            if self._monotonic() > until:
                return count, False
        return count, True

    def _is_over(self, account: KnownAccount) -> bool:
        kept = self._retention.of(account.environment_id)
        return account.is_idle and kept is not None and account.age > kept


def _log(purged: Purged) -> Purged:
    if purged.events or purged.accounts:
        logger.info(
            "old events deleted",
            extra={"fields": {"events": purged.events, "accounts": purged.accounts}},
        )
    return purged
