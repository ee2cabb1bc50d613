"""Deletes indexes that nobody looks at any more."""

import logging
from typing import Final

from kongflow_endpoints.application.maintenance_ports import IndexPurge, Mark

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 200
_ITEMS_AT_ONCE: Final = 5_000


class PurgeOldIndexings:
    """Keeps seven days of indexes, and each endpoint's newest (docs/behaviour.md#purge-indexes).

    Items go first, as one index may have thousands; what was begun and not ended goes with the
    next purge.
    """

    def __init__(self, purge: IndexPurge) -> None:
        self._purge = purge

    async def __call__(self) -> int:
        """How many indexes were deleted."""
        count = 0
        after: Mark | None = None
        while True:
            old = await self._purge.old(after, _AT_ONCE)
            if old.last is None:
                break
            if old.superseded:
                while await self._purge.delete_items(old.superseded, _ITEMS_AT_ONCE):
                    pass
                count += await self._purge.delete(old.superseded)
            after = old.last
        if count:
            logger.info("old endpoint indexes deleted", extra={"fields": {"count": count}})
        return count
