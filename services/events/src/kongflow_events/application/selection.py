"""Which rows a list shows."""

from dataclasses import dataclass
from uuid import UUID

from kongflow_common.filtering import Filter

__all__ = ["Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows a list shows: those of an environment, newest first, that follow `after`."""

    environment_id: UUID
    filter: Filter | None
    after: UUID | None
    limit: int
