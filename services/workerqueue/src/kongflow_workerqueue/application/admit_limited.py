"""Brings jobs with limits to the workers, as far as their limits take them."""

import logging
from collections.abc import Mapping
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.limit_ports import LimitedAdmission, LimitLedger
from kongflow_workerqueue.application.ports import Window, WindowUnavailable

__all__ = ["AdmitLimited"]

_logger = logging.getLogger(__name__)


class AdmitLimited:
    """Admits the first jobs of lanes and pushes them into the windows.

    They have a place of their own in each window, a quarter of `cap` beyond it: neither do they
    wait for the jobs without limits to leave room, nor those for them. While the window is away
    they stay admitted, and workers find them in the ledger.
    """

    def __init__(self, ledger: LimitLedger, window: Window, *, cap: int) -> None:
        self._ledger = ledger
        self._window = window
        self._share = max(cap // 4, 1)
        self._cap = cap + self._share

    async def __call__(
        self, lanes: Mapping[UUID, str | None], *, sweep_after: UUID | None = None
    ) -> LimitedAdmission:
        """Admit from these lanes, given with the concurrency keys that others may wait for.

        With `sweep_after` also from the lanes that follow it. Raises DependencyUnavailable and
        Contended; whatever is admitted by then is found by workers or admitted again.
        """
        admission = await self._ledger.admit_limited(
            list(lanes.items()), share=self._share, sweep_after=sweep_after
        )
        missed: list[str] = []
        for queue, entries in admission.admitted.items():
            try:
                pushed = await self._window.push(queue, entries, cap=self._cap)
            except WindowUnavailable:
                missed.append(queue)
                continue
            surplus = entries[pushed.accepted :]
            if surplus:
                await self._ledger.withdraw([(entry.id, entry.turn) for entry in surplus])
        if missed:
            await self._ledger.wake(missed)
        return admission

    async def try_admit(self, lanes: Mapping[UUID, str | None]) -> None:
        """Admit from these lanes if it can be done now; the workers' sweeps find what is left."""
        try:
            await self(lanes)
        except (DependencyUnavailable, Contended) as error:
            _logger.warning("jobs with limits could not be admitted: %s", error)
