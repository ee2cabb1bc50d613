"""Disabling and deleting."""

import orjson
import pytest

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.testing.published import published_events
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.application.ports import Disabling
from kongflow_jobs.domain.errors import JobNotDisabled, JobNotFound
from kongflow_jobs.domain.job import JobPlace
from services.jobs.tests.conftest import described, registration


async def test_the_latest_version_takes_its_dispatcher_along(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    registered = await registry.register(registration(place, described(), 1))
    disabled = await registry.disable(Disabling(place, "order", "1.0.0", 2))
    assert disabled.changed
    assert disabled.dispatcher is not None
    assert not disabled.dispatcher.enabled
    assert registered is not None
    assert disabled.dispatcher.version_id == registered.version_id
    again = await registry.disable(Disabling(place, "order", "1.0.0", 2))
    assert not again.changed
    assert again.dispatcher is not None, "who was cut off tells the dispatcher the second time"


async def test_another_version_leaves_the_dispatcher_alone(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    await registry.register(registration(place, described(version="1.0.0"), 1))
    await registry.register(registration(place, described(version="2.0.0"), 2))
    disabled = await registry.disable(Disabling(place, "order", "1.0.0", 3))
    assert (disabled.changed, disabled.dispatcher) == (True, None)


async def test_a_job_without_a_dispatcher_is_disabled_too(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    await registry.register(registration(place, described(trigger={"type": "invoke"}), 1))
    disabled = await registry.disable(Disabling(place, "order", "1.0.0", 2))
    assert (disabled.changed, disabled.dispatcher) == (True, None)


@pytest.mark.parametrize(
    ("slug", "version", "generation"),
    [("unknown", "1.0.0", 9), ("order", "9.9.9", 9), ("order", "1.0.0", 4)],
)
async def test_what_is_unknown_or_older_changes_nothing(
    registry: PostgresRegistry, place: JobPlace, slug: str, version: str, generation: int
) -> None:
    await registry.register(registration(place, described(), 5))
    disabled = await registry.disable(Disabling(place, slug, version, generation))
    assert (disabled.changed, disabled.dispatcher) == (False, None)


async def test_a_job_is_deleted_only_when_no_latest_version_is_active(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    other = JobPlace(new_id(), place.project_id, place.organization_id)
    registered = await registry.register(registration(place, described(), 1))
    await registry.register(registration(other, described(), 2))
    assert registered is not None
    await registry.disable(Disabling(place, "order", "1.0.0", 3))
    with pytest.raises(JobNotDisabled, match="All latest versions must be disabled"):
        await registry.delete(place, registered.job_id)
    await registry.disable(Disabling(other, "order", "1.0.0", 4))
    with pytest.raises(JobNotFound):
        await registry.delete(JobPlace(new_id(), new_id(), new_id()), registered.job_id)
    await registry.delete(place, registered.job_id)
    await registry.delete(place, registered.job_id)


async def test_what_becomes_of_a_job_is_published_once(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    registered = await registry.register(registration(place, described(), 1))
    assert registered is not None
    for _ in range(2):
        await registry.disable(Disabling(place, "order", "1.0.0", 2))
        await registry.disable(Disabling(place, "unknown", "1.0.0", 2))
    with pytest.raises(JobNotFound):
        await registry.delete(JobPlace(new_id(), new_id(), new_id()), registered.job_id)
    for _ in range(2):
        await registry.delete(place, registered.job_id)
    events = await published_events(database, "jobs")
    assert [(event.type, orjson.loads(event.data)) for event in events] == [
        ("job.registered", {"slug": "order", "version": "1.0.0"}),
        ("job.disabled", {"slug": "order", "version": "1.0.0"}),
        ("job.deleted", {"slug": "order"}),
    ]
    assert {event.resource_id for event in events} == {str(registered.job_id)}
    # A job is its project's, so its end is told in all environments of it.
    assert [event.environment_id for event in events] == [str(place.environment_id)] * 2 + [""]
    assert {event.project_id for event in events} == {str(place.project_id)}


async def test_a_job_that_is_not_deleted_is_not_told_of(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    registered = await registry.register(registration(place, described(), 1))
    assert registered is not None
    with pytest.raises(JobNotDisabled):
        await registry.delete(place, registered.job_id)
    assert [event.type for event in await published_events(database, "jobs")] == ["job.registered"]
