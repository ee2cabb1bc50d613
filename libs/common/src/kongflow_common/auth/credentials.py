"""What a key, an operator's token or an environment's id stands for, as tenancy knows it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from kongflow_common.auth.principals import EnvironmentScope, Principal
from kongflow_common.fresh_answers import CAPACITY, FreshAnswers

__all__ = [
    "CachedCredentialResolver",
    "CredentialLookup",
    "CredentialResolver",
    "ResolvedCredential",
]


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
        self._credentials = FreshAnswers(
            lookup.look_up_credential, what="a credential", now=now, capacity=capacity
        )
        self._environments = FreshAnswers(
            lookup.look_up_environment, what="an environment", now=now, capacity=capacity
        )

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
