"""How long a stage rests after a batch, so that the next one is worth what a batch costs.

Stages share the machine: one that takes whatever there is as soon as it can makes small batches,
and small ones for the stage behind it. A rest grows with the batch before it, so that what
arrives slowly finds the stage idle and leaves at once, and a lone item never waits.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["FOR_CALLERS", "FOR_NOBODY", "Pacing"]

_FEW: Final = 4


@dataclass(frozen=True, slots=True)
class Pacing:
    """A rest of `per_item` for each item of the last batch, `longest` at most; in seconds."""

    per_item: float
    longest: float

    def rest(self, size: int) -> float:
        """The rest after a batch of so many items: none, 0.0, after a small one."""
        return 0.0 if size < _FEW else min(size * self.per_item, self.longest)


FOR_CALLERS: Final = Pacing(per_item=0.0005, longest=0.010)
"""Callers wait for what is stored: a rest takes about as long as they need to come back."""

FOR_NOBODY: Final = Pacing(per_item=0.001, longest=0.040)
"""Nobody waits: what arrives faster than 1,000 a second fills batches up, until they hold what
arrives in the longest rest; what arrives slower makes them smaller, down to no rest at all."""
