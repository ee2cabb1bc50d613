"""What a duty is, and the loop that does it."""

import asyncio
import logging
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.ports import MaintenanceLedger

__all__ = ["Duty", "QueuesFilled", "keep_doing"]

logger = logging.getLogger(__name__)

_AWAY_SECONDS = 1.0
_JITTER = 0.2


class Duty(Protocol):
    """Something that one of all workers does every so often."""

    @property
    def name(self) -> str:
        """The name under which workers take turns."""

    @property
    def every(self) -> timedelta:
        """How often it is done, by all workers together."""

    async def do(self) -> None:
        """Does it once; raises DependencyUnavailable or Contended to be done another time."""


class QueuesFilled(Protocol):
    """Is told that queues have more available jobs than before."""

    def __call__(self, jobs: Mapping[str, int]) -> None:
        """Takes the number of jobs by queue."""


async def keep_doing(duty: Duty, ledger: MaintenanceLedger) -> None:
    """Does a duty whenever this worker gets its turn, until cancelled."""
    every = duty.every.total_seconds()
    while True:
        # Workers that were started together must not ask together for ever.
        await asyncio.sleep(every * (1.0 - _JITTER * random.random()))  # nosec B311
        try:
            if await ledger.try_duty(duty.name, every=duty.every):
                await duty.do()
        except (DependencyUnavailable, Contended) as error:
            logger.debug("duty %s waits: %s", duty.name, error)
            await asyncio.sleep(_AWAY_SECONDS)
