"""Disabling and deleting."""

import pytest

from kongflow_common.ids import new_id
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
