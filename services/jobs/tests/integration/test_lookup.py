"""What references stand for, live jobs, and what clients read."""

from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_jobs.adapters.job_reader import PostgresJobReader
from kongflow_jobs.adapters.registry import PostgresRegistry
from kongflow_jobs.adapters.version_lookup import PostgresVersionLookup
from kongflow_jobs.application.ports import Disabling
from kongflow_jobs.domain.job import JobPlace, LiveJob, VersionReference
from services.jobs.tests.conftest import described, registration


def reference(
    environment_id: UUID,
    job_id: UUID | None = None,
    *,
    alias: str | None = None,
    version: str | None = None,
    version_id: UUID | None = None,
) -> VersionReference:
    return VersionReference(environment_id, job_id, alias, version, version_id)


async def test_references_are_resolved_within_their_environment(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    endpoint_id = new_id()
    hosted = {"gh": {"id": "gh", "metadata": {"id": "gh", "name": "GH"}, "authSource": "HOSTED"}}
    one = await registry.register(
        registration(place, described(version="1.0.0", preprocessRuns=True), 1, endpoint_id)
    )
    two = await registry.register(
        registration(place, described(version="2.0.0", integrations=hosted), 2, endpoint_id)
    )
    assert one is not None
    assert two is not None
    await registry.disable(Disabling(place, "order", "2.0.0", 3))
    here, job_id = place.environment_id, one.job_id
    found = await PostgresVersionLookup(database).resolve(
        [
            reference(here, job_id, alias="latest"),
            reference(here, job_id, version="1.0.0"),
            reference(here, version_id=one.version_id),
            reference(here, job_id, alias="nightly"),
            reference(here, job_id, version="3.0.0"),
            reference(new_id(), version_id=one.version_id),
            reference(new_id(), job_id, alias="latest"),
            reference(here, new_id(), version_id=one.version_id),
        ]
    )
    latest, numbered, by_id, *missing = found
    assert missing == [None] * 5
    assert latest is not None
    assert (latest.version_id, latest.version, latest.active) == (two.version_id, "2.0.0", False)
    assert (latest.job_slug, latest.endpoint_id) == ("order", endpoint_id)
    assert latest.hosted_integrations
    assert numbered == by_id
    assert numbered is not None
    assert (numbered.version_id, numbered.active) == (one.version_id, True)
    assert (numbered.preprocess_runs, numbered.hosted_integrations) == (True, False)


async def test_live_jobs_are_those_of_one_endpoint(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    mine, other = new_id(), new_id()
    await registry.register(registration(place, described("b", "1.0.0"), 1, mine))
    await registry.register(registration(place, described("a", "2.0.0", internal=True), 2, mine))
    await registry.register(registration(place, described("gone"), 3, mine))
    await registry.register(registration(place, described("foreign"), 4, other))
    await registry.disable(Disabling(place, "gone", "1.0.0", 5))
    lookup = PostgresVersionLookup(database)
    assert await lookup.live_jobs(place.environment_id, place.project_id, mine) == [
        LiveJob("a", "2.0.0", internal=True),
        LiveJob("b", "1.0.0", internal=False),
    ]
    assert await lookup.live_jobs(new_id(), place.project_id, mine) == []


async def test_clients_read_what_is_registered(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    event = {
        **described()["event"],
        "examples": [{"id": slug, "name": slug, "payload": {"n": slug}} for slug in "cab"],
    }
    registered = await registry.register(
        registration(place, described(event=event, concurrencyLimit={"id": "g", "limit": 2}), 1)
    )
    assert registered is not None
    reader = PostgresJobReader(database)
    job = await reader.find(place, "order")
    assert job is not None
    assert job == await reader.find(place, registered.job_id)
    assert job.latest is not None
    assert (job.latest.concurrency_limit, job.latest.concurrency_limit_group) == (2, "g")
    assert job.latest == await reader.find_version(place.environment_id, registered.version_id)
    assert [each.id for each in await reader.page(place, None, None, 10)] == [job.id]
    assert await reader.page(place, None, (job.created_at, job.id), 10) == []
    here = place.environment_id
    assert [each.name for each in await reader.aliases(here, job.id, "", 10)] == ["latest"]
    examples = await reader.examples(here, registered.version_id, "a", 10)
    assert [(each.slug, each.payload.load()) for each in examples] == [
        ("b", {"n": "b"}),
        ("c", {"n": "c"}),
    ]
    [queue] = await reader.queues(here, "", 10)
    assert (queue.name, queue.max_jobs, queue.job_count) == ("default", 100, 1)


async def test_a_stranger_reads_nothing(
    registry: PostgresRegistry, database: Database, place: JobPlace
) -> None:
    registered = await registry.register(registration(place, described(), 1))
    assert registered is not None
    reader = PostgresJobReader(database)
    stranger = JobPlace(new_id(), new_id(), new_id())
    there = stranger.environment_id
    assert await reader.find(stranger, "order") is None
    assert await reader.find(stranger, registered.job_id) is None
    assert await reader.find_version(there, registered.version_id) is None
    assert await reader.versions(there, registered.job_id, None, 10) == []
    assert await reader.aliases(there, registered.job_id, "", 10) == []
    assert await reader.examples(there, registered.version_id, "", 10) == []
    assert await reader.queues(there, "", 10) == []
    neighbour = JobPlace(new_id(), place.project_id, place.organization_id)
    job = await reader.find(neighbour, "order")
    assert job is not None, "the job belongs to the project"
    assert job.latest is None, "its versions to an environment"
    assert await reader.page(neighbour, None, None, 10) == []
