"""Carries out at this worker what operators ordered: cancelled jobs, paused and resumed queues."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.oversight import Oversight
from kongflow_workerqueue.worker.call_runner import CallRunner
from kongflow_workerqueue.worker.lane import Lane

__all__ = ["Orders"]

logger = logging.getLogger(__name__)

_NET_SECONDS = 1.0
_QUEUES_EVERY = 5


class Orders:
    """The ledger has carried an order out already: what is left is to save the work.

    Orders are heard by NOTIFY. One that was missed is found by asking: once a second which of the
    jobs in flight were cancelled, every fifth time which queues are paused or limited.
    """

    def __init__(
        self,
        oversight: Oversight,
        runner: CallRunner,
        lanes: Mapping[str, Lane],
        on_limited: Callable[[frozenset[str]], None],
    ) -> None:
        self._oversight = oversight
        self._runner = runner
        self._lanes = lanes
        self._on_limited = on_limited
        self._heard = asyncio.Event()
        self._looks_until_queues = 0

    def hear(self, order: str) -> None:
        """Takes `<id>:<turn>` of a cancelled job, or an empty text for any other news."""
        if order:
            id_, _, turn = order.partition(":")
            self._runner.call_off([(UUID(id_), int(turn))])
            return
        self._looks_until_queues = 0
        self._heard.set()

    async def run(self) -> None:
        """Looks when there is news, and once a second, until cancelled."""
        while True:
            try:
                await self.look()
            except (DependencyUnavailable, Contended) as error:
                logger.debug("orders cannot be looked for now: %s", error)
            try:
                async with asyncio.timeout(_NET_SECONDS):
                    await self._heard.wait()
            except TimeoutError:
                pass
            self._heard.clear()

    async def look(self) -> None:
        """Asks the ledger what was ordered."""
        if self._looks_until_queues <= 0:
            self._looks_until_queues = _QUEUES_EVERY
            self._set_paused(await self._oversight.paused_queues())
            self._on_limited(await self._oversight.limited_queues())
        self._looks_until_queues -= 1
        in_flight = self._runner.in_flight()
        if in_flight:
            self._runner.call_off(await self._oversight.cancelled(in_flight))

    def _set_paused(self, paused: frozenset[str]) -> None:
        for queue, lane in self._lanes.items():
            was_paused, lane.is_paused = lane.is_paused, queue in paused
            if was_paused and not lane.is_paused:
                # What waited may stand in the window, or may have been lost to it.
                lane.wake_for_ledger()
