"""What became of a task that the worker queue asked for."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

__all__ = ["DONE", "Done", "Snooze", "TaskOutcome"]


@dataclass(frozen=True, slots=True)
class Done:
    """There is nothing left to do."""


@dataclass(frozen=True, slots=True)
class Snooze:
    """It is not time yet: call again after `delay`. Costs no attempt."""

    delay: timedelta


DONE = Done()

TaskOutcome: TypeAlias = Done | Snooze | Exception
"""An exception is why this one task failed; it does not concern its neighbours."""
