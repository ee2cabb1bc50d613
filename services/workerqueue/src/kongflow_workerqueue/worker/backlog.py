"""The jobs of a queue that wait in the ledger, outside its window."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from kongflow_workerqueue.application.ports import ClaimedJob, PopResult, WindowUnavailable

__all__ = ["Backlog"]

logger = logging.getLogger(__name__)

_LATE_SECONDS = 0.05
_LOOKS = 3


class Backlog:
    """What a lane takes straight from the ledger when its window has no more to give.

    The window knows while there is a backlog: then nothing new is admitted to it, which would
    pass by what waits longer, and every worker of the queue looks here. What the window knows is
    corrected by whoever looks.

    `claim` claims up to so many of them, `mark` tells the window whether there are any, `wake` has
    the lane look. A window that holds `crowded` entries may have had no room for others.
    """

    def __init__(
        self,
        claim: Callable[[int], Awaitable[Sequence[ClaimedJob]]],
        mark: Callable[[bool], Awaitable[None]],
        *,
        crowded: int,
        wake: Callable[[], None],
    ) -> None:
        self._claim = claim
        self._mark = mark
        self._crowded = crowded
        self._wake = wake
        self._is_known = False
        self.is_expected = True
        """Whether there may be such jobs."""

    def expect(self) -> None:
        """Says that there are such jobs, and has the lane look."""
        self.is_expected = True
        self._wake()

    def note_pop(self, popped: PopResult) -> None:
        """Notes what a pop told of them."""
        self._is_known = popped.backlog
        is_crowded = len(popped.entries) + popped.remaining >= self._crowded
        self.is_expected = self.is_expected or popped.backlog or is_crowded

    def note_full_look(self) -> None:
        """Notes that a look at all that is available found as much as there was room for.

        What is left of it shall not be passed by, be it in the window or outside.
        """
        self.is_expected = True

    async def claim_into(self, jobs: list[ClaimedJob], room: int) -> None:
        """Claims up to `room` of them, in their order, as far as they are expected.

        Adds them to `jobs` as it goes: a later look that fails takes nothing back.
        """
        if not self.is_expected:
            return
        # Environments have turns: fewer than there was room for need not have been all.
        for _ in range(_LOOKS):
            if room <= 0:
                break
            found = await self._look(room)
            jobs += found
            room -= len(found)
            if not found:
                break
        await self.tell_others()

    async def _look(self, room: int) -> Sequence[ClaimedJob]:
        # Who speaks of jobs while the statement runs means such as it does not see.
        self.is_expected, had_been_expected = False, self.is_expected
        try:
            found = await self._claim(room)
        except BaseException:
            self.is_expected = self.is_expected or had_been_expected
            raise
        self.is_expected = self.is_expected or bool(found)
        return found

    async def tell_others(self) -> None:
        """Corrects what the window knows; a new backlog wakes the queue's other workers."""
        exists = self.is_expected
        if exists is self._is_known:
            return
        try:
            await self._mark(exists)
        except WindowUnavailable as error:
            logger.debug("what the window knows of the backlog stays as it is: %s", error)
            return
        self._is_known = exists
        if not exists:
            # Who read the mark before it was taken away may store a job after this look.
            asyncio.get_running_loop().call_later(_LATE_SECONDS, self.expect)
