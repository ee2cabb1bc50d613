"""Deletes what a context holds of an environment that is deleted."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from kongflow_common.db.connection_pool import ConnectionPool

__all__ = ["PURGE_AGAIN_AFTER", "PURGE_SECONDS", "EnvironmentPurge", "PurgedEnvironment"]

logger = logging.getLogger(__name__)

PURGE_SECONDS = 120.0
"""How long a call deletes: half of what its kind has, so that the last statement can end."""

PURGE_AGAIN_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class PurgedEnvironment:
    """How many rows a call deleted, and whether nothing is left."""

    deleted: int
    complete: bool


class EnvironmentPurge:
    """Carries out statements in their order, each until it deletes nothing any more.

    Each is a transaction, deletes at most `%(limit)b::bigint` rows of `%(environment_id)b::uuid`,
    or what else `owner` is, and returns something for each. So it may be broken off at any time:
    who calls again goes on with what is left.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        statements: Sequence[str],
        *,
        owner: str = "environment_id",
        at_once: int = 500,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._statements = statements
        self._owner = owner
        self._at_once = at_once
        self._monotonic = monotonic

    async def __call__(
        self, owner_id: UUID, *, seconds: float = PURGE_SECONDS
    ) -> PurgedEnvironment:
        """Delete for as long, at least one statement's rows."""
        until = self._monotonic() + seconds
        deleted = 0
        for statement in self._statements:
            while rows := await self._pool.execute(
                statement, {self._owner: owner_id, "limit": self._at_once}
            ):
                deleted += len(rows)
                if self._monotonic() > until:
                    return self._log(owner_id, PurgedEnvironment(deleted, complete=False))
        return self._log(owner_id, PurgedEnvironment(deleted, complete=True))

    def _log(self, owner_id: UUID, purged: PurgedEnvironment) -> PurgedEnvironment:
        if purged.deleted:
            fields = {
                self._owner: str(owner_id),
                "deleted": purged.deleted,
                "complete": purged.complete,
            }
            logger.info("what was deleted is purged", extra={"fields": fields})
        return purged
