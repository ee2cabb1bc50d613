"""What is done by the clock, above all environments, each call in a transaction of its own."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch of indexes that were begun; `last` endpoint of the batch, None when none was due."""

    count: int
    last: UUID | None


class RecurringIndexes(Protocol):
    """Indexes that nobody asked for."""

    async def begin(self, after: UUID | None, limit: int) -> Begun:
        """Begins an index for each of the next endpoints, by id, that are due for one.

        Each is stored with the queued job that performs it. Of two that do this at once only one
        begins an endpoint's.
        """
        ...


Mark = tuple[datetime, UUID]
"""An index by the order of their creation."""


@dataclass(frozen=True, slots=True)
class Old:
    """Indexes that ended long ago: those looked at up to `last`, and which of them may go."""

    superseded: tuple[UUID, ...]
    last: Mark | None


class IndexPurge(Protocol):
    """Indexes of long ago, in small steps."""

    async def old(self, after: Mark | None, limit: int) -> Old:
        """The next of those that ended and are old enough; superseded: with a newer one."""
        ...

    async def delete_items(self, index_ids: tuple[UUID, ...], limit: int) -> int:
        """Deletes some of the items of these; answers how many."""
        ...

    async def delete(self, index_ids: tuple[UUID, ...]) -> int:
        """Deletes these, with what items they have left; answers how many."""
        ...
