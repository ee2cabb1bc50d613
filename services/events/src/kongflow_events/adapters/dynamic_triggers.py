"""Which jobs dynamic triggers start, while no context registers dynamic triggers."""

from collections.abc import Mapping, Sequence
from uuid import UUID

__all__ = ["NoDynamicTriggers"]


class NoDynamicTriggers:
    """Implements DynamicTriggerJobs: there are none, so they start nothing."""

    async def jobs_of(
        self, environment_id: UUID, trigger_ids: Sequence[UUID]
    ) -> Mapping[UUID, Sequence[UUID]]:
        return {}
