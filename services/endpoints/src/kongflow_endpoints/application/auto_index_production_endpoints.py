"""Begins the indexes that nobody asked for."""

import logging
from typing import Final
from uuid import UUID

from kongflow_endpoints.application.maintenance_ports import RecurringIndexes

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 100


class AutoIndexProductionEndpoints:
    """Has endpoints in production looked at again, and again (docs/behaviour.md#auto-index).

    A batch is a transaction: what was begun stays begun when a later batch fails, and a repeat
    begins only what is still due.
    """

    def __init__(self, indexes: RecurringIndexes) -> None:
        self._indexes = indexes

    async def __call__(self) -> int:
        """How many were begun."""
        count = 0
        after: UUID | None = None
        while True:
            begun = await self._indexes.begin(after, _AT_ONCE)
            count += begun.count
            if begun.last is None:
                break
            after = begun.last
        if count:
            logger.info("endpoint indexes begun by the clock", extra={"fields": {"count": count}})
        return count
