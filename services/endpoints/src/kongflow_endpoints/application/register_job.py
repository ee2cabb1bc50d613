"""Registers or disables the jobs of items, and ends their indexes."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from kongflow_endpoints.application.ports import (
    DueItem,
    IndexPerformance,
    JobRegistry,
    RegistrationRefused,
    Settled,
)
from kongflow_endpoints.domain.endpoint import Outcome, Wish

logger = logging.getLogger(__name__)

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class RegisterItem:
    """An item whose turn it is."""

    index_id: UUID
    item_id: UUID


class RegisterJobs:
    """Has the jobs service take what items say, then writes what became of each.

    The last item of an index ends it in the same transaction (docs/behaviour.md#register-items).
    What the jobs service refuses for good ends the item, not the queued job.
    """

    def __init__(self, performance: IndexPerformance, jobs: JobRegistry) -> None:
        self._performance = performance
        self._jobs = jobs

    async def __call__(
        self, environment_id: UUID, items: Sequence[RegisterItem]
    ) -> Sequence[Exception | None]:
        """What became of each queued job, in their order; None is done."""
        due = await self._performance.due_items(environment_id, [each.item_id for each in items])
        places = asyncio.Semaphore(_AT_ONCE)

        async def take(item: DueItem) -> Settled | Exception:
            async with places:
                try:
                    return await self._take(item)
                except Exception as error:  # noqa: BLE001 - one item must not fail its neighbours
                    return error

        taken = await asyncio.gather(*map(take, due))
        settled = [each for each in taken if isinstance(each, Settled)]
        if settled:
            for index_id in await self._performance.settle(environment_id, settled):
                logger.info(
                    "endpoint index ended",
                    extra={
                        "fields": {
                            "endpoint_index_id": str(index_id),
                            "environment_id": str(environment_id),
                        }
                    },
                )
        failed = {
            item.id: outcome
            for item, outcome in zip(due, taken, strict=True)
            if isinstance(outcome, Exception)
        }
        return [failed.get(each.item_id) for each in items]

    async def _take(self, item: DueItem) -> Settled:
        try:
            if item.wish is Wish.DISABLE:
                changed = await self._jobs.disable(
                    item.place, item.key, item.version, item.generation
                )
                return Settled(item.id, item.index_id, Outcome.DISABLED, changed=changed)
            warnings = await self._jobs.register(
                item.place, item.endpoint_id, item.metadata, item.generation
            )
        except RegistrationRefused as refusal:
            return Settled(item.id, item.index_id, Outcome.FAILED, error=refusal.reason)
        return Settled(item.id, item.index_id, Outcome.REGISTERED, warnings=tuple(warnings))


class FailRegisterJob:
    """Ends an item whose queued job was given up; one that has ended stays as it is."""

    def __init__(self, performance: IndexPerformance) -> None:
        self._performance = performance

    async def __call__(self, environment_id: UUID, item: RegisterItem, reason: str) -> None:
        """`reason` is what people are told."""
        await self._performance.settle(
            environment_id, [Settled(item.item_id, item.index_id, Outcome.FAILED, error=reason)]
        )
