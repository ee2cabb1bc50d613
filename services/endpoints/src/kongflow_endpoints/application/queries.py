"""Reads endpoints and their indexes, for one environment."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from kongflow_common.filtering import FieldType, Filter, FilterField
from kongflow_endpoints.application.ports import EndpointKey, EndpointReader
from kongflow_endpoints.domain.endpoint import (
    Endpoint,
    EndpointIndex,
    IndexItem,
    ItemKind,
    Outcome,
)
from kongflow_endpoints.domain.errors import EndpointIndexNotFound, EndpointNotFound

ITEM_FILTER_FIELDS = (
    FilterField("kind", FieldType.ENUM, [kind.value for kind in ItemKind]),
    FilterField("key", FieldType.TEXT),
    FilterField("outcome", FieldType.ENUM, [outcome.value for outcome in Outcome]),
)
"""What a list of items may be filtered by."""


class EndpointQueries:
    """What clients may read; every answer is bounded by the caller's environment."""

    def __init__(self, reader: EndpointReader) -> None:
        self._reader = reader

    async def endpoint(self, environment_id: UUID, key: EndpointKey) -> Endpoint:
        """The endpoint; raises EndpointNotFound."""
        endpoint = await self._reader.find(environment_id, key)
        if endpoint is None:
            raise EndpointNotFound(key)
        return endpoint

    async def endpoints(
        self, environment_id: UUID, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Endpoint]:
        """The newest endpoints that are older than ``before``."""
        return await self._reader.page(environment_id, before, limit)

    async def index(self, environment_id: UUID, index_id: UUID) -> EndpointIndex:
        """The index; raises EndpointIndexNotFound."""
        index = await self._reader.find_index(environment_id, index_id)
        if index is None:
            raise EndpointIndexNotFound(index_id)
        return index

    async def indexes(
        self,
        environment_id: UUID,
        endpoint_id: UUID,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[EndpointIndex]:
        """The newest indexes of an endpoint; raises EndpointNotFound."""
        await self.endpoint(environment_id, endpoint_id)
        return await self._reader.indexes(environment_id, endpoint_id, before, limit)

    async def items(
        self,
        environment_id: UUID,
        index_id: UUID,
        where: Filter | None,
        after: tuple[str, str] | None,
        limit: int,
        *,
        with_metadata: bool,
    ) -> Sequence[IndexItem]:
        """The items of an index, by kind and key; raises EndpointIndexNotFound."""
        await self.index(environment_id, index_id)
        return await self._reader.items(
            environment_id, index_id, where, after, limit, with_metadata=with_metadata
        )
