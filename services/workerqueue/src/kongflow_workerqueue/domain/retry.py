"""When a failed attempt is tried again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

JITTER = 0.1


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off: initial * multiplier^(n - 1) after the n-th failure, at most max.

    The defaults are those of kongflow.workerqueue.v1.RetryPolicy.
    """

    initial_backoff: timedelta = timedelta(seconds=1)
    max_backoff: timedelta = timedelta(minutes=10)
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a policy that would retry without any wait or shorten its waits."""
        if self.initial_backoff <= timedelta():
            raise ValueError("initial_backoff must be positive")
        if self.max_backoff < self.initial_backoff:
            raise ValueError("max_backoff must not be shorter than initial_backoff")
        if not 1.0 <= self.multiplier <= 100.0:
            raise ValueError("multiplier must lie between 1 and 100")

    def delay(self, failures: int, random: Callable[[], float]) -> timedelta:
        """Return the wait after the given number of failures, which is at least 1.

        `random` gives numbers in [0, 1); the wait is shortened or lengthened by up to a tenth.
        """
        longest = self.max_backoff.total_seconds()
        try:
            wanted = self.initial_backoff.total_seconds() * self.multiplier ** (failures - 1)
        except OverflowError:
            wanted = longest
        jitter = 1.0 - JITTER + 2.0 * JITTER * random()
        return timedelta(seconds=min(wanted, longest) * jitter)
