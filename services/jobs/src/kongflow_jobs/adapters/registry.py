"""What programs say of their jobs, each registration in one transaction of few statements.

Whoever changes a job holds its row's lock until the commit, so that of two registrations the
second sees all that the first wrote, and their dispatchers' generations are in the order of their
commits. What is said of a version counts by its generation, also before the version is there.
"""

from typing import Any
from uuid import UUID

from psycopg import Rollback

from kongflow_common.db.connection_pool import Connection
from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_common.ids import new_id
from kongflow_jobs.adapters import registry_sql as sql
from kongflow_jobs.adapters.job_news import PostgresJobNews
from kongflow_jobs.application.ports import Disabled, Disabling, Registered
from kongflow_jobs.domain.dispatcher_wish import DispatcherWish, EventsTaken, events_taken
from kongflow_jobs.domain.errors import JobNotDisabled, JobNotFound
from kongflow_jobs.domain.job import DEFAULT_QUEUE, LATEST, JobPlace
from kongflow_jobs.domain.registration import Registration
from kongflow_jobs.domain.version_order import newest
from kongflow_protocol.documents import Document, read_value
from kongflow_protocol.jobs import AuthSource, ConcurrencyGroup, Trigger, names_of

_NOTHING = Disabled(changed=False, dispatcher=None)


class _StoredTrigger(Document):
    """A trigger as a row holds it."""

    trigger: Trigger


class PostgresRegistry:
    """The Registry on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def register(self, registration: Registration) -> Registered | None:
        """Stores a version with all that belongs to it; see Registry.register."""
        async with self._pool.connection() as connection, connection.transaction() as transaction:
            registered = await _Registering(connection, registration).carry_out()
            if registered is None:
                # Not even the job is left behind.
                raise Rollback(transaction)
        return registered

    async def disable(self, disabling: Disabling) -> Disabled:
        """Disables a version; see Registry.disable."""
        while True:
            async with (
                self._pool.connection() as connection,
                connection.transaction() as transaction,
            ):
                disabled = await _disable(connection, disabling)
                if disabled is None:
                    # A registration was committed meanwhile: its job is locked before all else.
                    raise Rollback(transaction)
                return disabled

    async def delete(self, place: JobPlace, job_id: UUID) -> None:
        """Marks a job as deleted; see Registry.delete."""
        async with self._pool.connection() as connection, connection.transaction():
            parameters = {"job_id": job_id, "project_id": place.project_id}
            if not await _fetch(connection, sql.LOCK_JOB_BY_ID, parameters):
                raise JobNotFound(job_id)
            if await _fetch(connection, sql.FIND_ACTIVE_LATEST, {"job_id": job_id}):
                raise JobNotDisabled(subject=f"jobs/{job_id}", job=job_id)
            for (slug,) in await _fetch(connection, sql.DELETE_JOB, {"job_id": job_id}):
                await PostgresJobNews(connection, place).deleted(job_id, slug)


class _Registering:
    """One registration, within the transaction of `connection`."""

    def __init__(self, connection: Connection, registration: Registration) -> None:
        self._connection = connection
        self._registration = registration
        self._metadata = registration.metadata
        self._place = registration.place

    async def carry_out(self) -> Registered | None:
        jobs = await self._fetch(
            sql.UPSERT_JOB,
            id=new_id(),
            slug=self._metadata.id,
            title=self._metadata.name,
            internal=self._metadata.internal,
            enabled=self._metadata.enabled,
            organization_id=self._place.organization_id,
            project_id=self._place.project_id,
            generation=self._registration.generation,
        )
        if not jobs:
            return None
        [(job_id,)] = jobs
        versions = await self._upsert_version(job_id)
        if not versions:
            # What is stored is newer: its own registration tells the dispatcher of it.
            found = await self._fetch(
                sql.FIND_VERSION,
                job_id=job_id,
                version=self._metadata.version,
                environment_id=self._place.environment_id,
            )
            return Registered(job_id, found[0][0], None) if found else None
        [(version_id, is_new)] = versions
        if self._metadata.event.examples or not is_new:
            await self._write_examples(version_id)
        if self._metadata.integrations or not is_new:
            await self._write_integrations(job_id, version_id)
        news = PostgresJobNews(self._connection, self._place)
        await news.registered(job_id, self._metadata.id, self._metadata.version)
        return Registered(job_id, version_id, await self._move_latest(job_id, version_id))

    async def _upsert_version(self, job_id: UUID) -> list[Any]:
        registration, metadata, place = self._registration, self._metadata, self._place
        limit = metadata.concurrency_limit
        group_id = None
        if isinstance(limit, ConcurrencyGroup):
            [(group_id,)] = await self._fetch(
                sql.UPSERT_GROUP,
                id=new_id(),
                name=limit.id,
                limit=limit.limit,
                environment_id=place.environment_id,
                generation=registration.generation,
            )
        return await self._fetch(
            sql.UPSERT_VERSION,
            id=new_id(),
            slug=metadata.id,
            version=metadata.version,
            trigger=_jsonb(registration.trigger.text),
            event_specification=_jsonb(registration.event_specification.text),
            properties=_jsonb(registration.properties.text if registration.properties else None),
            trigger_link=getattr(metadata.trigger, "link", "") or None,
            trigger_help=_jsonb(
                registration.trigger_help.text if registration.trigger_help else None
            ),
            job_id=job_id,
            endpoint_id=registration.endpoint_id,
            environment_id=place.environment_id,
            organization_id=place.organization_id,
            project_id=place.project_id,
            queue_id=await self._queue_id(),
            preprocess_runs=metadata.preprocess_runs,
            concurrency_limit=limit if isinstance(limit, int) else None,
            concurrency_limit_group_id=group_id,
            generation=registration.generation,
        )

    async def _queue_id(self) -> UUID:
        parameters = {"name": DEFAULT_QUEUE, "environment_id": self._place.environment_id}
        found = await self._fetch(sql.FIND_QUEUE, **parameters)
        if not found:
            # Where somebody else adds it at this moment, this waits for that commit.
            await self._fetch(sql.ADD_QUEUE, id=new_id(), **parameters)
            found = await self._fetch(sql.FIND_QUEUE, **parameters)
        [(queue_id,)] = found
        return UUID(str(queue_id))

    async def _write_examples(self, version_id: UUID) -> None:
        examples = self._metadata.event.examples
        rows = [
            (new_id(), example.id, example.name, example.icon, payload.text)
            for example, payload in zip(examples, self._registration.example_payloads, strict=True)
        ]
        await self._fetch(
            sql.WRITE_EXAMPLES,
            version_id=version_id,
            slugs=array_parameter("text", [example.id for example in examples]),
            **EXAMPLES.bind(rows),
        )

    async def _write_integrations(self, job_id: UUID, version_id: UUID) -> None:
        used = self._metadata.integrations
        rows = [
            (
                new_id(),
                key,
                config.id,
                config.metadata.name,
                config.auth_source.value,
                "MISSING_FIELDS" if config.auth_source is AuthSource.HOSTED else "COMPLETE",
            )
            # In one order everywhere: transactions that add the same ones wait for each other.
            for key, config in sorted(used.items(), key=lambda item: (item[1].id, item[0]))
        ]
        parameters = INTEGRATIONS.bind(rows)
        if rows:
            await self._fetch(
                sql.ADD_INTEGRATIONS, organization_id=self._place.organization_id, **parameters
            )
        await self._fetch(
            sql.WRITE_JOB_INTEGRATIONS,
            organization_id=self._place.organization_id,
            job_id=job_id,
            version_id=version_id,
            keys=array_parameter("text", list(used)),
            **parameters,
        )

    async def _move_latest(self, job_id: UUID, version_id: UUID) -> DispatcherWish | None:
        """Has `latest` stand for the newest version; what its dispatcher is to be told."""
        environment_id = self._place.environment_id
        found = await self._fetch(sql.LIST_VERSIONS, job_id=job_id, environment_id=environment_id)
        ids = {version: id_ for id_, version in found}
        latest = newest(ids)
        [(standing_for,)] = await self._fetch(
            sql.SET_LATEST,
            id=new_id(),
            name=LATEST,
            value=latest,
            version_id=ids[latest],
            job_id=job_id,
            environment_id=environment_id,
        )
        if standing_for != version_id:
            # The dispatcher follows another version, which has not changed.
            return None
        events = events_taken(self._metadata.trigger)
        enabled = events is not None
        if events is None:
            # One that is left over from an earlier trigger must not go on taking events.
            event = self._metadata.event
            events = EventsTaken(tuple(names_of(event.name)), event.source, None, None)
        statement = sql.NEXT_DISPATCHER if enabled else sql.NEXT_DISPATCHER_IF_ANY
        return await _wish(
            self._connection, statement, self._place, job_id, version_id, events, enabled=enabled
        )

    async def _fetch(self, statement: str, **parameters: object) -> list[Any]:
        return await _fetch(self._connection, statement, parameters)


EXAMPLES = RowParameters("e", id="uuid", slug="text", name="text", icon="text", payload="jsonb")
INTEGRATIONS = RowParameters(
    "i",
    id="uuid",
    key="text",
    slug="text",
    title="text",
    auth_source="text",
    setup_status="text",
)


async def _disable(connection: Connection, disabling: Disabling) -> Disabled | None:
    """What became of it; None when the job came to be while this looked for it."""
    place = disabling.place
    job = {"slug": disabling.slug, "project_id": place.project_id}
    version = {"environment_id": place.environment_id, "version": disabling.version}
    jobs = await _fetch(connection, sql.LOCK_JOB, job)
    said = await _fetch(
        connection,
        sql.SAY,
        {**version, "slug": disabling.slug, "generation": disabling.generation},
    )
    if not said:
        return _NOTHING
    if not jobs:
        # Where a registration holds the version, the statement before waited for its commit.
        return None if await _fetch(connection, sql.FIND_JOB, job) else _NOTHING
    [(job_id,)] = jobs
    changed = await _fetch(connection, sql.DISABLE_VERSION, {**version, "job_id": job_id})
    if not changed:
        return _NOTHING
    [(version_id, was_active, trigger, specification, standing_for)] = changed
    if was_active:
        news = PostgresJobNews(connection, place)
        await news.disabled(job_id, disabling.slug, disabling.version)
    if standing_for != version_id:
        return Disabled(changed=was_active, dispatcher=None)
    events = events_taken(read_value(_StoredTrigger, {"trigger": trigger}).trigger)
    if events is None:
        event = specification["name"]
        names = (event,) if isinstance(event, str) else tuple(event)
        events = EventsTaken(names, specification["source"], None, None)
    wish = await _wish(
        connection,
        sql.NEXT_DISPATCHER_IF_ANY,
        place,
        job_id,
        version_id,
        events,
        enabled=False,
    )
    return Disabled(changed=was_active, dispatcher=wish)


async def _wish(
    connection: Connection,
    statement: str,
    place: JobPlace,
    job_id: UUID,
    version_id: UUID,
    events: EventsTaken,
    *,
    enabled: bool,
) -> DispatcherWish | None:
    rows = await _fetch(
        connection, statement, {"job_id": job_id, "environment_id": place.environment_id}
    )
    if not rows:
        return None
    return DispatcherWish(
        environment_id=place.environment_id,
        project_id=place.project_id,
        organization_id=place.organization_id,
        job_id=job_id,
        version_id=version_id,
        events=events,
        enabled=enabled,
        generation=rows[0][0],
    )


def _jsonb(text: bytes | None) -> str | None:
    return None if text is None else text.decode()


async def _fetch(connection: Connection, statement: str, parameters: dict[str, Any]) -> list[Any]:
    cursor = connection.cursor(binary=True)
    await cursor.execute(statement, parameters)
    return await cursor.fetchall() if cursor.description is not None else []
