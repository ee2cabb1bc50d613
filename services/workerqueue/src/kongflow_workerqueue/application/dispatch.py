"""Brings available jobs to the workers: into the window while it has room, else by a wake-up."""

import logging
from collections.abc import Collection, Iterable

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.ports import (
    Admitted,
    EnqueueLedger,
    InsertOutcome,
    Window,
    WindowState,
    WindowUnavailable,
)

_logger = logging.getLogger(__name__)


class Dispatch:
    """Decides what is admitted as it is stored, and pushes it after the commit.

    A job is admitted as it is stored only while its queue's window is less than half full and no
    job waits outside it: nothing new passes by what waits already. `cap` is the size of a window.
    """

    def __init__(self, window: Window, ledger: EnqueueLedger, *, cap: int) -> None:
        self._window = window
        self._ledger = ledger
        self._cap = cap
        self._with_room: dict[str, bool] = {}
        """Which windows had room when last heard of; one without is asked again."""
        self._answered = False
        """Whether the window has answered a question since jobs were last handed over."""

    async def queues_with_room(self, queues: Iterable[str]) -> frozenset[str]:
        """Tell which queues' jobs are to be admitted as they are stored."""
        return frozenset([queue for queue in queues if await self._has_room(queue)])

    async def _has_room(self, queue: str) -> bool:
        if self._with_room.get(queue, True):
            return True
        try:
            self._note(queue, await self._window.look(queue))
        except WindowUnavailable:
            # The push will say so too, and workers find admitted jobs all the same.
            self._with_room.pop(queue, None)
            return False
        self._answered = True
        return self._with_room[queue]

    def _note(self, queue: str, state: WindowState) -> None:
        self._with_room[queue] = state.length < self._cap // 2 and not state.backlog

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
        self._note(queue, pushed.state)
        surplus = entries[pushed.accepted :]
        if surplus:
            try:
                await self._ledger.withdraw([(entry.id, entry.turn) for entry in surplus])
            except (DependencyUnavailable, Contended) as error:
                # The sweep over stale admissions finds them.
                _logger.warning("jobs without room could not be withdrawn: %s", error)
        return True

    async def _is_away(self, queues: Collection[str]) -> bool:
        """Whether the window cannot be reached: its workers have not heard of new jobs then."""
        try:
            await self._window.look(next(iter(queues)))
        except WindowUnavailable:
            return True
        return False
