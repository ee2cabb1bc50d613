"""The transaction of an endpoints use case, and its repositories."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, insert, null, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.ids import new_id
from kongflow_common.outbox.store import OutboxUnitOfWork
from kongflow_endpoints.adapters.endpoints_queue import OutboxEndpointsQueue
from kongflow_endpoints.adapters.rows import to_endpoint, to_index
from kongflow_endpoints.adapters.tables import ENDPOINT_INDEXES, ENDPOINTS
from kongflow_endpoints.application.ports import (
    EndpointKey,
    EndpointRepository,
    EndpointsQueue,
    IndexRepository,
    NewIndex,
)
from kongflow_endpoints.domain.endpoint import (
    MERGED_WITHIN,
    Endpoint,
    EndpointIndex,
    IndexSource,
    IndexStatus,
    LimitOrigin,
    Place,
)

# Of these an index that has ended counts too: they come again and again by themselves.
_RECURRING = frozenset({IndexSource.HOOK, IndexSource.INTERNAL})


def endpoint_key(key: EndpointKey) -> ColumnElement[bool]:
    """The condition that finds an endpoint by its id or slug."""
    return ENDPOINTS.c.id == key if isinstance(key, UUID) else ENDPOINTS.c.slug == key


class SqlEndpointRepository:
    """Implements EndpointRepository."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def upsert(
        self,
        endpoint_id: UUID,
        place: Place,
        slug: str,
        url: str,
        version: str | None,
        hook_identifier: str,
        environment_type: str,
    ) -> Endpoint:
        changed = {"url": url, "environment_type": environment_type, **_known(version)}
        statement = (
            postgresql.insert(ENDPOINTS)
            .values(
                id=endpoint_id,
                slug=slug,
                **changed,
                environment_id=place.environment_id,
                project_id=place.project_id,
                organization_id=place.organization_id,
                indexing_hook_identifier=hook_identifier,
            )
            .on_conflict_do_update(
                constraint="endpoints_environment_id_slug_key",
                set_={**changed, **_of_another_url(url)},
            )
            .returning(*ENDPOINTS.c)
        )
        return to_endpoint((await self._connection.execute(statement)).one())

    async def lock(self, environment_id: UUID, key: EndpointKey) -> Endpoint | None:
        query = (
            select(ENDPOINTS)
            .where(ENDPOINTS.c.environment_id == environment_id, endpoint_key(key))
            .with_for_update()
        )
        row = (await self._connection.execute(query)).one_or_none()
        return to_endpoint(row) if row else None

    async def change(
        self,
        endpoint_id: UUID,
        *,
        url: str | None,
        run_chunk_execution_limit: int | None = None,
        version: str | None = None,
    ) -> Endpoint:
        values: dict[str, Any] = {"url": url, **_of_another_url(url), **_known(version)}
        if run_chunk_execution_limit is not None:
            values["run_chunk_execution_limit"] = run_chunk_execution_limit
            values["run_chunk_execution_limit_origin"] = LimitOrigin.USER.value
        statement = (
            update(ENDPOINTS)
            .where(ENDPOINTS.c.id == endpoint_id)
            .values(values)
            .returning(*ENDPOINTS.c)
        )
        return to_endpoint((await self._connection.execute(statement)).one())

    async def measured(self, endpoint_id: UUID, url: str, run_chunk_execution_limit: int) -> bool:
        columns = ENDPOINTS.c
        statement = (
            update(ENDPOINTS)
            .where(
                columns.id == endpoint_id,
                columns.url == url,
                columns.run_chunk_execution_limit_origin != LimitOrigin.USER.value,
            )
            .values(
                run_chunk_execution_limit=run_chunk_execution_limit,
                run_chunk_execution_limit_origin=LimitOrigin.PROBE.value,
            )
            .returning(columns.id)
        )
        return (await self._connection.execute(statement)).one_or_none() is not None


def _of_another_url(url: str | None) -> dict[str, ColumnElement[Any]]:
    """Another place may be another platform: what was measured of the old one counts no more."""
    columns = ENDPOINTS.c
    moved = columns.url.is_distinct_from(url)
    origin = columns.run_chunk_execution_limit_origin
    measured = origin == LimitOrigin.PROBE.value
    return {
        "run_chunk_execution_limit_origin": case(
            (and_(moved, measured), LimitOrigin.DEFAULT.value), else_=origin
        ),
        "probe_requested_at": case((moved, null()), else_=columns.probe_requested_at),
    }


def _known(version: str | None) -> dict[str, str]:
    return {} if version is None else {"version": version}


class SqlIndexRepository:
    """Implements IndexRepository."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, endpoint: Endpoint, new: NewIndex) -> EndpointIndex:
        values: dict[str, Any] = {
            "id": new_id(),
            "endpoint_id": endpoint.id,
            "environment_id": endpoint.place.environment_id,
            "source": new.source.value,
            "reason": new.reason,
        }
        if new.data is not None:
            values["data"] = new.data.load()
        statement = insert(ENDPOINT_INDEXES).values(**values).returning(*ENDPOINT_INDEXES.c)
        return to_index((await self._connection.execute(statement)).one())

    async def find_mergeable(self, endpoint_id: UUID, source: IndexSource) -> EndpointIndex | None:
        columns = ENDPOINT_INDEXES.c
        query = (
            select(ENDPOINT_INDEXES)
            .where(
                columns.endpoint_id == endpoint_id,
                columns.source == source.value,
                columns.created_at > func.now() - MERGED_WITHIN,
            )
            .order_by(columns.created_at.desc(), columns.id.desc())
            .limit(1)
        )
        if source not in _RECURRING:
            query = query.where(columns.status == IndexStatus.PENDING.value)
        row = (await self._connection.execute(query)).one_or_none()
        return to_index(row) if row else None


class SqlUnitOfWork(OutboxUnitOfWork):
    """Implements UnitOfWork."""

    endpoints: EndpointRepository
    indexes: IndexRepository
    queue: EndpointsQueue

    def attach(self, connection: AsyncConnection) -> None:
        self.endpoints = SqlEndpointRepository(connection)
        self.indexes = SqlIndexRepository(connection)
        self.queue = OutboxEndpointsQueue(self.outbox)
