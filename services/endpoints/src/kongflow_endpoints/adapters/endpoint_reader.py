"""Reads endpoints and their indexes from PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import filter_condition
from kongflow_common.filtering import Filter
from kongflow_endpoints.adapters.rows import to_endpoint, to_index, to_item
from kongflow_endpoints.adapters.tables import (
    ENDPOINT_INDEX_ITEMS,
    ENDPOINT_INDEXES,
    ENDPOINTS,
)
from kongflow_endpoints.adapters.unit_of_work import endpoint_key
from kongflow_endpoints.application.ports import EndpointKey
from kongflow_endpoints.domain.endpoint import Endpoint, EndpointIndex, IndexItem, Outcome

_SHOWN_FAILURES = 100
_ITEM = ENDPOINT_INDEX_ITEMS.c
_FILTER_TARGETS = {"kind": _ITEM.kind, "key": _ITEM.key, "outcome": _ITEM.outcome}
_SMALL = [column for column in ENDPOINT_INDEX_ITEMS.c if column.name != "metadata"]


class SqlEndpointReader:
    """Implements EndpointReader."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, environment_id: UUID, key: EndpointKey) -> Endpoint | None:
        query = select(ENDPOINTS).where(
            ENDPOINTS.c.environment_id == environment_id, endpoint_key(key)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return to_endpoint(row) if row else None

    async def page(
        self, environment_id: UUID, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Endpoint]:
        columns = ENDPOINTS.c
        query = (
            select(ENDPOINTS)
            .where(columns.environment_id == environment_id)
            .order_by(columns.created_at.desc(), columns.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(tuple_(columns.created_at, columns.id) < tuple_(*before))
        async with self._database.reading() as connection:
            return [to_endpoint(row) for row in await connection.execute(query)]

    async def find_index(self, environment_id: UUID, index_id: UUID) -> EndpointIndex | None:
        columns = ENDPOINT_INDEXES.c
        query = select(ENDPOINT_INDEXES).where(
            columns.id == index_id, columns.environment_id == environment_id
        )
        failed = (
            select(*_SMALL)
            .where(_ITEM.index_id == index_id, _ITEM.outcome == Outcome.FAILED.value)
            .order_by(_ITEM.kind, _ITEM.key)
            .limit(_SHOWN_FAILURES)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return None
            return to_index(row, [to_item(each) for each in await connection.execute(failed)])

    async def indexes(
        self,
        environment_id: UUID,
        endpoint_id: UUID,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[EndpointIndex]:
        columns = ENDPOINT_INDEXES.c
        query = (
            select(ENDPOINT_INDEXES)
            .where(columns.endpoint_id == endpoint_id, columns.environment_id == environment_id)
            .order_by(columns.created_at.desc(), columns.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(tuple_(columns.created_at, columns.id) < tuple_(*before))
        async with self._database.reading() as connection:
            return [to_index(row) for row in await connection.execute(query)]

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
        columns = [*_SMALL, _ITEM.metadata] if with_metadata else _SMALL
        query: Select[Any] = (
            select(*columns)
            .join(ENDPOINT_INDEXES, ENDPOINT_INDEXES.c.id == _ITEM.index_id)
            .where(
                _ITEM.index_id == index_id,
                ENDPOINT_INDEXES.c.environment_id == environment_id,
            )
            .order_by(_ITEM.kind, _ITEM.key)
            .limit(limit)
        )
        if where is not None:
            query = query.where(filter_condition(where, _FILTER_TARGETS))
        if after is not None:
            query = query.where(tuple_(_ITEM.kind, _ITEM.key) > tuple_(*after))
        async with self._database.reading() as connection:
            return [
                to_item(row, row.metadata if with_metadata else None)
                for row in await connection.execute(query)
            ]
