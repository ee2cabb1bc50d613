"""What a key, an operator's token or an environment's id stands for, as tenancy knows it."""

import asyncio
import contextvars
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from kongflow_common.auth.principals import EnvironmentScope, Principal

__all__ = [
    "CachedCredentialResolver",
    "CredentialLookup",
    "CredentialResolver",
    "ResolvedCredential",
]

_logger = logging.getLogger(__name__)

KEEP_SECONDS = 4.0
"""How long an answer is used, from the moment its question was put: with what is under way
then, a revocation takes effect within 5 seconds."""
REFRESH_SECONDS = 2.0
"""From this age on, an answer in use is asked for anew while it still serves."""
KEEP_UNKNOWN_SECONDS = 1.0
"""How long "unknown" is believed: a key works soon after it was made."""
RETRY_REFRESH_SECONDS = 0.5
CAPACITY = 10_000
MAX_QUESTIONS = 64
"""How many questions are under way at once: made-up keys must not become a flood."""

_Key = TypeVar("_Key", bytes, UUID)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ResolvedCredential:
    """Who stands behind a credential; `expires_at` in Unix seconds, None when it never ends."""

    principal: Principal
    expires_at: float | None = None


class CredentialLookup(Protocol):
    """Asks whoever knows, each time anew.

    Both raise DependencyUnavailable when there is no answer; both must have a deadline.
    """

    async def look_up_credential(self, credential_hash: bytes) -> ResolvedCredential | None:
        """Find a key or an operator's token by its SHA-256; None when it does not count."""
        ...

    async def look_up_environment(self, environment_id: UUID) -> EnvironmentScope | None:
        """Find an environment; None when there is none."""
        ...


class CredentialResolver(Protocol):
    """Answers for every call, so it must be cheap.

    Both raise DependencyUnavailable when there is no answer.
    """

    async def principal(self, credential_hash: bytes) -> Principal | None:
        """Who stands behind the credential with this SHA-256; None when it does not count."""
        ...

    async def environment(self, environment_id: UUID) -> EnvironmentScope | None:
        """The environment with this id; None when there is none."""
        ...


class CachedCredentialResolver:
    """Keeps the answers of a lookup for at most 4 seconds, and never a credential itself.

    One question is under way per credential, however many calls wait for its answer. `now`
    is a monotonic clock in seconds, `wall_clock` tells Unix seconds.
    """

    def __init__(
        self,
        lookup: CredentialLookup,
        *,
        now: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        capacity: int = CAPACITY,
    ) -> None:
        self._wall_clock = wall_clock
        self._credentials = _FreshAnswers(lookup.look_up_credential, now, capacity)
        self._environments = _FreshAnswers(lookup.look_up_environment, now, capacity)

    async def principal(self, credential_hash: bytes) -> Principal | None:
        credential = await self._credentials.get(credential_hash)
        if credential is None:
            return None
        if credential.expires_at is not None and self._wall_clock() >= credential.expires_at:
            return None
        return credential.principal

    async def environment(self, environment_id: UUID) -> EnvironmentScope | None:
        return await self._environments.get(environment_id)

    async def close(self) -> None:
        """Give up what is being asked."""
        await self._credentials.close()
        await self._environments.close()


@dataclass(slots=True)
class _Answer(Generic[_Value]):
    value: _Value | None
    asked_at: float
    next_refresh_at: float


class _FreshAnswers(Generic[_Key, _Value]):
    """A bounded cache whose answers are young: see the constants above."""

    def __init__(
        self,
        ask: Callable[[_Key], Awaitable[_Value | None]],
        now: Callable[[], float],
        capacity: int,
    ) -> None:
        self._ask: Callable[[_Key], Awaitable[_Value | None]] = ask
        self._now = now
        self._capacity = capacity
        self._answers: OrderedDict[_Key, _Answer[_Value]] = OrderedDict()
        self._asking: dict[_Key, asyncio.Task[_Value | None]] = {}
        self._places = asyncio.Semaphore(MAX_QUESTIONS)

    async def get(self, key: _Key) -> _Value | None:
        answer = self._answers.get(key)
        if answer is not None:
            now = self._now()
            keep = KEEP_SECONDS if answer.value is not None else KEEP_UNKNOWN_SECONDS
            if now < answer.asked_at + keep:
                self._answers.move_to_end(key)
                if answer.value is not None and now >= answer.next_refresh_at:
                    answer.next_refresh_at = now + RETRY_REFRESH_SECONDS
                    self._refresh(key)
                return answer.value
        # Shielded: a caller that leaves does not take the answer from the others.
        return await asyncio.shield(self._begin(key))

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: _Key) -> asyncio.Task[_Value | None]:
        task = self._asking.get(key)
        if task is None:
            # In a context of its own: the question is nobody's call in particular.
            task = asyncio.get_running_loop().create_task(
                self._fetch(key), context=contextvars.Context()
            )
            self._asking[key] = task
            task.add_done_callback(_consume)
        return task

    def _refresh(self, key: _Key) -> None:
        if key not in self._asking:
            self._begin(key).add_done_callback(_report)

    async def _fetch(self, key: _Key) -> _Value | None:
        try:
            async with self._places:
                asked_at = self._now()
                value = await self._ask(key)
        finally:
            del self._asking[key]
        self._answers[key] = _Answer(value, asked_at, asked_at + REFRESH_SECONDS)
        self._answers.move_to_end(key)
        if len(self._answers) > self._capacity:
            self._answers.popitem(last=False)
        return value


def _consume(task: asyncio.Task[_Value]) -> None:
    """Whoever waits gets the error; when all have left, nobody is to be told of it."""
    if not task.cancelled():
        task.exception()


def _report(task: asyncio.Task[_Value]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _logger.warning(
            "a credential could not be looked up ahead of time",
            extra={"fields": {"error": str(error)}},
        )
