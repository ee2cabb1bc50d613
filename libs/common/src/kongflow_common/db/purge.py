"""Deletes what a context holds of something that is deleted: an environment, a project, an account.

A context names its statements, most of them the same for each table:

    purge = Purge(pool, [rows_of("runs.job_runs")])
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from kongflow_common.db.connection_pool import ConnectionPool

__all__ = ["PURGE_AGAIN_AFTER", "PURGE_SECONDS", "Purge", "Purged", "rows_of"]

_logger = logging.getLogger(__name__)

PURGE_SECONDS = 120.0
"""How long a call deletes: half of what its kind has, so that the last statement can end."""

PURGE_AGAIN_AFTER = timedelta(seconds=1)


def rows_of(table: str, column: str = "environment_id") -> str:
    """A statement that deletes some rows of whom `column` names, and answers one for each."""
    # Not all tables have an id. A row that somebody changes meanwhile stays, and is answered all
    # the same: it is still there to be deleted.
    return f"""
        WITH part AS MATERIALIZED (
            SELECT x.ctid FROM {table} x
             WHERE x.{column} = %(owner_id)b::uuid LIMIT %(limit)b::bigint
        ), gone AS (
            DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT part.ctid FROM part))
        )
        SELECT 1 FROM part
    """  # nosec B608 - made of constants


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows a call met to delete, and whether it met no more.

    One that somebody changed while it was deleted is met, and counted, again.
    """

    deleted: int
    complete: bool


class Purge:
    """Carries out statements in their order, each until it finds nothing any more.

    Each is a transaction, deletes at most `%(limit)b::bigint` rows of `%(owner_id)b::uuid`, and
    returns something for each that it met. So it may be broken off at any time: who calls again
    goes on with what is left.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        statements: Sequence[str],
        *,
        at_once: int = 500,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._statements = statements
        self._at_once = at_once
        self._monotonic = monotonic

    async def __call__(self, owner_id: UUID, *, seconds: float = PURGE_SECONDS) -> Purged:
        """Delete for as long, at least one statement's rows."""
        until = self._monotonic() + seconds
        deleted = 0
        for statement in self._statements:
            while rows := await self._pool.execute(
                statement, {"owner_id": owner_id, "limit": self._at_once}
            ):
                deleted += len(rows)
                if self._monotonic() > until:
                    return _logged(owner_id, Purged(deleted, complete=False))
        return _logged(owner_id, Purged(deleted, complete=True))


def _logged(owner_id: UUID, purged: Purged) -> Purged:
    if purged.deleted:
        fields = {
            "owner_id": str(owner_id),
            "deleted": purged.deleted,
            "complete": purged.complete,
        }
        _logger.info("what was deleted is purged", extra={"fields": fields})
    return purged
