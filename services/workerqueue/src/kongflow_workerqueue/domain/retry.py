"""When a failed attempt is tried again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

JITTER = 0.1
LONGEST_DELAY = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class ExponentialRetry:
    """Exponential back-off: initial * multiplier^(n - 1) after the n-th failure, at most max.

    Each is shortened or lengthened by up to a tenth. The defaults are those of
    kongflow.workerqueue.v1.RetryPolicy.
    """

    initial_backoff: timedelta = timedelta(seconds=1)
    max_backoff: timedelta = timedelta(minutes=10)
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        """Refuse a policy that would retry without any wait or shorten its waits."""
        _check_bounds(self.initial_backoff, self.max_backoff)
        if not 1.0 <= self.multiplier <= 100.0:
            raise ValueError("multiplier must lie between 1 and 100")

    def delay(self, failures: int, random: Callable[[], float]) -> timedelta:
        """Return the wait after the given number of failures, which is at least 1.

        `random` gives numbers in [0, 1).
        """
        try:
            wanted = self.initial_backoff.total_seconds() * self.multiplier ** (failures - 1)
        except OverflowError:
            wanted = self.max_backoff.total_seconds()
        return _strayed(min(wanted, self.max_backoff.total_seconds()), random)


@dataclass(frozen=True, slots=True)
class FourthPowerRetry:
    """initial * n^4 after the n-th failure: soon at first, then over days, as River does.

    Each is shortened or lengthened by up to a tenth.
    """

    initial_backoff: timedelta = timedelta(seconds=1)
    max_backoff: timedelta = LONGEST_DELAY

    def __post_init__(self) -> None:
        """Refuse a policy that would retry without any wait or shorten its waits."""
        _check_bounds(self.initial_backoff, self.max_backoff)

    def delay(self, failures: int, random: Callable[[], float]) -> timedelta:
        """Return the wait; see ExponentialRetry.delay."""
        wanted = self.initial_backoff.total_seconds() * float(failures) ** 4
        return _strayed(min(wanted, self.max_backoff.total_seconds()), random)


@dataclass(frozen=True, slots=True)
class ListedRetry:
    """The waits one by one, exactly as they are listed; the last one serves for all beyond."""

    delays: tuple[timedelta, ...]

    def __post_init__(self) -> None:
        """Refuse a policy that would retry without any wait."""
        if not self.delays:
            raise ValueError("delays must not be empty")
        if not all(timedelta() < delay <= LONGEST_DELAY for delay in self.delays):
            raise ValueError("delays must be positive, and none beyond a hundred years")

    def delay(self, failures: int, random: Callable[[], float]) -> timedelta:
        """Return the wait; see ExponentialRetry.delay."""
        return self.delays[min(failures, len(self.delays)) - 1]


RetryPolicy = ExponentialRetry | FourthPowerRetry | ListedRetry
"""Decides how long a job waits after a failed attempt."""


def _check_bounds(initial_backoff: timedelta, max_backoff: timedelta) -> None:
    if initial_backoff <= timedelta():
        raise ValueError("initial_backoff must be positive")
    if max_backoff < initial_backoff:
        raise ValueError("max_backoff must not be shorter than initial_backoff")


def _strayed(seconds: float, random: Callable[[], float]) -> timedelta:
    jitter = 1.0 - JITTER + 2.0 * JITTER * random()
    return timedelta(seconds=seconds * jitter)
