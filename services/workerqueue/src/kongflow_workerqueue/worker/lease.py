"""The lease under which this worker claims: while it lives, its jobs are nobody else's."""

import asyncio
import logging
import time
from collections.abc import Callable
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.ports import WorkerLedger

__all__ = ["WorkerLease"]

logger = logging.getLogger(__name__)

_RENEW_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_HOPE_SECONDS = 6.0
"""How long after a renewal this worker takes its lease for alive, a second less than it is."""


class WorkerLease:
    """One lease after another, each with an id of its own.

    A lease that has ended is not revived: its jobs are taken back, and what this process still
    knows of them must not look like the work of a living worker. `on_held` is called when a lease
    begins.
    """

    def __init__(
        self,
        ledger: WorkerLedger,
        new_id: Callable[[], UUID],
        *,
        host: str,
        pid: int,
        on_held: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._on_held = on_held
        self._new_id = new_id
        self._host = host
        self._pid = pid
        self._worker_id = new_id()
        self._registered = False
        self._held_until = 0.0

    @property
    def worker_id(self) -> UUID:
        """The id under which jobs are claimed."""
        return self._worker_id

    @property
    def is_held(self) -> bool:
        """Whether claims are worth trying. The ledger has the last word, by its own clock."""
        return time.monotonic() < self._held_until

    async def run(self) -> None:
        """Holds a lease until cancelled; started again, it goes on with the one it has."""
        while True:
            asked_at = time.monotonic()
            try:
                if not self._registered:
                    await self._ledger.register_worker(
                        self._worker_id, host=self._host, pid=self._pid
                    )
                    self._registered = True
                    logger.info("worker registered", extra={"fields": self._fields()})
                elif not await self._ledger.renew_lease(self._worker_id):
                    logger.warning(
                        "the lease ended; its jobs are taken back",
                        extra={"fields": self._fields()},
                    )
                    self._held_until = 0.0
                    self._worker_id = self._new_id()
                    self._registered = False
                    continue
            except (DependencyUnavailable, Contended) as error:
                logger.debug("the lease cannot be renewed now: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                # A registration whose answer was lost must not stand in the way of the next.
                if not self._registered:
                    self._worker_id = self._new_id()
                continue
            was_held = self.is_held
            self._held_until = asked_at + _HOPE_SECONDS
            if not was_held:
                self._on_held()
            await asyncio.sleep(_RENEW_SECONDS)

    async def end(self) -> None:
        """Ends the lease. Raises DependencyUnavailable; then it ends by itself."""
        self._held_until = 0.0
        await self._ledger.remove_worker(self._worker_id)

    def _fields(self) -> dict[str, object]:
        return {"worker_id": self._worker_id}
