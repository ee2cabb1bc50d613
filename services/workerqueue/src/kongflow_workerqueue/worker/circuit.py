"""Circuits: a target that cannot be asked is asked less, and its jobs wait without being tried."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from kongflow_common.supervision import Backoff

__all__ = ["BACKOFF", "Circuit", "Parking"]

BACKOFF = Backoff(initial=0.2, longest=2.0)
_PROBES_PARKED = 4
_LONG_PARKING_SECONDS = 20.0
_PARKING_JITTER = 0.25


@dataclass(frozen=True, slots=True)
class Parking:
    """What circuits need from outside: seconds that never go back, and numbers in [0, 1)."""

    monotonic: Callable[[], float]
    random: Callable[[], float]


class Circuit:
    """Whether the calls of one scope (a target, or one kind of it) are worth making.

    Closed until a call could not be answered. Then one call at a time is let through after a
    back-off that doubles, until one is answered.
    """

    def __init__(self, parking: Parking) -> None:
        self._monotonic = parking.monotonic
        self._random = parking.random
        self._failures = 0
        self._next_probe = 0.0
        self._probing = False
        self._probes_parked = 0
        self._opened_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are held back."""
        return self._failures > 0

    def open_seconds(self) -> float:
        """How long the scope could not be asked; 0 while it can."""
        return self._monotonic() - self._opened_at if self.is_open else 0.0

    def lets_through(self) -> bool:
        """Tells whether a call may be made now; while open, that call is the probe.

        Whoever is let through reports `answered`, `unanswered` or `given_up`.
        """
        if not self.is_open:
            return True
        if self._probing or self._monotonic() < self._next_probe:
            return False
        self._probing = True
        return True

    def answered(self) -> bool:
        """Notes that the scope can be asked; True if that is news and waiting jobs may go on."""
        was_open = self.is_open
        self._failures = 0
        self._probing = False
        return was_open

    def unanswered(self) -> bool:
        """Notes that the scope could not be asked; True if the circuit opens by it."""
        opens = not self.is_open
        now = self._monotonic()
        if opens:
            self._opened_at = now
        elif not self._probing:
            # Calls that were under way when the circuit opened say nothing new.
            return False
        self._probing = False
        self._failures += 1
        self._probes_parked = 0
        self._next_probe = now + BACKOFF.delay(self._failures)
        return opens

    def given_up(self) -> None:
        """Notes that a call that was let through ended without telling anything."""
        self._probing = False

    def parking_time(self) -> timedelta:
        """Says how long a job that is held back waits at most.

        A few come back when the next probe is due. The others are released when the circuit
        closes; their own time is the net for a worker that dies before it could do so.
        """
        if self._probes_parked < _PROBES_PARKED:
            self._probes_parked += 1
            return timedelta(seconds=max(self._next_probe - self._monotonic(), 0.0))
        jitter = 1.0 + _PARKING_JITTER * (2.0 * self._random() - 1.0)
        return timedelta(seconds=_LONG_PARKING_SECONDS * jitter)
