"""Disabling, deleting, and sequences of all of it against a small model."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import select

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.adapters.tables import JOB_VERSIONS
from kongflow_jobs.application.disable_job import DisableJob
from kongflow_jobs.application.ports import Disabling
from kongflow_jobs.application.register_job import RegisterJob
from kongflow_jobs.domain.errors import JobNotDisabled, JobNotFound
from kongflow_jobs.domain.job import JobPlace
from kongflow_jobs.domain.version_order import newest
from services.jobs.tests.conftest import KeptDispatchers, described, registration


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


@pytest.mark.parametrize("seed", range(12))
async def test_any_order_of_late_and_repeated_commands_ends_alike(
    registry: PostgresRegistry, database: Database, place: JobPlace, seed: int
) -> None:
    """Of each version the newest command counts, and the dispatcher is that of the latest."""
    choose = random.Random(seed)
    dispatchers = KeptDispatchers()
    register = RegisterJob(registry, dispatchers)
    disable = DisableJob(registry, dispatchers)
    commands: list[tuple[int, str, bool]] = [
        (generation, choose.choice(["1.0.0", "1.1.0", "10.0.0"]), choose.random() < 0.7)
        for generation in range(1, 13)
    ]
    sent = [*commands, *choose.sample(commands, 4)]
    choose.shuffle(sent)

    async def send(generation: int, version: str, enabled: bool) -> None:
        if enabled:
            document = described(version=version, name=f"title {generation}")
            await register(registration(place, document, generation))
        else:
            await disable(Disabling(place, "order", version, generation))

    for start in range(0, len(sent), 3):
        await asyncio.gather(*(send(*each) for each in sent[start : start + 3]))
    # Whoever was too early to find its version comes again, as its queued job does.
    for each in sorted(commands):
        await send(*each)

    known: dict[str, bool] = {}
    for _, version, enabled in sorted(commands):
        if enabled or version in known:
            known[version] = enabled
    async with database.reading() as connection:
        query = select(JOB_VERSIONS.c.version, JOB_VERSIONS.c.status)
        found: dict[str, Any] = {row.version: row.status for row in await connection.execute(query)}
    assert found == {
        version: "ACTIVE" if enabled else "DISABLED" for version, enabled in known.items()
    }
    [wish] = dispatchers.kept.values()
    assert wish.enabled == known[newest(known)]
