"""How long a stage rests after a batch, so that the next one is worth what a batch costs.

Stages share the machine: one that takes whatever there is as soon as it can makes small batches,
and small ones for all the stages behind it.
"""

from typing import Final

__all__ = ["rest_seconds"]

_FEW: Final = 4
_SECONDS_AN_ITEM: Final = 0.001
_LONGEST_SECONDS: Final = 0.040


def rest_seconds(size: int) -> float:
    """The rest after a batch of so many items, where nobody waits for the next; 0.0 for none.

    It grows with the batch. What arrives faster than 1,000 a second so fills batches up, until
    they hold what arrives in 40 ms; what arrives slower makes them smaller, down to items that
    find the stage idle and leave at once.
    """
    return 0.0 if size < _FEW else min(size * _SECONDS_AN_ITEM, _LONGEST_SECONDS)
