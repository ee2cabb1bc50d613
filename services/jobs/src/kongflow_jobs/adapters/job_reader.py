"""Reads jobs from PostgreSQL, as one environment sees them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, Select, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import filter_condition
from kongflow_common.filtering import Filter
from kongflow_common.payload import JsonDocument
from kongflow_jobs.adapters.tables import (
    CONCURRENCY_LIMIT_GROUPS,
    EVENT_EXAMPLES,
    INTEGRATIONS,
    JOB_ALIASES,
    JOB_INTEGRATIONS,
    JOB_QUEUES,
    JOB_VERSIONS,
    JOBS,
)
from kongflow_jobs.domain.job import (
    LATEST,
    EventExample,
    Job,
    JobAlias,
    JobPlace,
    JobQueue,
    JobVersion,
    TriggerKind,
    UsedIntegration,
    VersionStatus,
)

_FILTER_TARGETS = {
    "slug": JOBS.c.slug,
    "internal": JOBS.c.internal,
    "state": JOB_VERSIONS.c.status,
    "endpoint_id": JOB_VERSIONS.c.endpoint_id,
    "create_time": JOBS.c.created_at,
}

_Integrations = Mapping[UUID, tuple[UsedIntegration, ...]]


class PostgresJobReader:
    """The JobReader on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, place: JobPlace, key: UUID | str) -> Job | None:
        """The job with this id or slug, or ``None``."""
        column = JOBS.c.id if isinstance(key, UUID) else JOBS.c.slug
        query = _jobs(place, outer=True).where(column == key)
        found = await self._read_jobs(query)
        return found[0] if found else None

    async def page(
        self,
        place: JobPlace,
        where: Filter | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Job]:
        """The newest jobs with a version in the environment; see JobReader.page."""
        query = (
            _jobs(place, outer=False)
            .order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc())
            .limit(limit)
        )
        if where is not None:
            query = query.where(filter_condition(where, _FILTER_TARGETS))
        if before is not None:
            query = query.where(tuple_(JOBS.c.created_at, JOBS.c.id) < tuple_(*before))
        return await self._read_jobs(query)

    async def find_version(self, environment_id: UUID, version_id: UUID) -> JobVersion | None:
        """The version, or ``None``."""
        query = _versions(environment_id).where(JOB_VERSIONS.c.id == version_id)
        found = await self._read_versions(query)
        return found[0] if found else None

    async def versions(
        self,
        environment_id: UUID,
        job_id: UUID,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[JobVersion]:
        """The newest versions of a job; see JobReader.versions."""
        columns = JOB_VERSIONS.c
        query = (
            _versions(environment_id)
            .where(columns.job_id == job_id)
            .order_by(columns.created_at.desc(), columns.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(tuple_(columns.created_at, columns.id) < tuple_(*before))
        return await self._read_versions(query)

    async def aliases(
        self, environment_id: UUID, job_id: UUID, after: str, limit: int
    ) -> Sequence[JobAlias]:
        """Aliases whose names follow ``after``."""
        columns = JOB_ALIASES.c
        query = (
            select(columns.id, columns.job_id, columns.name, columns.value, columns.version_id)
            .where(
                columns.environment_id == environment_id,
                columns.job_id == job_id,
                columns.name > after,
            )
            .order_by(columns.name)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [JobAlias(*row) for row in await connection.execute(query)]

    async def examples(
        self, environment_id: UUID, version_id: UUID, after: str, limit: int
    ) -> Sequence[EventExample]:
        """Examples whose slugs follow ``after``."""
        columns = EVENT_EXAMPLES.c
        query = (
            select(
                columns.id,
                columns.job_version_id,
                columns.slug,
                columns.name,
                columns.icon,
                columns.payload,
            )
            .join(JOB_VERSIONS, JOB_VERSIONS.c.id == columns.job_version_id)
            .where(
                columns.job_version_id == version_id,
                JOB_VERSIONS.c.environment_id == environment_id,
                columns.slug > after,
            )
            .order_by(columns.slug)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [
                EventExample(
                    id=row.id,
                    version_id=row.job_version_id,
                    slug=row.slug,
                    name=row.name,
                    icon=row.icon,
                    payload=_document(row.payload),
                )
                for row in await connection.execute(query)
            ]

    async def queues(self, environment_id: UUID, after: str, limit: int) -> Sequence[JobQueue]:
        """Queues whose names follow ``after``."""
        columns = JOB_QUEUES.c
        used = (
            select(func.count())
            .where(JOB_VERSIONS.c.queue_id == columns.id, JOB_VERSIONS.c.status == "ACTIVE")
            .scalar_subquery()
        )
        query = (
            select(columns.id, columns.name, columns.max_jobs, used)
            .where(columns.environment_id == environment_id, columns.name > after)
            .order_by(columns.name)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [JobQueue(*row) for row in await connection.execute(query)]

    async def _read_jobs(self, query: Select[Any]) -> list[Job]:
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
            ids = [row.id for row in rows if row.id is not None]
            integrations = await _integrations(connection, ids)
        return [_job(row, integrations) for row in rows]

    async def _read_versions(self, query: Select[Any]) -> list[JobVersion]:
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
            integrations = await _integrations(connection, [row.id for row in rows])
        return [_version(row, integrations) for row in rows]


_VERSION_COLUMNS = (
    JOB_VERSIONS.c.id,
    JOB_VERSIONS.c.job_id,
    JOB_VERSIONS.c.version,
    JOB_VERSIONS.c.status,
    JOB_VERSIONS.c.trigger["type"].astext.label("trigger_type"),
    JOB_VERSIONS.c.event_specification,
    JOB_VERSIONS.c.properties,
    JOB_VERSIONS.c.endpoint_id,
    JOB_QUEUES.c.name.label("queue_name"),
    JOB_VERSIONS.c.concurrency_limit,
    CONCURRENCY_LIMIT_GROUPS.c.name.label("group_name"),
    CONCURRENCY_LIMIT_GROUPS.c.concurrency_limit.label("group_limit"),
    JOB_VERSIONS.c.preprocess_runs,
    JOB_VERSIONS.c.created_at,
    JOB_VERSIONS.c.updated_at,
)

_OF_VERSION = JOB_QUEUES.c.id == JOB_VERSIONS.c.queue_id
_OF_GROUP = CONCURRENCY_LIMIT_GROUPS.c.id == JOB_VERSIONS.c.concurrency_limit_group_id


def _versions(environment_id: UUID) -> Select[Any]:
    return (
        select(*_VERSION_COLUMNS)
        .join(JOB_QUEUES, _OF_VERSION)
        .outerjoin(CONCURRENCY_LIMIT_GROUPS, _OF_GROUP)
        .where(JOB_VERSIONS.c.environment_id == environment_id)
    )


def _jobs(place: JobPlace, *, outer: bool) -> Select[Any]:
    """The jobs of the project with their latest versions; `outer`: also those without one."""
    alias = and_(
        JOB_ALIASES.c.job_id == JOBS.c.id,
        JOB_ALIASES.c.environment_id == place.environment_id,
        JOB_ALIASES.c.name == LATEST,
    )
    return (
        select(
            *_VERSION_COLUMNS,
            JOBS.c.id.label("the_job_id"),
            JOBS.c.slug,
            JOBS.c.title,
            JOBS.c.internal,
            JOBS.c.created_at.label("job_created_at"),
            JOBS.c.updated_at.label("job_updated_at"),
        )
        .select_from(JOBS)
        .join(JOB_ALIASES, alias, isouter=outer)
        .join(JOB_VERSIONS, JOB_VERSIONS.c.id == JOB_ALIASES.c.version_id, isouter=outer)
        .join(JOB_QUEUES, _OF_VERSION, isouter=outer)
        .outerjoin(CONCURRENCY_LIMIT_GROUPS, _OF_GROUP)
        .where(JOBS.c.project_id == place.project_id, JOBS.c.deleted_at.is_(None))
    )


async def _integrations(connection: AsyncConnection, version_ids: Sequence[UUID]) -> _Integrations:
    if not version_ids:
        return {}
    used = JOB_INTEGRATIONS.c
    query = (
        select(used.version_id, used.key, INTEGRATIONS.c.slug, INTEGRATIONS.c.auth_source)
        .join(INTEGRATIONS, INTEGRATIONS.c.id == used.integration_id)
        .where(used.version_id.in_(version_ids))
        .order_by(used.version_id, used.key)
    )
    found: dict[UUID, tuple[UsedIntegration, ...]] = {}
    for version_id, *values in await connection.execute(query):
        found[version_id] = (*found.get(version_id, ()), UsedIntegration(*values))
    return found


def _job(row: Row[Any], integrations: _Integrations) -> Job:
    return Job(
        id=row.the_job_id,
        slug=row.slug,
        title=row.title,
        internal=row.internal,
        latest=None if row.id is None else _version(row, integrations),
        created_at=row.job_created_at,
        updated_at=row.job_updated_at,
    )


def _version(row: Row[Any], integrations: _Integrations) -> JobVersion:
    grouped = row.group_name is not None
    return JobVersion(
        id=row.id,
        job_id=row.job_id,
        version=row.version,
        status=VersionStatus(row.status),
        trigger=TriggerKind(row.trigger_type),
        event_specification=_document(row.event_specification),
        properties=None if row.properties is None else _document(row.properties),
        endpoint_id=row.endpoint_id,
        queue_name=row.queue_name,
        concurrency_limit=row.group_limit if grouped else row.concurrency_limit,
        concurrency_limit_group=row.group_name,
        preprocess_runs=row.preprocess_runs,
        integrations=integrations.get(row.id, ()),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _document(value: object) -> JsonDocument:
    return JsonDocument(orjson.dumps(value))
