"""Long work in the event loop, in turns: others come in between."""

import asyncio
from time import perf_counter

__all__ = ["LoopTurns"]

_TURN_SECONDS = 0.005


class LoopTurns:
    """Says when it is time to let the other tasks of the loop have theirs.

    turns = LoopTurns()
    for item in many:
        if turns.is_over:
            await turns.pass_on()
        work_on(item)
    """

    def __init__(self, seconds: float = _TURN_SECONDS) -> None:
        self._seconds = seconds
        self._ends_at = perf_counter() + seconds

    @property
    def is_over(self) -> bool:
        """Whether this turn has lasted long enough."""
        return perf_counter() >= self._ends_at

    async def pass_on(self) -> None:
        """Let the others go on, and begin the next turn."""
        await asyncio.sleep(0)
        self._ends_at = perf_counter() + self._seconds
