"""From an index that is asked for to one that has ended."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from kongflow.endpoints.tasks.v1 import endpoints_tasks_service_pb2
from kongflow.events.v1 import integration_event_pb2
from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.eventing.publisher import PUBLISH, EventPublisher
from kongflow_common.ids import new_id
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.clocks import FixedClock
from kongflow_common.testing.interest import FixedInterest
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.published import published_events
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_endpoints.adapters.endpoint_program import HttpEndpointProgram
from kongflow_endpoints.adapters.endpoint_reader import SqlEndpointReader
from kongflow_endpoints.adapters.index_news import INDEX_FAILURE, INDEX_SUCCESS, IndexNews
from kongflow_endpoints.adapters.index_performance import PostgresIndexPerformance
from kongflow_endpoints.adapters.unit_of_work import SqlUnitOfWork
from kongflow_endpoints.application.create_endpoint import CreateEndpoint
from kongflow_endpoints.application.index_endpoint import IndexEndpoint
from kongflow_endpoints.application.perform_endpoint_indexing import (
    FailEndpointIndex,
    PerformEndpointIndexing,
)
from kongflow_endpoints.application.ports import NewIndex
from kongflow_endpoints.application.register_job import (
    FailRegisterJob,
    RegisterItem,
    RegisterJobs,
)
from kongflow_endpoints.application.update_endpoint import DeleteEndpoint
from kongflow_endpoints.domain.endpoint import (
    Endpoint,
    EndpointIndex,
    IndexSource,
    IndexStatus,
    Outcome,
    Place,
)
from kongflow_endpoints.domain.errors import (
    EndpointHasNoUrl,
    EndpointNotFound,
    EndpointPingFailed,
)
from services.endpoints.tests.conftest import KeptJobs, Keys, Programs, described, speaks


class System:
    """The use cases over a real database and real programs; jobs are kept in memory."""

    def __init__(
        self, database: Database, relay: OutboxRelay, program: HttpEndpointProgram
    ) -> None:
        self.database = database
        self.jobs = KeptJobs()
        self.keys = Keys()
        self.reader = SqlEndpointReader(database)
        self.interest = FixedInterest()
        news = IndexNews(EventPublisher(self.interest, FixedClock(), new_id))
        self.performance = PostgresIndexPerformance(database, relay, news)
        self.unit_of_work: Callable[[], SqlUnitOfWork] = lambda: SqlUnitOfWork(database, relay)
        self.create = CreateEndpoint(program, self.keys, self.unit_of_work, lambda choices: "a")
        self.index = IndexEndpoint(self.unit_of_work, FixedClock(datetime.now(UTC)))
        self.perform = PerformEndpointIndexing(self.performance, program, self.keys, self.jobs)
        self.register = RegisterJobs(self.performance, self.jobs)

    async def read(self, place: Place, index: EndpointIndex) -> EndpointIndex:
        found = await self.reader.find_index(place.environment_id, index.id)
        assert found is not None
        return found

    async def items(self, place: Place, index: EndpointIndex) -> list[RegisterItem]:
        found = await self.reader.items(
            place.environment_id, index.id, None, None, 1_000, with_metadata=False
        )
        return [
            RegisterItem(index.id, each.id) for each in found if each.outcome is Outcome.PENDING
        ]

    async def run(self, place: Place, index: EndpointIndex) -> EndpointIndex:
        """Performs an index and registers all it found, as the worker queue does."""
        await self.perform(place.environment_id, index.id)
        items = await self.items(place, index)
        outcomes = await self.register(place.environment_id, items)
        assert outcomes == [None] * len(items)
        return await self.read(place, index)


@pytest.fixture
def system(database: Database, relay: OutboxRelay, program: HttpEndpointProgram) -> System:
    return System(database, relay, program)


async def created(
    system: System, programs: Programs, place: Place, *jobs: Any, **others: Any
) -> tuple[Endpoint, EndpointIndex]:
    other = await programs(speaks(*jobs, **others))
    return await system.create(place, "shop", other.url, environment_type="DEVELOPMENT")


async def test_an_endpoint_is_stored_with_its_first_index_and_its_job(
    system: System, programs: Programs, place: Place, worker_queue: RecordingWorkerQueue
) -> None:
    endpoint, index = await created(system, programs, place)
    assert (endpoint.slug, endpoint.indexing_hook_identifier) == ("shop", "a" * 10)
    assert (index.status, index.source) == (IndexStatus.PENDING, IndexSource.INTERNAL)
    await eventually(lambda: len(worker_queue.messages) == 1)
    worker_queue.assert_enqueued("performEndpointIndexing", endpointIndexId=str(index.id))
    assert worker_queue.messages[0].environment_id == place.environment_id
    again, _ = await system.create(
        place, "shop", endpoint.url or "", environment_type="DEVELOPMENT"
    )
    assert (again.id, again.indexing_hook_identifier) == (endpoint.id, "a" * 10)


async def test_an_endpoint_that_does_not_answer_is_not_stored(
    system: System, place: Place, worker_queue: RecordingWorkerQueue
) -> None:
    with pytest.raises(EndpointPingFailed):
        await system.create(place, "shop", "http://127.0.0.1:1/", environment_type="DEVELOPMENT")
    assert await system.reader.find(place.environment_id, "shop") is None
    system.keys.key = None
    with pytest.raises(EndpointPingFailed, match="no secret key"):
        await system.create(place, "shop", "http://127.0.0.1:1/", environment_type="DEVELOPMENT")
    assert worker_queue.messages == []


async def test_an_index_ends_with_its_last_item(
    system: System, programs: Programs, place: Place, worker_queue: RecordingWorkerQueue
) -> None:
    system.jobs.live = [("gone", "1.0.0", False), ("a", "0.9.0", False)]
    _, index = await created(
        system,
        programs,
        place,
        described("a"),
        described("b", enabled=False),
        described("own", internal=True),
        described("warned"),
        described("refused"),
        dynamicTriggers=[{"id": "d", "jobs": []}],
    )
    system.jobs.refused = {"refused"}
    await system.perform(place.environment_id, index.id)
    items = await system.items(place, index)
    assert len(items) == 6, "the missing one too"
    await eventually(lambda: len(worker_queue.messages) == 7)
    for item in items:
        worker_queue.assert_enqueued(
            "registerJob", endpointIndexId=str(index.id), itemId=str(item.item_id)
        )
    for item in items[:-1]:
        await system.register(place.environment_id, [item])
        assert (await system.read(place, index)).status is IndexStatus.STARTED
    await system.register(place.environment_id, items[-1:])
    ended = await system.read(place, index)
    assert ended.status is IndexStatus.SUCCESS
    assert ended.statistics is not None
    counts = ended.statistics
    assert (counts.jobs, counts.disabled_jobs, counts.failed, counts.deferred) == (2, 2, 1, 1)
    assert counts.dynamic_triggers == 1
    [failed] = ended.failed_items
    assert (failed.key, failed.error) == ("refused", "metadata.trigger: is refused")
    assert {slug for slug, _ in system.jobs.registered} == {"a", "own", "warned"}
    assert {each[:2] for each in system.jobs.disabled} == {("b", "1.0.0"), ("gone", "1.0.0")}
    # Whatever is repeated changes nothing.
    await system.perform(place.environment_id, index.id)
    await system.register(place.environment_id, items)
    assert len(system.jobs.registered) == 3
    assert await system.read(place, index) == ended


async def test_the_last_items_may_end_at_once(
    system: System, programs: Programs, place: Place
) -> None:
    _, index = await created(system, programs, place, *(described(f"j{n}") for n in range(40)))
    await system.perform(place.environment_id, index.id)
    items = await system.items(place, index)
    await asyncio.gather(*(system.register(place.environment_id, [item]) for item in items))
    assert (await system.read(place, index)).status is IndexStatus.SUCCESS


async def test_an_index_that_finds_nothing_ends_at_once(
    system: System, programs: Programs, place: Place
) -> None:
    _, index = await created(system, programs, place)
    await system.perform(place.environment_id, index.id)
    assert (await system.read(place, index)).status is IndexStatus.SUCCESS


async def test_what_a_program_speaks_is_stored(
    system: System, programs: Programs, place: Place
) -> None:
    endpoint, index = await created(system, programs, place)
    assert (endpoint.version, endpoint.sdk_version) == ("2023-09-29", "unknown")
    await system.run(place, index)
    found = await system.reader.find(place.environment_id, endpoint.id)
    assert found is not None
    assert (found.version, found.sdk_version) == ("2023-09-29", "2.3.18")


async def test_an_outage_leaves_the_index_as_it_is(
    system: System, programs: Programs, place: Place
) -> None:
    _, index = await created(system, programs, place, described())
    system.jobs.away = True
    with pytest.raises(DependencyUnavailable):
        await system.perform(place.environment_id, index.id)
    assert (await system.read(place, index)).status is IndexStatus.STARTED
    system.jobs.away = False
    await system.perform(place.environment_id, index.id)
    items = await system.items(place, index)
    system.jobs.away = True
    [outcome] = await system.register(place.environment_id, items)
    assert isinstance(outcome, DependencyUnavailable)
    system.jobs.away = False
    assert (await system.run(place, index)).status is IndexStatus.SUCCESS


async def test_later_indexes_have_higher_generations(
    system: System, programs: Programs, place: Place
) -> None:
    endpoint, first = await created(system, programs, place, described())
    second, merged = await system.index(
        place.environment_id, endpoint.slug, NewIndex(IndexSource.MANUAL)
    )
    assert not merged
    await system.run(place, second)
    await system.run(place, first)
    (_, newer), (_, older) = system.jobs.registered
    assert newer > older


async def test_who_is_given_up_ends_its_index_with_the_reason(
    system: System, programs: Programs, place: Place
) -> None:
    _, index = await created(system, programs, place, described())
    await system.perform(place.environment_id, index.id)
    [item] = await system.items(place, index)
    give_up = FailRegisterJob(system.performance)
    await give_up(place.environment_id, item, "Given up after 3 attempts: it broke")
    ended = await system.read(place, index)
    assert ended.status is IndexStatus.SUCCESS
    assert [each.error for each in ended.failed_items] == ["Given up after 3 attempts: it broke"]

    _, other = await created(system, programs, place)
    await FailEndpointIndex(system.performance)(place.environment_id, other.id, "it broke")
    failed = await system.read(place, other)
    assert failed.status is IndexStatus.FAILURE
    assert failed.error is not None
    assert failed.error.message == "it broke"


@pytest.mark.parametrize(
    ("source", "ended_too"),
    [
        (IndexSource.HOOK, True),
        (IndexSource.INTERNAL, True),
        (IndexSource.API, False),
        (IndexSource.MANUAL, False),
    ],
)
async def test_which_indexes_are_merged(
    system: System, programs: Programs, place: Place, source: IndexSource, ended_too: bool
) -> None:
    endpoint, creation = await created(system, programs, place)
    await system.run(place, creation)
    first, merged = await system.index(place.environment_id, endpoint.id, NewIndex(source))
    if source is IndexSource.INTERNAL:
        assert (first.id, merged) == (creation.id, True)
        return
    assert not merged
    waiting, merged = await system.index(place.environment_id, endpoint.id, NewIndex(source))
    assert (waiting.id, merged) == (first.id, True)
    await system.run(place, first)
    _, merged = await system.index(place.environment_id, endpoint.id, NewIndex(source))
    assert merged is ended_too


async def test_a_hook_waits_for_a_program_that_starts(
    system: System, programs: Programs, place: Place, worker_queue: RecordingWorkerQueue
) -> None:
    endpoint, _ = await created(system, programs, place)
    await system.index(place.environment_id, endpoint.id, NewIndex(IndexSource.HOOK))
    await eventually(lambda: len(worker_queue.messages) == 2)
    assert worker_queue.messages[0].run_at is None
    assert worker_queue.messages[1].run_at is not None


async def test_a_deleted_endpoint_is_not_called(
    system: System, programs: Programs, place: Place
) -> None:
    endpoint, index = await created(system, programs, place)
    delete = DeleteEndpoint(system.unit_of_work)
    await delete(place.environment_id, endpoint.id)
    await delete(place.environment_id, endpoint.id)
    with pytest.raises(EndpointHasNoUrl):
        await system.index(place.environment_id, endpoint.id, NewIndex(IndexSource.API))
    await system.perform(place.environment_id, index.id)
    failed = await system.read(place, index)
    assert failed.error is not None
    assert failed.error.message == "Endpoint URL is not set"


async def test_a_stranger_finds_nothing(system: System, programs: Programs, place: Place) -> None:
    endpoint, index = await created(system, programs, place, described())
    stranger: UUID = new_id()
    with pytest.raises(EndpointNotFound):
        await system.index(stranger, endpoint.id, NewIndex(IndexSource.API))
    with pytest.raises(EndpointNotFound):
        await DeleteEndpoint(system.unit_of_work)(stranger, endpoint.id)
    await system.perform(stranger, index.id)
    assert (await system.read(place, index)).status is IndexStatus.PENDING
    await system.perform(place.environment_id, index.id)
    items = await system.items(place, index)
    await system.register(stranger, items)
    assert system.jobs.registered == []
    assert await system.reader.find(stranger, endpoint.id) is None
    assert await system.reader.find_index(stranger, index.id) is None
    assert await system.reader.indexes(stranger, endpoint.id, None, 10) == []
    assert await system.reader.items(stranger, index.id, None, None, 9, with_metadata=True) == []


def told(worker_queue: RecordingWorkerQueue) -> list[tuple[str, str]]:
    """Type and index of each event that was published, in their order."""
    events = [orjson.loads(message.args) for message in worker_queue.of_kind(PUBLISH)]
    return [(event["type"], event["resourceId"]) for event in events]


async def test_the_end_of_an_index_is_told_once_with_it(
    system: System, programs: Programs, place: Place, worker_queue: RecordingWorkerQueue
) -> None:
    system.interest.types = {"endpoint.index.success", "endpoint.index.failure"}
    endpoint, index = await created(
        system, programs, place, *(described(f"j{n}") for n in range(9))
    )
    await system.perform(place.environment_id, index.id)
    items = await system.items(place, index)
    for _ in range(2):
        await asyncio.gather(*(system.register(place.environment_id, [item]) for item in items))
    [message] = await worker_queue.wait_for(PUBLISH)
    assert message.environment_id == place.environment_id
    data = orjson.loads(message.args)["data"]
    assert (data["endpointId"], data["statistics"]["jobs"]) == (str(endpoint.id), 9)

    _, empty = await created(system, programs, place)
    await system.perform(place.environment_id, empty.id)
    _, broken = await created(system, programs, place)
    fail = FailEndpointIndex(system.performance)
    await fail(new_id(), broken.id, "it is not yours")
    for _ in range(2):
        await fail(place.environment_id, broken.id, "it\0broke")
    [*_, failure] = await worker_queue.wait_for(PUBLISH, 3)
    assert orjson.loads(failure.args)["data"]["message"] == "it\ufffdbroke"
    assert told(worker_queue) == [
        ("endpoint.index.success", str(index.id)),
        ("endpoint.index.success", str(empty.id)),
        ("endpoint.index.failure", str(broken.id)),
    ]


async def test_an_index_of_no_interest_is_not_told_of(
    system: System, programs: Programs, place: Place, worker_queue: RecordingWorkerQueue
) -> None:
    _, index = await created(system, programs, place, described())
    assert (await system.run(place, index)).status is IndexStatus.SUCCESS
    _, broken = await created(system, programs, place)
    await FailEndpointIndex(system.performance)(place.environment_id, broken.id, "it broke")
    # What is sent later was written later.
    _, last = await created(system, programs, place)
    await worker_queue.wait_for("performEndpointIndexing", 3)
    worker_queue.assert_enqueued("performEndpointIndexing", endpointIndexId=str(last.id))
    assert told(worker_queue) == []
    # The log of the events service has it anyway.
    rows = [
        (event.type, event.resource_id)
        for event in await published_events(system.database, "endpoints")
        if event.environment_id == str(place.environment_id)
    ]
    assert rows == [
        ("endpoint.index.success", str(index.id)),
        ("endpoint.index.failure", str(broken.id)),
    ]


def test_the_types_are_those_that_the_service_declares() -> None:
    service = endpoints_tasks_service_pb2.DESCRIPTOR.services_by_name["EndpointsTasksService"]
    declared = service.GetOptions().Extensions[integration_event_pb2.publishes].types
    assert set(declared) == {INDEX_SUCCESS.name, INDEX_FAILURE.name}
