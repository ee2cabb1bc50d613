"""Brings available jobs to the workers: into the window while it has room, else by a wake-up."""

import logging
from collections.abc import Collection, Iterable

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.ports import (
    Admitted,
    EnqueueLedger,
    InsertOutcome,
    Window,
    WindowUnavailable,
)

_logger = logging.getLogger(__name__)


class Dispatch:
    """Decides what is admitted as it is stored, and pushes it after the commit.

    A job is admitted as it is stored only while its queue's window is less than half full. While
    there is a backlog the workers keep the window fuller than that, so nothing new passes by what
    waits already. `cap` is the size of a window.
    """

    def __init__(self, window: Window, ledger: EnqueueLedger, *, cap: int) -> None:
        self._window = window
        self._ledger = ledger
        self._cap = cap
        self._lengths: dict[str, int] = {}
        """The windows' lengths as last heard: workers empty them meanwhile, so at least that
        little stands in them."""
        self._answered = False
        """Whether the window has answered a question since jobs were last handed over."""

    async def queues_with_room(self, queues: Iterable[str]) -> frozenset[str]:
        """Tell which queues' jobs are to be admitted as they are stored."""
        return frozenset([queue for queue in queues if await self._has_room(queue)])

    async def _has_room(self, queue: str) -> bool:
        half = self._cap // 2
        if self._lengths.get(queue, 0) < half:
            return True
        try:
            self._lengths[queue] = await self._window.length(queue)
        except WindowUnavailable:
            # The push will say so too, and workers find admitted jobs all the same.
            self._lengths.pop(queue, None)
            return False
        self._answered = True
        return self._lengths[queue] < half

    async def hand_over(
        self,
        stored: Iterable[tuple[str, InsertOutcome]],
        *,
        admit_to: Collection[str] = (),
    ) -> None:
        """Bring stored jobs, given with their queues, to the workers.

        Jobs of a queue in `admit_to` that were not admitted all the same belong to a queue whose
        running jobs are limited: its workers are told. The jobs are durable: what goes wrong here
        costs time only and is not the caller's affair.
        """
        answered, self._answered = self._answered, False
        admitted: dict[str, list[Admitted]] = {}
        unadmitted: set[str] = set()
        held_back: set[str] = set()
        for queue, outcome in stored:
            if outcome.admitted is not None:
                admitted.setdefault(queue, []).append(outcome.admitted)
            elif outcome.available:
                (held_back if queue in admit_to else unadmitted).add(queue)
        missed = [
            queue for queue, entries in admitted.items() if not await self._push(queue, entries)
        ]
        missed += held_back
        try:
            if missed:
                await self._ledger.wake(missed)
            elif unadmitted and not answered and await self._is_away(unadmitted):
                await self._ledger.wake(unadmitted)
        except (DependencyUnavailable, Contended) as error:
            _logger.warning("workers could not be woken: %s", error)

    async def _push(self, queue: str, entries: list[Admitted]) -> bool:
        try:
            pushed = await self._window.push(queue, entries, cap=self._cap)
        except WindowUnavailable:
            return False
        self._lengths[queue] = pushed.length
        surplus = entries[pushed.accepted :]
        if surplus:
            try:
                await self._ledger.withdraw([(entry.id, entry.turn) for entry in surplus])
            except (DependencyUnavailable, Contended) as error:
                # The sweep over stale admissions finds them.
                _logger.warning("jobs without room could not be withdrawn: %s", error)
        return True

    async def _is_away(self, queues: Collection[str]) -> bool:
        """Whether the window cannot be reached: its workers refill it only while it can."""
        try:
            await self._window.length(next(iter(queues)))
        except WindowUnavailable:
            return True
        return False
