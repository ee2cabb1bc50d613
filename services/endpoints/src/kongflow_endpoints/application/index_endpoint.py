"""Asks for an endpoint to be indexed."""

from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_endpoints.application.ports import EndpointKey, NewIndex, NewUnitOfWork
from kongflow_endpoints.domain.endpoint import HOOK_DELAY, EndpointIndex, IndexSource
from kongflow_endpoints.domain.errors import EndpointHasNoUrl, EndpointNotFound


class IndexEndpoint:
    """Stores an index and has it performed (docs/behaviour.md#index-endpoint).

    A hook that is called again and again, and the system itself, begin one index within a
    quarter of an hour; people and programs begin one each, unless the one before waits still.
    """

    def __init__(self, unit_of_work: NewUnitOfWork, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def __call__(
        self, environment_id: UUID, key: EndpointKey, new: NewIndex
    ) -> tuple[EndpointIndex, bool]:
        """The index, and whether it was begun for an earlier call.

        Raises EndpointNotFound and EndpointHasNoUrl.
        """
        async with self._unit_of_work() as uow:
            endpoint = await uow.endpoints.lock(environment_id, key)
            if endpoint is None:
                raise EndpointNotFound(key)
            if endpoint.url is None:
                raise EndpointHasNoUrl(subject=f"endpoints/{endpoint.id}")
            earlier = await uow.indexes.find_mergeable(endpoint.id, new.source)
            if earlier is not None:
                return earlier, True
            index = await uow.indexes.add(endpoint, new)
            # The program that calls its hook may still be starting.
            run_at = self._clock.now() + HOOK_DELAY if new.source is IndexSource.HOOK else None
            await uow.queue.enqueue_index_endpoint(index.id, environment_id, run_at=run_at)
            await uow.commit()
        return index, False
