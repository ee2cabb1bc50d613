"""Commands that come late, twice, or before what they concern."""

import asyncio
import random
from typing import Any

import pytest
from sqlalchemy import select

from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.adapters.tables import (
    CONCURRENCY_LIMIT_GROUPS,
    JOB_ALIASES,
    JOB_VERSIONS,
    JOBS,
)
from kongflow_jobs.application.disable_job import DisableJob
from kongflow_jobs.application.ports import Disabling
from kongflow_jobs.application.register_job import RegisterJob
from kongflow_jobs.domain.job import JobPlace
from kongflow_jobs.domain.version_order import newest
from services.jobs.tests.conftest import KeptDispatchers, described, registration


async def rows(database: Database, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    async with database.reading() as connection:
        query = select(*(table.c[name] for name in columns))
        return sorted(tuple(row) for row in await connection.execute(query))


@pytest.mark.parametrize("known", [False, True], ids=["unknown job", "unknown version"])
async def test_a_disabling_that_overtook_its_registration_counts(
    registry: PostgresRegistry, database: Database, place: JobPlace, known: bool
) -> None:
    if known:
        await registry.register(registration(place, described(version="0.9.0"), 1))
    disabled = await registry.disable(Disabling(place, "order", "1.0.0", 5))
    assert (disabled.changed, disabled.dispatcher) == (False, None)
    assert await registry.register(registration(place, described(), 4)) is None
    assert await rows(database, JOBS, "slug") == [("order",)] * known
    assert await rows(database, JOB_VERSIONS, "version") == [("0.9.0",)] * known

    newer = await registry.register(registration(place, described(), 6))
    assert newer is not None
    assert newer.dispatcher is not None
    assert newer.dispatcher.enabled


async def test_the_same_version_elsewhere_is_not_concerned(
    registry: PostgresRegistry, place: JobPlace
) -> None:
    await registry.disable(Disabling(place, "order", "1.0.0", 5))
    other = JobPlace(new_id(), place.project_id, place.organization_id)
    assert await registry.register(registration(other, described(), 4)) is not None
    assert await registry.register(registration(place, described("other"), 4)) is not None
    assert await registry.register(registration(place, described(version="1.0.1"), 4)) is not None


@pytest.mark.parametrize("_round", range(20))
async def test_a_disabling_beside_the_first_registration_counts(
    registry: PostgresRegistry, database: Database, place: JobPlace, _round: int
) -> None:
    await asyncio.gather(
        registry.register(registration(place, described(), 4)),
        registry.disable(Disabling(place, "order", "1.0.0", 5)),
        registry.register(registration(place, described(), 3)),
    )
    assert ("ACTIVE",) not in await rows(database, JOB_VERSIONS, "status")


async def test_an_older_index_leaves_a_shared_limit_alone(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    def limited(slug: str, limit: int) -> dict[str, Any]:
        return described(slug, concurrencyLimit={"id": "shared", "limit": limit})

    await registry.register(registration(place, limited("a", 5), 7))
    await registry.register(registration(place, limited("b", 2), 6))
    columns = ("name", "concurrency_limit")
    assert await rows(database, CONCURRENCY_LIMIT_GROUPS, *columns) == [("shared", 5)]
    await registry.register(registration(place, limited("b", 3), 8))
    assert await rows(database, CONCURRENCY_LIMIT_GROUPS, *columns) == [("shared", 3)]


async def test_an_older_index_does_not_wake_a_deleted_job(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    registered = await registry.register(registration(place, described(), 7))
    assert registered is not None
    await registry.disable(Disabling(place, "order", "1.0.0", 8))
    await registry.delete(place, registered.job_id)
    neighbour = JobPlace(new_id(), place.project_id, place.organization_id)
    assert await registry.register(registration(neighbour, described(), 6)) is None
    assert await rows(database, JOB_VERSIONS, "environment_id") == [(place.environment_id,)]


class _Impatient(KeptDispatchers):
    """Events that cannot be asked now and then: a process that dies before it tells them."""

    def __init__(self, choose: random.Random) -> None:
        super().__init__()
        self._choose = choose

    async def put(self, wish: Any) -> Any:
        self.away = self._choose.random() < 0.3
        return await super().put(wish)


_VERSIONS = ("1.0.0", "1.1.0", "10.0.0")
_TRIGGERS = ("static", "static", "scheduled", "invoke")


def _described(generation: int, version: str, kind: str) -> dict[str, Any]:
    event = f"event.{generation}"
    trigger: dict[str, Any] = {"type": kind}
    if kind == "static":
        trigger |= {"title": "x", "rule": {"event": event, "source": "shop"}}
    if kind == "scheduled":
        trigger |= {"schedule": {"type": "cron", "options": {"cron": "* * * * *"}}}
    return described(version=version, trigger=trigger)


@pytest.mark.parametrize("seed", range(40))
async def test_any_order_of_commands_ends_as_the_newest_say(
    registry: PostgresRegistry, database: Database, place: JobPlace, seed: int
) -> None:
    """Late, repeated, concurrent and cut off: each is sent until it is answered, as it is queued.

    Of each version the newest command counts, and the dispatcher is what the newest registration
    of the latest version said of it.
    """
    choose = random.Random(seed)
    dispatchers = _Impatient(choose)
    register = RegisterJob(registry, dispatchers)
    disable = DisableJob(registry, dispatchers)
    commands = {
        generation: (choose.choice(_VERSIONS), choose.choice([*_TRIGGERS, None, None]))
        for generation in range(1, 13)
    }
    sent = [*commands, *choose.sample(sorted(commands), 4)]
    choose.shuffle(sent)

    async def send(generation: int) -> None:
        version, kind = commands[generation]
        while True:
            try:
                if kind is None:
                    await disable(Disabling(place, "order", version, generation))
                else:
                    document = _described(generation, version, kind)
                    await register(registration(place, document, generation))
            except DependencyUnavailable:
                continue
            return

    for start in range(0, len(sent), 3):
        await asyncio.gather(*map(send, sent[start : start + 3]))

    last = {version: generation for generation, (version, _) in sorted(commands.items())}
    active = {version for version, at in last.items() if commands[at][1] is not None}
    found = dict(await rows(database, JOB_VERSIONS, "version", "status"))
    assert {version for version, status in found.items() if status == "ACTIVE"} == active
    if not found:
        assert dispatchers.kept == {}
        return
    latest = newest(found)
    assert await rows(database, JOB_ALIASES, "name", "value") == [("latest", latest)]
    kind = commands[last[latest]][1]
    wishes = list(dispatchers.kept.values())
    if kind in {None, "invoke"}:
        assert not any(wish.enabled for wish in wishes)
        return
    [wish] = wishes
    assert wish.enabled
    assert wish.events.manual == (kind == "scheduled")
    name = f"event.{last[latest]}" if kind == "static" else "dev.trigger.scheduled"
    assert wish.events.event_names == (name,)
