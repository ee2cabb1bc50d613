"""Changes an endpoint, and takes its URL away."""

from uuid import UUID

from kongflow_endpoints.application.ports import (
    EndpointProgram,
    EndpointReader,
    NewIndex,
    NewUnitOfWork,
    SecretKeys,
)
from kongflow_endpoints.application.program_key import key_of
from kongflow_endpoints.domain.endpoint import Endpoint, EndpointIndex, IndexSource
from kongflow_endpoints.domain.errors import EndpointNotFound


class UpdateEndpoint:
    """Gives an endpoint other values; a new URL is asked first, and indexed."""

    def __init__(
        self,
        program: EndpointProgram,
        keys: SecretKeys,
        reader: EndpointReader,
        unit_of_work: NewUnitOfWork,
    ) -> None:
        self._program = program
        self._keys = keys
        self._reader = reader
        self._unit_of_work = unit_of_work

    async def __call__(
        self,
        environment_id: UUID,
        endpoint_id: UUID,
        *,
        url: str | None,
        run_chunk_execution_limit: int | None,
    ) -> tuple[Endpoint, EndpointIndex | None]:
        """The endpoint, and the index that was begun; what is None stays.

        Raises EndpointNotFound, EndpointPingFailed, and InvalidField `url`.
        """
        version = None
        if url is not None:
            known = await self._reader.find(environment_id, endpoint_id)
            if known is None:
                raise EndpointNotFound(endpoint_id)
            key = await key_of(self._keys, environment_id)
            version = await self._program.ping(url, known.slug, key)
        async with self._unit_of_work() as uow:
            endpoint = await uow.endpoints.lock(environment_id, endpoint_id)
            if endpoint is None:
                raise EndpointNotFound(endpoint_id)
            changed = await uow.endpoints.change(
                endpoint.id,
                url=endpoint.url if url is None else url,
                run_chunk_execution_limit=run_chunk_execution_limit,
                version=version,
            )
            index = None
            if url is not None:
                index = await uow.indexes.add(changed, NewIndex(IndexSource.INTERNAL))
                await uow.queue.enqueue_index_endpoint(index.id, environment_id)
            await uow.commit()
        return changed, index


class DeleteEndpoint:
    """Takes the URL from an endpoint: nothing is sent to it any more. Idempotent."""

    def __init__(self, unit_of_work: NewUnitOfWork) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(self, environment_id: UUID, endpoint_id: UUID) -> None:
        """Raises EndpointNotFound."""
        async with self._unit_of_work() as uow:
            endpoint = await uow.endpoints.lock(environment_id, endpoint_id)
            if endpoint is None:
                raise EndpointNotFound(endpoint_id)
            await uow.endpoints.change(endpoint.id, url=None)
            await uow.commit()
