"""Looks after the jobs with limits that no end of another job lets in."""

from collections.abc import Callable
from datetime import timedelta

__all__ = ["SweepLimits"]


class SweepLimits:
    """Jobs that were taken back, cancelled, withdrawn or retried leave their places unsaid."""

    name = "sweep_limits"
    every = timedelta(seconds=1)

    def __init__(self, request_sweep: Callable[[], None]) -> None:
        self._request_sweep = request_sweep

    async def do(self) -> None:
        """Asks for a sweep over the next lanes."""
        self._request_sweep()
