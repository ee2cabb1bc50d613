"""What registrations after one another come to."""

from typing import Any

import orjson
import pytest
from sqlalchemy import select

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.testing.published import published_events
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.adapters.tables import JOB_ALIASES, JOBS
from kongflow_jobs.application.ports import Disabling, Registered
from kongflow_jobs.domain.job import JobPlace
from services.jobs.tests.conftest import SCHEDULED, described, registration


async def rows(database: Database, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    async with database.reading() as connection:
        query = select(*(table.c[name] for name in columns))
        return sorted(tuple(row) for row in await connection.execute(query))


async def register(
    registry: PostgresRegistry,
    place: JobPlace,
    document: dict[str, Any],
    generation: int = 1,
) -> Registered:
    registered = await registry.register(registration(place, document, generation))
    assert registered is not None
    return registered


async def test_an_older_index_changes_nothing(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    newer = await register(registry, place, described(name="B"), 7)
    older = await register(registry, place, described(name="A", version="1.0.0"), 6)
    assert (older.version_id, older.dispatcher) == (newer.version_id, None)
    assert await rows(database, JOBS, "title") == [("B",)]
    again = await register(registry, place, described(name="B"), 7)
    assert again.dispatcher is not None, "who was cut off tells the dispatcher the second time"


async def test_latest_is_the_newest_version_whatever_comes_last(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    await register(registry, place, described(version="9.0.0"), 1)
    ten = await register(registry, place, described(version="10.0.0"), 2)
    again = await register(registry, place, described(version="9.0.0"), 3)
    assert again.dispatcher is None, "the dispatcher follows the latest version"
    assert await rows(database, JOB_ALIASES, "name", "value", "version_id") == [
        ("latest", "10.0.0", ten.version_id)
    ]


@pytest.mark.parametrize("trigger", [{"type": "invoke"}, {"type": "dynamic", "id": "d"}])
async def test_other_triggers_have_none_and_an_earlier_one_is_disabled(
    registry: PostgresRegistry, place: JobPlace, trigger: dict[str, Any]
) -> None:
    assert (await register(registry, place, described("new", trigger=trigger))).dispatcher is None
    await register(registry, place, described("old"), 1)
    changed = await register(registry, place, described("old", trigger=trigger), 2)
    assert changed.dispatcher is not None
    assert (changed.dispatcher.enabled, changed.dispatcher.generation) == (False, 2)


async def test_a_scheduled_job_that_becomes_static_takes_events(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    await register(registry, place, described(trigger=SCHEDULED), 1)
    static = await register(registry, place, described(), 2)
    assert static.dispatcher is not None
    assert not static.dispatcher.events.manual


async def test_a_deleted_job_comes_back_only_enabled(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    registered = await register(registry, place, described(), 1)
    await registry.disable(Disabling(place, "order", "1.0.0", 2))
    await registry.delete(place, registered.job_id)
    assert (await rows(database, JOBS, "deleted_at"))[0][0] is not None

    disabled = registration(place, described(enabled=False), 3)
    assert await registry.register(disabled) is None
    assert (await rows(database, JOBS, "deleted_at"))[0][0] is not None

    await register(registry, place, described(), 4)
    assert await rows(database, JOBS, "deleted_at") == [(None,)]


async def test_environments_of_a_project_share_a_job_and_nothing_else(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    other = JobPlace(new_id(), place.project_id, place.organization_id)
    one = await register(registry, place, described(version="2.0.0"), 1)
    two = await register(registry, other, described(version="1.0.0"), 2)
    assert one.job_id == two.job_id
    assert two.dispatcher is not None
    assert two.dispatcher.generation == 1
    aliases = await rows(database, JOB_ALIASES, "value", "environment_id")
    assert aliases == [("1.0.0", other.environment_id), ("2.0.0", place.environment_id)]


async def test_another_project_has_a_job_of_its_own(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    stranger = JobPlace(new_id(), new_id(), new_id())
    one = await register(registry, place, described())
    two = await register(registry, stranger, described())
    assert one.job_id != two.job_id


async def test_what_is_stored_is_published_and_what_is_not_is_not(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    registered = await register(registry, place, described(), 7)
    await register(registry, place, described(), 6)
    [event] = [
        event
        for event in await published_events(database, "jobs")
        if event.environment_id == str(place.environment_id)
    ]
    assert (event.type, event.resource_id) == ("job.registered", str(registered.job_id))
    assert orjson.loads(event.data) == {"slug": "order", "version": "1.0.0"}
