"""Bounds how many watches go on at once: each costs its server a look now and then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["WatchPlaces"]


class WatchPlaces:
    """So many places for watches as `limit` says; `refusal` makes the error of one too many."""

    def __init__(self, limit: int, refusal: Callable[[int], Exception]) -> None:
        self._limit = limit
        self._refusal = refusal
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many watches go on."""
        return self._taken

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place for the length of the block. Raises what `refusal` makes."""
        if self._taken >= self._limit:
            raise self._refusal(self._limit)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
