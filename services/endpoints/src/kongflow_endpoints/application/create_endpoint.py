"""Creates an endpoint, or gives one another URL."""

import logging
from collections.abc import Callable

from kongflow_common.ids import new_id
from kongflow_endpoints.application.ports import (
    EndpointProgram,
    NewIndex,
    NewUnitOfWork,
    SecretKeys,
)
from kongflow_endpoints.application.program_key import key_of
from kongflow_endpoints.domain.endpoint import (
    Endpoint,
    EndpointIndex,
    IndexSource,
    Place,
    new_hook_identifier,
)

logger = logging.getLogger(__name__)


class CreateEndpoint:
    """Asks the endpoint whether it is there, then stores it with its first index.

    Endpoint, index and the queued job that performs it are one transaction
    (docs/behaviour.md#create-endpoint). Idempotent by the slug.
    """

    def __init__(
        self,
        program: EndpointProgram,
        keys: SecretKeys,
        unit_of_work: NewUnitOfWork,
        choose: Callable[[str], str],
    ) -> None:
        self._program = program
        self._keys = keys
        self._unit_of_work = unit_of_work
        self._choose = choose

    async def __call__(
        self, place: Place, slug: str, url: str, *, environment_type: str
    ) -> tuple[Endpoint, EndpointIndex]:
        """The endpoint and the index that was begun.

        Raises EndpointPingFailed, and InvalidField `url`.
        """
        key = await key_of(self._keys, place.environment_id)
        version = await self._program.ping(url, slug, key)
        async with self._unit_of_work() as uow:
            endpoint = await uow.endpoints.upsert(
                new_id(),
                place,
                slug,
                url,
                version,
                new_hook_identifier(self._choose),
                environment_type,
            )
            index = await uow.indexes.add(endpoint, NewIndex(IndexSource.INTERNAL))
            await uow.queue.enqueue_index_endpoint(index.id, place.environment_id)
            await uow.commit()
        logger.info(
            "endpoint created",
            extra={
                "fields": {
                    "endpoint": slug,
                    "endpoint_id": str(endpoint.id),
                    "environment_id": str(place.environment_id),
                }
            },
        )
        return endpoint, index
